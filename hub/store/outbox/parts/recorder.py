"""What becomes of work in hand: given back, postponed, expanded into pages, recorded, and in the end summed up."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from hub.errors import ConflictError, StoreError
from hub.store.connection import Connection, Database
from hub.store.contracts.outbox import Audience, PageResult, Recorded, Service, Work
from hub.store.decide.recording import Key, Recording
from hub.store.outbox import moving, recording, summing
from hub.store.outbox.dealing import deal
from hub.store.outbox.interval import PAUSE
from hub.store.outbox.open_work import OpenWork, place_of
from hub.store.outbox.recording import MarkDead
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.rows import LANES, moment, service_key
from hub.store.turns import RESULTS
from hub.work import Lane

_LOOK_AT_ALL = 60.0
"""Seconds between two looks at all notifications with pages, besides those whose pages were recorded here."""
_SHARED_LOOK = 1.0
"""The same where other processes record pages too."""


class Recorder:
    """`mark_dead` writes which push channels are gone. Owns which notifications may have ended with their last page."""

    def __init__(
        self,
        database: Database,
        queues: SqlQueues,
        work: OpenWork,
        mark_dead: MarkDead,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._queues = queues
        self._own = queues.own
        self._work = work
        self._mark_dead = mark_dead
        self._monotonic = monotonic
        self._summing = asyncio.Lock()
        self._to_sum: set[Key] = set()
        self._look_from = -math.inf

    # Untried

    async def give_back(self, work: Sequence[Work]) -> None:
        for piece in work:
            if not piece.is_withdrawn:
                self._work.leave(piece)
                self._work.hand.waits(place_of(piece), piece.due_at)

    async def postpone(self, work: Sequence[Work], *, delay: float, service: Service | None = None) -> None:
        def job(connection: Connection) -> float | None:
            due = self._queues.now() + delay if delay else None
            moving.postpone(connection, work, self._own, due=due, service=service)
            return due

        work = [piece for piece in work if not piece.is_withdrawn]
        if not work:
            return
        due = await self._queues.write(job)
        for piece in work:
            self._work.leave(piece)
            before = place_of(piece)
            after = before if service is None else before._replace(service=service_key(service))
            self._work.tally.move(before.lane, before.service, after.service)
            self._work.hand.waits(after, piece.due_at if due is None else due)

    async def begin_late(self, work: Sequence[Work]) -> None:
        now = self._queues.time_of_day()
        await self._queues.write(lambda connection: moving.begin_late(connection, work, self._own, time_of_day=now))
        for piece in work:
            piece.notification = replace(piece.notification, schedule_at=moment(now))

    async def expand(self, work: Work, audience: Audience) -> None:
        if work.is_withdrawn:
            return
        rows = len(audience.pages) + len(audience.held) + len(audience.dropped)
        numbers = await self._queues.numbers(work.queue, rows)
        dealt = deal(len(audience.pages), self._own.all)

        def job(connection: Connection) -> tuple[bool, float]:
            now, reporter = self._queues.now(), self._queues.reporter
            is_expanded = moving.expand(
                connection, work, audience, self._own, numbers, dealt, now=now, reporter=reporter
            )
            return is_expanded, now

        is_expanded, now = await self._queues.write(job)
        self._work.leave(work)
        if is_expanded:
            self._work.uncount(work)
            for queue, (platform, _) in zip(dealt, audience.pages, strict=True):
                self._work.add_page(queue, Lane.BROADCAST, (work.notification.hub, platform), now)
            for part in audience.held:
                self._work.add_held(work.queue, part.until)
            if not audience.pages:
                self._to_sum.add((work.queue, work.n))

    # Results

    async def record(self, results: Sequence[PageResult]) -> Recorded:
        results = [result for result in results if not result.work.is_withdrawn]
        if not results:
            return Recorded()
        queue = results[0].work.queue
        reporter = self._queues.reporter  # one for the numbers and for the rows, though a reload comes between
        numbers = await self._queues.numbers(queue, recording.numbers_needed(results, reporter))

        def job(connection: Connection, *, trust: bool = False) -> tuple[Recording, int, set[Key]]:
            return recording.record(
                connection,
                results,
                self._own,
                numbers,
                queue=queue,
                now=self._queues.now(),
                mark_dead=self._mark_dead,
                reporter=reporter,
                trust=trust,
            )

        try:
            try:
                done, gone, closed = await self._queues.write(partial(job, trust=True), flow=RESULTS, rows=len(results))
            except ConflictError:  # something is late: see what
                done, gone, closed = await self._queues.write(job, flow=RESULTS, rows=len(results))
        except StoreError:
            raise
        except Exception:  # a defect: the rows are as they were, and the next look from the start finds them
            for result in results:
                self._work.leave(result.work)
            raise
        self._let_go(results, closed)
        self._count(done)
        return Recorded(
            ended=done.ended,
            late=done.late,
            gone=gone,
            unreached=done.unreached,
            dead_letters=done.dead_letters,
        )

    def _let_go(self, results: Iterable[PageResult], closed: set[Key]) -> None:
        """Take out of hand what ended, and what is `closed` to this process."""
        for result in results:
            if result.is_last:
                self._work.leave(result.work)
            elif (result.work.queue, result.work.n) in closed:  # cancelled, or another's: the rest is not to be sent
                result.work.is_withdrawn = True
                self._work.leave(result.work)

    def _count(self, done: Recording) -> None:
        """Know of what ended and of what waits from now on."""
        work = self._work
        if done.ended:
            work.followers_from = -math.inf
        for change in done.written:
            if change.is_last:
                work.tally.add(LANES[change.work.lane], service_key(change.work.service), -1)
        for piece, _, page, due in done.retries:
            if page.quiet is not None:
                work.add_held(piece.queue, due)
                continue
            work.add_page(piece.queue, piece.lane, (piece.notification.hub, page.platform), due)
        self._to_sum |= {home for home in done.homes if self._own.owns(home[0])}

    # Sums

    async def sum_up(self) -> Recorded:
        async with self._summing:
            await self._look_for_ended()
            self._to_sum = {key for key in self._to_sum if self._own.owns(key[0])}
            keys = list(self._to_sum)[: summing.SLICE]
            if not keys:
                return Recorded()
            self._to_sum.difference_update(keys)  # first: a page that ends from now on adds its notification again
            try:
                ready = await self._database.read(lambda connection: summing.sums(connection, keys))
                return await self._end(ready) if ready else Recorded()
            except BaseException:
                self._to_sum.update(keys)
                raise

    async def _end(self, ready: Sequence[summing.Sum]) -> Recorded:
        reporter = self._queues.reporter
        numbers = await self._queues.numbers_for(((one.key[0], one.notification) for one in ready), reporter)
        ended, unreached = await self._queues.write(
            lambda connection: summing.end(
                connection, ready, self._own, numbers, now=self._queues.now(), reporter=reporter
            )
        )
        return Recorded(ended=ended, unreached=unreached)

    async def _look_for_ended(self) -> None:
        """Other processes record the last pages of notifications of ours."""
        began = self._monotonic()
        if began < self._look_from:
            return
        self._to_sum |= await self._database.look(lambda connection: summing.all_ended(connection, self._own.owner))
        took = self._monotonic() - began
        is_alone = self._queues.ownership is None
        self._look_from = began + (_LOOK_AT_ALL if is_alone else max(_SHARED_LOOK, PAUSE * took))
