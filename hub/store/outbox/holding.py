"""Notifications that are held: approved, ended by their own expiry, or dropped by a silence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hub.acceptance import Approval
from hub.notification import Notification
from hub.outcome import State, Unreached
from hub.report import EndedNotification, Reporter
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.outbox import Recorded, Work
from hub.store.outbox.clearing import clear_writes
from hub.store.outbox.opening import ROW_COLUMNS
from hub.store.outbox.queues import Queues
from hub.store.outbox.silencing import DROPPED
from hub.store.rows import HELD, NOTIFICATION, SINGLE, notification_of
from hub.store.sinks.writing import ended_writes

ANY = 2**62
"""The `most` of an approval that is for whatever the audience is by then."""

HELD_FOR = 7 * 24 * 3600.0
"""Seconds that a notification without an expiry of its own waits for an approval."""

SLICE = 500

HOLD = Statement(
    "notification.hold",
    "UPDATE notification SET state = :state, lane = :lane, service = '', due = :due, unreached_count = :count,"
    " silence = NULL"
    " WHERE queue = :queue AND n = :n AND due IS NOT NULL AND done = 0",
    columns=(
        ("state", "text"),
        ("lane", "bigint"),
        ("due", "double precision"),
        ("count", "bigint"),
        *ROW_COLUMNS,
    ),
)
APPROVALS = Statement(
    "approval.of",
    "SELECT queue, notification, most FROM approval WHERE queue = :queue AND notification = :n",
    columns=ROW_COLUMNS,
)
ADD_APPROVAL = Statement(
    "approval.add",
    "INSERT INTO approval (queue, notification, most, actor, at) VALUES (:queue, :notification, :most, :actor, :at)"
    " ON CONFLICT (queue, notification) DO UPDATE SET most = excluded.most, actor = excluded.actor, at = excluded.at",
    columns=(
        ("queue", "bigint"),
        ("notification", "bigint"),
        ("most", "bigint"),
        ("actor", "text"),
        ("at", "double precision"),
    ),
)
APPROVE = Statement(
    "notification.approve",
    "UPDATE notification SET state = :state, lane = :lane, due = :now, schedule_at = :time_of_day, unreached_count = NULL"
    " WHERE id = :id AND state = 'Held' AND silence IS NULL RETURNING queue, n, hub",
)
"""An id is one notification's in all queues. What was held begins to age with its approval, as what was scheduled does."""
OVERDUE = Statement(
    "notification.held_overdue",
    f"SELECT n.queue, n.n, coalesce(n.unreached_count, 0), n.due, n.silence, {NOTIFICATION} FROM notification n"
    " WHERE n.queue = :queue AND n.lane = :lane AND n.service = '' AND n.due <= :time_of_day LIMIT :limit",
    columns=(("queue", "bigint"), ("lane", "bigint"), ("time_of_day", "double precision"), ("limit", "bigint")),
)
END = Statement(
    "notification.held_end",
    "UPDATE notification SET state = :state, due = NULL, ended_at = :now, unreached = :why"
    " WHERE queue = :queue AND n = :n AND state = 'Held'",
    columns=(("state", "text"), ("now", "double precision"), ("why", "text"), *ROW_COLUMNS),
)
COUNT = Statement(
    "notification.held_count",
    "SELECT hub, count(*) FROM notification WHERE queue IN (SELECT queue FROM queue WHERE owner = :owner)"
    " AND lane = :lane AND service = '' AND due IS NOT NULL AND silence IS NULL GROUP BY hub",
)


def hold(
    connection: Connection, counted: Sequence[tuple[Work, int]], queues: Queues, *, time_of_day: float
) -> list[Work]:
    """Hold those of which no approval is for so many registrations; which these are."""
    ours = queues.still_ours(connection, {piece.queue for piece, _ in counted})
    keys = [(piece.queue, piece.n) for piece, _ in counted]
    approved = {(queue, n): most for queue, n, most in connection.read_many(APPROVALS, keys)}
    held: list[Work] = []
    rows: list[Row] = []
    for piece, count in counted:
        if piece.queue in ours and approved.get((piece.queue, piece.n), 0) < count:
            expires_at = piece.notification.expires_at
            due = time_of_day + HELD_FOR if expires_at is None else expires_at.timestamp()
            rows.append((State.HELD.value, HELD, due, count, piece.queue, piece.n))
            held.append(piece)
    connection.write_all([(HOLD, rows)])
    return held


def approval_rows(approved: Sequence[tuple[int, Approval]], *, queue: int, now: float) -> list[Row]:
    """Rows of `ADD_APPROVAL`, each for the notification of that number."""
    return [(queue, n, approval.most, approval.actor, now) for n, approval in approved]


def approve(
    connection: Connection, notification_id: str, *, actor: str, now: float, time_of_day: float
) -> tuple[int, str] | None:
    """Let a notification that is held go to whatever its audience is; its queue and hub, None where none is held."""
    rows = connection.write(
        APPROVE,
        id=bytes.fromhex(notification_id),
        state=State.ENQUEUED.value,
        lane=SINGLE,
        now=now,
        time_of_day=time_of_day,
    )
    if not rows:
        return None
    queue, n, hub = rows[0]
    connection.insert_many(ADD_APPROVAL, [(queue, n, ANY, actor, now)])
    return queue, hub


class Overdue(NamedTuple):
    """A notification whose time has passed or that is to be dropped, and for how many registrations it is."""

    queue: int
    n: int
    registrations: int
    notification: Notification
    dropped_by: str
    """The silence that drops it; empty: its time has passed."""

    def ended(self, now: float) -> EndedNotification:
        if self.dropped_by:
            actor = f"silence {self.dropped_by}"
            return EndedNotification(
                notification=self.notification, state=State.CANCELLED, counts={}, at=now, actor=actor
            )
        return EndedNotification(
            notification=self.notification, state=State.ABANDONED, counts={}, at=now, why=Unreached.EXPIRED
        )


def overdue(connection: Connection, queues: Sequence[int], *, time_of_day: float) -> list[Overdue]:
    """Some of what is held and has to end now."""
    rows = connection.read_many(OVERDUE, [(queue, HELD, time_of_day, SLICE) for queue in queues])
    return [
        Overdue(queue, n, size, notification_of(columns), (silence or "") if due == DROPPED else "")
        for queue, n, size, due, silence, *columns in rows
    ]


def end(
    connection: Connection,
    found: Sequence[Overdue],
    queues: Queues,
    numbers: Mapping[int, range],
    *,
    now: float,
    reporter: Reporter | None,
) -> Recorded:
    """End it. `numbers` are for reports, by queue."""
    ours = queues.still_ours(connection, {one.queue for one in found})
    mine = [(one, one.ended(now)) for one in found if one.queue in ours]
    ends = [(one.queue, about) for one, about in mine]
    rows = [
        (about.state.value, now, None if about.why is None else about.why.value, one.queue, one.n)
        for one, about in mine
    ]
    cleared = clear_writes((one.queue, one.n) for one, _ in mine if one.notification.sensitive)
    connection.write_all([(END, rows), *cleared, *ended_writes(ends, numbers, reporter, now=now)])
    return Recorded(
        ended=Counter((one.notification.hub, about.state) for one, about in mine),
        unreached=[(one.notification, about.why, one.registrations) for one, about in mine if about.why is not None],
    )


def count(connection: Connection, owner: str) -> Mapping[str, int]:
    """How many are held in the queues of an owner, by hub."""
    counted: dict[str, int] = dict(connection.read(COUNT, owner=owner, lane=HELD))
    return counted
