"""The contract `DeadLetters` over a database."""

from collections.abc import Sequence

from hub.acceptance import AuditEntry, DeadLetter, Ingest
from hub.errors import NotFoundError
from hub.store.connection import Connection, Database
from hub.store.contracts.dead_letters import EVERY_LETTER, KeptLetter, LetterFilter, LetterUsage
from hub.store.contracts.listing import ListPage
from hub.store.contracts.outbox import AcceptanceResult
from hub.store.letters import dropping, reading
from hub.store.outbox.outbox import QUEUE, SqlOutbox
from hub.store.telemetry.auditing import audit_write


class SqlLetters:
    """Letters are written by acceptance and record; a replay is an acceptance of the `outbox`."""

    def __init__(self, database: Database, outbox: SqlOutbox) -> None:
        self._database = database
        self._outbox = outbox

    async def letters(
        self, chosen: LetterFilter = EVERY_LETTER, *, after: str = "", limit: int
    ) -> ListPage[KeptLetter]:
        return await self._database.read(
            lambda connection: reading.letters(connection, QUEUE, chosen, after=after, limit=limit)
        )

    async def letter(self, letter_id: int) -> KeptLetter:
        return await self._database.read(lambda connection: reading.letter(connection, QUEUE, letter_id))

    async def letter_usage(self) -> LetterUsage:
        return await self._database.read(lambda connection: reading.usage(connection, QUEUE))

    async def drop_dead_letters(self, ids: Sequence[int], *, actor: str) -> Sequence[int]:
        numbers = await self._outbox.numbers(QUEUE, len(ids))
        return await self._outbox.write(
            lambda connection: dropping.drop(connection, QUEUE, ids, iter(numbers), actor=actor, now=self._outbox.now())
        )

    async def replay(
        self, letter_id: int, ingest: Ingest, *, outcome: str, start: int, actor: str
    ) -> AcceptanceResult | None:
        audit = AuditEntry(actor=actor, action="dead_letter.replay", target=str(letter_id), detail=outcome)
        numbers = await self._outbox.numbers(QUEUE, 1)

        def is_first(connection: Connection) -> bool:
            now = self._outbox.now()
            if dropping.mark_replayed(connection, QUEUE, letter_id, outcome, now=now):
                connection.write_all([audit_write([audit], iter(numbers), queue=QUEUE, now=now)])
                return True
            if not connection.read_by_keys(reading.SOME, [letter_id], queue=QUEUE):
                raise NotFoundError(f"dead letter {letter_id} not found")
            return False

        return await self._outbox.accept_if(is_first, [ingest], start=start)

    async def unpublished(self, relay: str, *, limit: int) -> Sequence[tuple[int, float, DeadLetter]]:
        return await self._database.read(lambda connection: reading.unpublished(connection, QUEUE, relay, limit))

    async def published(self, ids: Sequence[int]) -> None:
        await self._outbox.write(lambda connection: dropping.published(connection, QUEUE, ids))

    async def bound_dead_letters(self, *, kept: float, max_rows: int, max_bytes: int) -> bool:
        before = self._outbox.now() - kept
        return await self._outbox.write(
            lambda connection: dropping.bound(connection, QUEUE, before=before, max_rows=max_rows, max_bytes=max_bytes)
        )
