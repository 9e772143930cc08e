"""A source of which nothing came for longer than it should is told once, and told again when something comes."""

import pytest

from bridge.admin.health import is_ready, source_parts
from bridge.intake.expecting import Expectations
from bridge.observe.facts import IntakeFact, SourceLate, SourceState, SourceStatus
from hub.store.contracts.journal import KeptEvent
from hub.store.contracts.listing import ListPage
from tests.fakes.clock import FakeClock

DAY = 86_400.0


def kept(source: str, at: float) -> KeptEvent:
    return KeptEvent(id=1, at=at, source=source, event_id="1", outcome="", detail=b"", content=None, trace="")


class FakeJournal:
    def __init__(self, **newest: float) -> None:
        self.newest = newest
        self.asked: list[str] = []

    async def journal(
        self, *, source: str = "", outcome: str = "", until: float | None = None, after: str = "", limit: int
    ) -> ListPage[KeptEvent]:
        self.asked.append(source)
        at = [self.newest[source]] if source in self.newest else []
        return ListPage(items=[kept(source, each) for each in at], next="")


class Bench:
    def __init__(self, **newest: float) -> None:
        self.clock, self.steady = FakeClock(), FakeClock()
        self.status = SourceStatus("nightly", state=SourceState.RUNNING)
        self.expected = {"nightly": DAY}
        self.told: list[SourceLate] = []
        self.journal = FakeJournal(**{name: self.clock() - ago for name, ago in newest.items()})
        self.expectations = Expectations(
            self.journal,  # type: ignore[arg-type]  # the part that is read
            statuses=lambda: [self.status, SourceStatus("orders", state=SourceState.RUNNING)],
            expected=lambda: self.expected,
            observer=self,
            clock=self.clock,
            steady=self.steady,
        )

    def observe(self, fact: IntakeFact) -> None:
        assert isinstance(fact, SourceLate)
        self.told.append(fact)

    async def look_after(self, seconds: float) -> bool:
        self.clock.now += seconds
        self.steady.now += seconds
        await self.expectations.look()
        return self.status.is_late


async def test_a_source_is_late_after_its_time_and_is_told_once() -> None:
    bench = Bench()
    assert not await bench.look_after(0)
    assert not await bench.look_after(DAY - 1)
    assert await bench.look_after(2)
    assert await bench.look_after(DAY)
    assert [fact.is_late for fact in bench.told] == [True]


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_a_clock_that_is_set_makes_nothing_late_before_its_time_has_passed_nor_after_it(step: float) -> None:
    bench = Bench()
    bench.status.last_message = bench.clock()
    assert not await bench.look_after(DAY - 100)
    bench.clock.now += step
    assert not await bench.look_after(0)
    assert bench.status.expected_by == pytest.approx(bench.clock() + 100)
    assert not await bench.look_after(99)
    assert await bench.look_after(2)
    bench.status.last_message = bench.clock()
    assert not await bench.look_after(DAY - 1)


async def test_a_message_of_before_the_clock_was_set_counts_from_when_it_came() -> None:
    """It is seen behind the step for the first time, and its time is of the clock before."""
    for step in (3600.0, -3600.0):
        bench = Bench()
        bench.status.last_message = bench.clock()
        assert not await bench.look_after(5)
        bench.status.last_message = bench.clock()
        bench.clock.now += step
        assert not await bench.look_after(3)
        assert bench.clock() - 3 <= bench.status.expected_by - DAY <= bench.clock()


async def test_a_message_ends_it_and_the_time_counts_from_there() -> None:
    bench = Bench(nightly=DAY + 1)
    assert await bench.look_after(0)
    bench.status.last_message = bench.clock()
    assert not await bench.look_after(DAY - 1)
    assert [fact.is_late for fact in bench.told] == [True, False]
    assert await bench.look_after(2)


async def test_a_restart_counts_from_the_newest_event_of_the_journal() -> None:
    """Else a daemon that starts once a day would never tell."""
    bench = Bench(nightly=DAY - 10)
    assert not await bench.look_after(0)
    assert await bench.look_after(11)
    assert bench.journal.asked == ["nightly"]


async def test_a_source_that_was_built_again_keeps_its_time() -> None:
    bench = Bench()
    bench.status.last_message = bench.clock()
    await bench.look_after(0)
    bench.status = SourceStatus("nightly", state=SourceState.CONNECTING)
    assert not await bench.look_after(DAY - 1)
    assert await bench.look_after(2)


async def test_a_reload_that_expects_nothing_any_more_ends_it() -> None:
    bench = Bench(nightly=2 * DAY)
    assert await bench.look_after(0)
    bench.expected = {}
    assert not await bench.look_after(5)
    assert bench.status.expected_by == 0


@pytest.mark.parametrize("state", [SourceState.RUNNING, SourceState.DEGRADED])
async def test_readiness_names_a_late_source_and_the_trouble_of_its_connection_first(state: SourceState) -> None:
    bench = Bench(nightly=2 * DAY)
    await bench.look_after(0)
    bench.status.state = state
    (part,) = source_parts([bench.status])
    assert not part.ok
    assert part.state == ("late" if state is SourceState.RUNNING else "degraded")
    assert is_ready([part])
