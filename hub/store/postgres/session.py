"""The session that writes: it has the database to itself, by an advisory lock that it holds for its life."""

from typing import Any

import psycopg

from hub.errors import StoreLockedError
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.migrate import LOCKS

_OWNER = 1
"""The second half of the key of the lock that the daemon of a database holds."""

_HOLDER = (
    "SELECT a.pid, a.application_name, coalesce(host(a.client_addr), 'its own host') FROM pg_locks l"
    " JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND l.classid = {LOCKS} AND l.objid = {_OWNER} AND l.objsubid = 2"
)
_END = f"SELECT pg_terminate_backend(pid, 5000) FROM ({_HOLDER}) AS holder WHERE application_name = %s"


def is_owned(connection: psycopg.Connection[Any]) -> str:
    """Which host a daemon of this database is connected from; empty where none is."""
    rows = connection.execute(_HOLDER.encode()).fetchall()
    return str(rows[0][2]) if rows else ""


def take_database(connection: psycopg.Connection[Any], address: PostgresAddress) -> None:
    """Lock the database for the life of the connection. Raises: StoreLockedError: another process has it."""
    if _lock(connection):
        return
    # After a cut of the network the database may not know yet that our last session is dead.
    connection.execute(_END.encode(), (address.name,))
    if _lock(connection):
        return
    raise StoreLockedError(
        f"another process uses {address}, connected from {is_owned(connection) or 'an unknown host'}: in this version a"
        " PostgreSQL store belongs to one process"
    )


def enter(connection: psycopg.Connection[Any], name: str, version: str) -> None:
    """Leave word which process had the database last."""
    with connection.transaction():
        connection.execute("DELETE FROM process")
        connection.execute(
            "INSERT INTO process (id, beat, share, serves, version) VALUES (%s, 0, 1, '', %s)", (name, version)
        )


def look_for_others(connection: psycopg.Connection[Any], name: str) -> None:
    """Raises: StoreLockedError: while this process was away, another had the database."""
    rows = connection.execute("SELECT id FROM process").fetchall()
    if rows != [(name,)]:
        raise StoreLockedError("another process had the database while this one could not reach it")


def _lock(connection: psycopg.Connection[Any]) -> bool:
    ((is_ours,),) = connection.execute("SELECT pg_try_advisory_lock(%s::int, %s::int)", (LOCKS, _OWNER)).fetchall()
    return bool(is_ours)
