"""What quiet hours and rates would keep back of a notification that is tried, in words: nothing here waits."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import ceil

from bridge.config.models.document import Settings
from bridge.trial.windows import ruling_without_phones
from bridge.wiring import rates_of
from hub.delivery.quieting import ruling_for
from hub.notification import Notification, Platform
from hub.quiet import Fate, QuietHours, Ruling, held_text
from hub.rate import Rate, RateLimiter
from rules.units import spelled

Zones = Mapping[tuple[Platform, str], int]
"""How many phones say a time zone, by push service; an empty name is that of those which say none."""

_WOULD = {
    Fate.SILENT: "without a sound",
    Fate.DROPPED: "dropped: the rule says on_quiet: drop",
    Fate.TOO_LONG: "dropped: it would wait for longer than quiet_hours.expire",
    Fate.EXPIRED: "dropped: its time to live ends before the quiet hours do",
}


class KeepingBack:
    """Says what becomes of one notification after the other: those before it count for the rates of its rule and hub."""

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime]) -> None:
        def limiter(rate: Rate) -> RateLimiter:
            return RateLimiter(rate, clock=lambda: clock().timestamp())

        rates = rates_of(settings)
        self._rules = {name: limiter(rate) for name, rate in rates.rules.items()}
        self._hubs = {name: limiter(rate) for name, rate in rates.hubs.items()}
        self._clock = clock

    def said(self, notification: Notification, *, pushes: int | None = None, zones: Zones | None = None) -> list[str]:
        """A line for each thing that keeps some of it back, or could; none where nothing could.

        `pushes` is how many there are, None where no phones are known, and `zones` those of its phones, or of some.
        """
        lines = [] if notification.quiet is None else self._quiet(notification, notification.quiet, zones or {})
        return [*lines, *self._paced(notification, 1 if pushes is None else pushes)]

    def _quiet(self, notification: Notification, quiet: QuietHours, zones: Zones) -> list[str]:
        now = self._clock()
        at = max(now, notification.schedule_at or now).timestamp()
        if not zones:
            return [f"quiet_hours: {_of_no_phone(quiet, ruling_without_phones(notification, at))}"]
        awake = 0
        ended: Counter[Fate] = Counter()
        held: dict[float, Counter[str]] = {}
        for (platform, said), count in zones.items():
            ruled = ruling_for(notification, said, platform, at)
            if ruled is None:
                awake += count
            elif ruled.fate is Fate.HELD:
                held.setdefault(ruled.until, Counter())[quiet.zone_for(said)] += count
            else:
                ended[ruled.fate] += count
        lines = [f"{_counted(of.total())} {held_text(quiet, until, sorted(of))}" for until, of in sorted(held.items())]
        lines += [f"{_counted(count)} in {quiet}, {_WOULD[fate]}" for fate, count in ended.items()]
        if awake:
            lines.append(f"{_counted(awake)} outside of {quiet}")
        return [f"quiet_hours: {line}" for line in lines]

    def _paced(self, notification: Notification, pushes: int) -> list[str]:
        limiters = {
            "rate": self._rules.get(notification.rule),
            f"rate of hub {notification.hub}": self._hubs.get(notification.hub.lower()),
        }
        return [f"{name}: {_turn(each, pushes)}" for name, each in limiters.items() if each is not None]


def _turn(limiter: RateLimiter, pushes: int) -> str:
    """When a notification goes out that comes now; it goes out whole, and what comes next waits for the longer."""
    assert limiter.rate is not None
    waits = limiter.wait()
    limiter.take(pushes)
    said = f"{limiter.rate.per_second:g} a second, {limiter.rate.size} at once; "
    said += f"waits {_whole(waits)} for what came before" if waits else "goes out at once"
    return f"{said}, and the next waits {_whole(limiter.wait())}" if pushes > limiter.rate.size else said


def _of_no_phone(quiet: QuietHours, ruled: Ruling | None) -> str:
    """Of a push whose phones are not known."""
    whose = "all pushes" if quiet.is_same_for_all else "pushes to phones that say no zone"
    if ruled is None:
        return f"{whose} outside of {quiet}"
    if ruled.fate is Fate.HELD:
        return f"{whose} {held_text(quiet, ruled.until, [quiet.zone_for('')])}"
    return f"{whose} in {quiet}, {_WOULD[ruled.fate]}"


def _counted(pushes: int) -> str:
    return f"{pushes} {'push' if pushes == 1 else 'pushes'}"


def _whole(seconds: float) -> str:
    """Up to the next second, below one to the next millisecond."""
    unit = timedelta(seconds=1) if seconds >= 1 else timedelta(milliseconds=1)
    return spelled(unit * ceil(timedelta(seconds=seconds) / unit - 1e-6))
