"""What is for a hub elsewhere is handed over until it is taken, refused or too old, and is never just gone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.acceptance import DeadLetter
from hub.delivery.bulkhead import Bulkhead
from hub.delivery.dispatch import Dispatcher, Timing
from hub.delivery.forwarding import RemoteDelivery, RemoteResult
from hub.delivery.retry import RetryPolicy
from hub.notification import NativeContent, Notification, Platform
from hub.outcome import OutcomeName, Reaction, State
from hub.push import SendResult
from hub.store.contracts.outbox import Work
from hub.store.health import StoreHealth
from tests.fakes.clock import START, FakeClock
from tests.fakes.observer import FakeObserver
from tests.fakes.outlets import ScriptedOutlet
from tests.fakes.senders import DELIVERED, DROPPED, UNAVAILABLE, WRONG_KEY, FakeSender
from tests.fakes.stores import FlakyStore, dead_letters
from tests.hub.examples import HUB, arrivals, installation, notification

ELSEWHERE = "elsewhere"
POLICY = RetryPolicy(base=2.0, cap=120.0, max_age=1800.0)
THROTTLED = SendResult(
    reaction=Reaction.THROTTLED, outcome=OutcomeName.THROTTLED, reason="HTTP 429", retry_after=60.0, lane_wide=True
)
TRIPS_AFTER = 20
PARKED = 1.0  # seconds that what finds a closed door waits at least
GRAIN = 0.25


def letter(**changes: Any) -> Notification:
    """A notification for the hub elsewhere, as an event made it."""
    return notification("news", hub=ELSEWHERE, source="orders", event_id="o-1", rule="paid", **changes)


class Outbox:
    """Forwarding to one hub elsewhere, without a store: a test hands over work and sees what came of it."""

    def __init__(self, *script: SendResult, single: int = 2000, since: float = START) -> None:
        self.clock = FakeClock(since)
        self.outlet = ScriptedOutlet(*script)
        self.bulkhead = Bulkhead(self.outlet, single=single, clock=self.clock)
        self.observer = FakeObserver()
        self.forwarding = RemoteDelivery(
            {ELSEWHERE: self.bulkhead}, policy=POLICY, observer=self.observer, clock=self.clock, store_clock=self.clock
        )

    def work(self, *notifications: Notification) -> list[Work]:
        accepted_at = self.clock()
        return [Work(queue=0, notification=one, accepted_at=accepted_at) for one in notifications]

    async def hand_over(self, *notifications: Notification) -> RemoteResult:
        return await self.forwarding.hand_over(self.work(*notifications))

    async def fail(self, result: SendResult, times: int = TRIPS_AFTER) -> None:
        """So many tries end so."""
        self.outlet.script.extend([result] * times)
        await self.hand_over(*(letter() for _ in range(times)))


def delays(handover: RemoteResult) -> list[float]:
    """Seconds until the pieces are handed over again, the shortest first."""
    return sorted(delay for delay, pieces in handover.again.items() for _ in pieces)


def dead_letter(handover: RemoteResult) -> DeadLetter:
    """The one that is to be kept."""
    (ended,) = handover.ended
    assert ended.state is State.ABANDONED
    assert ended.dead_letter is not None
    return ended.dead_letter


async def test_what_is_taken_is_completed() -> None:
    outbox = Outbox()
    given = [letter(), letter()]
    handover = await outbox.hand_over(*given)
    assert outbox.outlet.tries == given
    assert [(ended.work.notification, ended.state, ended.dead_letter) for ended in handover.ended] == [
        (one, State.COMPLETED, None) for one in given
    ]
    assert {ended.started_at for ended in handover.ended} == {outbox.clock()}
    assert handover.again == {}
    assert outbox.observer.handovers == [(one, OutcomeName.SUCCESS, True) for one in given]


async def test_each_piece_has_its_own_answer() -> None:
    outbox = Outbox(DELIVERED, UNAVAILABLE, DROPPED)
    first, second, third = given = [letter(), letter(), letter()]
    handover = await outbox.hand_over(*given)
    assert [(ended.work.notification, ended.state) for ended in handover.ended] == [
        (first, State.COMPLETED),
        (third, State.ABANDONED),
    ]
    assert [piece.notification for pieces in handover.again.values() for piece in pieces] == [second]
    assert [(outcome, ended) for _, outcome, ended in outbox.observer.handovers] == [
        (OutcomeName.SUCCESS, True),
        (OutcomeName.PNS_UNAVAILABLE, False),
        (OutcomeName.INVALID_NOTIFICATION_FORMAT, True),
    ]


@pytest.mark.parametrize("age, shortest, longest", [(0, 1, 2), (1, 1, 2), (10, 5, 10), (100, 50, 100), (1000, 60, 120)])
async def test_a_failure_is_tried_again_after_a_wait_that_grows_up_to_a_cap(
    age: float, shortest: float, longest: float
) -> None:
    outbox = Outbox(*[UNAVAILABLE] * 10)
    work = outbox.work(*(letter() for _ in range(10)))
    outbox.clock.advance(age)
    handover = await outbox.forwarding.hand_over(work)
    waits = delays(handover)
    assert shortest <= min(waits)
    assert max(waits) <= longest + GRAIN
    assert len(set(waits)) > 1, "all come back at once"


@given(st.floats(0, 10_000), st.floats(0, 1799))
async def test_it_is_never_tried_earlier_than_the_service_asked(retry_after: float, age: float) -> None:
    outbox = Outbox(replace(UNAVAILABLE, retry_after=retry_after))
    work = outbox.work(letter())
    outbox.clock.advance(age)
    (delay,) = delays(await outbox.forwarding.hand_over(work))
    outbox.clock.advance(delay)
    tried = len(outbox.outlet.tries)
    again = await outbox.forwarding.hand_over(work)
    earliest = work[0].accepted_at + age + retry_after
    assert outbox.clock() >= earliest or (len(outbox.outlet.tries) == tried and dead_letter(again).reason == "expired")


async def test_throttling_makes_everybody_wait_as_long_as_the_service_asked() -> None:
    outbox = Outbox(THROTTLED)
    assert delays(await outbox.hand_over(letter())) == [60]
    outbox.clock.advance(59)
    assert delays(await outbox.hand_over(letter())) == [1]
    assert len(outbox.outlet.tries) == 1
    outbox.clock.advance(1)
    assert [ended.state for ended in (await outbox.hand_over(letter())).ended] == [State.COMPLETED]


async def test_what_waits_for_a_hub_that_was_taken_away_is_a_dead_letter() -> None:
    handover = await Outbox().hand_over(replace(letter(), hub="taken-away"))
    kept = dead_letter(handover)
    assert (kept.reason, kept.detail) == ("hub_reject", "hub taken-away: not configured any more")


async def test_what_is_refused_is_a_dead_letter_with_the_reason() -> None:
    outbox = Outbox(replace(DROPPED, reason="HTTP 400: Unknown format"))
    given = letter()
    kept = dead_letter(await outbox.hand_over(given))
    assert given.hub in kept.envelope
    assert replace(kept, envelope="") == DeadLetter(
        source="orders",
        event_id="o-1",
        rule="paid",
        stage="hub",
        reason="hub_reject",
        detail="hub elsewhere: HTTP 400: Unknown format",
        body=b'{"title":"hello"}',
        content_type="application/json",
        headers={"notification-id": given.id, "audience": "news"},
    )


async def test_a_refused_broadcast_of_a_native_payload_is_kept_as_it_was() -> None:
    outbox = Outbox(DROPPED)
    content = NativeContent(platform=Platform.APNS, payload=b'{"aps": {}}')
    kept = dead_letter(await outbox.hand_over(notification(hub=ELSEWHERE, content=content)))
    assert (kept.body, kept.headers["audience"]) == (content.payload, "everyone")


@pytest.mark.parametrize(
    "expires_in, age, expired", [(None, 1799, False), (None, 1800, True), (60, 59, False), (60, 60, True)]
)
async def test_what_is_too_old_is_a_dead_letter_and_not_sent(
    expires_in: float | None, age: float, expired: bool
) -> None:
    outbox = Outbox()
    expires_at = None if expires_in is None else datetime.fromtimestamp(outbox.clock() + expires_in, UTC)
    work = outbox.work(letter(expires_at=expires_at))
    outbox.clock.advance(age)
    handover = await outbox.forwarding.hand_over(work)
    assert len(outbox.outlet.tries) == (not expired)
    if expired:
        assert dead_letter(handover).reason == "expired"
        assert [(outcome, ended) for _, outcome, ended in outbox.observer.handovers] == [(OutcomeName.ABANDONED, True)]


async def test_what_waited_while_nobody_was_there_is_handed_over_whatever_its_age() -> None:
    before = Outbox()
    work = before.work(letter(), letter(expires_at=datetime.fromtimestamp(before.clock() + 1800, UTC)))
    after = Outbox(UNAVAILABLE, since=before.clock() + 36_000)
    handover = await after.forwarding.hand_over(work)
    assert after.outlet.tries == [work[0].notification]
    assert dead_letter(handover).reason == "expired"
    assert len(delays(handover)) == 1
    after.clock.advance(1800)
    assert dead_letter(await after.forwarding.hand_over(work[:1])).reason == "expired"


async def test_what_was_too_long_refused_says_what_the_hub_said() -> None:
    outbox = Outbox()
    await outbox.fail(replace(WRONG_KEY, reason="HTTP 401"), times=1)
    work = outbox.work(letter())
    outbox.clock.advance(1800)
    kept = dead_letter(await outbox.forwarding.hand_over(work))
    assert kept.detail == "hub elsewhere: not taken in time: HTTP 401"


async def test_what_is_scheduled_does_not_age_before_its_time() -> None:
    outbox = Outbox(UNAVAILABLE)
    work = outbox.work(letter(schedule_at=datetime.fromtimestamp(outbox.clock() + 86_400, UTC)))
    outbox.clock.advance(86_400)
    (delay,) = delays(await outbox.forwarding.hand_over(work))
    assert delay <= POLICY.base + GRAIN


@pytest.mark.parametrize("times, result, pause", [(TRIPS_AFTER, UNAVAILABLE, 1.0), (1, WRONG_KEY, 60.0)])
async def test_a_closed_door_postpones_until_it_opens(times: int, result: SendResult, pause: float) -> None:
    outbox = Outbox()
    await outbox.fail(result, times=times)
    assert outbox.bulkhead.is_open
    assert outbox.bulkhead.trouble == result.reason
    tried = len(outbox.outlet.tries)
    assert delays(await outbox.hand_over(letter())) == [max(PARKED, pause)]
    assert len(outbox.outlet.tries) == tried
    outbox.clock.advance(pause)
    assert len((await outbox.hand_over(letter())).ended) == 1
    assert outbox.bulkhead.trouble == ""


async def test_a_full_house_postpones_what_has_no_place() -> None:
    outbox = Outbox(single=3)
    handover = await outbox.hand_over(*(letter() for _ in range(5)))
    assert len(handover.ended) == 3
    assert delays(handover) == [PARKED] * 2


async def test_a_thousand_pieces_come_back_at_a_few_times() -> None:
    outbox = Outbox(*[UNAVAILABLE] * 1000)
    handover = await outbox.hand_over(*(letter() for _ in range(1000)))
    assert len(delays(handover)) == 1000
    assert len(handover.again) <= 1 + POLICY.base / GRAIN


# With store and dispatcher


QUICK = Timing(poll=0.003)


class Process:
    """A dispatcher with a real store, one hub here and two elsewhere, one of which is scripted to fail."""

    def __init__(self, store: FlakyStore, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.observer = FakeObserver()
        self.phones = FakeSender(Platform.FCM)
        self.elsewhere, self.other = ScriptedOutlet(), ScriptedOutlet()
        self.dispatcher = Dispatcher(
            StoreHealth(store, observer=self.observer),
            {(HUB, Platform.FCM): Bulkhead(self.phones, clock=clock)},
            remotes={
                ELSEWHERE: Bulkhead(self.elsewhere, clock=clock),
                "other": Bulkhead(self.other, clock=clock),
            },
            observer=self.observer,
            policy=POLICY,
            clock=clock,
            timing=QUICK,
        )

    async def accept(self, *notifications: Notification) -> None:
        result = await self.store.accept(arrivals(notifications), start=self.dispatcher.free_slots)
        self.dispatcher.submit(result.work, accepted=len(notifications))

    async def heard(self, count: int) -> None:
        """Return when so many answers of hubs elsewhere were told, and nothing is under way any more."""
        await self.observer.until(lambda: len(self.observer.handovers) >= count)
        while self.dispatcher.in_hand:
            await self.store.called("take")

    async def state(self, given: Notification) -> State:
        return (await self.store.details(given.hub, given.id)).state


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    clock = FakeClock()
    store = FlakyStore(tmp_path / "hub.db", clock=clock)
    await store.open()
    process = Process(store, clock)
    running = asyncio.ensure_future(process.dispatcher.run())
    yield process
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await store.close()
    assert process.observer.crashes == []


def ids(notifications: Sequence[Notification]) -> list[str]:
    return [one.id for one in notifications]


async def test_a_notification_keeps_its_id_on_every_try(process: Process) -> None:
    process.elsewhere.script.extend([UNAVAILABLE, THROTTLED, WRONG_KEY])
    given = letter()
    await process.accept(given)
    for tries in (1, 2, 3):
        await process.heard(tries)
        assert await process.state(given) is not State.COMPLETED
        process.clock.advance(120)
    await process.observer.until_ended(1)
    assert process.elsewhere.tries == [given] * 4
    assert await process.state(given) is State.COMPLETED
    assert sum((await process.store.backlog()).values()) == process.dispatcher.pending == 0


async def test_an_outage_of_one_hub_does_not_touch_the_others(process: Process) -> None:
    await process.store.put_installations(HUB, [installation("ann", "news", templates=False)])
    process.elsewhere.script.extend([UNAVAILABLE] * 1000)
    content = NativeContent(platform=Platform.FCM, payload=b"{}")
    stuck = [letter() for _ in range(300)]
    here = [notification("news", content=content) for _ in range(20)]
    there = [notification("news", hub="other") for _ in range(20)]
    await process.accept(*stuck, *here, *there)
    await process.observer.until_ended(40)
    assert len(process.phones.pushes) == 20
    assert ids(process.other.tries) == ids(there)
    assert process.observer.states == {(HUB, State.COMPLETED): 20, ("other", State.COMPLETED): 20}

    process.elsewhere.script.clear()
    while process.observer.states[ELSEWHERE, State.COMPLETED] < len(stuck):
        process.clock.advance(5)
        await process.store.looked()
    assert sum((await process.store.backlog()).values()) == 0
    assert {*ids(process.elsewhere.tries)} == {*ids(stuck)}


async def test_what_is_refused_or_too_old_is_kept_in_the_store(process: Process) -> None:
    process.elsewhere.script.extend([DROPPED, replace(UNAVAILABLE, retry_after=7200.0)])
    refused, late = letter(), letter()
    await process.accept(refused, late)
    await process.heard(2)
    process.clock.advance(1800)
    await process.observer.until_ended(2)
    assert await process.state(refused) is await process.state(late) is State.ABANDONED
    kept = {
        (one.headers["notification-id"], one.reason, orjson.loads(one.body)["title"])
        for one in await dead_letters(process.store)
    }
    assert kept == {(refused.id, "hub_reject", "hello"), (late.id, "expired", "hello")}
    assert len(process.elsewhere.tries) == 2
