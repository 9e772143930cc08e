"""A batch of events into rows: claim, decide, write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hub.acceptance import NO_CONFIGURATION, Ingest, Partition
from hub.errors import ConflictError
from hub.outcome import State
from hub.people import people_of
from hub.quiet import quiet_text
from hub.report import Reporter
from hub.store.connection import Connection, Row, Statement
from hub.store.decide.acceptance import Admission, Admitted, Claims, decide_acceptance, duplicates_in, marks_of
from hub.store.decide.flowing import NO_FLOW
from hub.store.journal.writing import journal_write
from hub.store.letters.writing import letter_writes
from hub.store.outbox.flowing import DIGEST_ADDRESSEE, FlowOfBatch, digest_addressees
from hub.store.outbox.holding import ADD_APPROVAL, approval_rows
from hub.store.outbox.queues import FENCES, Queues
from hub.store.outbox.silencing import due_of
from hub.store.rows import HELD, ORDERED, SCHEDULED, SINGLE, STATES, configuration_id, said_by, seconds
from hub.store.silences.reading import BY_NOBODY, IN_FORCE, silences_of
from hub.store.telemetry.auditing import audit_write
from hub.trace_context import joined_trace

MARKS = Statement(
    "seen.among", "SELECT key FROM seen WHERE key IN (:keys) AND at >= :oldest", columns=(("key", "bytea"),)
)
REMEMBER = Statement(
    "seen.remember",
    "INSERT INTO seen (key, at) VALUES (:key, :at) ON CONFLICT (key) DO UPDATE SET at = excluded.at"
    " WHERE seen.at < :oldest",
    columns=(("key", "bytea"), ("at", "bigint"), ("oldest", "bigint")),
)
KNOWN = Statement("notification.known", "SELECT id FROM notification WHERE id IN (:keys)", columns=(("id", "bytea"),))
"""An id is one notification's in all queues."""

OFFSETS = Statement(
    "offset.of_partitions",
    "SELECT source, topic, partition, next_offset FROM kafka_offset"
    " WHERE source = :source AND topic = :topic AND partition = :partition",
    columns=(("source", "text"), ("topic", "text"), ("partition", "bigint")),
)
_OFFSET = (
    ("source", "text"),
    ("topic", "text"),
    ("partition", "bigint"),
    ("next_offset", "bigint"),
    ("at", "double precision"),
)
FIRST_OFFSET = Statement(
    "offset.first",
    "INSERT INTO kafka_offset (source, topic, partition, next_offset, at)"
    " VALUES (:source, :topic, :partition, :next_offset, :at) ON CONFLICT DO NOTHING",
    columns=_OFFSET,
)
ADVANCE = Statement(
    "offset.advance",
    "UPDATE kafka_offset SET next_offset = :next_offset, at = :at"
    " WHERE source = :source AND topic = :topic AND partition = :partition AND next_offset = :before",
    columns=(*_OFFSET, ("before", "bigint")),
)
"""Neither writes anything where another process has moved the offset since it was read."""
FORGET_OFFSET = Statement(
    "offset.forget",
    "DELETE FROM kafka_offset WHERE source = :source AND topic = :topic AND partition = :partition",
    columns=_OFFSET[:3],
)

