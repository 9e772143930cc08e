"""Of what waits to begin, light flows go first, and each flow keeps its order."""

from collections.abc import Sequence

import pytest

from hub.delivery.submitted import SubmittedWork
from hub.precedence import Precedence
from hub.store.contracts.outbox import Work
from tests.hub.examples import notification


def _work(*numbers: int, source: str) -> list[Work]:
    note = notification(source=source)
    return [Work(queue=1, n=number, notification=note, accepted_at=0.0) for number in numbers]


def _numbers(work: Sequence[Work]) -> list[int]:
    return [piece.n for piece in work]


@pytest.fixture
def precedence() -> Precedence:
    precedence = Precedence(clock=lambda: 0.0)
    precedence.did("flood", 1000)
    precedence.did("calls", 10)
    return precedence


def test_light_flows_go_first_and_by_themselves(precedence: Precedence) -> None:
    submitted = SubmittedWork(precedence)
    submitted.add(_work(1, 2, 3, source="flood"))
    submitted.add(_work(4, source="calls"))
    assert submitted.has_light
    assert [_numbers(submitted.take(2)) for _ in range(3)] == [[4], [1, 2], [3]]
    assert not submitted
    assert not submitted.take(2)


def test_a_flow_that_becomes_light_does_not_overtake_itself(precedence: Precedence) -> None:
    submitted = SubmittedWork(precedence)
    submitted.add(_work(1, 2, source="flood"))
    precedence.did("another", 100_000)
    assert precedence.is_light("flood")
    submitted.add(_work(3, source="flood"))
    assert [_numbers(submitted.take(2)) for _ in range(2)] == [[1, 2], [3]]
    submitted.add(_work(4, source="flood"))
    assert submitted.has_light


def test_sends_through_the_api_count_as_a_flow(precedence: Precedence) -> None:
    submitted = SubmittedWork(precedence)
    submitted.add(_work(1, source=""))
    assert submitted.has_light
    submitted.add(_work(*range(2, 1000), source=""))
    assert not precedence.is_light("")
