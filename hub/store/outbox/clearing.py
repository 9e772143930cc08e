"""The content of notifications that have ended, taken out of the store; what became of them stays."""

from collections.abc import Iterable, Sequence

from hub.store.connection import Connection, Row, Statement
from hub.store.outbox.opening import ROW_COLUMNS

CLEARED = b"{}"
"""In the place of content: a program of the schema before reads JSON here, also of what has ended."""

SLICE = 500
"""Notifications whose content one transaction clears, at most."""

CLEAR = Statement(
    "notification.clear",
    "UPDATE notification SET content = :cleared, headers = NULL, content_size = length(content)"
    " WHERE queue = :queue AND n = :n AND content_size IS NULL",
    columns=(("cleared", "bytea"), *ROW_COLUMNS),
)
ENDED = Statement(
    "notification.with_content",
    "SELECT queue, n FROM notification WHERE queue = :queue AND ended_at < :before AND content_size IS NULL"
    " ORDER BY ended_at LIMIT :slice",
)
ANY_ENDED = Statement(
    "notification.any_with_content",
    "SELECT queue FROM notification WHERE queue = :queue AND ended_at < :before AND content_size IS NULL LIMIT 1",
    columns=(("queue", "bigint"), ("before", "double precision")),
)
NEWEST_SENSITIVE = Statement(
    "notification.newest_sensitive",
    "SELECT queue, ended_at FROM notification WHERE queue = :queue AND sensitive = 1 AND ended_at IS NOT NULL"
    " ORDER BY ended_at DESC LIMIT 1",
    columns=(("queue", "bigint"),),
)


def clear_writes(keys: Iterable[tuple[int, int]]) -> list[tuple[Statement, Sequence[Row]]]:
    """Of notifications by queue and number that end with this transaction, for `write_all`; empty where there are none."""
    rows: list[Row] = [(CLEARED, queue, n) for queue, n in keys]
    return [(CLEAR, rows)] if rows else []


def queues_due(connection: Connection, queues: Sequence[int], *, before: float) -> list[int]:
    """Those that have content of notifications which ended before."""
    return [queue for (queue,) in connection.read_many(ANY_ENDED, [(queue, before) for queue in queues])]


def clear_ended(connection: Connection, queue: int, *, before: float) -> bool:
    """Clear a slice of what ended before; whether more is left."""
    keys = connection.read(ENDED, queue=queue, before=before, slice=SLICE)
    connection.write_all(clear_writes((queue, n) for queue, n in keys))
    return len(keys) == SLICE


def newest_sensitive(connection: Connection, queues: Sequence[int]) -> float:
    """When the last sensitive notification ended, by the store's clock; 0 where there is none."""
    rows = connection.read_many(NEWEST_SENSITIVE, [(queue,) for queue in queues])
    return max((ended_at for _, ended_at in rows), default=0.0)
