"""The contract `Silences` over a database. Every process knows all silences, and reads them again each second.

Rows keep the store's time less the shift of its queues: a clock that is set neither ends nor prolongs a silence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from hub.acceptance import AuditEntry
from hub.errors import CapacityError, NotFoundError
from hub.silence import MOST, NewSilence, Silence, SilenceAction, SilenceUse
from hub.store.clock import StoreClock
from hub.store.connection import Connection, Database, Row, Statement
from hub.store.rows import HELD
from hub.store.silences.reading import COLUMNS, in_force, silences_of
from hub.store.telemetry.auditing import audit_write

_SETTLED = 60.0
"""Seconds after a silence's end from which on no transaction adds to what it holds: those that saw it in force are over."""

_KEPT = 30 * 24 * 3600.0
"""Seconds for which an ended silence stays, to say why a notification waited or was dropped."""

ALL = Statement("silence.all", f"SELECT {COLUMNS} FROM silence ORDER BY at, id")
INSERT = Statement(
    "silence.insert",
    f"INSERT INTO silence ({COLUMNS})"
    " VALUES (:id, :action, :rule, :source, :hub, :reason, :actor, :at, :until, :removed_by)",
    columns=(
        *((name, "text") for name in ("id", "action", "rule", "source", "hub", "reason", "actor")),
        ("at", "double precision"),
        ("until", "double precision"),
        ("removed_by", "text"),
    ),
)
REMOVE = Statement(
    "silence.remove",
    "UPDATE silence SET until = :steady, removed_by = :actor WHERE id = :id AND until > :steady RETURNING id",
)
FORGET = Statement(
    "silence.forget",
    "DELETE FROM silence WHERE until < :before AND id NOT IN (SELECT silence FROM notification"
    " WHERE queue IN (SELECT queue FROM queue) AND silence IS NOT NULL AND state = 'Held') RETURNING id",
)
HELD_NOW = Statement(
    "notification.silenced",
    "SELECT silence, count(*), min(accepted_at) FROM notification"
    " WHERE queue IN (SELECT queue FROM queue) AND silence IS NOT NULL AND silence = :silence AND lane = :held"
    " AND due > 0 GROUP BY silence",
    columns=(("silence", "text"), ("held", "bigint")),
)
HOLDS = Statement(
    "notification.silenced_any",
    "SELECT silence FROM notification WHERE queue IN (SELECT queue FROM queue)"
    " AND silence IS NOT NULL AND silence = :silence AND state = 'Held' AND due > 0 LIMIT 1",
    columns=(("silence", "text"),),
)
DROPPED = Statement(
    "notification.dropped_by_silence",
    "SELECT silence, count(*) FROM notification"
    " WHERE queue IN (SELECT queue FROM queue) AND silence IS NOT NULL AND silence = :silence"
    " AND (state = 'Cancelled' OR due = 0) GROUP BY silence",
    columns=(("silence", "text"),),
)


class Numbered(Protocol):
    """What is asked of the outbox: numbers for audit rows."""

    @property
    def all_queues(self) -> Sequence[int]: ...

    async def numbers(self, queue: int, count: int) -> range:
        """Raises: StoreError."""


