"""Work that moves without a result: expanded into pages, postponed, or released at its time."""

import math
from collections.abc import Sequence

from hub.errors import ConflictError
from hub.outcome import OutcomeName, State
from hub.report import Reporter
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.outbox import Audience, Service, Work
from hub.store.follow_ups import writing as following
from hub.store.outbox import quieting
from hub.store.outbox.clearing import clear_writes
from hub.store.outbox.opening import INSERT_PAGE, ROW_COLUMNS, open_rows
from hub.store.outbox.queues import Queues
from hub.store.rows import BROADCAST, SCHEDULED, SINGLE, counts_text, service_key

EXPAND = Statement(
    "notification.expand",
    "UPDATE notification SET due = NULL, state = :state, started_at = coalesce(started_at, :now), counts = :counts"
    " WHERE queue = :queue AND n = :n AND done = :done AND due IS NOT NULL",
    columns=(
        ("state", "text"),
        ("now", "double precision"),
        ("counts", "text"),
        *ROW_COLUMNS,
        ("done", "bigint"),
    ),
)
_POSTPONE = "SET due = :due, deferred = 1, service = CASE WHEN :service = '' THEN service ELSE :service END"
_POSTPONED = (("due", "double precision"), ("service", "text"), *ROW_COLUMNS)
POSTPONE_NOTIFICATION = Statement(
    "notification.postpone",
    f"UPDATE notification {_POSTPONE} WHERE queue = :queue AND n = :n AND due IS NOT NULL",
    columns=_POSTPONED,
)
BEGIN_LATE = Statement(
    "notification.begin_late",
    "UPDATE notification SET schedule_at = :time_of_day WHERE queue = :queue AND n = :n AND due IS NOT NULL",
    columns=(("time_of_day", "double precision"), *ROW_COLUMNS),
)
POSTPONE_PAGE = Statement(
    "page.postpone",
    f"UPDATE page {_POSTPONE} WHERE queue = :queue AND number = :n AND due IS NOT NULL",
    columns=_POSTPONED,
)
RELEASE = Statement(
    "notification.release",
    "UPDATE notification SET state = :state, lane = :lane, due = CASE WHEN due > :now THEN :now ELSE due END"
    " WHERE queue = :queue AND state = 'Scheduled' AND n IN"
    " (SELECT n FROM notification WHERE queue = :queue AND lane = :waiting AND service = '' AND due <= :time_of_day"
    " ORDER BY due, n LIMIT :slice) RETURNING due, CASE WHEN quiet_until IS NULL THEN '' ELSE hub END",
)


def _first_waiting(table: str) -> str:
    return (
        f"SELECT w.queue, w.due FROM (SELECT queue, due FROM {table} WHERE queue = :queue AND lane = :waiting"
        " AND service = '' AND due IS NOT NULL ORDER BY due LIMIT 1) AS w"
    )


NEXT_RELEASE = Statement(
    "notification.next_release",
    f"{_first_waiting('notification')} UNION ALL {_first_waiting('page')}",
    columns=(("queue", "bigint"), ("waiting", "bigint")),
)
RELEASE_SLICE = 1000
CANCEL = Statement(
    "notification.cancel",
    "UPDATE notification SET state = :cancelled, due = NULL, ended_at = :now"
    " WHERE id = :id AND hub = :hub AND state = 'Scheduled' RETURNING queue, n, sensitive",
)
"""An id is one notification's in all queues."""

_STEP = (("step", "double precision"), ("queue", "bigint"))
MOVE_WAITING = Statement(
    "notification.move_waiting",
    "UPDATE notification SET due = due + :step, accepted_at = accepted_at + :step"
    " WHERE queue = :queue AND due IS NOT NULL AND state NOT IN ('Scheduled', 'Held')",
    columns=_STEP,
)
MOVE_EXPANDED = Statement(
    "notification.move_expanded",
    "UPDATE notification SET accepted_at = accepted_at + :step"
    " WHERE queue = :queue AND state = 'Processing' AND due IS NULL",
    columns=_STEP,
)
SHIFT = Statement(
    "queue.shift", "UPDATE queue SET shift = shift + :step, beat = beat + :step WHERE queue = :queue", columns=_STEP
)
MOVE_REPORTS = Statement(
    "sink.move", "UPDATE sink SET due = due + :step WHERE queue = :queue AND due IS NOT NULL", columns=_STEP
)
MOVE_FOLLOW_UPS = Statement(
    "follow_up.move", "UPDATE follow_up SET due = due + :step WHERE queue = :queue", columns=_STEP
)
MOVE_PAGES = Statement(
    "page.move",
    "UPDATE page SET due = due + :step WHERE queue = :queue AND due IS NOT NULL AND NOT (lane = 2 AND service = '')",
    columns=_STEP,
)
"""But for what quiet hours hold until a time of day (`SCHEDULED`)."""


