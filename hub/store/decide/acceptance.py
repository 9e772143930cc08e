"""What a batch of events comes to: which are repetitions, which notifications are new, and which of these start at once."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from hub.acceptance import Approval, AuditEntry, ConfigurationVersion, DeadLetter, Ingest, JournalEntry, Partition
from hub.flow import Suppression, Withdrawal
from hub.identity import digest_of, joined
from hub.notification import Notification
from hub.outcome import State
from hub.silence import Silence, SilenceAction, silence_for
from hub.store.decide.flow import FlowState
from hub.store.decide.flowing import NO_FLOW, BatchFlow, FlowClaims, as_journaled


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the store knows of a batch: marks of events accepted before, and ids of notifications, as their 16 bytes.

    `flow` is what it knows of the flow keys that the batch names, locked in order; `offsets` the next offset of each
    partition of which something was accepted; `silences` those in force.
    """

    marks: Set[bytes] = frozenset()
    notifications: Set[bytes] = frozenset()
    flow: FlowClaims = NO_FLOW
    offsets: Mapping[Partition, int] = field(default_factory=dict)
    silences: Sequence[Silence] = ()


class Admitted(NamedTuple):
    """A notification that is new. In state Processing it starts at once; `due` is the store's time.

    `follows` is the id of the notification of its key that has to end before, None where it may start. In state Held a
    `silence` covers it: then `due` is for who writes the row.
    """

    number: int
    """Its place among all notifications of the batch, repetitions included."""
    notification: Notification
    key: bytes
    state: State
    due: float
    configuration: ConfigurationVersion
    follows: bytes | None = None
    silence: Silence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The rows of a batch. `duplicates` are indices of events, `repeated` ids of notifications that cause nothing.

    `offsets` are the next offsets of the partitions that go on. `approvals` are of notifications, by their place. `flow`
    are the states that changed, `digests` notifications that wait and say something new, with the configuration that
    decided. By index of the event, `suppressed` are rules, `withdrawn` notifications to be ended, and `failed` dead
    letters of digests, which are among `dead_letters`;
    `not_sent` counts notifications of suppressed rules, less the digests that began.
    """

    duplicates: frozenset[int]
    repeated: frozenset[str]
    marks: Sequence[bytes]
    notifications: Sequence[Admitted]
    dead_letters: Sequence[DeadLetter]
    audits: Sequence[AuditEntry]
    journal: Sequence[tuple[JournalEntry, ConfigurationVersion]] = ()
    flow: Mapping[bytes, FlowState] = field(default_factory=dict)
    offsets: Mapping[Partition, int] = field(default_factory=dict)
    approvals: Sequence[tuple[int, Approval]] = ()
    digests: Sequence[tuple[Notification, ConfigurationVersion]] = ()
    suppressed: Mapping[int, Sequence[Suppression]] = field(default_factory=dict)
    withdrawn: Mapping[int, Sequence[Withdrawal]] = field(default_factory=dict)
    failed: Mapping[int, Sequence[DeadLetter]] = field(default_factory=dict)
    not_sent: int = 0


def mark_of(source: str, event_id: str) -> bytes:
    """What an event is remembered by; `source` is one text, or several that `joined` made one."""
    return digest_of(f"{source}\0{joined(event_id)}")


def marks_of(batch: Sequence[Ingest]) -> list[bytes | None]:
    """The mark of each event; None for one that is never taken for a repetition.

    An event that notifies no phone is not remembered, unless it says so: repeating it does no harm, and a dead letter
    that was mended has to come through when the broker hands it out again. One without an event id (a send through the
    API) is known by its notification alone. One that withdraws notifications is remembered: repeated, it would withdraw
    those that came after it.
    """
    return [
        mark_of(ingest.source, ingest.event_id)
        if ingest.event_id and (ingest.notifications or ingest.flow or ingest.remember)
        else None
        for ingest in batch
    ]


def duplicates_in(batch: Sequence[Ingest], marks: Sequence[bytes | None], claims: Claims) -> frozenset[int]:
    """Indices of events that the store or the batch had before, by their offset or their mark."""
    return _seen(batch, marks, claims)[0]


def decide_acceptance(
    batch: Sequence[Ingest],
    marks: Sequence[bytes | None],
    keys: Sequence[bytes],
    claims: Claims,
    *,
    start: int,
    now: float,
    time_of_day: float,
    flow_now: float = 0.0,
) -> Admission:
    """Take what is new. The first `start` of the notifications that are due start at once.

    `marks` are those of the events, `keys` the ids of their notifications as bytes, all in order. A schedule is compared
    with `time_of_day`, for it follows the clock on the wall, and states of flow control with `flow_now`, which nothing
    sets; all else is the store's time `now`.
    """
    duplicates, fresh_marks, offsets = _seen(batch, marks, claims)
    flow = BatchFlow(claims.flow, now=flow_now, wall=time_of_day) if any(ingest.flow for ingest in batch) else None
    new = _admit(batch, duplicates, keys, claims, flow, start=start, now=now, time_of_day=time_of_day)
    letters: list[DeadLetter] = []
    journal: list[tuple[JournalEntry, ConfigurationVersion]] = []
    journaled: dict[int, int] = {}
    for index, ingest in enumerate(batch):
        if index in duplicates:
            continue
        letters += ingest.dead_letters
        if ingest.journal is not None:
            journaled[index] = len(journal)
            journal.append((ingest.journal, ingest.configuration))
    admission = Admission(
        duplicates=duplicates,
        repeated=frozenset(new.repeated),
        marks=fresh_marks,
        notifications=new.admitted,
        dead_letters=letters,
        audits=new.audits,
        journal=journal,
        offsets=offsets,
        approvals=new.approvals,
    )
    return admission if flow is None else _with_flow(admission, batch, flow, journaled)


class _New(NamedTuple):
    """What is new in a batch; the lists are filled event by event."""

    admitted: list[Admitted]
    approvals: list[tuple[int, Approval]]
    audits: list[AuditEntry]
    repeated: set[str]


def _admit(
    batch: Sequence[Ingest],
    duplicates: Set[int],
    keys: Sequence[bytes],
    claims: Claims,
    flow: BatchFlow | None,
    *,
    start: int,
    now: float,
    time_of_day: float,
) -> _New:
    """The notifications that the events which are no duplicates add, and how each of these stands."""
    new = _New([], [], [], set())
    known = set(claims.notifications)
    number = -1
    for index, ingest in enumerate(batch):
        if index in duplicates:
            number += len(ingest.notifications)
            continue
        if flow is not None:
            flow.begin(index, ingest)
        has_new = False
        for notification in ingest.notifications:
            number += 1
            key = keys[number]
            if key in known:
                new.repeated.add(notification.id)
                continue
            if flow is not None and flow.holds_back(notification, number):
                continue
            known.add(key)
            has_new = True
            if ingest.approval is not None:
                new.approvals.append((number, ingest.approval))
            silence = silence_for(notification, claims.silences) if claims.silences else None
            waiting = _waiting(notification, key, silence, flow, now, time_of_day)
            if waiting is not None:
                state, due, follows = waiting
            else:
                state, due, follows = (State.PROCESSING if start > 0 else State.ENQUEUED), now, None
                start -= 1
            held_by = silence if state is State.HELD else None
            new.admitted.append(Admitted(number, notification, key, state, due, ingest.configuration, follows, held_by))
        if has_new and ingest.audit is not None:
            new.audits.append(ingest.audit)
    return new


def _waiting(
    notification: Notification,
    key: bytes,
    silence: Silence | None,
    flow: BatchFlow | None,
    now: float,
    time_of_day: float,
) -> tuple[State, float, bytes | None] | None:
    """The state in which a notification waits, when it is due, and which one it follows; None: it may start.

    One that a silence drops is kept as held, and waits for nothing of its flow key.
    """
    if silence is not None and silence.action is SilenceAction.DROP:
        return State.HELD, now, None
    schedule_at = notification.schedule_at
    waiting: tuple[State, float, bytes | None]
    if schedule_at is not None and (at := schedule_at.timestamp()) > time_of_day:
        waiting = State.SCHEDULED, at, None
    elif flow is not None and notification.in_order and (follows := flow.before(notification, key)) is not None:
        waiting = State.ENQUEUED, now, follows
    elif silence is not None:
        waiting = State.HELD, now, None
    else:
        return None
    if flow is not None:
        flow.waits(notification)
    return waiting


def _with_flow(
    admission: Admission, batch: Sequence[Ingest], flow: BatchFlow, journaled: Mapping[int, int]
) -> Admission:
    """With the digests that the batch makes, and with what flow control did with each event."""
    ended = flow.end()
    begun = [
        Admitted(
            place,
            notification,
            bytes.fromhex(notification.id),
            State.SCHEDULED,
            notification.schedule_at.timestamp(),
            batch[index].configuration,
        )
        for index, place, notification in ended.begun
        if notification.schedule_at is not None
    ]
    journal = list(admission.journal)
    for index, row in journaled.items():
        suppressed, withdrawn = ended.suppressed.get(index, ()), ended.withdrawn.get(index, ())
        if suppressed or withdrawn:
            entry, version = journal[row]
            is_all = {notification.rule for notification in batch[index].notifications} == {
                each.rule for each in suppressed
            }
            journal[row] = as_journaled(entry, suppressed, withdrawn, is_all=is_all), version
    return replace(
        admission,
        notifications=[*admission.notifications, *begun],
        dead_letters=[*admission.dead_letters, *(letter for letters in ended.failed.values() for letter in letters)],
        journal=journal,
        flow=ended.states,
        digests=[(notification, batch[index].configuration) for index, notification in ended.continued],
        suppressed=ended.suppressed,
        withdrawn=ended.withdrawn,
        failed=ended.failed,
        not_sent=ended.not_sent - len(begun),
    )


def _seen(
    batch: Sequence[Ingest], marks: Sequence[bytes | None], claims: Claims
) -> tuple[frozenset[int], list[bytes], Mapping[Partition, int]]:
    """Indices of events that the store or the batch had before, the marks of the others, and the offsets that go on."""
    passed, offsets = _passed(batch, claims.offsets)
    marks = [None if index in passed else mark for index, mark in enumerate(marks)] if passed else marks
    marked, fresh = _repetitions(marks, claims.marks)
    return marked | passed, fresh, offsets


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
