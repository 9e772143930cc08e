"""Quiet hours in a test of rules: which devices get a push now, and which when the clock has come to their morning."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bridge.trial.suite.compare import SeenPush
from hub.delivery.quieting import ruling_for, ruling_for_all
from hub.installation import Installation
from hub.notification import Notification
from hub.quiet import Fate, Ruling
from hub.self_description import time_zone_of

Devices = Mapping[tuple[str, str], Installation]
"""By hub and id."""


@dataclass(slots=True, kw_only=True)
class Sorted:
    """Pushes that go out, as far as they do, and how many notifications quiet hours hold, or keep a push of for good."""

    pushes: list[SeenPush] = field(default_factory=list)
    held: int = 0
    suppressed: int = 0


class HeldPushes:
    """What quiet hours hold in a test."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._held: list[tuple[float, SeenPush]] = []

    def sort(self, pushes: Sequence[SeenPush], *, now: datetime) -> Sorted:
        """What becomes of pushes; a scheduled one is looked at by its own time."""
        found = Sorted()
        for push in pushes:
            self._sort(push, max(now, push.tried.notification.schedule_at or now).timestamp(), found)
        return found

    def due(self, *, now: datetime) -> Sorted:
        """What goes out whose quiet hours have ended by now, of each notification together."""
        found = Sorted()
        ended = sorted((each for each in self._held if each[0] <= now.timestamp()), key=lambda each: each[0])
        self._held = [each for each in self._held if each[0] > now.timestamp()]
        together: dict[str, SeenPush] = {}
        for _, push in ended:
            before = together.get(push.tried.notification.id)
            devices = push.devices if before is None else [*before.devices, *push.devices]
            payloads = push.payloads if before is None else [*before.payloads, *push.payloads]
            together[push.tried.notification.id] = replace(push, devices=sorted(devices), payloads=payloads)
        for push in together.values():
            self._sort(push, now.timestamp(), found)
        return found

    def _sort(self, push: SeenPush, at: float, found: Sorted) -> None:
        notification = push.tried.notification
        if notification.quiet is None:
            found.pushes.append(push)
            return
        now: list[str] = []
        held: dict[float, list[str]] = {}
        is_suppressed = False
        for device in push.devices or [""]:
            ruled = self._ruling(notification, device, at)
            if ruled is None or ruled.fate is Fate.SILENT:
                now.append(device)
            elif ruled.fate is Fate.HELD:
                held.setdefault(ruled.until, []).append(device)
            else:
                is_suppressed = True
        found.suppressed += is_suppressed
        found.held += bool(held)
        if now:
            found.pushes.append(self._only_for(push, now))
        self._held += [(until, self._only_for(push, devices)) for until, devices in held.items()]

    def _ruling(self, notification: Notification, device: str, at: float) -> Ruling | None:
        """Of a device; an empty one stands for a notification that reaches none of the test."""
        known = self._devices.get((notification.hub, device))
        if known is None:
            return ruling_for_all(notification, at)
        zone = time_zone_of(known.time_zone, known.push_variables)
        return ruling_for(notification, zone, known.platform, at)

    def _only_for(self, push: SeenPush, devices: Collection[str]) -> SeenPush:
        if len(devices) >= len(push.devices):
            return push
        hub = push.tried.notification.hub
        channels = {self._devices[hub, each].push_channel for each in devices}
        payloads = [
            replace(each, push_channels=kept)
            for each in push.payloads
            if (kept := [channel for channel in each.push_channels if channel in channels])
        ]
        return replace(push, devices=sorted(devices), payloads=payloads)