def expand(
    connection: Connection,
    work: Work,
    audience: Audience,
    queues: Queues,
    numbers: range,
    dealt: Sequence[int],
    *,
    now: float,
    reporter: Reporter | None,
) -> bool:
    """Turn a notification into pages that are due at once, each in a queue of `dealt`; False when the notification has
    ended, or its queue is not ours any more."""
    row = open_rows(connection, [work], queues).get((work.queue, work.n))
    if row is None or row.done != work.done:
        return False
    skipped = {platform: {OutcomeName.SKIPPED: len(ordinals)} for platform, ordinals in audience.skipped.items()}
    hub = work.notification.hub
    pages = [
        (
            number,
            queue,
            work.queue,
            work.n,
            hub,
            BROADCAST,
            service_key((hub, platform)),
            now,
            0,
            ordinals.serialize(),
            None,
        )
        for number, queue, (platform, ordinals) in zip(numbers, dealt, audience.pages, strict=False)
    ]
    home, notification = (work.queue, work.n), work.notification
    others = iter(numbers[len(pages) :])
    held = [
        quieting.held_row(part, number=next(others), queue=work.queue, home=home, notification=notification, attempt=0)
        for part in audience.held
    ]
    dropped = [
        quieting.dropped_row(part, number=next(others), queue=work.queue, home=home, notification=notification)
        for part in audience.dropped
    ]
    expanded = [(State.PROCESSING.value, now, counts_text(skipped), work.queue, work.n, work.done)]
    writes: list[tuple[Statement, Sequence[Row]]] = [(EXPAND, expanded), (INSERT_PAGE, pages)]
    if held or dropped:
        writes += [(quieting.INSERT_HELD, held), (quieting.INSERT_DROPPED, dropped)]
    follow_up = None if reporter is None else reporter.follow_up_of(work.notification)
    if follow_up is not None:
        writes.append((following.INSERT, [following.expanded_row((work.queue, work.n), follow_up, now=now)]))
    if connection.write_all(writes)[0] != 1:
        raise ConflictError("another transaction recorded the same work")
    return True


def postpone(
    connection: Connection, work: Sequence[Work], queues: Queues, *, due: float | None, service: Service | None
) -> None:
    """Rows that have ended, or are in a queue that is not ours any more, stay as they are; without `due` the work keeps
    its place among what waits."""
    ours = queues.still_ours(connection, {piece.queue for piece in work})
    known = service_key(service)
    notifications: list[Row] = []
    pages: list[Row] = []
    for piece in work:
        if piece.queue in ours:
            then = piece.due_at if due is None else due
            (pages if piece.number else notifications).append((then, known, piece.queue, piece.n))
    connection.write_all([(POSTPONE_NOTIFICATION, notifications), (POSTPONE_PAGE, pages)])


def begin_late(connection: Connection, work: Sequence[Work], queues: Queues, *, time_of_day: float) -> None:
    """Have notifications age from now on; rows of queues that are not ours any more stay as they are."""
    ours = queues.still_ours(connection, {piece.queue for piece in work})
    connection.write_all([(BEGIN_LATE, [(time_of_day, piece.queue, piece.n) for piece in work if piece.queue in ours])])


def release(
    connection: Connection, queue: int, queues: Queues, *, now: float, time_of_day: float
) -> tuple[list[tuple[float, str]], float]:
    """Let a slice of what was scheduled until now go on: when each is due, with its hub if quiet hours held it (else an
    empty text), and when the next one will be."""
    if queue not in queues.still_ours(connection, [queue]):
        return [], math.inf
    rows = connection.write(
        RELEASE,
        queue=queue,
        waiting=SCHEDULED,
        state=State.ENQUEUED.value,
        lane=SINGLE,
        now=now,
        time_of_day=time_of_day,
        slice=RELEASE_SLICE,
    )
    return [(due, hub) for due, hub in rows], next_releases(connection, [queue]).get(queue, math.inf)


def cancel(connection: Connection, hub: str, notification_id: str, *, now: float) -> int | None:
    """End a notification that is scheduled still, in whosever queue; its queue, None: there is no such one."""
    values = {"id": bytes.fromhex(notification_id), "hub": hub}
    rows = connection.write(CANCEL, cancelled=State.CANCELLED.value, now=now, **values)
    if not rows:
        return None
    queue, n, sensitive = rows[0]
    if sensitive:
        connection.write_all(clear_writes([(queue, n)]))
    return int(queue)


def next_releases(connection: Connection, queues: Sequence[int]) -> dict[int, float]:
    """When the first of what is scheduled, or held by quiet hours, in each queue is due, by the time of day."""
    first: dict[int, float] = {}
    for queue, due in connection.read_many(NEXT_RELEASE, [(queue, SCHEDULED) for queue in queues]):
        first[queue] = min(due, first.get(queue, due))
    return first


def move_in_time(connection: Connection, queues: Queues, step: float) -> None:
    """Move due times and ages of all open work of ours by `step` seconds, but for what is scheduled for a time of day, or
    held."""
    move(connection, [(step, queue) for queue in queues.still_ours(connection, list(queues.fences))])


def move(connection: Connection, rows: Sequence[tuple[float, int]]) -> None:
    """The same of queues, each by seconds of its own."""
    connection.write_all(
        [
            (statement, rows)
            for statement in (MOVE_WAITING, MOVE_EXPANDED, MOVE_PAGES, MOVE_REPORTS, MOVE_FOLLOW_UPS, SHIFT)
        ]
    )
