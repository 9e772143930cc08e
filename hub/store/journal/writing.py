"""Events into rows of the journal, in the transaction that accepts what they cause."""

from collections.abc import Iterator, Sequence

from hub.acceptance import NO_CONFIGURATION, ConfigurationVersion, JournalEntry
from hub.people import person_key
from hub.store.connection import Row, Statement
from hub.store.rows import configuration_id

_COLUMNS = (
    ("n", "bigint"),
    ("queue", "bigint"),
    ("at", "double precision"),
    ("source", "text"),
    ("event_id", "text"),
    ("outcome", "text"),
    ("detail", "text"),
    ("content", "bytea"),
    ("size", "bigint"),
    ("trace", "text"),
    ("configuration", "bigint"),
    ("person", "text"),
    ("flow", "text"),
)
INSERT = Statement(
    "journal.insert",
    f"INSERT INTO journal ({', '.join(name for name, _ in _COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name, _ in _COLUMNS)})",
    columns=_COLUMNS,
)


def journal_write(
    entries: Sequence[tuple[JournalEntry, ConfigurationVersion]], numbers: Iterator[int], *, queue: int, now: float
) -> tuple[Statement, Sequence[Row]]:
    """The rows, for `write_all`; `numbers` are their own."""
    versions: dict[int, int | None] = {}
    rows: list[Row] = []
    for entry, version in entries:
        if id(version) not in versions:
            versions[id(version)] = None if version == NO_CONFIGURATION else configuration_id(version)
        rows.append(
            (
                next(numbers),
                queue,
                now,
                entry.source,
                entry.event_id,
                entry.outcome,
                entry.detail.decode(),
                entry.content,
                len(entry.detail) + len(entry.content or b"") + len(entry.flow),
                entry.trace,
                versions[id(version)],
                person_key(entry.person) if entry.person else None,
                entry.flow or None,
            )
        )
    return INSERT, rows
