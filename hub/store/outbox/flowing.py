"""Flow control in rows: the states of keys, digests that wait, and what a key withdraws.

States of keys are locked in order, so two processes that accept events of the same keys count as one. A key's queue is
made of the key, and says only who forgets the state once it says nothing any more.
"""

from collections.abc import Mapping, Sequence

from hub.acceptance import ConfigurationVersion, Ingest
from hub.errors import ConflictError
from hub.flow import Withdrawal, flow_key, part_of_digest
from hub.notification import Notification
from hub.outcome import State
from hub.people import people_of
from hub.quiet import quiet_text
from hub.report import EndedNotification, Reporter
from hub.store.connection import Connection, Row, Statement
from hub.store.decide.acceptance import Admission
from hub.store.decide.flow import digest_in
from hub.store.decide.flowing import FlowClaims, WaitingRow
from hub.store.decide.recording import Counts
from hub.store.outbox import queues as owned
from hub.store.outbox import stopping
from hub.store.outbox.clearing import clear_writes
from hub.store.outbox.queues import Queues
from hub.store.rows import NOTIFICATION, ORDERED, SCHEDULED, configuration_id, notification_of, said_by
from hub.store.sinks.writing import ended_writes, numbers_needed
from hub.trace_context import joined_trace

_WAITING = (State.SCHEDULED.value, State.HELD.value)
_KEY = (("queue", "bigint"), ("key", "bytea"))
_STATE = (*_KEY, ("state", "bytea"), ("due", "double precision"))
_ID = (("id", "bytea"),)

STATES = Statement("flow.states", "SELECT key, state FROM flow WHERE queue = :queue AND key = :key", columns=_KEY)
"""On PostgreSQL FOR UPDATE: who accepts events of the same keys waits until this has committed."""
FIRST_STATE = Statement(
    "flow.first",
    "INSERT INTO flow (queue, key, state, due) VALUES (:queue, :key, :state, :due) ON CONFLICT DO NOTHING",
    columns=_STATE,
)
NEXT_STATE = Statement(
    "flow.next",
    "UPDATE flow SET state = :state, due = :due WHERE queue = :queue AND key = :key",
    columns=(("state", "bytea"), ("due", "double precision"), *_KEY),
)
DIGESTS = Statement(
    "notification.waiting_digests",
    "SELECT id FROM notification WHERE id = :id AND state IN ('Scheduled', 'Held')",
    columns=_ID,
)
OPEN = Statement("notification.open_of", "SELECT id FROM notification WHERE id = :id AND ended_at IS NULL", columns=_ID)
_NOT_STARTED = f"(state IN ('Scheduled', 'Held') OR lane = {ORDERED} AND due IS NOT NULL)"
WAITING = Statement(
    "notification.waiting_of_key",
    f"SELECT n.flow_key, n.queue, n.n, n.state, n.lane, {NOTIFICATION} FROM notification n"
    f" WHERE n.flow_key = :flow_key AND n.ended_at IS NULL AND ({_NOT_STARTED} OR EXISTS"
    " (SELECT 1 FROM page p WHERE p.home = n.queue AND p.notification = n.n AND p.lane = :held AND p.service = ''"
    " AND p.due IS NOT NULL))",
    columns=(("flow_key", "bytea"), ("held", "bigint")),
)
"""Scheduled, held, behind the one before it of its key, or with parts that quiet hours hold."""
STOP_PARTS = Statement(
    "page.stop_held",
    "UPDATE page SET due = NULL"
    " WHERE home = :queue AND notification = :n AND lane = :held AND service = '' AND due IS NOT NULL",
)
UNDER_WAY = Statement(
    "page.under_way", "SELECT 1 FROM page WHERE home = :queue AND notification = :n AND due IS NOT NULL LIMIT 1"
)
NAME_ACTOR = Statement("notification.cancelled_by", "UPDATE notification SET cancelled_by = :by WHERE id = :id")
CONTINUE = Statement(
    "notification.continue_digest",
    "UPDATE notification SET hub = :hub, source = :source, event_id = :event_id, audience = :audience, format = :format,"
    " content = :content, headers = :headers, platforms = :platforms, priority = :priority, collapse_key = :collapse_key,"
    " expires_at = :expires_at, configuration = :configuration, person = :person, trace = :trace, flow_key = :flow_key,"
    " sensitive = :sensitive, quiet = :quiet"
    " WHERE id = :id AND state IN ('Scheduled', 'Held')",
    columns=(
        ("hub", "text"),
        ("source", "text"),
        ("event_id", "text"),
        ("audience", "text"),
        ("format", "text"),
        ("content", "bytea"),
        ("headers", "text"),
        ("platforms", "text"),
        ("priority", "text"),
        ("collapse_key", "text"),
        ("expires_at", "double precision"),
        ("configuration", "bigint"),
        ("person", "text"),
        ("trace", "text"),
        ("flow_key", "bytea"),
        ("sensitive", "bigint"),
        ("quiet", "text"),
        ("id", "bytea"),
    ),
)
DIGEST_ADDRESSEE = Statement(
    "addressee.of_digest",
    "INSERT INTO addressee (queue, notification, person)"
    " SELECT n.queue, n.n, :person FROM notification n WHERE n.id = :id"
    " ON CONFLICT DO NOTHING",
    columns=(("person", "text"), ("id", "bytea")),
)
WITHDRAW = Statement(
    "notification.withdraw",
    "UPDATE notification SET state = :cancelled, due = NULL, ended_at = :now, cancelled_by = :by"
    f" WHERE id = :id AND {_NOT_STARTED} RETURNING queue, n, sensitive",
    columns=(("cancelled", "text"), ("now", "double precision"), ("by", "text"), ("id", "bytea")),
)


