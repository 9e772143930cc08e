"""The contract `Sinks` over a database: each process publishes and bounds what is in its own queues."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from hub.report import Reporter
from hub.store.connection import Connection, Database, Statement
from hub.store.contracts.sinks import KeptReport, SinkLimits, SinkUsage
from hub.store.outbox.queues import QueuesOf

SLICE = 1000
"""Rows that one transaction drops of one sink and queue, at most."""

DUE = Statement(
    "sink.due",
    "SELECT n, at, body, content_type, attempt, due FROM sink WHERE queue = :queue AND sink = :sink AND due <= :now"
    " ORDER BY due LIMIT :limit",
    columns=(("queue", "bigint"), ("sink", "text"), ("now", "double precision"), ("limit", "bigint")),
)
DROP = Statement(
    "sink.drop",
    "DELETE FROM sink WHERE queue = :queue AND n = :n",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
POSTPONE = Statement(
    "sink.postpone",
    "UPDATE sink SET due = :due, attempt = attempt + 1 WHERE queue = :queue AND n = :n",
    columns=(("due", "double precision"), ("queue", "bigint"), ("n", "bigint")),
)
USAGE = Statement(
    "sink.usage",
    "SELECT sink, count(*), CAST(sum(length(body)) AS bigint), min(at), queue FROM sink WHERE queue = :queue"
    " GROUP BY sink, queue",
    columns=(("queue", "bigint"),),
)
OLDEST = Statement(
    "sink.oldest",
    "SELECT n, at, length(body) FROM sink WHERE queue = :queue AND sink = :sink ORDER BY n LIMIT :slice",
    columns=(("queue", "bigint"), ("sink", "text"), ("slice", "bigint")),
)


class OwnQueues(QueuesOf, Protocol):
    """What is asked of the outbox."""

    def queue_of(self, number: int) -> int: ...


class SqlSinks:
    """`hub.store.contracts.sinks.Sinks`, but for `report_to`, which is the outbox's: it writes the rows."""

    def __init__(
        self,
        database: Database,
        queues: OwnQueues,
        *,
        now: Callable[[], float],
        report_to: Callable[[Reporter | None], None],
    ) -> None:
        self._database = database
        self._queues = queues
        self._now = now
        self.report_to = report_to

    async def unreported(self, sink: str, *, limit: int) -> Sequence[KeptReport]:
        asked = [(queue, sink, self._now(), limit) for queue in self._queues.own_queues]
        found = await self._database.look(lambda connection: connection.read_many(DUE, asked))
        found.sort(key=lambda row: (row[5], row[0]))
        return [
            KeptReport(id=n, at=at, body=body, content_type=content_type, attempt=attempt)
            for n, at, body, content_type, attempt, _ in found[:limit]
        ]

    async def reported(self, ids: Sequence[int]) -> None:
        rows = [(self._queues.queue_of(number), number) for number in ids]
        await self._database.write(lambda connection: connection.write_all([(DROP, rows)]))

    async def postpone_reports(self, delays: Mapping[int, float]) -> None:
        now = self._now()
        rows = [(now + delay, self._queues.queue_of(number), number) for number, delay in delays.items()]
        await self._database.write(lambda connection: connection.write_all([(POSTPONE, rows)]))

    async def sink_usage(self) -> Mapping[str, SinkUsage]:
        asked = [(queue,) for queue in self._queues.own_queues]
        found = await self._database.look(lambda connection: connection.read_many(USAGE, asked))
        usage: dict[str, SinkUsage] = {}
        for sink, reports, bytes_, oldest, _ in found:
            before = usage.get(sink, SinkUsage(reports=0, bytes=0, oldest=oldest))
            usage[sink] = SinkUsage(
                reports=before.reports + reports, bytes=before.bytes + bytes_, oldest=min(before.oldest, oldest)
            )
        return usage

    async def bound_sinks(self, limits: Mapping[str, SinkLimits], *, others: SinkLimits) -> Mapping[str, int]:
        """Of the rows and bytes this process has the part that its queues are of all."""
        own = list(self._queues.own_queues)
        part = len(own) / max(1, len(self._queues.all_queues))
        now, dropped = self._now(), Counter[str]()
        for sink, usage in (await self.sink_usage()).items():
            limit = limits.get(sink, others)
            rows, bytes_ = usage.reports - int(limit.max_rows * part), usage.bytes - int(limit.max_bytes * part)
            before = now - limit.kept
            if rows > 0 or bytes_ > 0 or usage.oldest < before:
                dropped[sink] = await self._drop(own, sink, before=before, rows=rows, bytes_=bytes_)
        return dropped

    async def _drop(self, queues: Sequence[int], sink: str, *, before: float, rows: int, bytes_: int) -> int:
        def job(connection: Connection) -> int:
            oldest = connection.read_many(OLDEST, [(queue, sink, SLICE) for queue in queues])
            gone: list[tuple[int, int]] = []
            rows_left, bytes_left = rows, bytes_
            for n, at, size in sorted(oldest, key=lambda row: float(row[1])):
                if at >= before and rows_left <= 0 and bytes_left <= 0:
                    break
                gone.append((self._queues.queue_of(n), n))
                rows_left, bytes_left = rows_left - 1, bytes_left - size
            connection.write_all([(DROP, gone)])
            return len(gone)

        return await self._database.write(job)
