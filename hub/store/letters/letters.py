"""The contract `DeadLetters` over a database."""

from collections.abc import Sequence

from hub.acceptance import AuditEntry, DeadLetter, Ingest
from hub.errors import NotFoundError
from hub.store.connection import Connection, Database
from hub.store.contracts.dead_letters import EVERY_LETTER, KeptLetter, LetterFilter, LetterUsage
from hub.store.contracts.listing import ListPage
from hub.store.contracts.outbox import AcceptanceResult
from hub.store.letters import dropping, reading
from hub.store.outbox.parts.acceptor import Acceptor
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.telemetry.auditing import audit_write


class SqlLetters:
    """Letters are written by acceptance and record; a replay is an acceptance by the `acceptor`."""

    def __init__(self, database: Database, queues: SqlQueues, acceptor: Acceptor) -> None:
        self._database = database
        self._queues = queues
        self._acceptor = acceptor

    async def letters(
        self, chosen: LetterFilter = EVERY_LETTER, *, after: str = "", limit: int
    ) -> ListPage[KeptLetter]:
        return await self._database.read(
            lambda connection: reading.letters(
                connection,
                self._queues.all_queues,
                chosen,
                queue_of=self._queues.queue_of,
                after=after,
                limit=limit,
            )
        )

    async def letter(self, letter_id: int) -> KeptLetter:
        queue = self._queues.queue_of(letter_id)
        return await self._database.read(lambda connection: reading.letter(connection, queue, letter_id))

    async def letter_usage(self) -> LetterUsage:
        return await self._database.read(reading.usage)

    async def drop_dead_letters(self, ids: Sequence[int], *, actor: str) -> Sequence[int]:
        by_queue: dict[int, list[int]] = {}
        for number in ids:
            by_queue.setdefault(self._queues.queue_of(number), []).append(number)
        dropped: set[int] = set()
        for queue, of_queue in by_queue.items():
            dropped.update(await self._drop(queue, of_queue, actor))
        return [number for number in ids if number in dropped]

    async def _drop(self, queue: int, ids: Sequence[int], actor: str) -> Sequence[int]:
        numbers = await self._queues.numbers(queue, len(ids))
        return await self._queues.write(
            lambda connection: dropping.drop(connection, queue, ids, iter(numbers), actor=actor, now=self._queues.now())
        )

    async def replay(
        self, letter_id: int, ingest: Ingest, *, outcome: str, start: int, actor: str
    ) -> AcceptanceResult | None:
        audit = AuditEntry(actor=actor, action="dead_letter.replay", target=str(letter_id), detail=outcome)
        queue = self._queues.queue_of(letter_id)
        numbers = await self._queues.numbers(queue, 1)

        def is_first(connection: Connection) -> bool:
            now = self._queues.now()
            if dropping.mark_replayed(connection, queue, letter_id, outcome, now=now):
                connection.write_all([audit_write([audit], iter(numbers), queue=queue, now=now)])
                return True
            if not connection.read_many(reading.SOME, [(queue, letter_id)]):
                raise NotFoundError(f"dead letter {letter_id} not found")
            return False

        return await self._acceptor.accept_if(is_first, [ingest], start=start)

    async def unpublished(self, relay: str, *, limit: int) -> Sequence[tuple[int, float, DeadLetter]]:
        """Of the queues of this process: what is in another's is published by its owner."""
        own = self._queues.own_queues
        return await self._database.read(lambda connection: reading.unpublished(connection, own, relay, limit))

    async def published(self, ids: Sequence[int]) -> None:
        rows = [(self._queues.queue_of(number), number) for number in ids]
        await self._queues.write(lambda connection: dropping.published(connection, rows))

    async def bound_dead_letters(self, *, kept: float, max_rows: int, max_bytes: int) -> bool:
        """The bounds are of all queues; of the oldest letters each process drops those in its own."""
        before, own, all_queues = self._queues.now() - kept, self._queues.own_queues, self._queues.all_queues
        return await self._queues.write(
            lambda connection: dropping.bound(
                connection, own, all_queues, before=before, max_rows=max_rows, max_bytes=max_bytes
            )
        )