_COLUMNS = (
    ("n", "bigint"),
    ("queue", "bigint"),
    ("id", "bytea"),
    ("hub", "text"),
    ("source", "text"),
    ("event_id", "text"),
    ("rule", "text"),
    ("audience", "text"),
    ("format", "text"),
    ("content", "bytea"),
    ("headers", "text"),
    ("platforms", "text"),
    ("priority", "text"),
    ("collapse_key", "text"),
    ("schedule_at", "double precision"),
    ("expires_at", "double precision"),
    ("accepted_at", "double precision"),
    ("state", "text"),
    ("lane", "bigint"),
    ("due", "double precision"),
    ("configuration", "bigint"),
    ("person", "text"),
    ("trace", "text"),
    ("sensitive", "bigint"),
    ("flow_key", "bytea"),
    ("follows", "bytea"),
    ("quiet", "text"),
    ("silence", "text"),
)
INSERT = Statement(
    "notification.insert",
    f"INSERT INTO notification ({', '.join(name for name, _ in _COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name, _ in _COLUMNS)}) ON CONFLICT DO NOTHING",
    columns=_COLUMNS,
)
ADDRESSEE = Statement(
    "addressee.insert",
    "INSERT INTO addressee (queue, notification, person) VALUES (:queue, :notification, :person) ON CONFLICT DO NOTHING",
    columns=(("queue", "bigint"), ("notification", "bigint"), ("person", "text")),
)
"""Whom a notification is about or for besides its `person`: rare, so that most cost no second row."""
CONFIGURATION = Statement(
    "configuration.insert",
    "INSERT INTO configuration (id, hash, revision) VALUES (:id, :hash, :revision) ON CONFLICT DO NOTHING",
    columns=(("id", "bigint"), ("hash", "text"), ("revision", "text")),
)


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """A batch with what is prepared before its transaction: marks, and numbers for all rows that it may need.

    The first numbers are for the notifications, in order; the rest are for dead letters and audit rows.
    """

    batch: Sequence[Ingest]
    queue: int
    numbers: range
    start: int
    marks: Sequence[bytes | None]
    ids: Sequence[bytes]
    partitions: Sequence[Partition] = ()
    flow: FlowOfBatch | None = None

    @classmethod
    def of(
        cls, batch: Sequence[Ingest], *, queue: int, numbers: range, start: int, queues: Sequence[int] = (0,)
    ) -> "Arrivals":
        """`queues` are all of the store. Raises: ValueError: an id of a notification is no hex digits."""
        ids = [bytes.fromhex(notification.id) for ingest in batch for notification in ingest.notifications]
        partitions = list({ingest.offset[0]: None for ingest in batch if ingest.offset is not None})
        return cls(
            batch=batch,
            queue=queue,
            numbers=numbers,
            start=start,
            marks=marks_of(batch),
            ids=ids,
            partitions=partitions,
            flow=FlowOfBatch(batch, queues) if any(ingest.flow for ingest in batch) else None,
        )


def flow_of(batch: Sequence[Ingest]) -> str:
    """Whose turn a batch is at the writer: its source's."""
    return batch[0].source.partition("\0")[0] if batch else ""


def numbers_needed(batch: Sequence[Ingest]) -> int:
    return sum(
        len(ingest.notifications)
        + len(ingest.dead_letters)
        + len(ingest.flow)  # a digest of each may become a dead letter
        + (ingest.audit is not None)
        + (ingest.journal is not None)
        for ingest in batch
    )


def accept(
    connection: Connection,
    arrivals: Arrivals,
    queues: Queues,
    *,
    now: float,
    time_of_day: float,
    marked_at: float,
    oldest: int,
    reporter: Reporter | None = None,
) -> Admission:
    """Take a batch. Events marked since `oldest` are known; new marks are of `marked_at`.

    What starts at once does so only if the queue is ours still. Raises: ConflictError: another process accepted the same in
    between.
    """
    start = arrivals.start
    marks = [mark for mark in arrivals.marks if mark is not None]
    fences, marked, known, silences = connection.read_all_by_keys(
        [
            (FENCES, [arrivals.queue] if start else []),
            (MARKS, marks),
            (KNOWN, arrivals.ids),
            (IN_FORCE, BY_NOBODY if arrivals.ids else []),
        ],
        owner=queues.owner,
        oldest=oldest,
        steady=marked_at,
    )
    if arrivals.queue not in queues.ours(fences):
        start = 0
    claims = Claims(
        marks={mark for (mark,) in marked},
        notifications={key for (key,) in known},
        offsets=next_offsets(connection, arrivals.partitions),
        flow=NO_FLOW if arrivals.flow is None else arrivals.flow.claim(connection),
        silences=silences_of(silences),
    )
    admission = decide_acceptance(
        arrivals.batch,
        arrivals.marks,
        arrivals.ids,
        claims,
        start=start,
        now=now,
        time_of_day=time_of_day,
        flow_now=marked_at,
    )
    _write(connection, arrivals, claims, admission, now, time_of_day, (int(marked_at), oldest))
    if arrivals.flow is not None and admission.withdrawn:
        ended = arrivals.flow.withdraw(connection, admission, claims.flow, queues, reporter, now=now)
        return replace(admission, withdrawn=ended)
    return admission


def duplicates(connection: Connection, batch: Sequence[Ingest], *, oldest: int) -> frozenset[int]:
    """Indices of events that were accepted before, marked since `oldest`; nothing is written."""
    arrivals = Arrivals.of(batch, queue=0, numbers=range(0), start=0)
    marks = [mark for mark in arrivals.marks if mark is not None]
    claims = Claims(
        marks={mark for (mark,) in connection.read_by_keys(MARKS, marks, oldest=oldest)},
        notifications=frozenset(),
        offsets=next_offsets(connection, arrivals.partitions),
    )
    return duplicates_in(batch, arrivals.marks, claims)


