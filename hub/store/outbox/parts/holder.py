"""Notifications held: for an approval, until quiet hours end, or while a silence is in force."""

from collections.abc import Mapping, Sequence

from hub.acceptance import AuditEntry
from hub.silence import Silenced
from hub.store.connection import Connection, Database
from hub.store.contracts.outbox import QuietUsage, Recorded, Work
from hub.store.outbox import holding, quieting, silencing
from hub.store.outbox.in_hand import Place
from hub.store.outbox.open_work import OpenWork
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.rows import HELD, SINGLE
from hub.store.telemetry.auditing import audit_write


class Holder:
    """Takes work out of hand that is held, and lets it go on, or end, later."""

    def __init__(self, database: Database, queues: SqlQueues, work: OpenWork) -> None:
        self._database = database
        self._queues = queues
        self._own = queues.own
        self._work = work

    # For an approval

    async def hold(self, counted: Sequence[tuple[Work, int]]) -> Sequence[Work]:
        counted = [(piece, count) for piece, count in counted if not piece.is_withdrawn]
        if not counted:
            return ()
        held = await self._queues.write(
            lambda connection: holding.hold(connection, counted, self._own, time_of_day=self._queues.time_of_day())
        )
        for piece in held:
            self._work.shelve(piece)
        return held

    async def approve(self, notification_id: str, *, actor: str) -> str | None:
        audited = self._own.all[0]
        numbers = await self._queues.numbers(audited, 1)
        entry = AuditEntry(actor=actor, action="notification.approve", target=notification_id)

        def job(connection: Connection) -> tuple[tuple[int, str] | None, float]:
            now, time_of_day = self._queues.now(), self._queues.time_of_day()
            approved = holding.approve(connection, notification_id, actor=actor, now=now, time_of_day=time_of_day)
            if approved is not None:
                connection.write_all([audit_write([entry], iter(numbers), queue=audited, now=now)])
            return approved, now

        approved, now = await self._queues.write(job)
        if approved is None:
            return None
        queue, hub = approved
        self._work.go_on(queue, 1, lane=HELD, due=now)
        return hub

    async def held(self) -> Mapping[str, int]:
        return await self._database.read(lambda connection: holding.count(connection, self._own.owner))

    async def end_held(self) -> Recorded:
        mine, time_of_day = self._queues.own_queues, self._queues.time_of_day()
        found = await self._database.read(lambda connection: holding.overdue(connection, mine, time_of_day=time_of_day))
        if not found:
            return Recorded()
        reporter = self._queues.reporter
        numbers = await self._queues.numbers_for(((one.queue, one.notification) for one in found), reporter)

        def job(connection: Connection) -> Recorded:
            now = self._queues.now()
            return holding.end(connection, found, self._own, numbers, now=now, reporter=reporter)

        recorded = await self._queues.write(job)
        self._work.tally.add(HELD, "", -sum(recorded.ended.values()))
        return recorded

    # Until quiet hours end

    async def hold_until(self, work: Sequence[tuple[Work, float]]) -> None:
        work = [(piece, until) for piece, until in work if not piece.is_withdrawn]
        if not work:
            return
        held = await self._queues.write(lambda connection: quieting.hold_until(connection, work, self._own))
        ours = {id(piece) for piece in held}
        for piece, until in work:
            self._work.leave(piece)
            if id(piece) in ours:
                self._work.uncount(piece)
                self._work.add_held(piece.queue, until)

    async def quiet(self) -> QuietUsage:
        return await self._database.read(lambda connection: quieting.usage(connection, self._own.owner))

    # While a silence is in force

    async def silence(self, work: Sequence[Work]) -> Silenced:
        """Hold or drop those that a silence covers; which these are, with their silences. Raises: StoreError."""
        work = [piece for piece in work if not piece.is_withdrawn]
        if not work:
            return ()
        steady_now, time_of_day = self._queues.steady, self._queues.time_of_day
        silenced = await self._queues.write(
            lambda connection: silencing.silence(
                connection, work, self._own, steady=steady_now(), time_of_day=time_of_day()
            )
        )
        for piece, _ in silenced:
            self._work.shelve(piece)
        return [(piece.notification, silence) for piece, silence in silenced]

    async def release_silenced(self, ended: Sequence[str]) -> int:
        """Release a slice of what these silences hold in queues of this process; how many. Raises: StoreError."""
        tally = self._work.tally
        if not (ended and self._own.fences) or tally.count(SINGLE, "") >= silencing.ENOUGH_WAITS:
            return 0

        def job(connection: Connection) -> tuple[list[int], float]:
            now, time_of_day = self._queues.now(), self._queues.time_of_day()
            return silencing.release(connection, ended, self._own, now=now, time_of_day=time_of_day), now

        released, now = await self._queues.write(job)
        tally.move_lane(HELD, SINGLE, len(released))
        for queue in {queue for queue in released if self._own.owns(queue)}:
            self._work.hand.waits(Place(queue, SINGLE, ""), now)
        return len(released)
