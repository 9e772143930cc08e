"""Quiet hours at dispatch: which pushes of a notification go out now, which wait until when, and which never do.

Of a small audience each phone is asked for its zone. A large one is cut by the sets of registrations that the index keeps
for each zone, before any phone of it is read: a broadcast is held in one part for each end of quiet hours and push service.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pyroaring import BitMap

from hub.facts import QuietHoursKept
from hub.notification import Notification, Platform
from hub.platforms.table import traits_of
from hub.quiet import Fate, OnQuiet, QuietHours, Ruling, ruling
from hub.store.contracts.outbox import PAGE_SIZE, Audience, DroppedPart, HeldPart
from hub.store.decide.audience import pages_of
from hub.target import Target


@dataclass(slots=True)
class Sorted:
    """Targets by what becomes of them. `held` are by push service and the end of their quiet hours, with their zones."""

    now: list[Target] = field(default_factory=list)
    silent: list[Target] = field(default_factory=list)
    held: dict[tuple[Platform, float], tuple[list[int], set[str]]] = field(default_factory=dict)
    dropped: list[tuple[Target, Fate]] = field(default_factory=list)

    def parts(self) -> list[HeldPart]:
        """What is held."""
        return [
            HeldPart(platform=platform, ordinals=BitMap(ordinals), until=until, zones=sorted(zones))
            for (platform, until), (ordinals, zones) in self.held.items()
        ]


def sort_targets(notification: Notification, quiet: QuietHours, targets: Iterable[Target], at: float) -> Sorted:
    """What becomes of each at a time of day, in seconds since 1970 UTC."""
    expires_at = _seconds(notification)
    rulings: dict[tuple[str, Platform], tuple[str, Ruling | None]] = {}
    found = Sorted()
    for target in targets:
        # Most phones say their zone as a property, which was checked as it was written: then nothing else is looked at.
        said = target.own_time_zone or target.time_zone
        known = rulings.get((said, target.platform))
        if known is None:
            zone = quiet.zone_for(said)
            known = zone, _ruling(quiet, zone, target.platform, at, expires_at)
            rulings[said, target.platform] = known
        zone, ruled = known
        if ruled is None:
            found.now.append(target)
        elif ruled.fate is Fate.HELD:
            ordinals, zones = found.held.setdefault((target.platform, ruled.until), ([], set()))
            ordinals.append(target.ordinal)
            zones.add(zone)
        elif ruled.fate is Fate.SILENT:
            found.silent.append(target)
        else:
            found.dropped.append((target, ruled.fate))
    return found


def ruling_for_all(notification: Notification, at: float) -> Ruling | None:
    """What becomes of all pushes of a notification whose quiet hours are the same for all phones; None: each is asked."""
    quiet = notification.quiet
    if quiet is None or not quiet.is_same_for_all:
        return None
    return ruling(quiet, quiet.window.zone, at, _seconds(notification))


def ruling_for(notification: Notification, said: str, platform: Platform, at: float) -> Ruling | None:
    """What becomes of a push to one phone, which says this zone, or none; None: it goes out as it is."""
    quiet = notification.quiet
    return None if quiet is None else _ruling(quiet, quiet.zone_for(said), platform, at, _seconds(notification))


def quiet_fact(notification: Notification, ruled: Ruling) -> QuietHoursKept:
    """What became of a notification as a whole."""
    quiet = notification.quiet
    zones = [] if quiet is None else [quiet.window.zone]
    return QuietHoursKept(notification=notification, fate=ruled.fate, count=None, until=ruled.until, zones=zones)


def cut_pages(notification: Notification, audience: Audience, zones: Mapping[str, BitMap], at: float) -> Audience:
    """A large audience without what is held or dropped at a time of day. `zones` are the registrations of its hub by the
    time zones that their phones say.

    What goes out silently is in its pages: their phones are asked for their zones once more.
    """
    quiet = notification.quiet
    assert quiet is not None
    whole: dict[Platform, BitMap] = {}
    for platform, page in audience.pages:
        whole.setdefault(platform, BitMap()).update(page)
    held: dict[tuple[Platform, float], tuple[BitMap, set[str]]] = {}
    dropped: dict[tuple[Platform, Fate], BitMap] = {}
    expires_at = _seconds(notification)
    cut = False
    said = BitMap.union(BitMap(), *zones.values())
    for zone, members in [*zones.items(), ("", None)]:
        for platform, left in whole.items():
            ruled = _ruling(quiet, quiet.zone_for(zone), platform, at, expires_at)
            if ruled is None or ruled.fate is Fate.SILENT:
                continue
            mine = left - said if members is None else left & members
            if not mine:
                continue
            cut = True
            whole[platform] = left - mine
            if ruled.fate is Fate.HELD:
                ordinals, names = held.setdefault((platform, ruled.until), (BitMap(), set()))
                ordinals |= mine
                names.add(quiet.zone_for(zone))
            else:
                dropped.setdefault((platform, ruled.fate), BitMap()).update(mine)
    if not cut:
        return audience
    return replace(
        audience,
        pages=[(platform, page) for platform, left in whole.items() for page in pages_of(left, PAGE_SIZE)],
        held=[
            HeldPart(platform=platform, ordinals=ordinals, until=until, zones=sorted(names))
            for (platform, until), (ordinals, names) in held.items()
        ],
        dropped=[
            DroppedPart(platform=platform, ordinals=ordinals, fate=fate)
            for (platform, fate), ordinals in dropped.items()
        ],
    )


def _ruling(quiet: QuietHours, zone: str, platform: Platform, at: float, expires_at: float | None) -> Ruling | None:
    can_be_soundless = quiet.on_quiet is not OnQuiet.SILENT or traits_of(platform).can_be_soundless
    return ruling(quiet, zone, at, expires_at, can_be_soundless=can_be_soundless)


def _seconds(notification: Notification) -> float | None:
    return None if notification.expires_at is None else notification.expires_at.timestamp()
