"""Which delivery tags of a channel are not settled, and with how few frames some of them are."""

from collections.abc import Iterable, Iterator


class Unsettled:
    """The tags of one channel that wait to be settled.

    A tag leaves once: the broker answers a second settlement by closing the channel.
    """

    def __init__(self) -> None:
        self._tags: dict[int, None] = {}  # in order, as the broker counts up

    def __len__(self) -> int:
        return len(self._tags)

    def add(self, tag: int) -> None:
        """A delivery has arrived; tags come in ascending order."""
        self._tags[tag] = None

    def remove(self, tag: int) -> bool:
        """Whether `tag` was here; it no longer is."""
        if tag not in self._tags:
            return False
        del self._tags[tag]
        return True

    def acknowledge(self, tags: Iterable[int]) -> Iterator[tuple[int, bool]]:
        """The (tag, multiple) pairs that acknowledge exactly these tags; tags that are not here are passed over.

        `multiple` covers everything up to its tag, so it serves all tags below the first one that has to stay: for
        batches settled in the order of receipt that is one frame each.
        """
        leaving = sorted(tag for tag in set(tags) if self.remove(tag))
        first_staying = next(iter(self._tags), None)
        covered = [tag for tag in leaving if first_staying is None or tag < first_staying]
        if covered:
            yield covered[-1], True
        for tag in leaving[len(covered) :]:
            yield tag, False
