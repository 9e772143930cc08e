"""The schema's versions on SQLite, whose `application_id` says that the file is ours."""

from collections.abc import Sequence
from contextlib import closing
from functools import cache, partial
from typing import Any

import apsw

from hub.errors import StoreError
from hub.store.versions import SchemaVersion, apply_versions, versions_for

APPLICATION_ID = 0x70627267
"""`pbrg`, in the header of each of our files."""

_TABLE = "CREATE TABLE schema (version INTEGER NOT NULL, readable_from INTEGER NOT NULL) STRICT"


def shipped_versions() -> Sequence[SchemaVersion]:
    """All versions that this program knows, in order."""
    return versions_for("sqlite")


def migrate(connection: apsw.Connection, versions: Sequence[SchemaVersion]) -> int:
    """Bring the database to the newest of `versions`; the version that it has now, which may be a newer one.

    Raises: StoreError: the file is another program's, or of a version that this program cannot work with.
    """
    version = apply_versions(versions, *version_of(connection), partial(_apply, connection))
    if version == versions[-1].number:
        look_for_parts(connection, versions)
    return version


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
