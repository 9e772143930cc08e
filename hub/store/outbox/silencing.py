"""Notifications that a silence covers: held or dropped before they begin, and released when the silence has ended."""

from collections.abc import Sequence

from hub.outcome import State
from hub.silence import Silence, SilenceAction, silence_for
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.outbox import Work
from hub.store.outbox.opening import ROW_COLUMNS
from hub.store.outbox.queues import Queues
from hub.store.rows import HELD, SINGLE, seconds
from hub.store.silences.reading import in_force

DROPPED = 0.0
"""When a notification is due that is to be dropped: at once, which ends it with its reports and its count."""

FOREVER = 3650 * 24 * 3600.0
"""Seconds after which a notification without an expiry of its own would end, did its silence never."""

RELEASED_AT_ONCE = 500
"""Notifications that are released in one transaction."""

ENOUGH_WAITS = 2000
"""While so many notifications wait for their turn no more is released: what was held goes out at the hub's pace, and what
is accepted now does not wait behind all of it."""

SILENCE = Statement(
    "notification.silence",
    "UPDATE notification SET state = :state, lane = :lane, service = '', due = :due, silence = :silence"
    " WHERE queue = :queue AND n = :n AND due IS NOT NULL AND done = 0 AND ended_at IS NULL",
    columns=(
        ("state", "text"),
        ("lane", "bigint"),
        ("due", "double precision"),
        ("silence", "text"),
        *ROW_COLUMNS,
    ),
)
RELEASE = Statement(
    "notification.release_silenced",
    "UPDATE notification SET state = :state, lane = :lane, due = :now, schedule_at = :time_of_day"
    " WHERE queue IN (SELECT queue FROM queue WHERE owner = :owner) AND state = 'Held' AND n IN"
    " (SELECT n FROM notification WHERE queue IN (SELECT queue FROM queue WHERE owner = :owner)"
    " AND silence IS NOT NULL AND silence = :silence AND state = 'Held' AND due > 0 ORDER BY queue, n LIMIT :slice)"
    " RETURNING queue",
)
"""What was silenced begins to age with its release, as what was scheduled does. A number is one row's in all queues."""


def due_of(silence: Silence, expires_at: float | None, *, time_of_day: float) -> float:
    """When what a silence covers ends by itself."""
    if silence.action is SilenceAction.DROP:
        return DROPPED
    return time_of_day + FOREVER if expires_at is None else expires_at


def silence(
    connection: Connection, work: Sequence[Work], queues: Queues, *, steady: float, time_of_day: float
) -> list[tuple[Work, Silence]]:
    """Hold or mark as dropped each notification that a silence covers now; these, with their silences."""
    silences = in_force(connection, steady=steady)
    if not silences:
        return []
    ours = queues.still_ours(connection, {piece.queue for piece in work})
    rows: list[Row] = []
    silenced: list[tuple[Work, Silence]] = []
    for piece in work:
        covering = silence_for(piece.notification, silences) if piece.queue in ours else None
        if covering is not None:
            due = due_of(covering, seconds(piece.notification.expires_at), time_of_day=time_of_day)
            rows.append((State.HELD.value, HELD, due, covering.id, piece.queue, piece.n))
            silenced.append((piece, covering))
    connection.write_all([(SILENCE, rows)])
    return silenced


def release(
    connection: Connection, ended: Sequence[str], queues: Queues, *, now: float, time_of_day: float
) -> list[int]:
    """Release a slice of the notifications that ended silences hold in our queues: the queue of each."""
    released: list[int] = []
    if not queues.still_ours(connection, list(queues.fences)):
        return released
    for silence_id in ended:
        if len(released) >= RELEASED_AT_ONCE:
            break
        rows = connection.write(
            RELEASE,
            silence=silence_id,
            owner=queues.owner,
            state=State.ENQUEUED.value,
            lane=SINGLE,
            now=now,
            time_of_day=time_of_day,
            slice=RELEASED_AT_ONCE - len(released),
        )
        released += [queue for (queue,) in rows]
    return released
