"""A write of the results of a flood is short, so that others have their turn at the store."""

import asyncio
from collections.abc import Sequence
from typing import cast

from hub.delivery.recording import Recorder
from hub.delivery.store_retry import StoreRetry
from hub.precedence import Precedence
from hub.store.contracts.outbox import PageResult, Recorded, Work
from hub.store.contracts.store import Store
from hub.store.health import StoreHealth
from tests.fakes.observer import FakeObserver
from tests.hub.examples import notification


class _Store:
    """Notes how many results each write has."""

    def __init__(self) -> None:
        self.writes: list[list[int]] = []

    async def record(self, results: Sequence[PageResult]) -> Recorded:
        self.writes.append([result.work.n for result in results])
        await asyncio.sleep(0)
        return Recorded()

    async def sum_up(self) -> Recorded:
        return Recorded()


def _result(number: int) -> PageResult:
    work = Work(queue=1, n=number, notification=notification(), accepted_at=0.0)
    return PageResult(work=work, counts={})


async def test_what_has_come_together_is_recorded_in_short_writes_and_in_order() -> None:
    store, recorded = _Store(), list[int]()
    observer = FakeObserver()
    recorder = Recorder(
        store,
        StoreRetry(StoreHealth(cast(Store, store), observer=observer), backoff=(0.0, 0.0)),
        observer=observer,
        on_recorded=lambda work: recorded.extend(piece.n for piece in work),
        on_split=lambda count: None,
        precedence=Precedence(),
    )
    for number in range(1000):
        recorder.add([_result(number)])
    running = asyncio.ensure_future(recorder.run())
    async with asyncio.timeout(5):
        while len(recorded) < 1000:
            await asyncio.sleep(0)
    running.cancel()
    assert recorded == list(range(1000))
    assert [number for write in store.writes for number in write] == recorded
    assert max(map(len, store.writes)) <= 128
    assert len(store.writes) == 8
