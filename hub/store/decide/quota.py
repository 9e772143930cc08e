"""The quota of a push service, learnt from its refusals and divided among the processes that push; pure.

A service that refuses for its quota says when the next period begins. What it took in the minute before that is its
quota, and from then on a little less is spent in any minute. A sender that keeps to a quota is refused nothing, and would
never find that the quota was raised: after a while without a refusal a little more is tried, and more each minute. What
was measured once may have been a service that was busy for a moment: more is tried soon, and only a second refusal at
about the same count makes the quota sure.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.quota import PERIOD, QuotaGrant, QuotaReport

SPENT = 0.99
"""The part of a quota that is spent: clocks and answers are a little late."""

_SLOT = 0.5
"""Seconds for which pushes are counted together."""

_COUNTED = 2 * PERIOD
"""Seconds for which counts are kept."""

_CATCHES_UP = 1.25
"""Times the average at which pushes may go: what was left unused is not spent at once."""

_LEASE = 1.0
"""Seconds for which a grant is kept for a process that does not report."""

_PRESENT = 3.0
"""Seconds since its last report for which a process counts as one that pushes."""

_ALIKE = 0.1
"""By how much two measures differ that make a quota sure."""

_TRIED_AFTER, _TRIED_EVERY, _TRIED = 1800.0, 60.0, 0.005
"""A sure quota: seconds without a refusal until more is tried, seconds between two tries, and the first try's part."""

_UNSURE_AFTER, _UNSURE_EVERY, _UNSURE = 5.0, 10.0, 0.5
"""The same of one that is not sure."""

_ROUNDED = 1.0
"""Seconds by which a service may name its reset too late: `Retry-After` is in whole seconds (RFC 9110, 10.2.3)."""

_SHORTEST = 5.0
"""Seconds below which a count says too little."""

_KEPT = 7 * 86_400.0
"""Seconds without a refusal after which a quota is forgotten."""

_NO_LIMIT = 1e9

_PLAIN = (
    *("limit", "measured", "is_sure", "refused_at", "reset_at", "grows_at", "tries"),
    *("counted_from", "counted_for", "most"),
)


@dataclass(slots=True)
class Share:
    """What a process may have spent that it has not reported, until `until`; it `wanted` so many a second at `asked_at`."""

    left: float
    until: float
    wanted: float
    asked_at: float


