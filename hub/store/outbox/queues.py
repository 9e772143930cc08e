"""Which queues this process owns, under which fence, and the numbers that it may give to their rows.

A claim raises the fence, and every write of work looks at it first: what an earlier owner still wants to write is refused.
On SQLite the lock on the file says who may claim the only queue.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from hub.errors import StoreError
from hub.store.connection import Connection, Row, Statement
from hub.store.decide.ownership import first_queue
from hub.store.outbox.numbering import Counted, Numbering, numbering_for

STATE = Statement("queue.state", "SELECT queue, owner, fence, beat, shift FROM queue ORDER BY queue")
CLAIM = Statement(
    "queue.claim",
    "UPDATE queue SET owner = :owner, fence = fence + 1, beat = :now,"
    " next_n = CASE WHEN next_n > :floor THEN next_n ELSE :floor END + :block"
    " WHERE queue = :queue AND fence = :fence RETURNING queue, fence, next_n, shift",
    columns=(
        ("owner", "text"),
        ("now", "double precision"),
        ("floor", "bigint"),
        ("block", "bigint"),
        ("queue", "bigint"),
        ("fence", "bigint"),
    ),
)
BEAT = Statement(
    "queue.beat",
    "UPDATE queue SET beat = :now WHERE queue = :queue AND fence = :fence RETURNING queue",
    columns=(("now", "double precision"), ("queue", "bigint"), ("fence", "bigint")),
)
FENCE = Statement("queue.fence", "SELECT queue, fence FROM queue WHERE queue = :queue AND owner = :owner")
FENCES = Statement(
    "queue.fences",
    "SELECT queue, fence FROM queue WHERE queue IN (:keys) AND owner = :owner",
    columns=(("queue", "bigint"),),
)
"""On PostgreSQL both FOR SHARE: a claim waits until what looked at the fence has committed, or does without the queue."""
RESERVE = Statement(
    "queue.reserve",
    "UPDATE queue SET next_n = CASE WHEN next_n > :floor THEN next_n ELSE :floor END + :block"
    " WHERE queue = :queue RETURNING queue, next_n",
    columns=(("floor", "bigint"), ("block", "bigint"), ("queue", "bigint")),
)


class QueuesOf(Protocol):
    """What the other parts of a store know of its queues."""

    @property
    def all_queues(self) -> Sequence[int]: ...

    @property
    def own_queues(self) -> Sequence[int]:
        """Those whose later deeds are this process's."""


class QueueState(NamedTuple):
    """`beat` is the store's time when an owner lived last; `shift` by how much its work was moved with the clock."""

    queue: int
    owner: str
    fence: int
    beat: float
    shift: float


class Claimed(NamedTuple):
    """A queue that was claimed; `next_n` is behind the numbers that are reserved for its rows."""

    queue: int
    fence: int
    next_n: int
    shift: float


def states(connection: Connection) -> list[QueueState]:
    """All queues, by number."""
    return [QueueState(*row) for row in connection.read(STATE)]


def claim(
    connection: Connection, free: Iterable[tuple[int, int]], *, owner: str, numbering: Numbering, now: float
) -> list[Claimed]:
    """Make queues ours, each by number and the fence that it had; those of which another process was not first."""
    rows = [(owner, now, numbering.floor(queue, now), numbering.block(0), queue, fence) for queue, fence in free]
    return [Claimed(*row) for row in connection.update_many(CLAIM, rows)]


def reserve(connection: Connection, queue: int, count: int, *, numbering: Numbering, now: float) -> range:
    """`count` numbers that no other row has."""
    floor, block = numbering.floor(queue, now), count * numbering.step
    ((_, next_n),) = connection.write(RESERVE, queue=queue, floor=floor, block=block)
    return range(next_n - block, next_n, numbering.step)


