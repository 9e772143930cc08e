"""The journal is bounded: values go after their time, rows after theirs, and the oldest where all are too large."""

from hub.store.connection import Connection, Statement

SLICE = 1000
"""Rows that one transaction drops, or takes the values of, at most."""
LOOKED_AT = 20_000
"""Rows whose sizes one read sums up, at most."""

OLD = Statement(
    "journal.old",
    "SELECT queue, n, has_content FROM (SELECT t.queue, t.n, t.at, t.content IS NOT NULL AS has_content FROM journal t"
    " WHERE t.queue = :queue AND t.n > :after ORDER BY t.n LIMIT :slice) AS next WHERE at < :before",
)
"""Of the next rows alone: numbers grow with time, so the old ones stand first, and to look for them costs the same however
many rows there are (0.5 s of a million, measured, where all are looked at)."""
FORGET_CONTENT = Statement(
    "journal.forget_content",
    "UPDATE journal SET size = size - length(content), content = NULL WHERE queue = :queue AND n = :n",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
OLDEST = Statement("journal.oldest", "SELECT queue, n, size FROM journal WHERE queue = :queue ORDER BY n LIMIT :slice")
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


def size(connection: Connection, queue: int, after: int) -> tuple[int, int, int]:
    """Of the next rows behind number `after`: how many, their bytes, and the last number; no rows is the end."""
    ((rows, bytes_, last),) = connection.read(SIZES, queue=queue, after=after, slice=LOOKED_AT)
    return rows, bytes_, last


def forget_content(connection: Connection, queue: int, *, after: int, before: float) -> int:
    """Take the values of a slice of the rows from `before`; the number of the last of them, 0 if there is none."""
    rows = connection.read(OLD, queue=queue, after=after, before=before, slice=SLICE)
    connection.write_all([(FORGET_CONTENT, [(of, n) for of, n, has_content in rows if has_content])])
    return int(max(n for _, n, _ in rows)) if rows else 0


def drop_old(connection: Connection, queue: int, *, before: float) -> bool:
    """Drop a slice of the rows from `before`; whether more is left."""
    rows = connection.read(OLD, queue=queue, after=0, before=before, slice=SLICE)
    connection.write_all([(DROP, [(of, n) for of, n, _ in rows])])
    return len(rows) == SLICE


def drop_oldest(connection: Connection, queue: int, excess: int) -> tuple[int, int]:
    """Drop a slice of the oldest, `excess` bytes at most but for the last; how many rows and bytes went."""
    gone, dropped = [], 0
    for of, n, bytes_ in connection.read(OLDEST, queue=queue, slice=SLICE):
        if dropped >= excess:
            break
        gone.append((of, n))
        dropped += bytes_
    connection.write_all([(DROP, gone)])
    return len(gone), dropped
