"""The schema's versions on PostgreSQL; a comment on the table `schema` says that the database is ours."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import psycopg
from psycopg import errors

from hub.errors import StoreError
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.errors import store_error
from hub.store.postgres.looking import look_for_parts, look_for_use
from hub.store.postgres.schema import shipped_versions
from hub.store.versions import SchemaVersion, apply_versions

OURS = "pushbridge"
LOCKS = 0x70627267
"""The first half of the keys of our advisory locks."""
_MIGRATION = 2
"""The second half of the key of the lock under which one process at a time looks at the schema and changes it."""

_PATIENCE = "SET LOCAL lock_timeout = '300ms'"
"""For a table that a daemon at work holds. The server looks for deadlocks after a second: by then the change of the schema
stands back, and no daemon's transaction is ended. Statements that wait behind the change wait no longer than that, too."""
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6) + 60 * (3.2,)
"""Seconds before another try: daemons take the same tables in other orders, each for some milliseconds, and a dump of the
database for minutes. After the last the change waits as long as it takes."""

_HEAD = (
    "CREATE TABLE schema (version bigint NOT NULL, readable_from bigint NOT NULL);"
    f" COMMENT ON TABLE schema IS '{OURS}';"
)


def migrate(connection: psycopg.Connection[Any], versions: Sequence[SchemaVersion]) -> int:
    """Bring the database to the newest of `versions`; the version that it has now, which may be a newer one.

    One process at a time does it, and the others wait. A role that may not change the schema can call it where nothing is
    to be changed. Raises: StoreError: the database is another program's, or of a version that this program cannot work
    with, or the role may not change it. psycopg.Error.
    """
    for pause in _PAUSES:
        try:
            return _migrate(connection, versions, _PATIENCE)
        except (errors.LockNotAvailable, errors.DeadlockDetected):  # a daemon reads one changed table, and then another
            time.sleep(pause)
    return _migrate(connection, versions)


def _migrate(connection: psycopg.Connection[Any], versions: Sequence[SchemaVersion], patience: str = "") -> int:
    """In one transaction."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s::int, %s::int)", (LOCKS, _MIGRATION))
        if patience:
            connection.execute(patience.encode())
        version = apply_versions(versions, *version_of(connection), partial(_apply, connection))
        if version == versions[-1].number:
            look_for_parts(connection, versions)
    return version


def version_of(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """(version, readable from) of the database; zeros for an empty one.

    Raises: StoreError: the database is not ours, or the role may not use it.
    """
    look_for_use(connection)
    comments = connection.execute("SELECT obj_description(to_regclass('schema'), 'pg_class')").fetchall()
    if comments != [(OURS,)]:
        tables = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
        ).fetchall()
        if tables == [(0,)]:
            return 0, 0
        raise StoreError("the database belongs to another program: name another one in bridge.store.url")
    rows = connection.execute("SELECT version, readable_from FROM schema").fetchall()
    if len(rows) != 1 or rows[0][0] < 1:
        raise StoreError("the database has no schema version: restore it from a backup")
    version, readable_from = rows[0]
    return version, readable_from


def migrate_now(address: PostgresAddress) -> int:
    """Bring a database to the newest schema, apart from any daemon; the version that it has then. Raises: StoreError."""
    with address.connect() as connection:
        try:
            return migrate(connection, shipped_versions())
        except psycopg.Error as error:
            raise store_error(error) from error


def pending_sql(address: PostgresAddress) -> str:
    """What leads to the newest schema, to be run by hand; empty where nothing is to be done. Raises: StoreError."""
    with address.connect() as connection:
        try:
            current, _ = version_of(connection)
        except psycopg.Error as error:
            raise store_error(error) from error
    parts = [_HEAD] if current == 0 else []
    for version in shipped_versions():
        if version.number > current:
            parts += [part for part in (version.sql.strip(), _stamp(version)) if part]
    return "\n".join(["BEGIN;", *parts, "COMMIT;", ""]) if parts else ""


def _apply(connection: psycopg.Connection[Any], version: SchemaVersion) -> None:
    try:
        if version_of(connection) == (0, 0):
            connection.execute(_HEAD.encode())
        connection.execute(f"{version.sql}; {_stamp(version)}".encode())
    except errors.InsufficientPrivilege as error:
        raise StoreError(
            f"the schema has to be brought to version {version.number}, and the role may not change it: run pushbridge"
            f" migrate with a role that may ({store_error(error)})"
        ) from error


def _stamp(version: SchemaVersion) -> str:
    return f"DELETE FROM schema; INSERT INTO schema VALUES ({version.number}, {version.readable_from});"
