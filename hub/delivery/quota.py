"""A process's part of a push service's quota: what it spends, what it was granted, and who waits for more."""

import asyncio
import math
import time
from collections.abc import Callable

from hub.quota import PERIOD, QuotaGrant, QuotaReport

_SLOT = 0.5
"""Seconds for which pushes are counted together."""

_WITHOUT_END = 1e6
"""What who waits for a place wants a second: more than there is."""

_UNLIMITED = 2**31

_ROOM = 1.25
"""Times what was spent lately that a process asks for: it may have more to do in the next half second."""


class QuotaMeter:
    """Counts the pushes of one service, and holds back what is over the grant while a quota is known.

    `clock` is in seconds. Single pushes go first, but leave half of a grant to pages where these wait.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._spent: dict[int, int] = {}
        self._left = 0.0
        self._under_way = 0
        self._kept_for_pages = 0.0
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._is_short = False
        self._refused = 0
        self._refused_at = 0.0
        self._retry_after: float | None = None
        self._reported_at = clock()
        self.limit: float | None = None
        """Pushes a minute that the service takes, None while it has not refused any for its quota."""

    @property
    def is_spent(self) -> bool:
        """Whether nothing may be pushed before the next grant."""
        return self.limit is not None and self._left < 1.0

    @property
    def available(self) -> int:
        """Single pushes that may go now."""
        return _UNLIMITED if self.limit is None else max(0, math.floor(self._left - self._kept_for_pages))

    def want(self) -> None:
        """More waits in the store than may go now."""
        self._is_short = True

    @property
    def waiting(self) -> int:
        """Pushes of pages that wait for a grant."""
        return sum(self._waiting.values())

    def admit(self, wanted: int) -> int:
        """How many of these single pushes may go now; they count as taken."""
        if self.limit is not None:
            self._is_short |= self.available < wanted
            wanted = min(wanted, self.available)
        self._take(wanted)
        return wanted

    async def place(self, count: int) -> None:
        """Wait until pushes of a page may go, in order; they count as taken. `release` ends the wait of all."""
        if self.limit is not None and (self._left < 1.0 or self._waiting):
            turn = asyncio.get_running_loop().create_future()
            self._waiting[turn] = count
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.give_back(count)
                raise
            finally:
                self._waiting.pop(turn, None)
            return
        self._take(count, of_page=True)

    def release(self) -> None:
        """Let all that wait go on at once: they have to look whether their service is closed."""
        for turn, count in self._waiting.items():
            if not turn.done():
                self._take(count, of_page=True)
                turn.set_result(None)

    def give_back(self, count: int) -> None:
        """So many that were taken are not sent after all."""
        self._under_way -= count
        if self.limit is not None:
            self._left += count

    def answered(self, count: int, *, refused: int = 0, retry_after: float | None = None) -> None:
        """So many that were taken have their answers; `refused` ones of them were over the quota and count for nothing."""
        now = self._clock()
        self._under_way -= count
        if spent := count - refused:
            slot = math.floor(now / _SLOT)
            if slot not in self._spent and self.limit is None:
                self._forget(now)
            self._spent[slot] = self._spent.get(slot, 0) + spent
        if refused:
            if not self._refused:
                self._refused_at, self._retry_after = now, retry_after
            self._refused += refused
            self._left = 0.0 if self.limit is not None else self._left

    def know(self, limit: float | None) -> None:
        """Another process, or one before this, met a quota: from the next report on this one keeps to it too.

        Until then a half second's worth goes.
        """
        if self.limit is None and limit is not None and not self._refused:
            self.granted(QuotaGrant(limit=limit, pushes=limit / PERIOD * _SLOT))

    @property
    def is_due(self) -> bool:
        """Whether a report is worth a write: pushes were refused, or a quota is known and pushes go or wait."""
        if self._refused:
            return True
        if self.limit is None:
            return False
        since = self._clock() - self._reported_at
        if self.is_spent:  # also where nothing seems to wait: what is in the store is not taken before
            return since >= _SLOT / 2
        return since >= _SLOT and bool(self._spent or self._waiting or self._is_short or self._under_way)

    def report(self) -> QuotaReport:
        """What was done since the last report; `granted` or `failed` follows."""
        now = self._clock()
        spent = sum(self._spent.values())
        elapsed = max(now - self._reported_at, _SLOT)
        self._reported_at = now
        report = QuotaReport(
            spent=[(max(0.0, now - (slot + 0.5) * _SLOT), count) for slot, count in self._spent.items()],
            refused=self._refused,
            refused_ago=max(0.0, now - self._refused_at) if self._refused else 0.0,
            retry_after=self._retry_after,
            under_way=self._under_way,
            wanted=_WITHOUT_END if self._waiting or self._is_short or self._refused else _ROOM * (spent + 1) / elapsed,
        )
        self._spent, self._refused, self._retry_after = {}, 0, None
        return report

    def granted(self, grant: QuotaGrant) -> None:
        """Spend so much until the next grant; what was left of the last is gone."""
        self.limit = grant.limit
        self._left = grant.pushes
        self._kept_for_pages = self._left / 2 if self._waiting and self._is_short else 0.0
        self._is_short = False
        for turn, count in self._waiting.items():
            if self.is_spent:
                break
            if not turn.done():
                self._take(count, of_page=True)
                turn.set_result(None)

    def failed(self, report: QuotaReport, *, sharers: int) -> None:
        """The report was not taken: it goes out with the next one, and until then a part of the quota goes on."""
        now = self._clock()
        for ago, count in report.spent:
            slot = math.floor((now - ago) / _SLOT)
            self._spent[slot] = self._spent.get(slot, 0) + count
        if report.refused:
            self._refused += report.refused
            self._refused_at, self._retry_after = now - report.refused_ago, report.retry_after
        elif self.limit is not None:
            self.granted(QuotaGrant(limit=self.limit, pushes=self.limit / PERIOD * _SLOT / max(1, sharers)))

    def _take(self, count: int, *, of_page: bool = False) -> None:
        self._under_way += count
        if self.limit is not None:
            self._left -= count
            self._kept_for_pages = max(0.0, self._kept_for_pages - count) if of_page else self._kept_for_pages

    def _forget(self, now: float) -> None:
        oldest = math.floor((now - PERIOD) / _SLOT)
        self._spent = {slot: count for slot, count in self._spent.items() if slot >= oldest}
