"""Which queues this process owns, under which fence, and the numbers that it may give to their rows.

An owner renews its beat. A claim raises the fence, and every write of work looks at it first: what an earlier owner still
wants to write is refused. On SQLite the lock on the file says who may claim the only queue.
"""

from typing import NamedTuple

from hub.errors import StoreError
from hub.store.connection import Connection, Statement

BLOCK = 100_000
"""Numbers that an owner reserves at a time."""

STATE = Statement("queue.state", "SELECT fence, beat, shift FROM queue WHERE queue = :queue")
CLAIM = Statement(
    "queue.claim",
    "UPDATE queue SET owner = :owner, fence = fence + 1, beat = :now, next_n = next_n + :block"
    " WHERE queue = :queue AND fence = :fence AND beat = :beat RETURNING fence, next_n",
)
BEAT = Statement(
    "queue.beat",
    "UPDATE queue SET beat = :now WHERE queue = :queue AND fence = :fence RETURNING queue",
    columns=(("now", "double precision"), ("queue", "bigint"), ("fence", "bigint")),
)
FENCES = Statement("queue.fences", "SELECT queue, fence FROM queue WHERE owner = :owner")
"""On PostgreSQL FOR SHARE: a claim waits until what looked at the fences has committed."""
RESERVE = Statement("queue.reserve", "UPDATE queue SET next_n = next_n + :block WHERE queue = :queue RETURNING next_n")


class Claimed(NamedTuple):
    """A queue that was claimed; `last_beat` is when its last owner lived, `numbers` are for its rows."""

    queue: int
    fence: int
    last_beat: float
    numbers: range


def claim(connection: Connection, queue: int, *, owner: str, now: float) -> Claimed | None:
    """Make a queue that is free ours; None when another process was first."""
    ((fence, beat, _),) = connection.read(STATE, queue=queue)
    rows = connection.write(CLAIM, queue=queue, owner=owner, fence=fence, beat=beat, now=now, block=BLOCK)
    if not rows:
        return None
    ((new_fence, next_n),) = rows
    return Claimed(queue, new_fence, beat, range(next_n - BLOCK, next_n))


def reserve(connection: Connection, queue: int, count: int) -> range:
    """`count` numbers that no other row of the queue has."""
    ((next_n,),) = connection.write(RESERVE, queue=queue, block=count)
    return range(next_n - count, next_n)


class Queues:
    """What this process owns. `owner` names the process. Belongs to the event loop, but for `still_ours` and `fences`."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.fences: dict[int, int] = {}
        self._numbers: dict[int, range] = {}

    def add(self, claimed: Claimed) -> None:
        self.fences[claimed.queue] = claimed.fence
        self._numbers[claimed.queue] = claimed.numbers

    def lose(self, queue: int) -> None:
        del self.fences[queue]

    @property
    def first(self) -> int:
        """A queue for what is accepted. Raises: StoreError: the store was not opened."""
        if not self._numbers:
            raise StoreError("the store is closed")
        return next(iter(self.fences or self._numbers))

    def lacks(self, queue: int, count: int) -> bool:
        """Whether fewer than `count` numbers are left."""
        return len(self._numbers[queue]) < count

    def refill(self, queue: int, numbers: range) -> None:
        self._numbers[queue] = numbers

    def number(self, queue: int, count: int) -> range:
        """The next numbers for rows of a queue."""
        mine = self._numbers[queue]
        self._numbers[queue] = mine[count:]
        return mine[:count]

    def still_ours(self, connection: Connection) -> set[int]:
        """The queues whose fence has not been raised since they were claimed."""
        rows = connection.read(FENCES, owner=self.owner)
        return {queue for queue, fence in rows if self.fences.get(queue) == fence}

    def beat(self, connection: Connection, *, now: float) -> set[int]:
        """Say that we live; the queues that are ours still."""
        rows = connection.update_many(BEAT, [(now, queue, fence) for queue, fence in self.fences.items()])
        return {queue for (queue,) in rows}
