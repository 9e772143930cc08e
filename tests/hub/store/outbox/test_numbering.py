"""Numbers of rows: one order for all queues, no number twice, and small enough for JSON."""

from hub.store.outbox.numbering import QUEUES, Counted, Stamped
from hub.store.outbox.queues import Claimed, Queues

NOW = 1_800_000_000.0


def owned(now: list[float]) -> Queues:
    queues = Queues("a", now=lambda: now[0])
    queues.opened(range(QUEUES))
    for queue in range(QUEUES):
        first = queues.numbering.floor(queue, now[0])
        queues.add(Claimed(queue, 1, first + queues.numbering.block(0), 0.0))
    return queues


def test_numbers_of_several_queues_grow_with_time_and_within_a_millisecond() -> None:
    now = [NOW]
    queues = owned(now)
    given: list[int] = []
    for turn in range(1000):
        given += queues.number(turn * 7 % QUEUES, 3)
        now[0] += 0.0004 if turn % 2 else 0.0
    assert given == sorted(set(given))
    assert [queues.numbering.queue_of(number) for number in given[::3]] == [turn * 7 % QUEUES for turn in range(1000)]
    assert max(given) < 2**53


def test_a_clock_that_goes_back_gives_no_number_twice() -> None:
    now = [NOW]
    queues = owned(now)
    first = queues.number(5, 10)
    now[0] -= 3600
    assert queues.number(5, 10)[0] > first[-1]


def test_a_block_that_has_passed_is_reserved_anew_before_it_is_needed() -> None:
    now = [NOW]
    queues = owned(now)
    assert queues.are_low() == []
    now[0] += 20
    assert len(queues.are_low()) == QUEUES
    now[0] += 20
    assert queues.lacks(5, 1)
    ((floor, block, queue),) = queues.refills([(5, 1)])
    queues.refill(queue, floor + block, block)
    assert not queues.lacks(5, 1000)


def test_a_number_of_a_store_that_counted_is_of_its_only_queue() -> None:
    assert {Stamped().queue_of(number) for number in range(1000)} == {0} == {Counted().queue_of(10**12)}
