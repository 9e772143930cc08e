"""When a process looks whether what it has in hand was erased by another."""

from collections.abc import Sequence

import pytest

from hub.store.outbox.erased import ErasureWatch

BEGUN, DONE = (1, "user.erase", "digest"), (2, "user.erased", "digest")
OTHER = (3, "user.erased", "of another")


@pytest.mark.parametrize(
    ("reads", "due"),
    [
        ([[], []], [False, False]),
        ([[BEGUN, DONE], [BEGUN, DONE]], [False, False]),  # before this process began
        ([[], [BEGUN], [BEGUN], [BEGUN]], [False, True, True, True]),
        ([[], [BEGUN, DONE], [BEGUN, DONE], [BEGUN, DONE]], [False, True, True, False]),
        ([[], [BEGUN, OTHER], [BEGUN, DONE, OTHER], [OTHER], [OTHER]], [False, True, True, True, False]),
    ],
)
def test_what_is_in_hand_is_looked_at_while_an_erasure_is_under_way_and_once_more(
    reads: Sequence[Sequence[tuple[int, str, str]]], due: Sequence[bool]
) -> None:
    watch = ErasureWatch()
    found = []
    for rows in reads:
        watch.read(rows)
        found.append(watch.is_due)
        watch.is_due = False
    assert found == due


def test_a_look_that_failed_stays_due() -> None:
    watch = ErasureWatch()
    for rows in ([], [BEGUN, DONE], [BEGUN, DONE], [BEGUN, DONE]):
        watch.read(rows)
    assert watch.is_due
