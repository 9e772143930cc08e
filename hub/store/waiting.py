"""How much waits, in SQL; each function works inside the transaction of its caller."""

import sqlite3
from collections import defaultdict

from hub.store.base import QueueState
from hub.work import Lane


def pending(connection: sqlite3.Connection) -> int:
    (notifications,) = connection.execute("SELECT count(*) FROM notification WHERE due_at IS NOT NULL").fetchone()
    (pages,) = connection.execute("SELECT count(*) FROM page WHERE due_at IS NOT NULL").fetchone()
    return int(notifications + pages)


def queue_states(connection: sqlite3.Connection, *, now: float) -> dict[Lane, QueueState]:
    tallies: dict[Lane, list[float]] = defaultdict(lambda: [0, 0, 0, 0.0])
    sources = [(Lane.SINGLE, "notification", ""), *((lane, "page", f" AND lane = '{lane.value}'") for lane in Lane)]
    for lane, table, only in sources:
        ready, leased, delayed, oldest = connection.execute(
            "SELECT coalesce(sum(lease = 0 AND due_at <= :now), 0), coalesce(sum(lease != 0), 0),"
            " coalesce(sum(lease = 0 AND due_at > :now), 0), coalesce(min(CASE WHEN lease = 0 THEN due_at END), 0)"
            f" FROM {table} WHERE due_at IS NOT NULL{only}",
            {"now": now},
        ).fetchone()
        tally = tallies[lane]
        tally[0] += ready
        tally[1] += leased
        tally[2] += delayed
        if 0 < oldest <= now:
            tally[3] = min(tally[3] or oldest, oldest)
    return {
        lane: QueueState(ready=int(ready), leased=int(leased), delayed=int(delayed), oldest_ready=oldest)
        for lane, (ready, leased, delayed, oldest) in tallies.items()
    }
