"""What `pushbridge diff` says of quiet hours and windows: how many notifications they would have kept back."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bridge.counts import how_many
from hub.quiet import Fate

if TYPE_CHECKING:
    from bridge.trial.draft import Comparison
    from bridge.trial.windows import WindowCount

_WORDS: Mapping[Fate, str] = {
    Fate.HELD: "held",
    Fate.SILENT: "sent without a sound",
    Fate.DROPPED: "dropped",
    Fate.TOO_LONG: "dropped, as they would wait for longer than expire",
    Fate.EXPIRED: "given up, as they would expire before the end",
}


def counts_of(count: "WindowCount") -> dict[str, int]:
    """For JSON: notifications in all, by what would have become of them, zeros included."""
    fates = {fate.value: count.fates[fate] for fate in _WORDS}
    return {"notifications": count.notifications, **fates, "put_off": count.put_off}


def lines_of(comparison: "Comparison") -> Iterator[str]:
    """A line a rule; of one that the other configuration counts otherwise, both."""
    for rule, count in comparison.windows.items():
        before = comparison.windows_before.get(rule)
        was = "" if before is None or _said(before) == _said(count) else f"; before: {_said(before)}"
        yield f"{rule} ({', '.join(_names(count))}): {_said(count)}{was}"


def _names(count: "WindowCount") -> Iterator[str]:
    if count.quiet is not None:
        yield f"quiet hours {count.quiet.window.name} by the clock of {count.quiet.zone_for('')}"
    if count.only_in is not None:
        yield f"only in {count.only_in.name}"


def _said(count: "WindowCount") -> str:
    if not count.notifications:
        return "no notification"
    parts = [f"{count.fates[fate]} {word}" for fate, word in _WORDS.items() if count.fates[fate]]
    if count.put_off:
        parts.append(f"{count.put_off} put off until the window opens")
    return f"{how_many(count.notifications, 'notification')}, {'; '.join(parts) or 'none kept back'}"
