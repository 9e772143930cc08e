"""The journal is bounded: values go after their time, rows after theirs, and the oldest where all are too large."""

import heapq
from collections.abc import Mapping, Sequence

from hub.store.connection import Connection, Row, Statement

SLICE = 1000
"""Rows that one transaction drops, or takes the values of, at most."""
LOOKED_AT = 20_000
"""Rows whose sizes one read sums up, at most."""

OLD = Statement(
    "journal.old",
    "SELECT queue, n, has_content FROM (SELECT t.queue, t.n, t.at, t.content IS NOT NULL AS has_content FROM journal t"
    " WHERE t.queue = :queue AND t.n > :after ORDER BY t.n LIMIT :slice) AS next WHERE at < :before",
    columns=(("queue", "bigint"), ("after", "bigint"), ("slice", "bigint"), ("before", "double precision")),
)
"""Of the next rows alone: numbers grow with time, so the old ones stand first, and to look for them costs the same however
many rows there are (0.5 s of a million, measured, where all are looked at)."""
FORGET_CONTENT = Statement(
    "journal.forget_content",
    "UPDATE journal SET size = size - length(content), content = NULL WHERE queue = :queue AND n = :n",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
OLDEST = Statement(
    "journal.oldest",
    "SELECT queue, n, size FROM journal WHERE queue = :queue ORDER BY n LIMIT :slice",
    columns=(("queue", "bigint"), ("slice", "bigint")),
)
DROP = Statement(
    "journal.drop",
    "DELETE FROM journal WHERE queue = :queue AND n = :n",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
SIZES = Statement(
    "journal.sizes",
    "SELECT count(*), CAST(coalesce(sum(size), 0) AS bigint), coalesce(max(n), 0) FROM"
    " (SELECT t.n, t.size FROM journal t WHERE t.queue = :queue AND t.n > :after ORDER BY t.n LIMIT :slice) AS next",
)


def size(connection: Connection, *, queue: int, after: int) -> tuple[int, int, int]:
    """Of the next rows behind number `after`: how many, their bytes, and the last number; no rows is the end."""
    ((rows, bytes_, last),) = connection.read(SIZES, queue=queue, after=after, slice=LOOKED_AT)
    return rows, bytes_, last


def forget_content(connection: Connection, after: Mapping[int, int], *, before: float) -> dict[int, int]:
    """Take the values of a slice of the rows from `before`, of each queue behind the number that it has in `after`; up to
    which number they are gone, of the queues that had any."""
    rows = _oldest(connection.read_many(OLD, [(queue, n, SLICE, before) for queue, n in after.items()]))
    connection.write_all([(FORGET_CONTENT, [(queue, n) for queue, n, has_content in rows if has_content])])
    return {queue: n for queue, n, _ in rows}


def drop_old(connection: Connection, queues: Sequence[int], *, before: float) -> bool:
    """Drop a slice of the rows from `before`; whether more is left."""
    rows = _oldest(connection.read_many(OLD, [(queue, 0, SLICE, before) for queue in queues]))
    connection.write_all([(DROP, [(queue, n) for queue, n, _ in rows])])
    return len(rows) == SLICE


def drop_oldest(connection: Connection, queues: Sequence[int], excess: int) -> tuple[int, int]:
    """Drop a slice of the oldest, `excess` bytes at most but for the last; how many rows and bytes went."""
    gone, dropped = [], 0
    for queue, n, bytes_ in _oldest(connection.read_many(OLDEST, [(queue, SLICE) for queue in queues])):
        if dropped >= excess:
            break
        gone.append((queue, n))
        dropped += bytes_
    connection.write_all([(DROP, gone)])
    return len(gone), dropped


def _oldest(rows: Sequence[Row]) -> Sequence[Row]:
    """A slice of rows of several queues, (queue, number, ...) each, in the order of their numbers."""
    return heapq.nsmallest(SLICE, rows, key=lambda row: int(row[1]))
