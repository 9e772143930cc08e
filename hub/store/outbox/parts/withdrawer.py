"""Notifications cancelled or erased, and what of them is in hand withdrawn."""

from collections.abc import Callable, Collection
from typing import TypeVar

from hub.acceptance import AuditEntry
from hub.store.connection import Connection, Database
from hub.store.outbox import accepting, moving, stopping
from hub.store.outbox.erased import ErasureWatch
from hub.store.outbox.open_work import OpenWork
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.rows import SCHEDULED
from hub.store.telemetry.auditing import audit_write

T = TypeVar("T")


class Withdrawer:
    """No push of what was withdrawn begins after that."""

    def __init__(self, database: Database, queues: SqlQueues, work: OpenWork) -> None:
        self._database = database
        self._queues = queues
        self._own = queues.own
        self._work = work

    async def withdraw(self, job: Callable[[Connection], T], ids: Callable[[T], Collection[str]]) -> T:
        """Run a job that deletes notifications, whose `ids` are in its answer: what of them is in hand is withdrawn.
        Raises: StoreError."""
        async with self._work.taking:
            answer = await self._queues.write(job)
            self._work.withdraw(set(ids(answer)))
            return answer

    async def drop_erased(self, erasures: ErasureWatch) -> None:
        """Withdraw what is in hand of notifications that another process has deleted. Raises: StoreError."""
        async with self._work.taking:
            erasures.is_due = False
            ids = {work.notification.id for work in self._work.pieces.values()}
            keys = [bytes.fromhex(id_) for id_ in ids]
            try:
                known = await self._database.read(lambda connection: connection.read_by_keys(accepting.KNOWN, keys))
            except BaseException:
                erasures.is_due = True
                raise
            self._work.withdraw(ids - {key.hex() for (key,) in known})

    async def cancel(self, hub: str, notification_id: str, *, actor: str = "") -> bool:
        told = self._own.all[0]
        cancelled = await self._cancelled(notification_id, actor)
        numbers = await self._queues.numbers(told, cancelled.numbers)

        def job(connection: Connection) -> int | None:
            now = self._queues.now()
            queue = moving.cancel(connection, hub, notification_id, now=now)
            if queue is not None:
                connection.write_all(cancelled.writes({}, numbers, queue=told, now=now))
            return queue

        queue = await self._queues.write(job)
        if queue is not None and self._own.owns(queue):
            self._work.tally.add(SCHEDULED, "", -1)
        return queue is not None

    async def stop(self, notification_id: str, *, actor: str) -> str | None:
        queue = self._own.all[0]
        cancelled = await self._cancelled(notification_id, actor)
        numbers = await self._queues.numbers(queue, 1 + cancelled.numbers)
        entry = AuditEntry(actor=actor, action="notification.cancel", target=notification_id)

        def job(connection: Connection) -> str | None:
            now = self._queues.now()
            stopped = stopping.stop(connection, notification_id, now=now)
            if stopped is None:
                return None
            audit = audit_write([entry], iter(numbers[:1]), queue=queue, now=now)
            connection.write_all([audit, *cancelled.writes(stopped.counts, numbers[1:], queue=queue, now=now)])
            return stopped.hub

        return await self.withdraw(job, lambda hub: [] if hub is None else [notification_id])

    async def _cancelled(self, notification_id: str, actor: str) -> stopping.Cancelled:
        """Who is told of a cancellation. Raises: StoreError."""
        reporter = self._queues.reporter
        if reporter is None:
            return stopping.Cancelled(None, None, actor)
        found = await self._database.read(lambda connection: stopping.find(connection, notification_id))
        return stopping.Cancelled(found, reporter, actor)
