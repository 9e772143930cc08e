"""Quiet hours of a notification: when its phones are left in peace, and what becomes of the push then."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from hub.explained import Explained
from hub.windows import Window, phase, zone_named

_NAMED = 5
"""Zones that a text names; of more it says the number."""


class OnQuiet(Enum):
    """What becomes of a push to a phone that is in its quiet hours."""

    HOLD = "hold"
    DROP = "drop"
    SILENT = "silent"


class Fate(Explained):
    """What quiet hours did with pushes; the label `fate` of metrics. Each meaning is a clause about the push."""

    HELD = "held", "it waits for the end of the quiet hours"
    RELEASED = "released", "the quiet hours have ended, and it goes out"
    SILENT = "silent", "it goes out without a sound"
    DROPPED = "dropped", "it was dropped: the rule says on_quiet: drop"
    TOO_LONG = "too_long", "it was dropped: it would have waited for longer than the rule's quiet_hours.expire"
    EXPIRED = "expired", "it was given up: its time to live ends before the quiet hours do"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """`zone` is that of phones which say none. What would be held for longer than `expire` seconds is dropped."""

    window: Window
    on_quiet: OnQuiet = OnQuiet.HOLD
    zone: str = "UTC"
    expire: float | None = None

    @property
    def is_same_for_all(self) -> bool:
        """Whether the hours of all phones are the same: those of one zone."""
        return bool(self.window.zone)

    def zone_for(self, said: str) -> str:
        """By whose clock a phone's hours go, of a phone that says its zone, or of one that says none (an empty text)."""
        return self.window.zone or said or self.zone

    def __str__(self) -> str:
        return f"quiet hours of window {self.window.name}"


class Ruling(NamedTuple):
    """What quiet hours do with pushes at a time; `until` is when those that are held go out, in seconds since 1970."""

    fate: Fate
    until: float


def ruling(
    quiet: QuietHours, zone: str, at: float, expires_at: float | None, *, can_be_soundless: bool = True
) -> Ruling | None:
    """What becomes of a push to a phone in a zone; None: it goes out as it is. Times are in seconds since 1970 UTC.

    One that is to be silent and whose push service cannot make it so is held.
    """
    stands = phase(quiet.window, zone, at)
    if not stands.is_inside:
        return None
    if quiet.on_quiet is OnQuiet.SILENT and can_be_soundless:
        return Ruling(Fate.SILENT, at)
    if quiet.on_quiet is OnQuiet.DROP:
        return Ruling(Fate.DROPPED, at)
    return held_ruling(quiet, stands.until, at, expires_at)


def held_ruling(quiet: QuietHours, until: float | None, at: float, expires_at: float | None) -> Ruling:
    """What becomes of a push that is to wait until then, None for ever."""
    if expires_at is not None and (until is None or until >= expires_at):
        return Ruling(Fate.EXPIRED, at)
    if until is None or (quiet.expire is not None and until - at > quiet.expire):
        return Ruling(Fate.TOO_LONG, at)
    return Ruling(Fate.HELD, until)


def held_text(quiet: QuietHours, until: float, zones: Iterable[str]) -> str:
    """That pushes are held, and until when by the clocks of their zones: the same moment, which is one time of the day for
    zones that are alike and several for others."""
    at = datetime.fromtimestamp(until, UTC)
    by_clock: dict[str, list[str]] = {}
    for zone in zones:
        by_clock.setdefault(f"{at.astimezone(zone_named(zone)):%H:%M}", []).append(zone)
    ends = " and ".join(f"{clock} {', '.join(_few(names))}" for clock, names in by_clock.items())
    return f"held by {quiet} until {ends}"


def _few(names: Sequence[str]) -> Sequence[str]:
    return names if len(names) <= _NAMED else [*names[:_NAMED], f"{len(names) - _NAMED} more"]


def reason_for(quiet: QuietHours, fate: Fate) -> str:
    """Why pushes ended so, for the people who ask."""
    return f"{quiet}: {_ENDS[fate]}"


_ENDS = {
    Fate.DROPPED: "on_quiet: drop",
    Fate.TOO_LONG: "would have waited for longer than quiet_hours.expire",
    Fate.EXPIRED: "expired before their end",
}


# As text, for the store


def quiet_text(quiet: QuietHours | None) -> str | None:
    if quiet is None:
        return None
    return _text(quiet)


@lru_cache(maxsize=1024)
def _text(quiet: QuietHours) -> str:
    window = quiet.window
    said: dict[str, Any] = {
        "window": window.name,
        "times": window.times,
        "days": sorted(window.days),
        "tz": window.zone,
        "except": sorted(day.isoformat() for day in window.except_),
        "on_quiet": quiet.on_quiet.value,
        "zone": quiet.zone,
        "expire": quiet.expire,
    }
    return orjson.dumps(said).decode()


@lru_cache(maxsize=1024)
def quiet_of(text: str) -> QuietHours:
    """Of `quiet_text`."""
    said = orjson.loads(text)
    window = Window(
        name=said["window"],
        times=tuple((begin, end) for begin, end in said["times"]),
        days=frozenset(said["days"]),
        zone=said["tz"],
        except_=frozenset(map(date.fromisoformat, said["except"])),
    )
    return QuietHours(window=window, on_quiet=OnQuiet(said["on_quiet"]), zone=said["zone"], expire=said["expire"])
