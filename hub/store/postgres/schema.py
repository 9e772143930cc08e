"""The schema in PostgreSQL's words, made of the one text for all databases: what differs is named here, once."""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from hub.store.versions import SchemaVersion, versions_for

TYPES: Mapping[str, str] = {
    "INTEGER": "bigint",
    "REAL": "double precision",
    "TEXT": 'text COLLATE "C"',  # texts are compared by their bytes, in any database and on any system
    "BLOB": "bytea",
}
"""What a column's type is called."""

_TYPE = re.compile(rf"\b({'|'.join(TYPES)})\b")
_COMMENT = re.compile(r"--[^\n]*")
_TABLE = re.compile(r"CREATE TABLE (\w+) \((.*?)\n\) STRICT(?:, WITHOUT ROWID)?;", re.DOTALL)
_ROW_NUMBER = re.compile(r"^    (\w+) +INTEGER PRIMARY KEY\b", re.MULTILINE)
_QUEUE = re.compile(r"^    queue +INTEGER NOT NULL", re.MULTILINE)
_ADDED = re.compile(r"\b(ALTER TABLE \w+ ADD COLUMN \w+ )(INTEGER|REAL|BLOB)\b")
_PART = re.compile(r"CREATE (?:UNIQUE )?(?:TABLE|INDEX|TRIGGER) (\w+)")


@cache
def shipped_versions() -> Sequence[SchemaVersion]:
    """All versions that this program knows, in order."""
    return [
        SchemaVersion(number=each.number, sql=translated(each.sql), readable_from=each.readable_from)
        for each in versions_for("postgres")
    ]


def translated(sql: str) -> str:
    return _ADDED.sub(_column, _TABLE.sub(_table, _COMMENT.sub("", sql)))


def _column(match: re.Match[str]) -> str:
    """A column that a later version adds; a text stays in the database's own collation, as those of before are."""
    return f"{match[1]}{TYPES[match[2]]}"


def parts_of(versions: Sequence[SchemaVersion]) -> set[str]:
    """The names of tables, indexes and triggers."""
    return {match[1] for version in versions for match in _PART.finditer(version.sql)}


def _table(match: re.Match[str]) -> str:
    """Numbers count up within a queue: where a table has both, they are the key together."""
    name, columns = match[1], match[2]
    number = _ROW_NUMBER.search(columns)
    if number is not None and _QUEUE.search(columns):
        columns = _ROW_NUMBER.sub(rf"    {number[1]} INTEGER NOT NULL", columns)
        columns += f",\n    PRIMARY KEY (queue, {number[1]})"
    return f"CREATE TABLE {name} ({_TYPE.sub(lambda each: TYPES[each[1]], columns)}\n);"
