"""The contract `People` over a database."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from hub.acceptance import AuditEntry
from hub.errors import InvalidRequestError
from hub.people import person_key
from hub.store.connection import Connection, Database, Row, Statement
from hub.store.contracts.listing import ListPage
from hub.store.contracts.people import Erased, Kept, KeptOfPerson
from hub.store.outbox import clearing
from hub.store.outbox.erased import BEGUN, DONE
from hub.store.outbox.parts.withdrawer import Withdrawer
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.people import finding
from hub.store.people.erasing import ERASING, Erasing, Slice, has_notifications
from hub.store.registry.registry import SqlRegistry
from hub.store.telemetry.auditing import audit_write

DEVICES = 500
"""Registrations of a user that one transaction looks at, at most."""

_ROUNDS = 3
"""How often all queues are looked through again while anything is found; what comes without end is kept."""
_OVERWRITING = 1.0
"""Seconds that an erasure waits for its bytes to be overwritten; in a large store that goes on behind it."""

MARK_DONE = Statement(
    "erasure.done", "INSERT INTO erasure (mark) VALUES (:mark) ON CONFLICT DO NOTHING", (("mark", "bytea"),)
)

NOT_OVERWRITTEN = Statement("erasure.not_overwritten", "SELECT count(*) FROM erasure WHERE is_overwritten = 0")
OVERWRITTEN = Statement("erasure.overwritten", "UPDATE erasure SET is_overwritten = 1 WHERE is_overwritten = 0")

_KINDS = list(Kept)

Write = tuple[Statement, Sequence[Row]]


class Noted(NamedTuple):
    """An erasure in the file of erasures: what stands for the person there, and a mark of this erasure alone."""

    digest: str
    mark: bytes


class ErasureLog(Protocol):
    """The file of erasures beside a database."""

    def note(self, person: str) -> Noted:
        """Write durably that a person is erased, before that is done. Blocks. Raises: StoreError."""


class _Cursor(NamedTuple):
    """A place in an export: behind row `after` of a kind, and of devices in which hub, by number; 0 is the start."""

    kind: Kept = _KINDS[0]
    hub: int = 0
    after: int = 0

    def __str__(self) -> str:
        return f"{self.kind.value} {self.hub} {self.after}"

    @classmethod
    def of(cls, text: str) -> "_Cursor":
        """Raises: InvalidRequestError: it is the place in another list."""
        if not text:
            return cls()
        kind, _, numbers = text.partition(" ")
        hub, _, after = numbers.partition(" ")
        if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in (hub, after)):
            raise InvalidRequestError("the cursor is not one of this list")
        if kind not in (each.value for each in _KINDS):
            raise InvalidRequestError("the cursor is not one of this list")
        return cls(Kept(kind), int(hub), int(after))

    def behind(self, after: int) -> str:
        """The place behind a row of the kind, or where that is 0, the start of the next kind; empty at the end."""
        if after:
            return str(self._replace(after=after))
        following = _KINDS[_KINDS.index(self.kind) + 1 :]
        return str(_Cursor(following[0])) if following else ""


class SqlPeople:
    """Erasures go one after another. `withdrawer` withdraws what is in hand of what an erasure deletes."""

    def __init__(
        self,
        database: Database,
        queues: SqlQueues,
        withdrawer: Withdrawer,
        registry: SqlRegistry,
        log: ErasureLog,
    ) -> None:
        self._database = database
        self._queues = queues
        self._withdrawer = withdrawer
        self._registry = registry
        self._log = log
        self._erasing = asyncio.Lock()
        self._is_overwriting = False
        self._overwritten_until = 0.0

    async def open(self) -> None:
        """Go on with what an earlier process left undone. Raises: StoreError."""
        ((left,),) = await self._database.read(lambda connection: connection.read(NOT_OVERWRITTEN))
        if left:
            self._is_overwriting = True
            await self._database.overwrite_deleted(seconds=0.0)

    async def overwrite_cleared(self) -> None:
        """Begin to overwrite what was cleared of sensitive notifications since the last time, unless that is under way:
        it reads all pages. `tend` does it. Raises: StoreError."""
        if self._is_overwriting:
            return
        job = partial(clearing.newest_sensitive, queues=self._queues.all_queues)
        newest = await self._database.read(job)
        if newest > self._overwritten_until:
            async with self._erasing:
                self._overwritten_until = newest
                self._is_overwriting = True
                await self._database.overwrite_deleted(seconds=0.0)

    async def tend(self) -> None:
        """What is to be done each second. Raises: StoreError."""
        if self._is_overwriting:
            async with self._erasing:
                if await self._database.go_on_overwriting():
                    await self._overwritten()

    async def _overwritten(self) -> None:
        await self._queues.write(lambda connection: connection.write(OVERWRITTEN))
        self._is_overwriting = False

    async def count_person(self, person: str) -> Mapping[Kept, int]:
        key = person_key(person)
        counts = Counter(dict.fromkeys(Kept, 0))
        for _, place in await self._registry.places():
            counts[Kept.DEVICE] += len(await self._database.read(partial(finding.ordinals_of, place=place, person=key)))
        async for keys in self._keys(key):
            job = partial(finding.count, queues=self._queues.all_queues, keys=keys)
            counts.update(await self._database.read(job))
        return counts

    async def export_person(self, person: str, *, after: str = "", limit: int) -> ListPage[KeptOfPerson]:
        """A part is of one kind; of devices, of one hub."""
        cursor = _Cursor.of(after)
        key = person_key(person)
        if cursor.kind is Kept.DEVICE:
            return await self._export_devices(key, cursor, limit)
        found: dict[int, KeptOfPerson] = {}
        async for keys in self._keys(key):
            for queue in finding.queues_of(cursor.kind, self._queues.all_queues):
                job = partial(finding.rows, queue=queue, kind=cursor.kind, keys=keys, after=cursor.after, limit=limit)
                found |= dict(await self._database.read(job))
        numbers = sorted(found)[:limit]
        last = numbers[-1] if len(numbers) == limit else 0
        return ListPage(items=[found[number] for number in numbers], next=cursor.behind(last))

    async def _export_devices(self, key: str, cursor: _Cursor, limit: int) -> ListPage[KeptOfPerson]:
        hubs = [(name, place) for name, place in await self._registry.places() if place.hub >= cursor.hub]
        if not hubs:
            return ListPage(items=(), next=cursor.behind(0))
        (name, place), *others = hubs
        after = cursor.after if place.hub == cursor.hub else 0
        items, last = await self._database.read(
            partial(finding.devices, hub=name, place=place, person=key, after=after, limit=limit)
        )
        if others and not last:
            return ListPage(items=items, next=str(_Cursor(Kept.DEVICE, others[0][1].hub)))
        return ListPage(items=items, next=cursor._replace(hub=place.hub).behind(last))

    async def erase_person(self, person: str, *, actor: str) -> Erased:
        async with self._erasing:
            key = person_key(person)
            noted = await asyncio.to_thread(self._log.note, key)
            rows = Counter(dict.fromkeys(Kept, 0))
            ids: set[str] = set()
            begun = await self._audit(AuditEntry(actor=actor, action=BEGUN, target=noted.digest))
            async for keys in self._keys(key):
                await self._erase_rows(keys, rows, ids, begun)
                begun = []
            for name, _ in await self._registry.places():
                rows[Kept.DEVICE] += await self._registry.erase_user(name, key)
            detail = ", ".join(f"{kind.value} {count}" for kind, count in rows.items())
            done = await self._audit(AuditEntry(actor=actor, action=DONE, target=noted.digest, detail=detail))
            await self._queues.write(lambda connection: connection.write_all([*done, (MARK_DONE, [(noted.mark,)])]))
            self._is_overwriting = True
            is_overwritten = await self._database.overwrite_deleted(seconds=_OVERWRITING)
            if is_overwritten:
                await self._overwritten()
            return Erased(digest=noted.digest, rows=rows, notifications=ids, is_overwritten=is_overwritten)

    async def _erase_rows(
        self, keys: Sequence[str], rows: Counter[Kept], ids: set[str], begun: Sequence[Write]
    ) -> None:
        """Add to `rows` and `ids` what is deleted; `begun` is written with the first slice."""
        for kind in ERASING:
            for queue in finding.queues_of(kind, self._queues.all_queues):
                await self._erase_queue(kind, queue, keys, rows, ids, begun)
                begun = ()
        for _ in range(_ROUNDS):
            if not await self._database.read(partial(has_notifications, keys=keys)):
                break
            for queue in self._queues.all_queues:
                await self._erase_queue(Kept.NOTIFICATION, queue, keys, rows, ids, ())

    async def _erase_queue(
        self,
        kind: Kept,
        queue: int,
        keys: Sequence[str],
        rows: Counter[Kept],
        ids: set[str],
        begun: Sequence[Write],
    ) -> None:
        more = True
        while more:
            job = partial(_erase, ERASING[kind], queue, keys, begun)
            done = await (
                self._withdrawer.withdraw(job, _ids) if kind is Kept.NOTIFICATION else self._queues.write(job)
            )
            rows[kind] += done.rows
            ids.update(done.ids)
            more, begun = done.more, ()

    async def _audit(self, entry: AuditEntry) -> list[Write]:
        """The row of an entry, for `write_all`."""
        queue = self._queues.all_queues[0]
        numbers = await self._queues.numbers(queue, 1)
        return [audit_write([entry], iter(numbers), queue=queue, now=self._queues.now())]

    async def _keys(self, key: str) -> AsyncIterator[Sequence[str]]:
        """The person, and then the installations of the user, a slice at a time."""
        yield [key]
        for _, place in await self._registry.places():
            after = 0
            while True:
                keys, after = await self._database.read(
                    partial(finding.installation_people, place=place, person=key, after=after, limit=DEVICES)
                )
                if keys:
                    yield keys
                if not after:
                    break


def _erase(erase: Erasing, queue: int, keys: Sequence[str], writes: Sequence[Write], connection: Connection) -> Slice:
    if writes:
        connection.write_all(writes)
    return erase(connection, queue, keys)


def _ids(done: Slice) -> Sequence[str]:
    return done.ids
