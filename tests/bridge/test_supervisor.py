"""A source is kept running, whatever its broker does; time is virtual, so a minute of waiting is over at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from bridge.admin.health import source_parts
from bridge.intake.sharing import MAX_BATCH, SHARED_BATCH, BatchSizes
from bridge.intake.supervisor import Supervisor
from bridge.observe.facts import SourceState
from connectors.base import ACK, Disposition, Message
from connectors.errors import AuthenticationError, NotConnectedError, SourceClosedError, TopologyError
from hub.precedence import Precedence
from hub.rate import Rate, RateLimiter
from tests.bridge.examples import FakeIntakeObserver
from tests.fakes.sources import ScriptedSource, Step, silence
from tests.fakes.virtual_time import in_virtual_time

BATCH = [Message(source="orders", body=b"1"), Message(source="orders", body=b"2")]
GONE = NotConnectedError("the network is gone")
END = SourceClosedError("the end")


async def done(messages: Sequence[Message]) -> list[tuple[Message, Disposition]]:
    return [(message, ACK) for message in messages]


class Bench:
    """A supervisor over a scripted source; build it inside of the loop."""

    def __init__(
        self,
        source: ScriptedSource,
        *,
        handle: Callable[[Sequence[Message]], Awaitable[Sequence[tuple[Message, Disposition]]]] = done,
        stall_after: float = 120.0,
        rate: Rate | None = None,
        sizes: BatchSizes | None = None,
        precedence: Precedence | None = None,
    ) -> None:
        self.source = source
        self.room = 1_000_000
        self.stepped = 0.0
        """Seconds by which the time of day was set."""
        self.watchdog_suspended = False
        self.told = FakeIntakeObserver()
        self.limiter = RateLimiter(rate, clock=asyncio.get_running_loop().time)
        self.supervisor = Supervisor(
            source,
            handle,
            capacity=lambda: self.room,
            observer=self.told,
            limiter=self.limiter,
            sizes=sizes,
            precedence=precedence,
            watchdog_suspended=lambda: self.watchdog_suspended,
            stall_after=stall_after,
            clock=lambda: asyncio.get_running_loop().time() + self.stepped,
            steady=asyncio.get_running_loop().time,
        )

    @property
    def states(self) -> list[SourceState]:
        return [state for state, _ in self.told.states]

    async def run(self) -> None:
        await self.supervisor.run()

    async def run_for(self, seconds: float) -> None:
        """Run, and stop after so many seconds."""
        running = asyncio.create_task(self.run())
        await asyncio.sleep(seconds)
        self.supervisor.stop()
        await running


@in_virtual_time
async def test_a_batch_goes_from_receipt_to_settlement_and_the_end_of_a_source_is_in_good_order() -> None:
    bench = Bench(ScriptedSource(receives=[BATCH, [], BATCH, END]))
    await bench.run()
    assert bench.source.settled == [[(message, ACK) for message in BATCH]] * 2
    assert bench.states == [SourceState.RUNNING, SourceState.STOPPED]
    assert bench.source.closes == 1
    assert bench.supervisor.status.rebuilds == 0
    assert bench.supervisor.status.ready


@in_virtual_time
async def test_a_lost_connection_is_built_again_and_work_goes_on() -> None:
    bench = Bench(ScriptedSource(receives=[BATCH, GONE, BATCH, END]))
    await bench.run()
    assert len(bench.source.settled) == 2
    assert bench.told.states[1] == (SourceState.CONNECTING, "the network is gone")
    assert bench.states == [
        SourceState.RUNNING,
        SourceState.CONNECTING,
        SourceState.RUNNING,
        SourceState.STOPPED,
    ]
    assert bench.source.closes == 2
    assert bench.supervisor.status.rebuilds == 1


@in_virtual_time
async def test_a_broker_that_is_away_is_asked_with_growing_pauses_of_half_a_minute_at_most() -> None:
    bench = Bench(ScriptedSource(connects=[GONE] * 12, receives=[END]))
    await bench.run()
    pauses = [later - earlier for earlier, later in pairwise(bench.source.connects)]
    assert 0.25 <= pauses[0] <= 0.5
    for pause, longest in zip(pauses, [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30], strict=True):
        assert longest / 2 <= pause <= longest
    assert bench.source.closes == 13


BY_TURNS = {
    "two words for one cause": ["it closed the connection", "Connection reset by peer"],
    "another number with every try": [
        f"refused. TrackingId:{number}f-2b_G{number}, port {number}" for number in range(9)
    ],
}


@pytest.mark.parametrize("words", BY_TURNS.values(), ids=BY_TURNS)
@in_virtual_time
async def test_one_trouble_is_told_once_for_each_cause_and_its_beginning_stays(words: Sequence[str]) -> None:
    errors = [NotConnectedError(word) for _ in range(9) for word in words]
    bench = Bench(ScriptedSource(connects=[None, *errors, None, *errors, None], receives=[GONE, GONE, END]))
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(100)
    status = bench.supervisor.status
    assert (status.state, status.detail in words) == (SourceState.CONNECTING, True)
    assert status.since == 0, "the connection was lost then"
    await running
    told = len(set(words)) if len(words) == 2 else 1
    one_trouble = [SourceState.CONNECTING] * (1 + told)
    running_again = [SourceState.RUNNING]
    assert bench.states == [
        *running_again,
        *one_trouble,
        *running_again,
        *one_trouble,
        *running_again,
        SourceState.STOPPED,
    ]


@in_virtual_time
async def test_tries_that_never_connected_are_no_rebuilds() -> None:
    bench = Bench(ScriptedSource(connects=[GONE, GONE, None, GONE], receives=[GONE, END]))
    await bench.run()
    assert bench.supervisor.status.rebuilds == 1


@in_virtual_time
async def test_after_a_connection_that_lasted_the_pauses_begin_anew() -> None:
    async def lasting() -> Sequence[Message]:
        await asyncio.sleep(60)
        raise GONE

    bench = Bench(ScriptedSource(connects=[GONE] * 8, receives=[lasting, END]))
    await bench.run()
    assert bench.source.connects[-1] - bench.source.connects[-2] <= 60.5


@pytest.mark.parametrize(
    "error", [AuthenticationError("user refused"), TopologyError("queue q exists, and is no quorum queue")]
)
@in_virtual_time
async def test_what_only_an_operator_can_change_is_shown_with_its_cause_and_tried_again_slowly(
    error: Exception,
) -> None:
    bench = Bench(ScriptedSource(connects=[error, error, None], receives=[END]))
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(1)
    assert (bench.supervisor.status.ready, bench.supervisor.status.detail) == (False, str(error))
    await running
    assert bench.states == [SourceState.DEGRADED, SourceState.RUNNING, SourceState.STOPPED]
    first, second, third = bench.source.connects
    assert 15 <= second - first <= 30
    assert 15 <= third - second <= 30


@in_virtual_time
async def test_a_connect_that_never_ends_is_given_up() -> None:
    source = ScriptedSource()
    source.black_hole = True
    bench = Bench(source)
    await bench.run_for(31)
    assert bench.told.states[0] == (SourceState.CONNECTING, "no connection within 30 s")
    assert len(source.connects) == 2


@in_virtual_time
async def test_a_source_with_a_backlog_that_does_not_move_is_rebuilt() -> None:
    bench = Bench(ScriptedSource(receives=[BATCH, silence, BATCH, END], backlog=7))
    await bench.run()
    assert bench.states[:3] == [SourceState.RUNNING, SourceState.STALLED, SourceState.RUNNING]
    assert "no progress for 120 s" in bench.told.states[1][1]
    assert bench.supervisor.status.rebuilds == 1
    assert 120 <= bench.source.connects[1] <= 131
    assert len(bench.source.settled) == 2


@in_virtual_time
async def test_a_client_that_hands_out_nothing_though_there_is_a_backlog_is_rebuilt_too() -> None:
    bench = Bench(ScriptedSource(backlog=7))  # heartbeats, and nothing else
    await bench.run_for(300)
    assert bench.states.count(SourceState.STALLED) == 2


@pytest.mark.slow
@in_virtual_time
async def test_a_source_without_a_backlog_may_be_silent_for_ever() -> None:
    bench = Bench(ScriptedSource(backlog=0))
    await bench.run_for(10_000)
    assert bench.states == [SourceState.RUNNING, SourceState.STOPPED]


@in_virtual_time
async def test_a_backlog_that_moves_is_no_stall_however_long_it_is() -> None:
    async def slowly() -> Sequence[Message]:
        await asyncio.sleep(100)
        return BATCH

    bench = Bench(ScriptedSource(receives=[slowly, slowly, slowly, END], backlog=7))
    await bench.run()
    assert bench.states == [SourceState.RUNNING, SourceState.STOPPED]


@in_virtual_time
async def test_a_stall_that_is_our_own_doing_is_excused_and_counted_from_its_end() -> None:
    bench = Bench(ScriptedSource(backlog=7))
    bench.watchdog_suspended = True
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(1000)
    assert bench.states == [SourceState.RUNNING]
    bench.watchdog_suspended = False
    await asyncio.sleep(110)
    assert bench.states == [SourceState.RUNNING]
    await asyncio.sleep(20)
    assert bench.states[1] is SourceState.STALLED
    bench.supervisor.stop()
    await running


@pytest.mark.slow
@in_virtual_time
async def test_without_room_messages_wait_at_the_broker_which_is_a_pause_and_no_stall() -> None:
    bench = Bench(ScriptedSource(receives=[BATCH], backlog=7))
    bench.room = 0
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(1000)
    assert bench.states == [SourceState.RUNNING, SourceState.PAUSED]
    assert bench.supervisor.status.ready
    assert "store.max_pending" in bench.supervisor.status.detail
    assert bench.source.limits == []
    bench.room = 10
    await asyncio.sleep(0.1)
    assert bench.states[2:] == [SourceState.RUNNING]
    assert len(bench.source.settled) == 1
    bench.supervisor.stop()
    await running


@in_virtual_time
async def test_being_full_for_a_moment_is_no_news() -> None:
    async def handle(messages: Sequence[Message]) -> list[tuple[Message, Disposition]]:
        bench.room = 0
        asyncio.get_running_loop().call_later(0.5, make_room)
        return await done(messages)

    def make_room() -> None:
        bench.room = 2

    bench = Bench(ScriptedSource(receives=[BATCH] * 20 + [END]), handle=handle)
    await bench.run()
    assert len(bench.source.settled) == 20
    assert bench.states == [SourceState.RUNNING, SourceState.STOPPED]


@in_virtual_time
async def test_credit_is_never_above_the_room_nor_above_what_fits_a_transaction() -> None:
    rooms = iter([3, 1, MAX_BATCH, MAX_BATCH + 1, 10**6])

    async def heartbeat() -> Sequence[Message]:
        bench.room = next(rooms)
        return ()

    bench = Bench(ScriptedSource(receives=[*[heartbeat] * 5, END]))
    await bench.run()
    assert bench.source.limits == [MAX_BATCH, 3, 1, MAX_BATCH, MAX_BATCH, MAX_BATCH]


@in_virtual_time
async def test_a_flood_takes_less_at_a_time_while_another_source_has_messages() -> None:
    sizes = BatchSizes(clock=asyncio.get_running_loop().time)

    async def after_a_minute() -> Sequence[Message]:
        await asyncio.sleep(60)
        return BATCH

    flood = Bench(ScriptedSource("flood", receives=[BATCH, silence]), sizes=sizes)
    calls = Bench(ScriptedSource("calls", receives=[after_a_minute, silence]), sizes=sizes)
    await asyncio.gather(flood.run_for(30), calls.run_for(62))
    assert set(flood.source.limits) == {MAX_BATCH}  # the other has nothing
    again = Bench(ScriptedSource("flood", receives=[BATCH, BATCH, silence]), sizes=sizes)
    await again.run_for(1)
    assert set(again.source.limits) == {SHARED_BATCH}
    await asyncio.sleep(60)
    later = Bench(ScriptedSource("flood", receives=[BATCH, silence]), sizes=sizes)
    await later.run_for(1)
    assert set(later.source.limits) == {MAX_BATCH}


@in_virtual_time
async def test_a_flood_takes_nothing_while_a_light_source_has_a_message_under_way() -> None:
    precedence = Precedence(patience=3600.0, clock=asyncio.get_running_loop().time)
    precedence.did("flood", 1000)
    asked: list[bool] = []

    async def handled(messages: Sequence[Message]) -> Sequence[tuple[Message, Disposition]]:
        asked.append(precedence.is_asked("flood"))
        await asyncio.sleep(0.02)
        assert not flood.source.limits
        return await done(messages)

    calls = Bench(ScriptedSource("calls", receives=[BATCH, silence]), handle=handled, precedence=precedence)
    flood = Bench(ScriptedSource("flood", receives=[BATCH, silence]), precedence=precedence)
    running = asyncio.create_task(calls.run_for(1))
    while not asked:
        await asyncio.sleep(0.001)
    await flood.run_for(1)
    await running
    assert asked == [True]
    assert flood.source.limits


@in_virtual_time
async def test_stop_ends_a_receive_that_waits_at_once() -> None:
    bench = Bench(ScriptedSource(receives=[silence]))
    await bench.run_for(5)
    assert asyncio.get_running_loop().time() == 5
    assert bench.states[-1] is SourceState.STOPPED
    assert bench.source.closes == 1


@in_virtual_time
async def test_stop_ends_a_connect_that_waits_at_once() -> None:
    source = ScriptedSource()
    source.black_hole = True
    bench = Bench(source)
    await bench.run_for(5)
    assert asyncio.get_running_loop().time() == 5
    assert bench.states == [SourceState.STOPPED]
    assert bench.source.closes == 1


@pytest.mark.parametrize("error", [GONE, AuthenticationError("user refused")])
@in_virtual_time
async def test_stop_ends_a_pause_between_tries_at_once(error: Exception) -> None:
    bench = Bench(ScriptedSource(connects=[error] * 100))
    await bench.run_for(100)
    assert asyncio.get_running_loop().time() == 100


@in_virtual_time
async def test_stop_lets_the_batch_under_way_be_settled_and_takes_no_more() -> None:
    async def handle(messages: Sequence[Message]) -> list[tuple[Message, Disposition]]:
        await asyncio.sleep(10)
        return await done(messages)

    bench = Bench(ScriptedSource(receives=[BATCH, BATCH]), handle=handle)
    await bench.run_for(5)
    assert asyncio.get_running_loop().time() == 10
    assert bench.source.settled == [[(message, ACK) for message in BATCH]]


@in_virtual_time
async def test_stop_may_be_called_twice_and_before_the_start() -> None:
    bench = Bench(ScriptedSource(receives=[silence]))
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(1)
    bench.supervisor.stop()
    bench.supervisor.stop()
    await running
    await bench.run()
    assert len(bench.source.connects) == 1


@in_virtual_time
async def test_a_settle_that_fails_leads_to_a_rebuild() -> None:
    bench = Bench(ScriptedSource(receives=[BATCH, BATCH, END], settles=[GONE]))
    await bench.run()
    assert len(bench.source.settled) == 1
    assert bench.supervisor.status.rebuilds == 1
    assert bench.supervisor.status.unsettled_since == 0


@in_virtual_time
async def test_a_broker_that_does_not_say_what_waits_is_connected_to_anew() -> None:
    bench = Bench(ScriptedSource(receives=[silence, END], backlog=None))
    await bench.run()
    assert bench.told.states[1][0] is SourceState.CONNECTING
    assert "no answer" in bench.told.states[1][1]
    bench = Bench(ScriptedSource(receives=[silence, END], backlog=GONE))
    await bench.run()
    assert bench.told.states[1] == (SourceState.CONNECTING, "the network is gone")


CANARY = ZeroDivisionError("canary")


async def crash(*_: Any) -> Any:
    raise CANARY


@pytest.mark.parametrize("where", ["connect", "receive", "handle", "settle", "backlog", "close"])
@in_virtual_time
async def test_an_unexpected_exception_costs_a_rebuild_and_is_told_without_its_text(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    receives = [CANARY] if where == "receive" else [BATCH, silence] if where == "backlog" else [BATCH, GONE]
    source = ScriptedSource(
        connects=[CANARY] if where == "connect" else [],
        receives=[*receives, BATCH, END],
        settles=[CANARY] if where == "settle" else [],
        backlog=CANARY if where == "backlog" else 0,
    )
    handle = [crash if where == "handle" else done]
    bench = Bench(source, handle=lambda messages: handle[0](messages))
    if where == "close":
        monkeypatch.setattr(source, "close", crash)
    running = asyncio.create_task(bench.run())
    while not bench.told.crashes:
        await asyncio.sleep(0.01)
    assert bench.supervisor.status.detail == "ZeroDivisionError: a defect of ours"
    assert not bench.supervisor.status.ready
    handle[0] = done
    monkeypatch.undo()
    await running
    assert bench.told.crashes[0] == ("source orders", CANARY)
    assert bench.states[-1] is SourceState.STOPPED
    assert bench.source.settled


@in_virtual_time
async def test_status_tells_since_when_messages_are_unsettled_and_what_waits() -> None:
    async def handle(messages: Sequence[Message]) -> list[tuple[Message, Disposition]]:
        assert bench.supervisor.status.unsettled_since == 3
        await asyncio.sleep(20)
        return await done(messages)

    async def later() -> Sequence[Message]:
        await asyncio.sleep(3)
        return BATCH

    bench = Bench(ScriptedSource(receives=[later, END], backlog=7), handle=handle)
    await bench.run()
    assert bench.supervisor.status.backlog == 7
    assert bench.supervisor.status.unsettled_since == 0
    assert bench.supervisor.status.last_message == 23


@in_virtual_time
async def test_cancelling_closes_the_source() -> None:
    bench = Bench(ScriptedSource(receives=[silence]))
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.source.closes == 1
    assert len(asyncio.all_tasks()) == 1


class Flood(ScriptedSource):
    """A broker that always has more, and keeps what is not asked for."""

    def __init__(self) -> None:
        super().__init__(backlog=1_000_000)
        self.received: list[float] = []
        """When each message was handed over."""
        self.is_over = False

    async def receive(self, limit: int) -> Sequence[Message]:
        if self.is_over:
            return await super().receive(limit)
        self.limits.append(limit)
        self.received += [asyncio.get_running_loop().time()] * limit
        return [BATCH[0]] * limit


@in_virtual_time
async def test_what_is_over_the_rate_waits_at_the_broker_and_is_counted() -> None:
    source = Flood()
    bench = Bench(source, rate=Rate(per_second=50, burst=200))
    started = asyncio.get_running_loop().time()
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(20)
    status = bench.supervisor.status
    assert len(source.received) == pytest.approx(200 + 20 * 50, abs=6)
    assert len([at for at in source.received if at == started]) == 200
    assert max(source.limits[1:]) <= 6, "a tenth of a second has five"
    assert sum(map(len, source.settled)) == len(source.received)
    assert bench.states == [SourceState.RUNNING, SourceState.LIMITED]
    assert status.ready
    assert status.detail == "more messages come than rate allows: 50 a second"
    assert status.limited_seconds == pytest.approx(20, abs=0.2)
    source.is_over = True
    await asyncio.sleep(15)
    assert bench.states[2:] == [SourceState.RUNNING]
    assert status.limited_seconds == pytest.approx(20, abs=0.2)
    bench.supervisor.stop()
    await running


@in_virtual_time
async def test_a_source_that_turned_a_sender_away_is_limited_no_more_though_nothing_comes_after_it() -> None:
    rate = Rate(per_second=1)

    async def nothing() -> Sequence[Message]:
        await asyncio.sleep(3600)
        return []

    bench = Bench(ScriptedSource(receives=[nothing]), rate=rate)
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(1)
    bench.supervisor.turned_away(rate)
    await asyncio.sleep(2)
    bench.supervisor.turned_away(rate)
    assert bench.states == [SourceState.RUNNING, SourceState.LIMITED]
    await asyncio.sleep(30)
    assert bench.states[2:] == [SourceState.RUNNING]
    bench.supervisor.stop()
    await running


@in_virtual_time
async def test_a_group_that_does_not_come_to_rest_is_named_until_it_has_for_ten_minutes() -> None:
    source = ScriptedSource()
    bench = Bench(source)
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(1)
    for source.rebalances in range(1, 8):
        await asyncio.sleep(10)
    (part,) = source_parts([bench.supervisor.status])
    assert (part.ok, part.detail) == (True, "its group was rebalanced 7 times in ten minutes")
    await asyncio.sleep(600)
    (part,) = source_parts([bench.supervisor.status])
    assert part.detail == ""
    bench.supervisor.stop()
    await running


@pytest.mark.parametrize("step", [3600.0, -3600.0])
@in_virtual_time
async def test_a_clock_that_is_set_stalls_no_source_and_hides_no_stall(step: float) -> None:
    bench = Bench(ScriptedSource(receives=[], backlog=5))
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(60)
    bench.stepped += step
    await asyncio.sleep(50)
    assert bench.states == [SourceState.RUNNING], "nothing has come for 110 s, whatever the clock says"
    await asyncio.sleep(20)
    assert SourceState.STALLED in bench.states
    bench.supervisor.stop()
    await running


@in_virtual_time
async def test_a_message_says_for_how_long_the_rate_may_have_held_it_back() -> None:
    bench = Bench(ScriptedSource(receives=[BATCH] * 8), rate=Rate(per_second=1, burst=2))
    await bench.run_for(60)
    held_back = [settled[0][0].held_back for settled in bench.source.settled]
    assert held_back[0] == 0
    assert held_back[-1] == pytest.approx(13, abs=0.2)  # from a full bucket, and below zero by one
    assert bench.source.settled[-1][0][1] is ACK


@in_virtual_time
async def test_messages_that_come_one_by_one_below_the_rate_do_not_count_as_limited() -> None:
    def later() -> Callable[[], Awaitable[Sequence[Message]]]:
        async def message() -> Sequence[Message]:
            await asyncio.sleep(0.9)
            return BATCH[:1]

        return message

    steps: list[Step] = []
    for _ in range(9):
        steps += [later(), [], []]
    bench = Bench(ScriptedSource(receives=steps), rate=Rate(per_second=1))
    await bench.run_for(60)
    assert len(bench.source.settled) == 9
    assert bench.states == [SourceState.RUNNING, SourceState.STOPPED]
    assert bench.supervisor.status.limited_seconds == 0


@in_virtual_time
async def test_a_rate_below_one_a_minute_is_no_stall_and_stopping_does_not_wait_for_it() -> None:
    source = Flood()
    bench = Bench(source, rate=Rate(per_second=0.005))
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(1001)
    assert len(source.received) == 6
    assert SourceState.STALLED not in bench.states
    assert len(source.connects) == 1
    stopped_at = asyncio.get_running_loop().time()
    bench.supervisor.stop()
    await running
    assert asyncio.get_running_loop().time() - stopped_at < 1


@in_virtual_time
async def test_another_rate_is_in_force_within_a_second_without_a_new_connection() -> None:
    source = Flood()
    bench = Bench(source, rate=Rate(per_second=0.01))
    running = asyncio.create_task(bench.run())
    await asyncio.sleep(30)
    assert len(source.received) == 1
    bench.limiter.change(Rate(per_second=100))
    await asyncio.sleep(11)
    assert len(source.received) == pytest.approx(1001, abs=101)
    assert len(source.connects) == 1
    bench.supervisor.stop()
    await running