class FlowOfBatch:
    """The flow keys of a batch, prepared before its transaction. `queues` are all of the store."""

    def __init__(self, batch: Sequence[Ingest], queues: Sequence[int]) -> None:
        self._batch = batch
        self._queues = queues
        keys: set[bytes] = set()
        cancels: set[bytes] = set()
        ordered: set[bytes] = set()
        for ingest in batch:
            for flow in ingest.flow:
                keys |= {each.key for each in (flow.dedupe, flow.throttle) if each is not None}
                if flow.cancels is not None:
                    cancels.add(flow.cancels)
            ordered |= {flow_key("order", each.flow_key.hex()) for each in ingest.notifications if each.in_order}
        self._cancels = sorted(cancels)
        self._ordered = ordered
        self._keys = sorted((self._queue_of(key), key) for key in keys | ordered)

    def _queue_of(self, key: bytes) -> int:
        return self._queues[int.from_bytes(key[:4], "big") % len(self._queues)]

    def claim(self, connection: Connection) -> FlowClaims:
        """Lock the keys, in order, and read what they say."""
        states: dict[bytes, bytes] = dict(connection.read_many(STATES, self._keys)) if self._keys else {}
        digests = self._digests(states)
        found = connection.read_many(DIGESTS, [(bytes.fromhex(id_),) for id_ in digests]) if digests else []
        there = {id_.hex() for (id_,) in found}
        last = [(states[key],) for key in sorted(self._ordered) if key in states]
        return FlowClaims(
            states=states,
            digests={id_: whole for id_, whole in digests.items() if id_ in there},
            waiting=self._waiting(connection),
            open={id_ for (id_,) in connection.read_many(OPEN, last)} if last else frozenset(),
        )

    def _digests(self, states: dict[bytes, bytes]) -> dict[str, str]:
        """Ids of the notifications of digests that the states name, each with the digest's own."""
        digests: dict[str, str] = {}
        for ingest in self._batch:
            for flow in ingest.flow:
                if flow.throttle is None or flow.throttle.digest is None:
                    continue
                whole = digest_in(states.get(flow.throttle.key))
                if whole is not None:
                    for each in ingest.notifications:
                        if each.rule == flow.rule:
                            digests[part_of_digest(whole, each.content)] = whole
        return digests

    def _waiting(self, connection: Connection) -> dict[bytes, list[WaitingRow]]:
        waiting: dict[bytes, list[WaitingRow]] = {}
        if self._cancels:
            rows = [(key, SCHEDULED) for key in self._cancels]
            for key, queue, n, state, lane, *rest in connection.read_many(WAITING, rows):
                in_part = state not in _WAITING and lane != ORDERED
                waiting.setdefault(key, []).append(WaitingRow(queue, n, notification_of(rest), in_part))
        return waiting

    def writes(self, admission: Admission, claims: FlowClaims) -> list[tuple[Statement, Sequence[Row]]]:
        """What has to be written for each row, or another transaction came between."""
        changed = sorted((self._queue_of(key), key, state) for key, state in admission.flow.items())
        writes: list[tuple[Statement, Sequence[Row]]] = [
            (FIRST_STATE, [(queue, key, *state) for queue, key, state in changed if key not in claims.states]),
            (NEXT_STATE, [(*state, queue, key) for queue, key, state in changed if key in claims.states]),
            (CONTINUE, sorted((_digest_row(*each) for each in admission.digests), key=lambda row: row[-1])),
        ]
        return [(statement, rows) for statement, rows in writes if rows]

    def withdraw(
        self,
        connection: Connection,
        admission: Admission,
        claims: FlowClaims,
        queues: Queues,
        reporter: Reporter | None,
        *,
        now: float,
    ) -> Mapping[int, Sequence[Withdrawal]]:
        """End what the batch withdraws, and tell the sinks; what of it has ended with this, by index of the event.

        The rest has pages under way, and ends with these. Raises: ConflictError: one of them has started by now.
        """
        rows: list[Row] = []
        ended: list[tuple[int, EndedNotification]] = []
        here = {one.notification.id: one.notification for one in admission.notifications}
        here |= {notification.id: notification for notification, _ in admission.digests}
        stored = {row.notification.id: row for waiting in claims.waiting.values() for row in waiting}
        here |= {id_: row.notification for id_, row in stored.items()}
        under_way: set[str] = set()
        for index, withdrawn in admission.withdrawn.items():
            for each in withdrawn:
                by = _by(each.rule, self._batch[index])
                counts: Counts | None = {}
                row = stored.get(each.notification)
                if row is not None and row.in_part:
                    counts = _stop_parts(connection, row, by, now=now)
                else:
                    rows.append((State.CANCELLED.value, now, by, bytes.fromhex(each.notification)))
                if counts is None:
                    under_way.add(each.notification)
                else:
                    about = EndedNotification(
                        notification=here[each.notification], state=State.CANCELLED, counts=counts, at=now, actor=by
                    )
                    ended.append((self._queues[0], about))
        rows.sort(key=lambda row: row[-1])
        needed = numbers_needed([(queue, about.notification) for queue, about in ended], reporter)
        numbers = {
            queue: owned.reserve(connection, queue, count, numbering=queues.numbering, now=now)
            for queue, count in needed.items()
        }
        reports = ended_writes(ended, numbers, reporter, now=now)
        done = connection.update_many(WITHDRAW, rows) if rows else []
        if len(done) != len(rows):
            raise ConflictError("a notification that is withdrawn has started")
        connection.write_all([*clear_writes((queue, n) for queue, n, sensitive in done if sensitive), *reports])
        return {
            index: [each for each in withdrawn if each.notification not in under_way]
            for index, withdrawn in admission.withdrawn.items()
        }


