"""The rows that say who changed what, written in the transaction of the change."""

from collections.abc import Iterator, Sequence

from hub.acceptance import AuditEntry
from hub.store.connection import Row, Statement

INSERT = Statement(
    "audit.insert",
    "INSERT INTO audit (n, queue, at, actor, action, target, detail)"
    " VALUES (:n, :queue, :at, :actor, :action, :target, :detail)",
    columns=(
        ("n", "bigint"),
        ("queue", "bigint"),
        ("at", "double precision"),
        ("actor", "text"),
        ("action", "text"),
        ("target", "text"),
        ("detail", "text"),
    ),
)


def audit_write(
    entries: Sequence[AuditEntry], numbers: Iterator[int], *, queue: int, now: float
) -> tuple[Statement, Sequence[Row]]:
    """The rows of new entries, for `write_all`; `numbers` are their own."""
    rows = [(next(numbers), queue, now, entry.actor, entry.action, entry.target, entry.detail) for entry in entries]
    return INSERT, rows
