"""The hub checks its books: a row that is not as it should be is named once it is sure, and its end is told too."""

import asyncio
from pathlib import Path

import apsw
import pytest

from hub.bookkeeping import Bookkeeping
from hub.books import Balance, Discrepancy, Unaccounted
from hub.errors import StoreError
from hub.facts import BooksChecked
from hub.store.contracts.accounting import AccountPlace, AccountStep
from tests.hub.examples import HUB, arrivals, installation, notification
from tests.hub.running import Running

LOST = Unaccounted(Discrepancy.NO_WORK, 0, 7, "c0ffee")


class FakeStore:
    """Answers with what the test puts into it, in as many steps as there are."""

    def __init__(self) -> None:
        self.steps = 1
        self.found: list[Unaccounted] = []
        self.leads = True
        self.asked: list[AccountPlace] = []

    async def account(self, after: AccountPlace) -> AccountStep | None:
        if not self.leads:
            return None
        self.asked.append(after)
        number = after.number + 1
        is_last = number == self.steps
        return AccountStep(
            notifications=10,
            ended=6,
            found=self.found if is_last else (),
            next=None if is_last else AccountPlace(False, 0, number),
        )

    async def account_again(self, found: list[Unaccounted]) -> list[Unaccounted]:
        return [each for each in found if each in self.found]


class Bench:
    def __init__(self) -> None:
        self.store = FakeStore()
        self.facts: list[BooksChecked] = []
        self.books = Bookkeeping(self.store, observer=self, every=0.001, pause=0)  # type: ignore[arg-type]

    def observe(self, fact: object) -> None:
        assert isinstance(fact, BooksChecked)
        self.facts.append(fact)

    async def check(self, times: int = 1) -> BooksChecked:
        for _ in range(times):
            await self.books.check()
        return self.facts[-1]


async def test_what_was_accepted_is_what_ended_what_is_on_its_way_and_what_is_lost() -> None:
    bench = Bench()
    assert (await bench.check()).balance == Balance(accepted=10, ended=6, in_flight=4, unaccounted=0)
    bench.store.found = [LOST]
    assert (await bench.check()).balance == Balance(accepted=10, ended=6, in_flight=3, unaccounted=1)


async def test_a_row_is_named_when_three_checks_have_found_it_and_told_once_when_it_is_well() -> None:
    bench = Bench()
    bench.store.found = [LOST]
    assert not (await bench.check(2)).counts
    named = await bench.check()
    assert (named.counts, named.new) == ({Discrepancy.NO_WORK: 1}, [LOST])
    again = await bench.check()
    assert (again.counts, again.new) == ({Discrepancy.NO_WORK: 1}, [])
    assert bench.books.unaccounted == [LOST]
    bench.store.found = []
    well = await bench.check()
    assert (well.counts, well.settled) == ({}, [LOST])
    assert not (await bench.check()).settled


async def test_what_is_found_now_and_then_is_never_named() -> None:
    bench = Bench()
    for _ in range(6):
        bench.store.found = [LOST]
        await bench.check()
        bench.store.found = []
        await bench.check()
    assert not any(fact.counts or fact.new or fact.settled for fact in bench.facts)


async def test_a_large_store_is_looked_through_over_several_checks_and_then_again() -> None:
    bench = Bench()
    bench.store.steps = 250
    balances = [(await bench.check()).balance for _ in range(6)]
    whole = Balance(accepted=2500, ended=1500, in_flight=1000, unaccounted=0)
    assert balances == [None, None, whole, None, None, whole]
    assert [place.number for place in bench.store.asked] == [*range(250)] * 2


async def test_the_process_that_does_not_check_any_more_knows_of_nothing() -> None:
    bench = Bench()
    bench.store.found = [LOST]
    await bench.check(3)
    bench.store.leads = False
    left = await bench.check()
    assert (left.is_ours, left.counts, left.settled, left.balance) == (False, {}, (), None)
    assert not bench.books.unaccounted


@pytest.mark.parametrize("error", [StoreError("disk full"), ValueError("a defect")])
async def test_a_check_that_fails_is_made_again(error: Exception) -> None:
    bench = Bench()
    fails = iter([error, error])
    account = bench.store.account
    facts: list[object] = []

    async def failing(after: AccountPlace) -> AccountStep | None:
        if (failure := next(fails, None)) is not None:
            raise failure
        return await account(after)

    bench.store.account = failing  # type: ignore[method-assign]
    bench.observe = facts.append  # type: ignore[method-assign, assignment]
    running = asyncio.create_task(bench.books.run())
    try:
        async with asyncio.timeout(30):
            while not any(isinstance(fact, BooksChecked) for fact in facts):
                await asyncio.sleep(0.001)
    finally:
        running.cancel()


@pytest.mark.slow
async def test_a_hub_at_work_finds_nothing_and_what_is_broken_by_hand_it_names(tmp_path: Path) -> None:
    running = Running(tmp_path / "hub.db")
    facts: list[BooksChecked] = []
    observe = running.observer.observe

    def noting(fact: object) -> None:
        if isinstance(fact, BooksChecked):
            facts.append(fact)
        observe(fact)  # type: ignore[arg-type]

    running.observer.observe = noting  # type: ignore[method-assign]
    await running.start()
    try:
        await running.hub.put_installation(HUB, installation("ann", "news"))
        for _ in range(30):
            await running.hub.accept(arrivals([notification("news") for _ in range(20)]))
            await running.hub.books.check()
        await running.observer.until_ended(600)
        await running.hub.books.check()
        assert not any(fact.counts for fact in facts)
        assert facts[-1].balance == Balance(accepted=600, ended=600, in_flight=0, unaccounted=0)
        by_hand = apsw.Connection(str(tmp_path / "hub.db"))
        by_hand.execute(
            "UPDATE notification SET ended_at = NULL, state = 'Enqueued' WHERE n = (SELECT min(n) FROM notification)"
        )
        by_hand.close()
        for _ in range(3):
            await running.hub.books.check()
        assert facts[-1].counts == {Discrepancy.NO_WORK: 1}
    finally:
        await running.stop()
