"""The sources that something is expected of regularly: when each is late, such as the nightly batch that did not come."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from bridge.observe.facts import IntakeObserver, SourceLate, SourceStatus
from hub.errors import StoreError
from hub.store.contracts.journal import Journal

_EVERY = 5.0
"""Seconds between two looks."""
_STEP = 2.0
"""Seconds by which the time of day has to have moved between two looks, beside the time that passed, to have been set."""


class Expectations:
    """Writes `expected_by` and `is_late` into the statuses of sources.

    `statuses` are those of the sources that run, `expected` the seconds by source within which a message has to come.
    Time counts from the last message. After a start that is the newest event of the journal, and where the journal has
    none, the first look. `clock` gives seconds since 1970 UTC: where it is set, the times that count move with it, so that
    nothing is late before its time has passed. `steady` is a clock that nobody sets.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        statuses: Callable[[], Iterable[SourceStatus]],
        expected: Callable[[], Mapping[str, float]],
        observer: IntakeObserver,
        clock: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._statuses = statuses
        self._expected = expected
        self._observer = observer
        self._clock = clock
        self._steady = steady
        self._looked = steady()
        self._offset = clock() - self._looked
        self._last: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._late: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(StoreError):  # the store's own part of readiness says so; the next look asks again
                await self.look()
            await asyncio.sleep(_EVERY)

    async def look(self) -> None:
        """Raises: StoreError: the journal cannot be read."""
        expected = self._expected()
        passed = self._follow_clock()
        for status in self._statuses():
            name, every = status.name, expected.get(status.name)
            if every is None:
                status.expected_by, status.is_late = 0.0, False
                self._late.discard(name)
                continue
            if name not in self._last:
                self._last[name] = await self._newest(name)
            if status.last_message and status.last_message != self._seen.get(name):
                self._seen[name] = status.last_message
                # It came since the look before, though the clock was another one then.
                now = self._clock()
                self._last[name] = min(max(status.last_message, now - passed), now)
            last = self._last[name]
            status.expected_by = last + every
            status.is_late = self._clock() > status.expected_by
            if status.is_late != (name in self._late):
                (self._late.add if status.is_late else self._late.discard)(name)
                self._observer.observe(SourceLate(source=name, last=last, expect_every=every, is_late=status.is_late))

    def _follow_clock(self) -> float:
        """The seconds since the look before, however the clock was set in between."""
        steady = self._steady()
        passed, self._looked = steady - self._looked, steady
        before, self._offset = self._offset, self._clock() - steady
        step = self._offset - before
        if abs(step) > _STEP:
            self._last = {name: last + step for name, last in self._last.items()}
        return passed

    async def _newest(self, source: str) -> float:
        newest = (await self._journal.journal(source=source, limit=1)).items
        return newest[0].at if newest else self._clock()
