"""Notifications that wait for another of their key: released once that has ended, in whosever queue it is.

They wait in a lane of their own, so that what they wait for delays no look at other work. A look reads, and writes only
what it found.
"""

from collections.abc import Sequence

from hub.store.connection import Connection, Statement
from hub.store.outbox.queues import Queues
from hub.store.rows import ORDERED, SINGLE

READY = Statement(
    "notification.in_turn",
    "SELECT w.queue, w.n FROM notification w WHERE w.queue = :queue AND w.lane = :waiting AND w.service = ''"
    " AND w.due IS NOT NULL AND NOT EXISTS"
    " (SELECT 1 FROM notification p WHERE p.id = w.follows AND p.ended_at IS NULL)"
    " ORDER BY w.due, w.n LIMIT :slice",
    columns=(("queue", "bigint"), ("waiting", "bigint"), ("slice", "bigint")),
)
GO_ON = Statement(
    "notification.go_on",
    "UPDATE notification SET lane = :lane, due = :now,"
    " schedule_at = CASE WHEN accepted_at < :aged THEN :time_of_day ELSE schedule_at END"
    " WHERE queue = :queue AND n = :n AND lane = :waiting AND due IS NOT NULL RETURNING queue",
    columns=(
        ("lane", "bigint"),
        ("now", "double precision"),
        ("aged", "double precision"),
        ("time_of_day", "double precision"),
        ("queue", "bigint"),
        ("n", "bigint"),
        ("waiting", "bigint"),
    ),
)
"""What has waited for long begins to age with its turn, as what was scheduled does."""
LONG = 60.0
"""Seconds of such a wait."""
SLICE = 500


def ready(connection: Connection, queues: Sequence[int]) -> list[tuple[int, int]]:
    """Those of these queues whose turn it is: queue and number of each."""
    rows = connection.read_many(READY, [(queue, ORDERED, SLICE) for queue in queues])
    return [(queue, n) for queue, n in rows]


def go_on(
    connection: Connection, waiting: Sequence[tuple[int, int]], queues: Queues, *, now: float, time_of_day: float
) -> dict[int, int]:
    """Let them start; how many of each queue that is ours still."""
    ours = queues.still_ours(connection, {queue for queue, _ in waiting})
    released: dict[int, int] = {}
    rows = [(SINGLE, now, now - LONG, time_of_day, queue, n, ORDERED) for queue, n in waiting if queue in ours]
    for (queue,) in connection.update_many(GO_ON, rows):
        released[queue] = released.get(queue, 0) + 1
    return released
