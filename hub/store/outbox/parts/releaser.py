"""Work that waited for its time, for the end of quiet hours or for another of its key, let go on."""

import math
import time
from collections import Counter
from collections.abc import Callable

from hub.store.connection import Connection, Database
from hub.store.contracts.outbox import QuietUsage
from hub.store.outbox import moving, ordering, quieting
from hub.store.outbox.dealing import deal
from hub.store.outbox.in_hand import Place
from hub.store.outbox.interval import PAUSE
from hub.store.outbox.open_work import OpenWork
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.rows import LANE_OF, ORDERED, SCHEDULED, SINGLE


class Releaser:
    """Owns how many pushes and notifications quiet hours held and let go on since the process began."""

    def __init__(
        self,
        database: Database,
        queues: SqlQueues,
        work: OpenWork,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._queues = queues
        self._own = queues.own
        self._work = work
        self._monotonic = monotonic
        self._looks_for_followers = False
        self._pushes = Counter[str]()
        self._notifications = Counter[str]()

    def released(self) -> QuietUsage:
        return QuietUsage(notifications=self._notifications, pushes=self._pushes)

    async def look_again(self) -> None:
        """Learn of what other processes have put into own queues that waits for its time, or for another of its key.
        Raises: StoreError."""
        mine, known = self._queues.own_queues, self._work.next_release
        found = await self._database.look(lambda connection: moving.next_releases(connection, mine))
        for queue in mine:
            if queue in self._own.fences:
                known[queue] = min(found.get(queue, math.inf), known.get(queue, math.inf))
        self._looks_for_followers = True

    async def release(self) -> None:
        """Let everything go on whose time has come; for who holds `OpenWork.taking`. Raises: StoreError."""
        await self._release_due()
        await self._let_follow()

    async def _release_due(self) -> None:
        wall = self._queues.time_of_day()
        known = self._work.next_release
        for queue in [queue for queue, at in known.items() if at <= wall]:
            at = known.pop(queue, math.inf)
            try:
                next_due = await self._release_of(queue)
            except BaseException:
                if self._own.owns(queue):
                    self._work.releases_at(queue, at)
                raise
            if self._own.owns(queue):  # what was scheduled in the meantime may come before
                self._work.releases_at(queue, next_due)

    async def _release_of(self, queue: int) -> float:
        """A slice of what is due in a queue, whole notifications and parts; when something else of the queue is."""

        def job(connection: Connection) -> tuple[list[tuple[float, str]], float]:
            now, time_of_day = self._queues.now(), self._queues.time_of_day()
            return moving.release(connection, queue, self._own, now=now, time_of_day=time_of_day)

        released, next_due = await self._queues.write(job)
        self._notifications.update(hub for _, hub in released if hub)
        if not self._own.owns(queue):
            return math.inf
        self._work.tally.move_lane(SCHEDULED, SINGLE, len(released))
        if released:
            self._work.hand.waits(Place(queue, SINGLE, ""), min(due for due, _ in released))
        return await self._release_held(queue, next_due)

    async def _release_held(self, queue: int, next_due: float) -> float:
        """Let parts go on whose quiet hours have ended; `next_due` is when something else of the queue does."""
        parts = await self._database.read(
            lambda connection: quieting.due(connection, queue, time_of_day=self._queues.time_of_day())
        )
        if not parts:
            return next_due
        numbers = await self._queues.numbers(queue, sum(part.page_count for part in parts))

        def job(connection: Connection) -> tuple[quieting.Released, float, float]:
            now = self._queues.now()
            released = quieting.release(connection, queue, parts, self._own, numbers, self._deal, now=now)
            return released, now, moving.next_releases(connection, [queue]).get(queue, math.inf)

        released, now, next_due = await self._queues.write(job)
        self._work.tally.add(SCHEDULED, "", -released.parts)
        for into, lane, service in released.pages:
            self._work.add_page(into, LANE_OF[lane], service, now)
        self._pushes.update(released.pushes)
        return next_due

    def _deal(self, pages: int) -> list[int]:
        return deal(pages, self._own.all)

    async def _let_follow(self) -> None:
        """Let notifications go on that waited for another of their key which has ended."""
        began = self._monotonic()
        if began < self._work.followers_from or not (self._work.tally.waits_in(ORDERED) or self._looks_for_followers):
            return
        self._looks_for_followers = False
        mine = self._own.taken_from
        found = await self._database.look(lambda connection: ordering.ready(connection, mine))
        self._work.followers_from = began + PAUSE * (self._monotonic() - began)
        if not found:
            return

        def job(connection: Connection) -> tuple[float, dict[int, int]]:
            now, time_of_day = self._queues.now(), self._queues.time_of_day()
            return now, ordering.go_on(connection, found, self._own, now=now, time_of_day=time_of_day)

        now, released = await self._queues.write(job)
        for queue, count in released.items():
            self._work.go_on(queue, count, lane=ORDERED, due=now)
