"""Notifications that a remote hub has before their event is settled: asked again while the message is ours, told once."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from hub.acceptance import Reason
from hub.delivery.bulkhead import Bulkhead
from hub.delivery.forwarding import RemoteDelivery
from hub.delivery.handing_over import HandingOver
from hub.delivery.retry import RetryPolicy
from hub.errors import WithdrawnError
from hub.notification import Notification
from hub.outcome import OutcomeName, State
from hub.push import SendResult
from tests.fakes.clock import FakeClock
from tests.fakes.observer import FakeObserver
from tests.fakes.outlets import ScriptedOutlet
from tests.fakes.senders import DELIVERED, DROPPED, UNAVAILABLE
from tests.hub.examples import notification

ELSEWHERE = "elsewhere"
QUICK = RetryPolicy(base=0.01, cap=0.02)
SLOW = RetryPolicy(base=1.0, cap=1000.0)


def letter() -> Notification:
    return notification("news", hub=ELSEWHERE, source="orders", event_id="o-1", rule="paid")


class Sidecar:
    """Handing over to one hub elsewhere, which answers by a script."""

    def __init__(
        self,
        *script: SendResult,
        remembered: int = 10,
        policy: RetryPolicy = QUICK,
        passing: Callable[[], float] = time.monotonic,
    ) -> None:
        clock = FakeClock()
        self.outlet = ScriptedOutlet(*script)
        self.observer = FakeObserver()
        self.is_lost = False
        delivery = RemoteDelivery(
            {ELSEWHERE: Bulkhead(self.outlet, single=2000, clock=clock)},
            policy=policy,
            observer=self.observer,
            clock=clock,
            store_clock=clock,
        )
        self.handing_over = HandingOver(
            delivery, observer=self.observer, store_clock=clock, remembered=remembered, clock=passing
        )

    async def hand_over(self, *notifications: Notification) -> dict[str, tuple[Reason, str]]:
        return dict(await self.handing_over.hand_over(notifications, withdrawn=lambda: self.is_lost))


async def test_it_returns_when_the_hub_has_taken_what_it_was_given() -> None:
    sidecar = Sidecar()
    given = [letter(), letter()]
    assert await sidecar.hand_over(*given) == {}
    assert sidecar.outlet.tries == given


async def test_a_hub_that_is_away_is_asked_again_with_the_same_notification_and_the_others_are_not_sent_again() -> None:
    sidecar = Sidecar(UNAVAILABLE, DELIVERED, UNAVAILABLE, DELIVERED)
    first, second = letter(), letter()
    assert await sidecar.hand_over(first, second) == {}
    assert sidecar.outlet.tries == [first, second, first, first]


async def test_what_the_hub_will_never_take_is_told_with_its_reason() -> None:
    sidecar = Sidecar(DELIVERED, DROPPED)
    first, second = letter(), letter()
    refused = await sidecar.hand_over(first, second)
    assert list(refused) == [second.id]
    assert refused[second.id][0] is Reason.HUB_REJECT
    assert sidecar.observer.handovers[-1][1] is OutcomeName.INVALID_NOTIFICATION_FORMAT


async def test_when_the_message_is_taken_back_the_hub_is_asked_no_more() -> None:
    sidecar = Sidecar(*[UNAVAILABLE] * 1000)
    waiting = asyncio.create_task(sidecar.hand_over(letter()))
    while not sidecar.outlet.tries:
        await asyncio.sleep(0)
    sidecar.is_lost = True
    with pytest.raises(WithdrawnError):
        await waiting


async def test_a_message_that_comes_again_is_not_sent_again_while_the_process_remembers_it() -> None:
    sidecar = Sidecar(remembered=2)
    first, second, third = letter(), letter(), letter()
    await sidecar.hand_over(first, second)
    await sidecar.hand_over(first, second, third)
    assert sidecar.outlet.tries == [first, second, third]
    await sidecar.hand_over(first)
    assert sidecar.outlet.tries[3:] == [first], "the oldest is forgotten"


async def test_what_a_hub_has_taken_counts_as_completed() -> None:
    sidecar = Sidecar(DELIVERED, DROPPED)
    await sidecar.hand_over(letter(), letter())
    assert sidecar.observer.states == {(ELSEWHERE, State.COMPLETED): 1}


async def test_a_message_that_comes_again_waits_on_where_the_one_before_was_taken_back() -> None:
    passing = FakeClock()
    sidecar = Sidecar(*[UNAVAILABLE] * 100, policy=SLOW, passing=passing)
    sidecar.is_lost = True  # each delivery is taken back while its hub is away
    given = letter()
    began_at, tried_at = passing.now, [0.0]
    for _ in range(1000):
        with pytest.raises(WithdrawnError):
            await sidecar.hand_over(given)
        if len(sidecar.outlet.tries) > len(tried_at):
            tried_at.append(passing.now - began_at)
        passing.advance(0.25)
    waits = [after - before for before, after in pairwise(tried_at)]
    assert 7 <= len(sidecar.outlet.tries) <= 10, "in 250 s, of pauses that double from 1 s on"
    assert all(2**number / 2 <= wait <= 2**number + 0.5 for number, wait in enumerate(waits)), waits


async def test_one_that_its_hub_left_open_is_not_asked_again_because_another_is_due() -> None:
    passing = FakeClock()
    sidecar = Sidecar(*[UNAVAILABLE] * 3, policy=SLOW, passing=passing)
    sidecar.is_lost = True
    first, second = letter(), letter()
    for given in (first, second):
        with pytest.raises(WithdrawnError):
            await sidecar.hand_over(given)
        passing.advance(0.25)
    third = letter()
    with pytest.raises(WithdrawnError):
        await sidecar.hand_over(second, third)
    assert sidecar.outlet.tries == [first, second, third]