def next_offsets(connection: Connection, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
    """Of those of which something was accepted."""
    rows = connection.read_many(OFFSETS, partitions) if partitions else []
    return {Partition(reader, topic, number): following for reader, topic, number, following in rows}


def advance(connection: Connection, following: Mapping[Partition, int], now: float) -> None:
    """Move the next offsets of these partitions on, where they are not there already."""
    before = next_offsets(connection, list(following))
    further = {each: offset for each, offset in following.items() if each not in before or offset > before[each]}
    connection.write_all(_offset_writes(further, before, now))


def _write(
    connection: Connection,
    arrivals: Arrivals,
    claims: Claims,
    admission: Admission,
    now: float,
    time_of_day: float,
    marking: tuple[int, int],
) -> None:
    rows, addressees = notification_rows(
        admission.notifications, arrivals.queue, arrivals.numbers, now, time_of_day=time_of_day
    )
    unique: list[tuple[Statement, Sequence[Row]]] = [
        (REMEMBER, [(mark, *marking) for mark in admission.marks]),
        (INSERT, rows),
    ]
    unique += _offset_writes(admission.offsets, claims.offsets, now)
    if arrivals.flow is not None:
        unique += arrivals.flow.writes(admission, claims.flow)
    others: list[tuple[Statement, Sequence[Row]]] = [(ADDRESSEE, addressees)] if addressees else []
    if admission.digests:
        others.append((DIGEST_ADDRESSEE, digest_addressees(admission.digests)))
    if admission.approvals:
        approved = [(arrivals.numbers[number], approval) for number, approval in admission.approvals]
        others.append((ADD_APPROVAL, approval_rows(approved, queue=arrivals.queue, now=now)))
    versions = {id(one.configuration): one.configuration for one in admission.notifications}
    versions |= {id(version): version for _, version in admission.journal}
    versions |= {id(version): version for _, version in admission.digests}
    configurations = [
        (configuration_id(version), version.hash, version.revision)
        for version in versions.values()
        if version != NO_CONFIGURATION
    ]
    if configurations:
        others.append((CONFIGURATION, configurations))
    if admission.dead_letters or admission.audits or admission.journal:
        rest = iter(arrivals.numbers[len(arrivals.ids) :])
        others += letter_writes(admission.dead_letters, rest, queue=arrivals.queue, now=now)
        others.append(audit_write(admission.audits, rest, queue=arrivals.queue, now=now))
        others.append(journal_write(admission.journal, rest, queue=arrivals.queue, now=now))
    counts = connection.write_all([*unique, *others])
    if any(count != len(rows) for count, (_, rows) in zip(counts, unique, strict=False)):
        raise ConflictError("another process accepted the same event")


def _offset_writes(
    advanced: Mapping[Partition, int], before: Mapping[Partition, int], now: float
) -> list[tuple[Statement, Sequence[Row]]]:
    rows = [(*partition, following, now) for partition, following in advanced.items() if partition not in before]
    moved = [
        (*partition, following, now, before[partition])
        for partition, following in advanced.items()
        if partition in before
    ]
    return [(statement, each) for statement, each in ((FIRST_OFFSET, rows), (ADVANCE, moved)) if each]


def notification_rows(
    admitted: Sequence[Admitted], queue: int, numbers: range, now: float, *, time_of_day: float
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows, and those of further addressees."""
    rows: list[tuple[Any, ...]] = []
    addressees: list[tuple[Any, ...]] = []
    versions: dict[int, int | None] = {}
    for number, notification, key, state, due, version, follows, silence in admitted:
        if id(version) not in versions:
            versions[id(version)] = None if version == NO_CONFIGURATION else configuration_id(version)
        lane = SCHEDULED if state is State.SCHEDULED else SINGLE if follows is None else ORDERED
        if silence is not None:
            lane, due = HELD, due_of(silence, seconds(notification.expires_at), time_of_day=time_of_day)
        people = people_of(notification)
        fixed = (now, STATES[state], lane, due, versions[id(version)], people[0] if people else None)
        trace = joined_trace(notification.trace, notification.tracestate)
        flow = (notification.flow_key or None, follows)
        sensitive, silenced_by = 1 if notification.sensitive else None, None if silence is None else silence.id
        others = (trace, sensitive, *flow, quiet_text(notification.quiet), silenced_by)
        rows.append((numbers[number], queue, key, *said_by(notification), *fixed, *others))
        addressees += [(queue, numbers[number], person) for person in people[1:]]
    return rows, addressees
