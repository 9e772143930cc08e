"""The schema's versions: one folder of SQL files each, applied in order, each version whole or not at all.

The table `schema` holds one row: the version, and the oldest version whose program can still work with it. SQLite's
`application_id` says that the file is ours.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import apsw

from hub.errors import StoreError

APPLICATION_ID = 0x70627267
"""`pbrg`, in the header of each of our files."""

_TABLE = "CREATE TABLE schema (version INTEGER NOT NULL, readable_from INTEGER NOT NULL) STRICT"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """A version's number, the SQL that leads to it, and the oldest version whose program can read and write it."""

    number: int
    sql: str
    readable_from: int


_READABLE_FROM = {1: 1}
"""For each version, the oldest version whose program can work with it."""


@cache
def shipped_versions() -> Sequence[SchemaVersion]:
    """All versions that this program knows, in order."""
    found = []
    for folder in (files(__package__) / "schema").iterdir():
        if folder.name.isdigit():
            parts = sorted(
                (part for part in folder.iterdir() if part.name.endswith(".sql")), key=lambda part: part.name
            )
            sql = "\n".join(part.read_text(encoding="utf-8") for part in parts)
            number = int(folder.name)
            found.append(SchemaVersion(number=number, sql=sql, readable_from=_READABLE_FROM[number]))
    return sorted(found, key=lambda version: version.number)


def migrate(connection: apsw.Connection, versions: Sequence[SchemaVersion]) -> int:
    """Bring the database to the newest of `versions`; the version that it has now, which may be a newer one.

    Raises: StoreError: the file is another program's, or of a version that this program cannot work with.
    """
    newest = versions[-1].number
    current, readable_from = version_of(connection)
    if readable_from > newest:
        raise StoreError(
            f"the database has schema version {current}, which needs a program that knows version {readable_from}; this"
            f" one knows versions up to {newest}: run the newer pushbridge"
        )
    for version in versions:
        if version.number > current:
            _apply(connection, version)
    if current <= newest:
        look_for_parts(connection, versions)
    return max(current, newest)


def look_for_parts(connection: apsw.Connection, versions: Sequence[SchemaVersion]) -> None:
    """Raises: StoreError: a table or an index is not there, for another program has changed or half restored the file."""
    missing = sorted(_names_made_by(tuple(versions)) - _names(connection))
    if missing:
        raise StoreError(f"the database lacks {', '.join(missing)} of its schema: restore it from a backup")


@cache
def _names_made_by(versions: Sequence[SchemaVersion]) -> frozenset[str]:
    """The tables and indexes that `versions` make. They are made once in memory: that takes as long as in a file."""
    with closing(apsw.Connection(":memory:")) as whole:
        for version in versions:
            whole.execute(version.sql).fetchall()
        return frozenset(_names(whole))


def _names(connection: apsw.Connection) -> set[str]:
    return {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_schema")}


def version_of(connection: apsw.Connection) -> tuple[int, int]:
    """(version, readable from) of the database; zeros for an empty one. Raises: StoreError: the file is not ours."""
    application_id = connection.pragma("application_id")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if application_id == APPLICATION_ID and "schema" in tables:
        rows: list[Any] = connection.execute("SELECT version, readable_from FROM schema").fetchall()
        if len(rows) == 1:
            version, readable_from = rows[0]
            if version < 1:
                raise StoreError(
                    f"the database has schema version {version}, which there is not: restore it from a backup"
                )
            return version, readable_from
        raise StoreError("the database has no schema version: restore it from a backup")
    if not tables and application_id in (0, APPLICATION_ID):
        return 0, 0
    if {"notification", "seen_bucket", "tag_block"} <= tables:
        raise StoreError(
            "the database was written by pushbridge 0.1.0, whose data is not taken over: move the file away, and a new one"
            " is made"
        )
    raise StoreError("the database belongs to another program: name another file in bridge.store.url")


def _apply(connection: apsw.Connection, version: SchemaVersion) -> None:
    with connection:
        if version_of(connection) == (0, 0):
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(version.sql).fetchall()
        connection.execute("DELETE FROM schema")
        connection.execute("INSERT INTO schema VALUES (?, ?)", (version.number, version.readable_from))
