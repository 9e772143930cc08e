"""Each published message gets its own answer, in whatever bundles the broker confirms."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.rabbitmq.confirms import Confirms


def published(count: int) -> tuple[Confirms, list[asyncio.Future[str | None]]]:
    confirms = Confirms()
    return confirms, [confirms.publish(f"m{number}") for number in range(1, count + 1)]


async def test_a_confirm_for_several_leaves_later_messages_waiting() -> None:
    confirms, outcomes = published(4)
    confirms.confirmed(3, multiple=True, taken=True)
    assert [outcome.done() for outcome in outcomes] == [True, True, True, False]
    assert outcomes[0].result() is None


async def test_a_confirm_for_one_is_for_that_one() -> None:
    confirms, outcomes = published(3)
    confirms.confirmed(2, multiple=False, taken=True)
    assert [outcome.done() for outcome in outcomes] == [False, True, False]


async def test_a_returned_message_fails_though_it_is_confirmed() -> None:
    confirms, outcomes = published(3)
    confirms.returned("m2", "NO_ROUTE")
    confirms.confirmed(3, multiple=True, taken=True)
    assert [outcome.result() for outcome in outcomes] == [None, "NO_ROUTE", None]


async def test_a_nack_is_a_failure() -> None:
    confirms, (outcome,) = published(1)
    confirms.confirmed(1, multiple=False, taken=False)
    assert outcome.result() == "the broker could not take it"


async def test_a_confirm_after_its_waiter_gave_up_is_quiet() -> None:
    confirms, (outcome,) = published(1)
    outcome.cancel()
    confirms.confirmed(1, multiple=False, taken=True)
    again = confirms.publish("m1")
    confirms.confirmed(2, multiple=False, taken=True)
    assert again.result() is None


@pytest.mark.slow
@given(st.data())
def test_in_the_end_every_message_has_its_own_answer(data: st.DataObject) -> None:
    async def run() -> None:
        confirms, outcomes = published(20)
        failed = data.draw(st.sets(st.integers(1, 20)))
        for number in failed:
            confirms.returned(f"m{number}", f"returned {number}")
        waiting = list(range(1, 21))
        while waiting:
            number = data.draw(st.sampled_from(waiting))
            multiple = data.draw(st.booleans())
            confirms.confirmed(number, multiple=multiple, taken=True)
            waiting = [each for each in waiting if each != number and not (multiple and each < number)]
            assert [outcome.done() for outcome in outcomes] == [each not in waiting for each in range(1, 21)]
        expected = [f"returned {each}" if each in failed else None for each in range(1, 21)]
        assert [outcome.result() for outcome in outcomes] == expected

    asyncio.run(run())