def _stop_parts(connection: Connection, row: WaitingRow, by: str, *, now: float) -> Counts | None:
    """Withdraw what quiet hours hold of a notification; what was recorded of it, or None: more is under way."""
    connection.write(STOP_PARTS, queue=row.queue, n=row.n, held=SCHEDULED)
    if connection.read(UNDER_WAY, queue=row.queue, n=row.n):
        return None
    stopped = stopping.stop(connection, row.notification.id, now=now)
    if stopped is None:
        raise ConflictError("a notification that is withdrawn has ended")
    connection.write(NAME_ACTOR, by=by, id=bytes.fromhex(row.notification.id))
    return stopped.counts


def _by(rule: str, ingest: Ingest) -> str:
    """Who withdrew a notification, in words."""
    event_id = next((flow.event_id for flow in ingest.flow if flow.rule == rule), ingest.event_id)
    return f"rule {rule}, event {event_id}"


def digest_addressees(digests: Sequence[tuple[Notification, ConfigurationVersion]]) -> list[Row]:
    """Whom waiting digests are about or for now, besides those before."""
    return [
        (person, bytes.fromhex(notification.id)) for notification, _ in digests for person in people_of(notification)
    ]


def _digest_row(notification: Notification, version: ConfigurationVersion) -> Row:
    hub, source, event_id, _rule, *said, _schedule_at, expires_at = said_by(notification)
    people = people_of(notification)
    return (
        hub,
        source,
        event_id,
        *said,
        expires_at,
        configuration_id(version),
        people[0] if people else None,
        joined_trace(notification.trace, notification.tracestate),
        notification.flow_key or None,
        1 if notification.sensitive else None,
        quiet_text(notification.quiet),
        bytes.fromhex(notification.id),
    )