class Queues:
    """What this process owns. `owner` names the process, `now` gives the store's time.

    Belongs to the event loop, but for `still_ours` and `fences`.
    """

    def __init__(self, owner: str, *, now: Callable[[], float]) -> None:
        self.owner = owner
        self.all: Sequence[int] = ()
        """All queues of the store."""
        self.fences: dict[int, int] = {}
        self.numbering: Numbering = Counted()
        self._now = now
        self._numbers: dict[int, range] = {}
        self._leaving: set[int] = set()
        self._accepting: list[int] = []
        self._turn = 0
        self._latest = 0

    def opened(self, queues: Sequence[int]) -> None:
        """These are all that the store has."""
        self.all = queues
        self.numbering = numbering_for(queues)

    def add(self, claimed: Claimed) -> None:
        self.fences[claimed.queue] = claimed.fence
        self.refill(claimed.queue, claimed.next_n, self.numbering.block(0))
        self._changed()

    def lose(self, queue: int) -> None:
        self.fences.pop(queue, None)
        self._leaving.discard(queue)
        self._changed()

    def leave(self, queue: int) -> None:
        """Take and accept nothing more of a queue, which is to be given back."""
        self._leaving.add(queue)
        self._changed()

    def stay(self) -> None:
        """Give nothing back after all."""
        self._leaving.clear()
        self._changed()

    def _changed(self) -> None:
        self._accepting = [queue for queue in self.fences if queue not in self._leaving]

    @property
    def leaving(self) -> Collection[int]:
        return self._leaving

    @property
    def taken_from(self) -> Sequence[int]:
        """Queues whose work this process may take."""
        return self._accepting

    def owns(self, queue: int) -> bool:
        return queue in self.fences

    def leads(self) -> bool:
        """Whether this process does what one of all does: it owns the first queue."""
        return bool(self.all) and self.all[0] in self.fences

    def next(self) -> int:
        """A queue for what is accepted: ours in turn, or the one that stands for this process.

        Raises: StoreError: the store was not opened.
        """
        if not self.all:
            raise StoreError("the store is closed")
        if not self._accepting:
            return self.all[first_queue(self.owner, len(self.all))]
        self._turn = (self._turn + 1) % len(self._accepting)
        return self._accepting[self._turn]

    # Numbers

    def lacks(self, queue: int, count: int) -> bool:
        """Whether fewer than `count` numbers are left, of a queue of ours."""
        return len(self._left(queue)) < count

    def are_low(self) -> list[int]:
        """Queues of ours for which numbers are to be reserved before they are needed."""
        now = self._now()
        return [queue for queue in self.fences if self.numbering.is_low(queue, self._numbers[queue], now)]

    def refills(self, wanted: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """What to reserve of each queue so that it has a number of them: rows for `RESERVE`."""
        return [(self._floor(queue), self.numbering.block(count), queue) for queue, count in wanted]

    def refill(self, queue: int, next_n: int, block: int) -> None:
        """A block was reserved that ends before `next_n`."""
        self._numbers[queue] = range(next_n - block, next_n, self.numbering.step)

    def number(self, queue: int, count: int) -> range:
        """The next numbers for rows of a queue."""
        left = self._left(queue)
        self._numbers[queue] = left[count:]
        given = left[:count]
        if given:
            self._latest = given[-1]
        return given

    def given_back(self, queues: Collection[int]) -> list[tuple[int, int, int, int]]:
        """(behind what is reserved, the first that was not given, queue, fence) for each of these that is ours."""
        return [
            (block.stop, block.start, queue, self.fences[queue])
            for queue in sorted(queues)
            if queue in self.fences
            for block in [self._numbers[queue]]
        ]

    def _left(self, queue: int) -> range:
        block = self._numbers[queue]
        floor = self._floor(queue)
        if not block or floor <= block.start:
            return block
        return block[(floor - block.start + block.step - 1) // block.step :]

    def _floor(self, queue: int) -> int:
        return self.numbering.floor(queue, self._now(), self._latest)

    # Fences

    def still_ours(self, connection: Connection, wanted: Collection[int]) -> set[int]:
        """Those of `wanted` whose fence has not been raised since this process claimed them."""
        if len(wanted) == 1:
            (queue,) = wanted
            rows = connection.read(FENCE, queue=queue, owner=self.owner)
        else:
            rows = connection.read_by_keys(FENCES, sorted(wanted), owner=self.owner)
        return self.ours(rows)

    def ours(self, rows: Iterable[Row]) -> set[int]:
        """Which queues are ours still, by the rows of `FENCES`."""
        return {queue for queue, fence in rows if self.fences.get(queue) == fence}

    def beat(self, connection: Connection, *, now: float) -> set[int]:
        """Write that we live; the queues that are ours still."""
        rows = connection.update_many(BEAT, [(now, queue, fence) for queue, fence in self.fences.items()])
        return {queue for (queue,) in rows}
