"""A push service in trouble is left alone for a while, then probed; the others know nothing of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from hub.delivery.bulkhead import Bulkhead
from hub.notification import Platform
from hub.outcome import OutcomeName, Reaction
from hub.push import SendResult
from hub.store.contracts.outbox import PAGE_SIZE
from hub.work import Lane
from tests.fakes.clock import FakeClock
from tests.fakes.pushes import Push, page_of, results_of
from tests.fakes.senders import DELIVERED, DROPPED, GONE, UNAVAILABLE, WRONG_KEY, FakeSender

TRIPS_AFTER = 20
SLOW_DOWN = SendResult(reaction=Reaction.THROTTLED, outcome=OutcomeName.CHANNEL_THROTTLED)
QUOTA = replace(SLOW_DOWN, outcome=OutcomeName.THROTTLED, lane_wide=True)


class Door:
    """A bulkhead, the sender behind it and its clock."""

    def __init__(self, *, single: int = 2000) -> None:
        self.clock = FakeClock()
        self.sender = FakeSender(Platform.FCM)
        self.told: list[tuple[str, float]] = []
        """As it opened, why and until when; as it closed, why and after how long."""
        self.bulkhead = Bulkhead(self.sender, single=single, clock=self.clock, listener=self)

    def opened(self, cause: str, until: float) -> None:
        self.told.append((cause, until))

    def closed(self, seconds: float, why: str) -> None:
        self.told.append((why, seconds))

    def braked(self, share: float) -> None:
        self.told.append(("braked", share))

    def released(self, share: float, why: str) -> None:
        self.told.append((why, share))

    def admitted(self, count: int, lane: Lane = Lane.SINGLE) -> int:
        """How many of so many pushes get a place; the places are taken."""
        return sum(self.bulkhead.admit(lane) for _ in range(count))

    async def send(self, count: int, lane: Lane = Lane.SINGLE, *, size: int | None = None) -> Sequence[SendResult]:
        """Send what has a place already."""
        pushes = [Push(id=str(number), push_channel=f"token {number}", payload=b"") for number in range(count)]
        return results_of(await self.bulkhead.send(lane, page_of(pushes), size=size))

    async def answer(self, *results: SendResult) -> None:
        """The service answers one batch so."""
        assert self.admitted(len(results)) == len(results)
        waiting = iter(results)
        self.sender.answer = lambda push: next(waiting)
        await self.send(len(results))

    async def trip(self) -> None:
        await self.answer(*[UNAVAILABLE] * TRIPS_AFTER)


async def test_pushes_go_through_in_order_and_their_places_come_free() -> None:
    door = Door(single=3)
    assert door.admitted(5) == 3
    assert await door.send(3) == [DELIVERED] * 3
    assert door.sender.push_channels == ["token 0", "token 1", "token 2"]
    assert door.admitted(5) == 3


async def test_places_taken_by_broadcasts_are_not_those_of_single_pushes() -> None:
    door = Door(single=10)
    pages = door.bulkhead.wanted(Lane.BROADCAST, 0)
    assert pages > 0
    assert [door.bulkhead.admit(Lane.BROADCAST, PAGE_SIZE) for _ in range(pages)] == [PAGE_SIZE] * pages
    assert door.bulkhead.wanted(Lane.BROADCAST, pages) == 0
    assert door.admitted(20) == 10


async def test_places_come_free_though_the_sender_fails_or_is_cancelled() -> None:
    door = Door(single=2)

    def crash(push: Push) -> SendResult:
        raise ZeroDivisionError

    door.sender.answer = crash
    assert door.admitted(2) == 2
    with pytest.raises(ZeroDivisionError):
        await door.send(2)
    door.sender.answer = DELIVERED
    assert door.admitted(2) == 2
    door.sender.hold()
    task = asyncio.ensure_future(door.send(2))
    await door.sender.received(4)
    assert door.bulkhead.in_flight == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert door.bulkhead.in_flight == 0
    assert door.admitted(3) == 2


async def test_many_failures_in_a_row_open_the_breaker() -> None:
    door = Door()
    await door.answer(*[UNAVAILABLE] * (TRIPS_AFTER - 1))
    assert not door.bulkhead.is_open
    await door.answer(UNAVAILABLE)
    assert door.bulkhead.is_open
    assert door.admitted(1) == door.admitted(1, Lane.BROADCAST) == door.bulkhead.wanted(Lane.BROADCAST, 0) == 0


@pytest.mark.parametrize("verdict", [DELIVERED, GONE, DROPPED], ids=["delivered", "gone", "dropped"])
async def test_any_verdict_on_a_single_push_shows_a_service_that_works(verdict: SendResult) -> None:
    door = Door()
    for _ in range(5):
        await door.answer(*[UNAVAILABLE] * (TRIPS_AFTER - 1), verdict)
    assert not door.bulkhead.is_open


async def test_one_channel_that_is_throttled_says_nothing_of_the_service() -> None:
    door = Door()
    await door.answer(*[SLOW_DOWN] * (2 * TRIPS_AFTER))
    assert not door.bulkhead.is_open
    await door.answer(*[UNAVAILABLE] * (TRIPS_AFTER - 1))
    await door.answer(SLOW_DOWN, UNAVAILABLE)
    assert door.bulkhead.is_open


async def test_after_the_pause_a_few_probes_go_through_and_one_success_closes_the_breaker() -> None:
    door = Door()
    await door.trip()
    door.clock.advance(door.bulkhead.closed_until - door.clock())
    assert door.bulkhead.is_open
    assert door.bulkhead.wanted(Lane.BROADCAST, 0) == 1
    probes = door.admitted(1000)
    assert 0 < probes <= 10
    door.sender.answer = DELIVERED
    await door.send(probes)
    assert not door.bulkhead.is_open


@pytest.mark.parametrize("verdict", [DELIVERED, GONE, DROPPED], ids=["delivered", "gone", "dropped"])
async def test_a_service_that_is_back_gets_more_with_each_push_that_goes_well(verdict: SendResult) -> None:
    """What waited for it would be a stampede."""
    door = Door(single=200)
    await door.trip()
    door.clock.advance(door.bulkhead.closed_until - door.clock())
    door.sender.answer = verdict
    waves: list[int] = []
    while sum(waves) < 4_000:
        assert door.bulkhead.wanted(Lane.SINGLE) > 0
        waves.append(door.admitted(door.bulkhead.wanted(Lane.SINGLE)))
        assert door.bulkhead.admit(Lane.SINGLE) == 0
        await door.send(waves[-1])
    assert waves[0] == 10
    assert all(more <= 3 * fewer for fewer, more in pairwise(waves))
    assert max(waves) == 200
    assert door.bulkhead.wanted(Lane.BROADCAST) > 1


async def test_what_waits_in_the_store_for_a_place_has_it_before_what_comes_now() -> None:
    door = Door()
    door.bulkhead.has_queue = True
    assert door.bulkhead.admit(Lane.SINGLE, has_waited=False) == 0
    assert door.bulkhead.admit(Lane.SINGLE) == 1
    door.bulkhead.has_queue = False
    assert door.bulkhead.admit(Lane.SINGLE, has_waited=False) == 1


async def test_pushes_of_one_notification_have_one_place_however_they_are_divided() -> None:
    door = Door(single=1)
    assert door.bulkhead.admit(Lane.SINGLE, 2) == 2
    assert door.bulkhead.admit(Lane.SINGLE) == 0
    assert door.bulkhead.admit(Lane.SINGLE, 2, has_place=True) == 2
    await door.send(2, size=0)
    assert door.bulkhead.admit(Lane.SINGLE) == 0
    await door.send(2, size=1)
    assert door.bulkhead.admit(Lane.SINGLE) == 1


async def test_probes_that_fail_double_the_pause_up_to_a_minute_and_a_success_resets_it() -> None:
    door = Door()
    await door.trip()
    pauses = []
    for _ in range(9):
        pauses.append(door.bulkhead.closed_until - door.clock())
        door.clock.advance(pauses[-1])
        await door.answer(UNAVAILABLE)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    door.clock.advance(60)
    await door.answer(DELIVERED)
    await door.trip()
    assert door.bulkhead.closed_until - door.clock() == 1


async def test_late_answers_of_pushes_sent_before_do_not_lengthen_the_pause() -> None:
    door = Door()
    assert door.admitted(5 * TRIPS_AFTER) == 5 * TRIPS_AFTER
    door.sender.answer = UNAVAILABLE
    for _ in range(5):
        await door.send(TRIPS_AFTER)
    assert door.bulkhead.closed_until - door.clock() == 1


@pytest.mark.parametrize("retry_after, pause", [(None, 30.0), (7.0, 7.0), (90.0, 90.0)])
async def test_a_service_that_asks_everybody_to_wait_is_left_alone_as_long_as_it_asks(
    retry_after: float | None, pause: float
) -> None:
    door = Door()
    await door.answer(DELIVERED, replace(QUOTA, retry_after=retry_after), DELIVERED)
    assert door.bulkhead.closed_until == door.bulkhead.throttled_until == door.clock() + pause
    door.clock.advance(pause - 0.1)
    assert door.admitted(1) == 0
    door.clock.advance(0.1)
    assert not door.bulkhead.is_open
    assert 10 < door.admitted(100) < 100


async def test_the_longest_wait_asked_for_counts() -> None:
    door = Door()
    await door.answer(*(replace(QUOTA, retry_after=seconds) for seconds in (5.0, 50.0, 10.0)))
    assert door.bulkhead.closed_until == door.clock() + 50


async def test_a_refused_credential_closes_the_door_for_a_while_and_is_no_throttling() -> None:
    door = Door()
    await door.answer(WRONG_KEY)
    assert door.bulkhead.is_open
    assert door.bulkhead.throttled_until == 0
    assert door.bulkhead.wanted(Lane.BROADCAST, 0) == 0
    door.clock.advance(60)
    probes = door.admitted(1000)
    assert probes == 10
    door.sender.answer = lambda push: DELIVERED
    await door.send(probes)
    assert not door.bulkhead.is_open


async def test_a_notification_of_many_pushes_takes_one_place() -> None:
    door = Door(single=2)
    assert door.bulkhead.admit(Lane.SINGLE, 5) == 5
    assert door.admitted(3) == 1
    await door.send(5, size=1)
    assert door.admitted(3) == 1


async def test_there_is_a_bound_on_pushes_too_but_never_for_one_notification_alone() -> None:
    door = Door(single=2)
    assert door.bulkhead.admit(Lane.SINGLE, 1000) == 1000
    assert door.bulkhead.admit(Lane.SINGLE, 1) == 0


async def test_closing_closes_the_sender() -> None:
    door = Door()
    await door.bulkhead.close()
    assert door.sender.closed


WORKS = "the service works"
TELLING: dict[str, tuple[list[list[SendResult] | float], list[str]]] = {
    # answers of batches, and seconds that pass between them: what is told
    "all is well": ([[DELIVERED], 10.0, [GONE]], []),
    "fewer failures than count": ([[UNAVAILABLE] * (TRIPS_AFTER - 1), [DELIVERED]], []),
    "failures in a row, then a success": (
        [[UNAVAILABLE] * TRIPS_AFTER, 1.0, [DELIVERED]],
        ["ServiceUnavailable", WORKS],
    ),
    "a wrong key, mended": ([[WRONG_KEY], 60.0, [DELIVERED]], ["InvalidProviderToken", WORKS]),
    "a wrong key, many times": ([[WRONG_KEY], 60.0, [WRONG_KEY], 60.0, [WRONG_KEY]], ["InvalidProviderToken"]),
    "a quota": ([[replace(QUOTA, reason="Q", retry_after=30.0)], 30.0, [DROPPED]], ["Q", WORKS]),
    "another cause": ([[UNAVAILABLE] * TRIPS_AFTER, 1.0, [WRONG_KEY]], ["ServiceUnavailable", "InvalidProviderToken"]),
    "open twice": (
        [[WRONG_KEY], 60.0, [DELIVERED], [WRONG_KEY]],
        ["InvalidProviderToken", WORKS, "InvalidProviderToken"],
    ),
    "no word from the service": ([[replace(QUOTA, reason="")]], ["Throttled"]),
}


@pytest.mark.parametrize("steps, told", TELLING.values(), ids=TELLING)
async def test_a_breaker_tells_once_as_it_opens_and_once_as_it_closes(
    steps: list[list[SendResult] | float], told: list[str]
) -> None:
    door = Door()
    for step in steps:
        if isinstance(step, list):
            await door.answer(*step)
        else:
            door.clock.advance(step)
            door.bulkhead.look()
    assert [said for said, _ in door.told] == told


async def test_what_is_told_of_a_breaker_is_until_when_and_for_how_long() -> None:
    door = Door()
    opened_at = door.clock()
    await door.answer(WRONG_KEY)
    door.clock.advance(75)
    await door.answer(DELIVERED)
    assert door.told == [("InvalidProviderToken", opened_at + 60), (WORKS, 75)]


async def test_a_pause_that_ends_without_another_push_is_told_too() -> None:
    door = Door()
    assert door.admitted(2) == 2
    door.sender.answer = WRONG_KEY
    await door.send(1)
    door.sender.answer = DELIVERED
    await door.send(1)  # was under way already, and went well
    assert door.bulkhead.is_open
    door.clock.advance(60)
    door.bulkhead.look()
    assert not door.bulkhead.is_open
    assert [said for said, _ in door.told] == ["InvalidProviderToken", WORKS]


async def test_a_breaker_that_another_configuration_replaces_is_told_as_closed_and_tells_nothing_more() -> None:
    door = Door()
    assert door.admitted(1) == 1
    await door.answer(WRONG_KEY)
    door.bulkhead.retire()
    door.sender.answer = WRONG_KEY
    await door.send(1)
    assert [said for said, _ in door.told] == ["InvalidProviderToken", "the configuration has changed"]


async def test_a_service_that_repeats_a_push_channel_is_quoted_without_it() -> None:
    sender = FakeSender(Platform.WNS, lambda push: replace(WRONG_KEY, reason=f"{push.push_channel} is not yours"))
    bulkhead = Bulkhead(sender, secret_of=lambda page, position: page.push_channels[position])
    assert bulkhead.admit(Lane.SINGLE) == 1
    await bulkhead.send(Lane.SINGLE, page_of([Push(id="1", push_channel="https://wns/secret", payload=b"")]))
    assert bulkhead.trouble == "[push channel] is not yours"


async def test_a_service_works_that_was_asked_nothing_for_long_and_has_time_to_answer_then() -> None:
    """In a fleet another process may have had all the work, and a process may have stood still."""
    door = Door()
    door.clock.advance(3600)
    assert door.bulkhead.is_working
    assert door.admitted(1) == 1
    assert door.bulkhead.is_working
    door.clock.advance(9)
    assert door.bulkhead.is_working
    door.clock.advance(1)
    assert not door.bulkhead.is_working, "it was asked, and says nothing"
    await door.send(1)
    assert door.bulkhead.is_working


async def test_a_service_that_only_puts_off_what_it_is_asked_does_not_work() -> None:
    door = Door()
    for _ in range(4):
        await door.answer(SLOW_DOWN)
        door.clock.advance(3)
    assert not door.bulkhead.is_working


async def test_a_brake_on_removals_is_reported_once_with_its_share_and_so_is_its_end() -> None:
    door = Door()
    await door.answer(*[GONE] * 500, *[DELIVERED] * 500)
    assert door.told == [], "a thousand answers say too little"
    await door.answer(*[GONE] * 500, *[DELIVERED] * 500)
    await door.answer(GONE)
    assert door.told == [("braked", 0.5)]
    for _ in range(5):
        await door.answer(*[DELIVERED] * 1000)
    assert not door.bulkhead.is_braked
    assert len(door.told) == 1, "a share that wavers is a line a minute"
    door.clock.advance(61)
    door.bulkhead.look()
    ((why, share),) = door.told[1:]
    assert (why, 0 < share < 0.2) == ("the share has fallen", True)


async def test_a_brake_that_ends_with_its_configuration_says_so() -> None:
    door = Door()
    await door.answer(*[GONE] * 1001)
    door.bulkhead.retire()
    assert door.told == [("braked", 1.0), ("the configuration has changed", 1.0)]
    await door.answer(GONE)
    assert len(door.told) == 2
