"""Erasures made again in a copy of the store that was made before them."""

from collections.abc import Collection, Iterator, Set
from typing import Protocol

from hub.acceptance import AuditEntry
from hub.people import person_key, user_of_tag
from hub.store.connection import Connection, Statement
from hub.store.mirrors.mirrors import is_mirrored
from hub.store.outbox.erased import DONE
from hub.store.outbox.numbering import Counted
from hub.store.outbox.queues import reserve
from hub.store.people import finding
from hub.store.people.erasing import ERASING
from hub.store.people.people import DEVICES, MARK_DONE
from hub.store.registry import statements, writing
from hub.store.registry.places import Place
from hub.store.telemetry.auditing import audit_write

MARKS = Statement("erasure.marks", "SELECT mark FROM erasure")
PERSONS = [
    Statement(
        f"person.all_of_{table}",
        f"SELECT DISTINCT person FROM {table} WHERE queue = :queue AND person IS NOT NULL",
    )
    for table in ("notification", "addressee", "dead_letter", "journal", "report", "sink")
]
PERSONS_OF_PHONES = [
    Statement(f"person.all_of_{table}", f"SELECT DISTINCT person FROM {table} WHERE person IS NOT NULL")
    for table in ("subscription", "phone")
]
USERS = Statement(
    "person.all_users",
    "SELECT ordinal, user_id, tags FROM device WHERE hub = :hub AND shard = :shard AND ordinal > :after"
    " ORDER BY ordinal LIMIT :limit",
)
_DEVICES_AT_ONCE = 10_000
QUEUE = 0
"""Copies are of SQLite, which has one."""


class Later(Protocol):
    """Erasures that came later than a copy."""

    @property
    def marks(self) -> Collection[bytes]: ...

    def digest_of(self, person: str) -> str | None:
        """What stands for a person, by its key, in audit rows; None for one who was not erased later."""


class Log(Protocol):
    """The file of erasures."""

    def later_than(self, done: Set[bytes]) -> Later:
        """Those whose marks are not among these. Raises: StoreError."""


def erase_again(connection: Connection, log: Log, *, now: float, actor: str) -> int:
    """Erase in a store that no process has open who was erased since it was copied; how many rows that were.

    Each person is an audit row of `actor`, as the first erasure was. `now` is in seconds since 1970. Raises: StoreError.
    """
    later = log.later_than({mark for (mark,) in connection.read(MARKS)})
    if not later.marks:
        return 0
    places = [Place(number) for number, _ in connection.read(statements.HUBS)]
    people = {person: digest for person in _people(connection, places) if (digest := later.digest_of(person))}
    audit, rows = [], 0
    for person, digest in sorted(people.items()):
        erased = _erase(connection, places, person, now)
        audit.append(
            AuditEntry(actor=actor, action=DONE, target=digest, detail=f"again in a restored copy: {erased} rows")
        )
        rows += erased
    numbers = iter(reserve(connection, QUEUE, len(audit), numbering=Counted(), now=now))
    connection.write_all(
        [audit_write(audit, numbers, queue=QUEUE, now=now), (MARK_DONE, [(mark,) for mark in later.marks])]
    )
    return rows


def _people(connection: Connection, places: Collection[Place]) -> Iterator[str]:
    """Keys of all persons of whom anything is kept, some of them several times."""
    for statement in (*PERSONS, *PERSONS_OF_PHONES):
        for (person,) in connection.read(statement, queue=QUEUE):
            yield person
    for place in places:
        after: int = 0
        while rows := connection.read(USERS, hub=place.hub, shard=place.shard, after=after, limit=_DEVICES_AT_ONCE):
            for _, user_id, tags in rows:
                if user_id is not None:
                    yield person_key(user_id)
                yield from filter(None, map(user_of_tag, tags.split("\n")))
            after = rows[-1][0]


def _erase(connection: Connection, places: Collection[Place], person: str, now: float) -> int:
    erased = _erase_rows(connection, [person])
    for place in places:
        ids: list[str] = []
        more = True
        while more:
            keys, _ = finding.installation_people(connection, place, person, after=0, limit=DEVICES)
            erased += _erase_rows(connection, keys) if keys else 0
            through = is_mirrored(connection, place)
            count, more, of_slice = writing.erase_user(
                connection, place, person, limit=DEVICES, now=now, through=through
            )
            erased += count
            ids += of_slice
        writing.forget_users(connection, place, person, ids)
    return erased


def _erase_rows(connection: Connection, keys: list[str]) -> int:
    erased = 0
    for erase in ERASING.values():
        more = True
        while more:
            done = erase(connection, QUEUE, keys)
            erased, more = erased + done.rows, done.more
    return erased
