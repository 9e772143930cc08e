"""When a push goes out: at a time that the event names, in a window, outside of quiet hours."""

from collections.abc import Callable
from dataclasses import replace

from hub.platforms.table import services, traits_of
from hub.quiet import OnQuiet
from hub.times import is_no_time, parse_time
from hub.windows import Window
from rules import models
from rules.node import Node
from rules.problems import Problems
from rules.push import PushPlan
from rules.reading import fields, template, values
from rules.schedule import Schedule
from rules.scope import HubScope, Scope
from rules.ttl import TtlFrom
from rules.windows import name_of, read_quiet_hours, window_named

_TIME_OF_EVENT = 'a field of the event names it: at: "{{ data.dueAt }}"'


class TimeReader:
    """Reads `schedule` and `quiet_hours` of a rule into its push. `seconds_in` reads a text such as `1h30m`."""

    def __init__(self, scope: Scope, problems: Problems, seconds_in: Callable[[str], float]) -> None:
        self._scope = scope
        self._problems = problems
        self._seconds_in = seconds_in

    def scheduled(self, node: Node, push: PushPlan | None) -> PushPlan | None:
        """The push at the time that the event names."""
        entries = fields(node, self._problems, models.Schedule)
        at = template(entries["at"], self._problems) if "at" in entries else None
        only_in = self._only_in(entries["only_in"]) if "only_in" in entries else None
        if not entries and isinstance(node.value, dict):
            self._problems.add(
                node, "there is no time", 'write at: "{{ … }}", or only_in: NAME of a window', mark=node.key_mark
            )
        if push is None or (at is None and only_in is None):
            return push
        if at is not None and at.constant is not None and not is_no_time(at.constant):
            try:
                parse_time(at.constant, self._scope.timezone)
            except ValueError as error:
                self._problems.add(entries["at"], str(error), _TIME_OF_EVENT)
            else:
                message = "this time is the same for all events: those that come after it are sent at once"
                self._problems.warn(entries["at"], message, _TIME_OF_EVENT)
        if push.ttl_from is TtlFrom.TIME:
            message = "ttl begins at the event's time, before the notification is sent"
            self._problems.add(node, message, "leave out push.ttl_from", mark=node.key_mark)
        key = f"{node.key}.{'only_in' if at is None else 'at'}"
        return replace(push, schedule=Schedule(at=at, only_in=only_in, timezone=self._scope.timezone, key=key))

    def _only_in(self, node: Node) -> Window | None:
        window = window_named(node, self._scope.windows, self._problems)
        if window is not None and not window.zone:
            message = "this window opens for each phone at a time of its own"
            self._problems.add(node, message, "give the window a tz, or use quiet_hours with the time that is left")
            return None
        return window

    def in_quiet_hours(self, node: Node, push: PushPlan | None) -> PushPlan | None:
        """The push, with the hours in which phones are left in peace."""
        entries = fields(node, self._problems, models.QuietHours)
        given = values(models.QuietHours, entries, self._problems, self._seconds_in)
        quiet = read_quiet_hours(node, given, entries, self._scope.windows, self._problems)
        if push is None:
            self._problems.add(node, "this rule pushes nothing that could wait", "give it a push", mark=node.key_mark)
            return None
        if quiet is None:
            return push
        scope = self._scope.hubs.get(push.hub, HubScope())
        if scope.is_remote and not quiet.is_same_for_all:
            message = "the zones of its phones are known to the remote hub alone"
            self._problems.add(entries["window"], message, "give the window a tz, or put the rule where the phones are")
        if quiet.on_quiet is OnQuiet.SILENT:
            self._check_soundless(entries["on_quiet"], push, scope)
        zone = scope.time_zone or name_of(self._scope.timezone)
        return replace(push, quiet=replace(quiet, zone=zone))

    def _check_soundless(self, node: Node, push: PushPlan, scope: HubScope) -> None:
        """Say for which push services `silent` is no word."""
        if scope.is_remote:
            self._problems.add(node, "a remote hub sends no push without a sound", "write hold, or drop")
            return
        wanted = scope.platforms if push.platforms is None else push.platforms & scope.platforms
        without = sorted(each.title for each in services() if each.platform in wanted and not each.can_be_soundless)
        if without and push.properties is not None:
            self._problems.warn(
                node, f"{', '.join(without)} has no word for it: such pushes are held until the window ends"
            )
        for native in push.natives:
            traits = traits_of(native.platform)
            headers = {
                **scope.usual_fields.get(native.platform, {}),
                **{name.lower(): text.constant or "" for name, text in native.headers},
            }
            if traits.can_be_soundless and traits.soundless(headers, b"{}") is None:
                self._problems.add(
                    node, f"a push of this type cannot be without a sound: native.{traits.name}", "write hold, or drop"
                )
