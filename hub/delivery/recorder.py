"""Results to records: together with whatever else is ready by then, and again until the store takes them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from hub.backoff import Backoff
from hub.errors import StoreError
from hub.facts import Crashed, DeadLettersStored, NotificationsEnded, NotificationUnreached, ResultsLate
from hub.observer import Observer
from hub.store.contracts.outbox import PageResult, Recorded, Work
from hub.store.health import StoreHealth

T = TypeVar("T")


class Recorder:
    """Records what `add` is given. Run `run` and `sum_up` as tasks.

    `backoff` are the first and the longest wait, in seconds, between two tries. `ended` gets the work whose last result
    is recorded.
    """

    def __init__(
        self,
        health: StoreHealth,
        *,
        observer: Observer,
        backoff: tuple[float, float],
        ended: Callable[[Iterable[Work]], None],
    ) -> None:
        self._health = health
        self._store = health.store
        self._observer = observer
        self._backoff = backoff
        self._ended = ended
        self._results: list[PageResult] = []
        self._recordable = asyncio.Event()
        self._waiting: set[object] = set()
        self.pending = 0
        """Notifications and pages that the store holds and that are not done."""

    @property
    def is_behind(self) -> bool:
        """Whether the store has failed to take something, which is tried again: until it is taken, nothing more begins."""
        return bool(self._waiting)

    def add(self, result: PageResult) -> None:
        self._results.append(result)
        self._recordable.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._recordable.wait()
            self._recordable.clear()
            batch, self._results = self._results, []
            if batch:
                await self._record(batch)

    async def sum_up(self, every: float) -> None:
        """Until cancelled: sum the pages of broadcasts, `every` so many seconds."""
        while True:
            await asyncio.sleep(every)
            try:
                self._report(await self._store.sum_up())
            except StoreError:
                continue  # reported, and tried again

    async def retried(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call in place until the store does it: giving up would push everything again."""
        first, longest = self._backoff
        backoff = Backoff(first=first, longest=longest)
        entry = object()
        try:
            with self._health.repeating(operation):
                while True:
                    try:
                        return await call()
                    except StoreError:
                        self._waiting.add(entry)
                    await self._health.pause(backoff.next())
        finally:
            self._waiting.discard(entry)

    async def _record(self, batch: Sequence[PageResult]) -> None:
        last = [result for result in batch if result.is_last]
        try:
            recorded = await self.retried("record", lambda: self._store.record(batch))
        except Exception as error:
            self._observer.observe(Crashed(work=f"recording {len(batch)} results", error=error))
            return
        finally:
            self._ended(result.work for result in last)
        self.pending += sum(len(result.retries) - 1 for result in last)
        self._report(recorded)
        if recorded.late:
            self._observer.observe(ResultsLate(lane=batch[0].work.lane, count=recorded.late))

    def _report(self, recorded: Recorded) -> None:
        if recorded.ended:
            self._observer.observe(NotificationsEnded(counts=recorded.ended))
        if recorded.dead_letters:
            self._observer.observe(DeadLettersStored(dead_letters=recorded.dead_letters))
        for notification, why in recorded.unreached:
            self._observer.observe(NotificationUnreached(notification=notification, why=why))
