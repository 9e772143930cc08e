"""The work of one database: its parts put together, opened and tended. Each part is a file in `parts`."""

import time
from collections.abc import Callable

from hub.store.clock import StoreClock
from hub.store.connection import Database
from hub.store.outbox.interval import Interval
from hub.store.outbox.open_work import OpenWork
from hub.store.outbox.ownership import Sharing
from hub.store.outbox.parts.acceptor import Acceptor
from hub.store.outbox.parts.backlog import Backlog
from hub.store.outbox.parts.holder import Holder
from hub.store.outbox.parts.passer import Passer
from hub.store.outbox.parts.recorder import Recorder
from hub.store.outbox.parts.releaser import Releaser
from hub.store.outbox.parts.sweeper import Sweeper
from hub.store.outbox.parts.taker import Taker
from hub.store.outbox.parts.tenure import Tenure
from hub.store.outbox.parts.withdrawer import Withdrawer
from hub.store.outbox.recording import MarkDead
from hub.store.outbox.remembering import SeenSweep, SeenWindow
from hub.store.outbox.sql_queues import SqlQueues

_BEAT = 10.0
"""Seconds between two beats of a store that is written to; an idle one is left alone."""
_COUNT = 60.0
"""Seconds between two counts of what waits."""
_SHARED_COUNT, _SHARED_RELEASE = 10.0, 1.0
"""The same where other processes add work to our queues, and between two looks for what they scheduled there."""


class SqlOutbox:
    """The parts answer the contract `Outbox`, but for what it asks of the registry. Everything belongs to one event loop;
    jobs run in the database's threads.

    `owner` names this process among all owners. With `sharing` several processes share the queues, and this one owns as
    many as `Ownership` says; else all are its own from `open` on. `monotonic` is in seconds.
    """

    def __init__(
        self,
        database: Database,
        clock: StoreClock,
        *,
        owner: str,
        mark_dead: MarkDead,
        window: SeenWindow = SeenWindow(),
        monotonic: Callable[[], float] = time.monotonic,
        sharing: Sharing | None = None,
    ) -> None:
        self.queues = queues = SqlQueues(database, clock, owner=owner, sharing=sharing, monotonic=monotonic)
        recounted = _COUNT if sharing is None else _SHARED_COUNT
        self._work = work = OpenWork(queues.own, recounted=recounted, monotonic=monotonic)
        seen = SeenSweep(window)
        self.acceptor = Acceptor(database, queues, work, seen)
        self.releaser = Releaser(database, queues, work, monotonic=monotonic)
        self.taker = Taker(database, queues, work, self.releaser, monotonic=monotonic)
        self.recorder = Recorder(database, queues, work, mark_dead, monotonic=monotonic)
        self.passer = Passer(database, queues, work, self.taker, self.recorder)
        self.holder = Holder(database, queues, work)
        self.withdrawer = Withdrawer(database, queues, work)
        self.backlog = Backlog(database, queues, work)
        self.sweeper = Sweeper(database, queues, seen, monotonic=monotonic)
        self.tenure = Tenure(database, clock, queues, work, self.withdrawer)
        self.is_in_hand = work.is_in_hand
        self._beat = Interval(_BEAT, monotonic=monotonic)
        self._shared_release = Interval(_SHARED_RELEASE, monotonic=monotonic)
        if queues.ownership is not None:
            queues.ownership.waiting = work.tally.by_service

    async def open(self) -> int:
        """Claim queues, and see what waits in them; how much of it is due. Raises: StoreError."""
        await self.tenure.begin()
        return await self.backlog.count()

    async def tend(self) -> None:
        """What is to be done each second. Raises: StoreError."""
        is_shared = self.queues.ownership is not None
        await self.tenure.follow_clock()
        if not is_shared and self.queues.has_written and self._beat.has_passed():
            await self.tenure.beat()
        await self.queues.refill_low()
        if self._work.recount.has_passed():
            await self.backlog.count()
        if is_shared and self._shared_release.has_passed():
            await self.releaser.look_again()
            await self.passer.pass_on_strange()
        await self.sweeper.sweep()
