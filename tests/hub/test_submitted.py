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


def test_flows_that_are_not_light_share_each_batch_however_much_one_of_them_has_waiting(precedence: Precedence) -> None:
    precedence.did("orders", 500)
    submitted = SubmittedWork(precedence)
    submitted.add(_work(*range(1000), source="flood"))
    submitted.add(_work(*range(2000, 2006), source="orders"))
    batches = [submitted.take(8) for _ in range(2)]
    assert [sorted(_numbers(batch)) for batch in batches] == [
        [0, 1, 2, 3, 2000, 2001, 2002, 2003],
        [*range(4, 10), 2004, 2005],
    ]
    assert _numbers(submitted.take(3)) == [10, 11, 12]


def test_what_does_not_divide_goes_to_the_flows_by_turns(precedence: Precedence) -> None:
    precedence.did("orders", 500)
    submitted = SubmittedWork(precedence)
    submitted.add(_work(1, 2, 3, source="flood"))
    submitted.add(_work(4, 5, 6, source="orders"))
    assert [_numbers(submitted.take(1)) for _ in range(6)] == [[1], [4], [2], [5], [3], [6]]
