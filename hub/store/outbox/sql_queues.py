"""The queues of a store, as all its rooms write into them: which there are, numbers for rows, and the store's time."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from hub.acceptance import AuditEntry
from hub.notification import Notification
from hub.report import Reporter
from hub.store.clock import StoreClock
from hub.store.connection import Connection, Database
from hub.store.outbox import queues
from hub.store.outbox.ownership import Ownership, Sharing
from hub.store.outbox.queues import RESERVE, Queues
from hub.store.sinks.writing import numbers_needed
from hub.store.telemetry.auditing import audit_write

T = TypeVar("T")


class SqlQueues:
    """Belongs to one event loop, but for `now`, `time_of_day`, `steady` and `owned`, which jobs ask in their threads.

    `owner` names this process among all owners. With `sharing` several processes share the queues, and this one owns as
    many as `ownership` says; else all are its own once the store is open. `monotonic` is in seconds.
    """

    def __init__(
        self,
        database: Database,
        clock: StoreClock,
        *,
        owner: str,
        sharing: Sharing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self.own = Queues(owner, now=clock.now)
        """What this process owns."""
        self.ownership: Ownership | None = None
        """None: no other process shares the store."""
        if sharing is not None:
            self.ownership = Ownership(sharing, self.own, now=clock.now, monotonic=monotonic)
        self.shift = 0.0
        """Seconds by which the store's time was moved with the host's clock."""
        self.has_written = False
        """Whether anything was written since the last beat."""
        self.reporter: Reporter | None = None
        """Who makes the reports to sinks; None: there are none."""

    # Times

    def now(self) -> float:
        return self._clock.now()

    def time_of_day(self) -> float:
        """The host's clock on the wall."""
        return self._clock.wall()

    def steady(self) -> float:
        """The store's time without the shift."""
        return self._clock.now() - self.shift

    # Queues

    @property
    def all_queues(self) -> Sequence[int]:
        return self.own.all

    @property
    def own_queues(self) -> Sequence[int]:
        """Those whose later deeds are this process's."""
        return list(self.own.fences)

    @property
    def leads(self) -> bool:
        """Whether this process does what one of all does."""
        return self.own.leads()

    def owned(self, connection: Connection, queues: Sequence[int]) -> frozenset[int]:
        """Those of `queues` that are this process's still, under their fences."""
        return frozenset(self.own.still_ours(connection, queues))

    def next_queue(self) -> int:
        """A queue for what this process writes next. Raises: StoreError."""
        return self.own.next()

    def queue_of(self, number: int) -> int:
        """Of a dead letter, an event or an audit row."""
        return self.own.numbering.queue_of(number)

    def may_start(self) -> bool:
        return self.ownership is None or self.ownership.may_start()

    # Writes

    def report_to(self, reporter: Reporter | None) -> None:
        self.reporter = reporter

    async def write(
        self,
        job: Callable[[Connection], T],
        then: Callable[[], None] | None = None,
        *,
        flow: str = "",
        rows: int = 1,
    ) -> T:
        """As `Database.write`; the next beat says that the store was written to."""
        answer = await self._database.write(job, then=then, flow=flow, rows=rows)
        self.has_written = True
        return answer

    async def add_audit(self, entry: AuditEntry) -> None:
        """Keep an entry by itself. Raises: StoreError."""
        queue = self.own.all[0]
        numbers, now = await self.numbers(queue, 1), self.now()
        await self.write(
            lambda connection: connection.write_all([audit_write([entry], iter(numbers), queue=queue, now=now)])
        )

    # Numbers

    async def numbers(self, queue: int, count: int) -> range:
        """Numbers for rows of a queue, which no other row has. Raises: StoreError."""
        if not self.own.owns(queue):
            numbering, now = self.own.numbering, self.now()
            return await self._database.write(
                lambda connection: queues.reserve(connection, queue, count, numbering=numbering, now=now)
            )
        if self.own.lacks(queue, count):
            await self._refill([(queue, count)])
        return self.own.number(queue, count)

    async def numbers_for(
        self, ending: Iterable[tuple[int, Notification]], reporter: Reporter | None
    ) -> Mapping[int, range]:
        """Numbers for the reports of notifications that end, by queue. Raises: StoreError."""
        needed = numbers_needed(ending, reporter)
        return {queue: await self.numbers(queue, count) for queue, count in needed.items()}

    async def refill_low(self) -> None:
        """Reserve numbers of own queues before they are needed. Raises: StoreError."""
        if low := self.own.are_low():
            await self._refill([(queue, 0) for queue in low])

    async def _refill(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Reserve numbers of queues, so many of each at least."""
        rows = self.own.refills(wanted)
        blocks = {queue: block for _, block, queue in rows}
        for queue, next_n in await self._database.write(lambda connection: connection.update_many(RESERVE, rows)):
            self.own.refill(queue, next_n, blocks[queue])
