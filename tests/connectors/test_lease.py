"""A partition while it is ours: what is under way, how far all are settled, what waits."""

from connectors.base import LogPartition
from connectors.lease import Lease, settle_each

P = LogPartition("orders/bridge", "t", 0)


def lease(*offsets: int, position: int = 0, out: bool = True) -> Lease:
    """With these read, and handed out."""
    made = Lease(P, position)
    for offset in offsets:
        assert made.read(offset)
        if out:
            made.hand_out(offset)
    return made


def test_the_watermark_is_before_the_first_that_is_not_settled() -> None:
    one = lease(3, 4, 5, position=3)
    assert one.watermark == 3
    assert one.settle([4])
    assert (one.watermark, one.ahead) == (3, {4})
    assert one.settle([3])
    assert (one.watermark, one.ahead) == (5, set())
    assert one.settle([5])
    assert (one.watermark, one.has_unsettled) == (6, False)


def test_a_message_is_settled_once_and_only_if_it_was_handed_out() -> None:
    one = lease(0, out=False)
    assert not one.settle([0])
    one.hand_out(0)
    assert one.settle([0])
    assert not one.settle([0])
    assert not one.give_back(0)


def test_what_is_given_back_is_not_settled_until_it_was_handed_out_again() -> None:
    one = lease(0, 1)
    assert one.give_back(0)
    assert not one.settle([0])
    assert one.watermark == 0
    one.hand_out(0)
    assert one.settle([0])


def test_nothing_of_a_lease_that_was_taken_away_counts() -> None:
    one = lease(0, 1)
    one.is_lost = True
    assert not one.settle([0])
    assert not one.give_back(1)
    assert one.is_taken_away()
    assert one.watermark == 0


def test_gaps_hold_nothing_up_and_what_was_read_before_is_passed_over() -> None:
    one = lease(7, 90, position=5)
    assert not one.read(90)
    assert one.settle([7])
    assert one.watermark == 90
    assert one.settle([90])
    assert one.watermark == 91


def test_what_was_settled_ahead_of_others_is_not_handed_out_by_the_next_lease() -> None:
    one = lease(0, 1, 2)
    one.settle([1])
    following = Lease(P, 0, ahead=one.ahead)
    assert [following.read(offset) for offset in range(3)] == [True, False, True]


def test_idle_means_that_nothing_is_handed_out() -> None:
    one = lease(0, 1, out=False)
    assert one.is_idle
    one.hand_out(0)
    assert not one.is_idle
    one.settle([0])
    assert one.is_idle
    assert one.has_unsettled


def test_the_backlog_is_what_is_not_settled_and_markers_at_the_end_are_no_messages() -> None:
    one = lease(0, 1, 2)
    one.settle([1])
    assert one.backlog(end=10, position=3) == 9
    one.settle([0])
    one.settle([2])
    assert one.backlog(end=4, position=4) == 0  # offset 3 marks the end of a transaction, the client has passed it
    assert one.backlog(end=10, position=3) == 7


def test_a_batch_is_settled_at_once_and_what_is_behind_a_gap_of_it_is_ahead() -> None:
    one = lease(0, 1, 2, 3, 4)
    assert one.settle([4, 1, 0, 1, 9]) == 3
    assert (one.watermark, one.ahead) == (2, {4})
    assert one.settle([2, 3]) == 2
    assert (one.watermark, one.ahead) == (5, set())


def test_messages_of_several_leases_are_settled_each_by_its_own() -> None:
    first, second, lost = lease(0, 1), lease(0, 1), lease(0)
    lost.is_lost = True
    assert settle_each([(first, 0), (second, 1), (lost, 0), (first, 1)]) == 3
    assert (first.watermark, second.watermark, lost.watermark) == (2, 0, 0)