class SqlSilences:
    """`shift` gives the seconds by which the store's time was moved with the host's clock."""

    def __init__(self, database: Database, clock: StoreClock, outbox: Numbered, *, shift: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._shift = shift
        self._known: Sequence[Silence] = ()
        self._released: set[str] = set()

    async def read(self) -> None:
        """Know what there is. Raises: StoreError."""
        rows = await self._database.look(lambda connection: connection.read(ALL))
        self._known = silences_of(rows)

    @property
    def _steady(self) -> float:
        return self._clock.now() - self._shift()

    @property
    def known(self) -> Sequence[Silence]:
        """In the store's time: those that are in force, and those that ended not long ago."""
        shift = self._shift()
        return [replace(each, at=each.at + shift, until=each.until + shift) for each in self._known]

    @property
    def in_force(self) -> Sequence[Silence]:
        """As of the last look."""
        if not self._known:
            return ()
        steady = self._steady
        return [silence for silence in self._known if silence.until > steady]

    async def add(self, new: NewSilence) -> Silence:
        """Raises: CapacityError, StoreError."""
        queue = self._outbox.all_queues[0]
        numbers = await self._outbox.numbers(queue, 1)
        silence = Silence(
            id=new.id,
            action=new.action,
            rule=new.rule,
            source=new.source,
            hub=new.hub,
            reason=new.reason,
            actor=new.actor,
            at=0.0,
            until=0.0,
        )
        detail = f"{new.action.value} {silence.target} for {new.seconds:g} s: {new.reason}"
        entry = AuditEntry(actor=new.actor, action="silence.add", target=new.id, detail=detail)

        def job(connection: Connection) -> None:
            steady = self._steady
            if len(in_force(connection, steady=steady)) >= MOST:
                raise CapacityError(f"{MOST} silences are in force: remove one first", retry_after=60.0)
            row = _row(replace(silence, at=steady, until=steady + new.seconds))
            connection.write_all(
                [(INSERT, [row]), audit_write([entry], iter(numbers), queue=queue, now=self._clock.now())]
            )

        await self._database.write(job)
        await self.read()
        return self._named(new.id)

    async def remove(self, silence_id: str, *, actor: str) -> Silence:
        """Raises: NotFoundError, StoreError."""
        queue = self._outbox.all_queues[0]
        numbers = await self._outbox.numbers(queue, 1)
        entry = AuditEntry(actor=actor, action="silence.remove", target=silence_id)

        def job(connection: Connection) -> bool:
            if not connection.write(REMOVE, id=silence_id, steady=self._steady, actor=actor):
                return False
            connection.write_all([audit_write([entry], iter(numbers), queue=queue, now=self._clock.now())])
            return True

        is_removed = await self._database.write(job)
        await self.read()
        if not is_removed:
            raise NotFoundError(f"no silence {silence_id[:80]!r} is in force")
        return self._named(silence_id)

    def _named(self, silence_id: str) -> Silence:
        return next(silence for silence in self.known if silence.id == silence_id)

    async def usage(self) -> Mapping[str, SilenceUse]:
        """By id, of those known. Raises: StoreError."""
        known = self._known
        if not known:
            return {}
        holding = [(each.id, HELD) for each in known if each.action is SilenceAction.HOLD]
        dropping = [(each.id,) for each in known if each.action is SilenceAction.DROP]

        def job(connection: Connection) -> tuple[list[Row], list[Row]]:
            return connection.read_many(HELD_NOW, holding), connection.read_many(DROPPED, dropping)

        held, dropped = await self._database.read(job)
        found = {id: SilenceUse(held=count, oldest=oldest) for id, count, oldest in held}
        found |= {id: SilenceUse(dropped=count) for id, count in dropped}
        return {each.id: found.get(each.id, SilenceUse()) for each in known}

    async def ended_with_held(self) -> Sequence[str]:
        """Silences that have ended and hold something still, in whosever queues. Raises: StoreError."""
        steady = self._steady
        ended = [
            silence
            for silence in self._known
            if silence.action is SilenceAction.HOLD and silence.until <= steady and silence.id not in self._released
        ]
        if not ended:
            return []
        asked = [(silence.id,) for silence in ended]
        rows = await self._database.read(lambda connection: connection.read_many(HOLDS, asked))
        holding = [id for (id,) in rows]
        self._released |= {each.id for each in ended if each.until <= steady - _SETTLED}.difference(holding)
        return holding

    async def forget(self) -> bool:
        """Drop silences that ended long ago; all at once, for they are few. Raises: StoreError."""
        before = self._steady - _KEPT
        if any(silence.until < before for silence in self._known):
            await self._database.write(lambda connection: connection.write(FORGET, before=before))
            await self.read()
        return False


def _row(silence: Silence) -> Row:
    named = (silence.id, silence.action.value, silence.rule, silence.source, silence.hub, silence.reason, silence.actor)
    return (*named, silence.at, silence.until, silence.removed_by)
