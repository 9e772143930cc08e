"""Results to records: all that are ready go together, and again until the store takes them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from hub.delivery.store_retry import StoreRetry
from hub.errors import StoreError
from hub.facts import Crashed, DeadLettersStored, NotificationsEnded, NotificationUnreached, ResultsLate
from hub.loops import Pulse
from hub.observer import Observer
from hub.precedence import Precedence
from hub.store.contracts.outbox import PageResult, Recorded, Work

_TOGETHER = 128
"""Results that are recorded in one go: an event of another source waits at the store for no more than these. A flood has
had 600 in one write, which took 22 ms (measured)."""


class Recording(Protocol):
    """What recording asks of the store."""

    async def record(self, results: Sequence[PageResult]) -> Recorded: ...

    async def sum_up(self) -> Recorded: ...


class Recorder:
    """Records what `add` is given. Run `run` and `sum_up` as tasks.

    `on_recorded` gets the work whose last result is recorded, `on_split` by how many pieces more the store holds.
    """

    def __init__(
        self,
        store: Recording,
        retry: StoreRetry,
        *,
        observer: Observer,
        on_recorded: Callable[[Iterable[Work]], None],
        on_split: Callable[[int], None],
        precedence: Precedence,
    ) -> None:
        self._store = store
        self._retry = retry
        self._observer = observer
        self._on_recorded = on_recorded
        self._on_split = on_split
        self._precedence = precedence
        self._results: list[PageResult] = []
        self._recordable = asyncio.Event()
        self._recording, self._summing = Pulse(), Pulse()

    def add(self, results: Sequence[PageResult]) -> None:
        self._results += results
        self._recordable.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._recording.beat()
            await self._recordable.wait()
            await self._precedence.give_way()
            self._recordable.clear()
            batch, self._results = self._results[:_TOGETHER], self._results[_TOGETHER:]
            if self._results:
                self._recordable.set()
            if batch:
                await self._record(batch)

    async def sum_up(self, every: float) -> None:
        """Until cancelled: sum the pages of broadcasts, `every` so many seconds."""
        while True:
            self._summing.beat()
            await asyncio.sleep(every)
            try:
                self._report(await self._store.sum_up())
            except StoreError:
                continue  # reported, and tried again
            except Exception as error:  # the next sum does it; pushes go on
                self._observer.observe(Crashed(work="the sums of broadcasts", error=error))

    async def records(self) -> None:
        """Return once the recording of results has come to its next turn."""
        self._recordable.set()  # where nothing was, the loop only turns
        await self._recording.felt()

    async def sums(self) -> None:
        """Return once a sum has been made."""
        await self._summing.felt()

    async def _record(self, batch: Sequence[PageResult]) -> None:
        last = [result for result in batch if result.is_last]
        try:
            recorded = await self._retry.until_stored("record", lambda: self._store.record(batch))
        except Exception as error:
            self._observer.observe(Crashed(work=f"recording {len(batch)} results", error=error))
            return
        finally:
            self._on_recorded(result.work for result in last)
        self._on_split(sum(len(result.retries) - 1 for result in last))
        self._report(recorded)
        if recorded.late:
            self._observer.observe(ResultsLate(lane=batch[0].work.lane, count=recorded.late))

    def _report(self, recorded: Recorded) -> None:
        if recorded.ended:
            self._observer.observe(NotificationsEnded(counts=recorded.ended))
        if recorded.dead_letters:
            self._observer.observe(DeadLettersStored(dead_letters=recorded.dead_letters))
        for notification, why, count in recorded.unreached:
            self._observer.observe(NotificationUnreached(notification=notification, why=why, count=count))