@dataclass(slots=True)
class QuotaState:
    """What all processes know of one service's quota. Times are the store's, in seconds; `limit` is pushes a minute.

    `spent` counts by the half second. Nothing goes before `reset_at`. More is tried at `grows_at`, for the `tries`-th time.
    While a refusal teaches, what was spent since `counted_from` stands for `counted_for` seconds, and for no more than
    `most` where the service named no time; `counted_from` is 0 at other times.
    """

    limit: float | None = None
    measured: float = 0.0
    is_sure: bool = False
    refused_at: float = 0.0
    reset_at: float = 0.0
    grows_at: float = 0.0
    tries: int = 0
    counted_from: float = 0.0
    counted_for: float = 0.0
    most: float = 0.0
    spent: dict[int, float] = field(default_factory=dict)
    shares: dict[str, Share] = field(default_factory=dict)

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "QuotaState":
        """Of what `said` gave."""
        state = cls(**{name: said[name] for name in _PLAIN})
        state.spent = {int(slot): count for slot, count in said["spent"]}
        state.shares = {process: Share(*share) for process, share in said["shares"].items()}
        return state

    def said(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "spent": sorted(self.spent.items()),
            "shares": {
                process: [share.left, share.until, share.wanted, share.asked_at]
                for process, share in self.shares.items()
            },
        }

    def spent_between(self, begin: float, end: float) -> float:
        """Pushes that counted in this time; of a half second that lies partly in it, as much."""
        return sum(
            count * max(0.0, min(end, (slot + 1) * _SLOT) - max(begin, slot * _SLOT)) / _SLOT
            for slot, count in self.spent.items()
        )

    def take(self, report: QuotaReport, *, process: str, now: float) -> QuotaGrant:
        """Count what a process reports, learn of it, and say how many pushes it may make until its next report."""
        before = self.shares.pop(process, None)
        self._count(report, now)
        if report.refused:
            self._learn(report, now)
        self._measure(now)
        self._try_more(now)
        if self.limit is None:
            return QuotaGrant()
        pushes = self._grant(self.limit, report, now - before.asked_at if before else _SLOT, now)
        self.shares[process] = Share(pushes + report.under_way, now + _LEASE, report.wanted, now)
        return QuotaGrant(limit=self.limit, pushes=pushes)

    def _count(self, report: QuotaReport, now: float) -> None:
        for ago, count in report.spent:
            slot = math.floor((now - ago) / _SLOT)
            self.spent[slot] = self.spent.get(slot, 0.0) + count
        oldest = math.floor((now - _COUNTED) / _SLOT)
        self.spent = {slot: count for slot, count in self.spent.items() if slot >= oldest}
        self.shares = {name: share for name, share in self.shares.items() if now - share.asked_at < _PRESENT}

    def _learn(self, report: QuotaReport, now: float) -> None:
        """Of the first push that was refused; what was on its way with it says nothing more."""
        refused_at = now - report.refused_ago
        if refused_at < self.reset_at:
            return
        wait = PERIOD if report.retry_after is None else report.retry_after
        previous, self.refused_at, self.reset_at = self.reset_at, refused_at, refused_at + wait
        if wait > PERIOD:
            self.counted_from = 0.0
            return  # the quota of an hour or a day, of which a minute says nothing
        # A minute is what a sender assumes where its service names no time: then only the minute before is known.
        is_named = wait < PERIOD
        end = self.reset_at if is_named else refused_at
        begin = max(end - PERIOD, previous if is_named else 0.0)
        self.counted_for = end - begin
        # The service's minute may have begun that much earlier, and its first pushes are the densest: their slot counts
        # as a whole.
        self.counted_from = _SLOT * math.floor(max(begin - _ROUNDED, previous) / _SLOT) if is_named else begin
        self.most = _NO_LIMIT if self.limit is None else self.limit if is_named else 0.9 * self.limit
        self._measure(now)

    def _measure(self, now: float) -> None:
        """What was taken before the refusal; answers to some of it come after it, but nothing goes before the reset."""
        if not self.counted_from:
            return
        counted = self.spent_between(self.counted_from, self.reset_at)
        measured = max(1.0, counted * PERIOD / max(self.counted_for, _SHORTEST))
        if self.limit is not None and now > self.counted_from + _COUNTED:
            measured = self.limit  # what was counted is forgotten; what was known of it at the last report holds
        elif self.counted_for < _SHORTEST and self.most < _NO_LIMIT:
            measured = 0.8 * self.most
        elif self.refused_at + PERIOD <= self.reset_at:
            measured = min(measured, self.most)
        self.limit = measured
        if now >= self.reset_at:
            self.is_sure = self.is_sure or abs(measured - self.measured) <= _ALIKE * self.measured
            self.measured, self.counted_from, self.tries = measured, 0.0, 0
            self.grows_at = now + (_TRIED_AFTER if self.is_sure else _UNSURE_AFTER)

    def _try_more(self, now: float) -> None:
        if self.limit is None or self.counted_from or now < self.grows_at:
            return
        if now - self.refused_at > _KEPT or self.limit > _NO_LIMIT:
            self.limit, self.is_sure = None, False
            return
        every = _TRIED_EVERY if self.is_sure else _UNSURE_EVERY
        if self.spent_between(now - every, now) < 0.9 * SPENT * self.limit * every / PERIOD:
            return  # the quota is not what keeps pushes back
        self.limit *= 1 + (min(1.0, _TRIED * 2**self.tries) if self.is_sure else _UNSURE)
        self.tries += 1
        self.grows_at = now + every

    def _grant(self, limit: float, report: QuotaReport, elapsed: float, now: float) -> float:
        if now < self.reset_at:
            return 0.0
        others = sum(share.left for share in self.shares.values() if share.until > now)
        left = SPENT * limit - self.spent_between(now - PERIOD, now + _SLOT) - others - report.under_way
        wanted = [share.wanted for share in self.shares.values()]
        a_second = min(report.wanted, _fair(_CATCHES_UP * limit / PERIOD, [report.wanted, *wanted]))
        pushes = math.ceil(a_second * min(max(elapsed, _SLOT), 2.0))  # up: parts of a push would be granted for nothing
        return float(max(0, min(math.floor(left), pushes)))


def _fair(whole: float, wanted: list[float]) -> float:
    """The most that each gets, if all who want less get what they want (max-min fairness)."""
    left, rest = whole, sorted(wanted)
    while rest and rest[0] <= left / len(rest):
        left -= rest.pop(0)
    return left / len(rest) if rest else whole
