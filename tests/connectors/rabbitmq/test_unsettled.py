"""Acknowledging by as few frames as possible never acknowledges more than was asked."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.rabbitmq.unsettled import Unsettled


class Broker:
    """What RabbitMQ does with acknowledgements on one channel; it closes the channel over an unknown tag."""

    def __init__(self, tags: range) -> None:
        self.unacknowledged = set(tags)
        self.frames = 0

    def acknowledge(self, tag: int, multiple: bool) -> None:
        assert tag in self.unacknowledged, "406 PRECONDITION_FAILED - unknown delivery tag"
        self.frames += 1
        self.unacknowledged -= {each for each in self.unacknowledged if each <= tag} if multiple else {tag}


def delivered(tags: range) -> Unsettled:
    unsettled = Unsettled()
    for tag in tags:
        unsettled.add(tag)
    return unsettled


@given(st.lists(st.lists(st.integers(min_value=0, max_value=32))))
def test_exactly_the_tags_asked_for_leave_whatever_the_batches(batches: list[list[int]]) -> None:
    tags = range(1, 31)
    unsettled, broker = delivered(tags), Broker(tags)
    for batch in batches:
        for tag, multiple in unsettled.acknowledge(batch):
            broker.acknowledge(tag, multiple)
        assert len(unsettled) == len(broker.unacknowledged)
    assert broker.unacknowledged == set(tags) - {tag for batch in batches for tag in batch}


@given(st.lists(st.integers(min_value=1, max_value=10), min_size=1))
def test_batches_in_the_order_of_receipt_take_a_frame_each(sizes: list[int]) -> None:
    tags = range(1, sum(sizes) + 1)
    unsettled, broker = delivered(tags), Broker(tags)
    first = 1
    for size in sizes:
        for tag, multiple in unsettled.acknowledge(range(first, first + size)):
            broker.acknowledge(tag, multiple)
        first += size
    assert broker.frames == len(sizes)
    assert not broker.unacknowledged


def test_a_tag_that_was_rejected_alone_does_not_stand_in_the_way() -> None:
    unsettled = delivered(range(1, 6))
    assert unsettled.remove(2)
    assert not unsettled.remove(2)
    assert list(unsettled.acknowledge([1, 2, 3])) == [(3, True)]
    assert list(unsettled.acknowledge([5])) == [(5, False)]
