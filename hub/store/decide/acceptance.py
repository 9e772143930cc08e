"""What a batch of events comes to: which are repetitions, which notifications are new, and which of these start at once."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from hub.acceptance import Approval, AuditEntry, ConfigurationVersion, DeadLetter, Ingest, JournalEntry, Partition
from hub.identity import digest_of, joined
from hub.notification import Notification
from hub.outcome import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the store knows of a batch: marks of events accepted before, and ids of notifications, as their 16 bytes.

    `flow` are the states of the flow keys that the batch names, locked in order; `offsets` the next offset of each
    partition of which something was accepted.
    """

    marks: Set[bytes] = frozenset()
    notifications: Set[bytes] = frozenset()
    flow: Mapping[bytes, bytes] = field(default_factory=dict)
    offsets: Mapping[Partition, int] = field(default_factory=dict)


class Admitted(NamedTuple):
    """A notification that is new. In state Processing it starts at once; `due` is the store's time."""

    number: int
    """Its place among all notifications of the batch, repetitions included."""
    notification: Notification
    key: bytes
    state: State
    due: float
    configuration: ConfigurationVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The rows of a batch. `duplicates` are indices of events, `repeated` ids of notifications that cause nothing.

    `offsets` are the next offsets of the partitions that go on. `approvals` are of notifications, by their place.
    """

    duplicates: frozenset[int]
    repeated: frozenset[str]
    marks: Sequence[bytes]
    notifications: Sequence[Admitted]
    dead_letters: Sequence[DeadLetter]
    audits: Sequence[AuditEntry]
    journal: Sequence[tuple[JournalEntry, ConfigurationVersion]] = ()
    flow: Mapping[bytes, bytes] = field(default_factory=dict)
    offsets: Mapping[Partition, int] = field(default_factory=dict)
    approvals: Sequence[tuple[int, Approval]] = ()


def mark_of(source: str, event_id: str) -> bytes:
    """What an event is remembered by; `source` is one text, or several that `joined` made one."""
    return digest_of(f"{source}\0{joined(event_id)}")


def marks_of(batch: Sequence[Ingest]) -> list[bytes | None]:
    """The mark of each event; None for one that is never taken for a repetition.

    An event that notifies no phone is not remembered, unless it says so: repeating it does no harm, and a dead letter
    that was mended has to come through when the broker hands it out again. One without an event id (a send through the
    API) is known by its notification alone.
    """
    return [
        mark_of(ingest.source, ingest.event_id)
        if ingest.event_id and (ingest.notifications or ingest.remember)
        else None
        for ingest in batch
    ]


def duplicates_in(batch: Sequence[Ingest], marks: Sequence[bytes | None], claims: Claims) -> frozenset[int]:
    """Indices of events that the store or the batch had before, by their offset or their mark."""
    passed, _ = _passed(batch, claims.offsets)
    marked, _ = _repetitions([None if index in passed else mark for index, mark in enumerate(marks)], claims.marks)
    return marked | passed


def decide_acceptance(
    batch: Sequence[Ingest],
    marks: Sequence[bytes | None],
    keys: Sequence[bytes],
    claims: Claims,
    *,
    start: int,
    now: float,
    time_of_day: float,
) -> Admission:
    """Take what is new. The first `start` of the notifications that are due start at once.

    `marks` are those of the events, `keys` the ids of their notifications as bytes, all in order. A schedule is compared
    with `time_of_day`, for it follows the clock on the wall; all else is the store's time `now`.
    """
    passed, offsets = _passed(batch, claims.offsets)
    marks = [None if index in passed else mark for index, mark in enumerate(marks)] if passed else marks
    marked, fresh_marks = _repetitions(marks, claims.marks)
    duplicates = marked | passed
    letters: list[DeadLetter] = []
    audits: list[AuditEntry] = []
    journal: list[tuple[JournalEntry, ConfigurationVersion]] = []
    admitted: list[Admitted] = []
    approvals: list[tuple[int, Approval]] = []
    repeated: set[str] = set()
    known = set(claims.notifications)
    number = -1
    for index, ingest in enumerate(batch):
        if index in duplicates:
            number += len(ingest.notifications)
            continue
        letters += ingest.dead_letters
        if ingest.journal is not None:
            journal.append((ingest.journal, ingest.configuration))
        has_new = False
        for notification in ingest.notifications:
            number += 1
            key = keys[number]
            if key in known:
                repeated.add(notification.id)
                continue
            known.add(key)
            has_new = True
            if ingest.approval is not None:
                approvals.append((number, ingest.approval))
            state, due = State.ENQUEUED, now
            schedule_at = notification.schedule_at
            if schedule_at is not None and (at := schedule_at.timestamp()) > time_of_day:
                state, due = State.SCHEDULED, at
            elif start > 0:
                start -= 1
                state = State.PROCESSING
            admitted.append(Admitted(number, notification, key, state, due, ingest.configuration))
        if has_new and ingest.audit is not None:
            audits.append(ingest.audit)
    return Admission(
        duplicates=duplicates,
        repeated=frozenset(repeated),
        marks=fresh_marks,
        notifications=admitted,
        dead_letters=letters,
        audits=audits,
        journal=journal,
        flow=claims.flow,
        offsets=offsets,
        approvals=approvals,
    )


def _passed(
    batch: Sequence[Ingest], next_offsets: Mapping[Partition, int]
) -> tuple[frozenset[int], Mapping[Partition, int]]:
    """Indices of events before the next offset of their partition, and the partitions that go on, with their next."""
    passed: set[int] = set()
    advanced: dict[Partition, int] = {}
    for index, ingest in enumerate(batch):
        if ingest.offset is None:
            continue
        partition, offset = ingest.offset
        if ingest.goes_on:
            if index - 1 in passed:
                passed.add(index)
        elif offset < advanced.get(partition, next_offsets.get(partition, 0)):
            passed.add(index)
        else:
            advanced[partition] = offset + 1
    return frozenset(passed), advanced


def _repetitions(marks: Sequence[bytes | None], known: Set[bytes]) -> tuple[frozenset[int], list[bytes]]:
    """Indices of events that the store or the batch had before, and the marks of the others, in order."""
    duplicates: set[int] = set()
    fresh: dict[bytes, None] = {}
    for index, mark in enumerate(marks):
        if mark is None:
            continue
        if mark in known or mark in fresh:
            duplicates.add(index)
        else:
            fresh[mark] = None
    return frozenset(duplicates), list(fresh)
