"""A partition of a log while it is ours: which of its messages are under way, and how far all are settled (pure)."""

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import Any

from connectors.base import Disposition, LogPartition, Message, Settlement

_PRUNED_ABOVE = 4096
"""Offsets settled ahead of others that are kept before those that no longer matter are dropped."""


class Lease:
    """From an assignment to the next rebalance. `position` is the next offset to be read, which gaps move too.

    Once `is_lost`, nothing of it counts: the partition may be another consumer's. `ahead` are offsets that were settled
    before this lease, and are passed over.
    """

    def __init__(self, partition: LogPartition, position: int, *, ahead: Collection[int] = ()) -> None:
        self.partition = partition
        self.position = position
        self.is_lost = False
        self._under_way: dict[int, bool] = {}  # by ascending offset: whether it is handed out
        self._ahead = {offset for offset in ahead if offset >= position}

    def is_taken_away(self) -> bool:
        """For `Message.is_lost`."""
        return self.is_lost

    def read(self, offset: int) -> bool:
        """A message was read; whether it is to be handed out. One before `position` was read already."""
        if offset < self.position:
            return False
        self.position = offset + 1
        if offset in self._ahead:
            return False
        self._under_way[offset] = False
        return True

    def hand_out(self, offset: int) -> None:
        self._under_way[offset] = True

    def settle(self, offsets: Iterable[int]) -> int:
        """How many of these messages were handed out and not settled yet; they are settled now.

        A batch is settled at once, as to find the first that is left takes time for each that left before it.
        """
        if self.is_lost:
            return 0
        under_way = self._under_way
        settled = [offset for offset in offsets if under_way.get(offset) and under_way.pop(offset)]
        watermark = self.watermark
        self._ahead.update(offset for offset in settled if offset > watermark)
        if len(self._ahead) > _PRUNED_ABOVE:
            self._ahead = self.ahead
        return len(settled)

    def give_back(self, offset: int) -> bool:
        """Whether the message was handed out; it waits to be handed out again now."""
        if self.is_lost or not self._under_way.get(offset, False):
            return False
        self._under_way[offset] = False
        return True

    @property
    def is_idle(self) -> bool:
        """Whether no message is handed out."""
        return not any(self._under_way.values())

    @property
    def has_unsettled(self) -> bool:
        """Whether a message was read and is not settled."""
        return bool(self._under_way)

    @property
    def watermark(self) -> int:
        """Every message before this offset is settled."""
        return next(iter(self._under_way), self.position)

    @property
    def ahead(self) -> set[int]:
        """Offsets that are settled, though an earlier one is not."""
        watermark = self.watermark
        return {offset for offset in self._ahead if offset >= watermark}

    def backlog(self, end: int, position: int) -> int:
        """Messages that are not settled, by the end of the log and the client's own position, which passes gaps."""
        if self._under_way:
            return max(0, end - self.watermark - len(self.ahead))
        return max(0, end - max(position, self.position) - sum(offset >= position for offset in self._ahead))


def in_runs(settled: Iterable[tuple[Message, Disposition]]) -> Iterator[tuple[bool, list[Any]]]:
    """Receipts of messages that follow each other and are all given back (True), or all settled.

    The order is kept: of two answers for a message the first counts.
    """
    for is_given_back, run in groupby(settled, lambda each: each[1].settlement is Settlement.NACK):
        yield is_given_back, [message.receipt for message, _ in run]


def settle_each(settled: Iterable[tuple[Lease, int]]) -> int:
    """How many of these messages, by lease and offset, were handed out and not settled yet; they are settled now."""
    offsets: dict[Lease, list[int]] = {}
    for lease, offset in settled:
        offsets.setdefault(lease, []).append(offset)
    return sum(lease.settle(of_lease) for lease, of_lease in offsets.items())
