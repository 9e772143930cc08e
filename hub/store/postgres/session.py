"""Sessions of a process: each says that a database of several processes is in use, and one is for the ownership alone.

Every writing session holds an advisory lock that it shares with those of all processes. A version that needs the database
for itself asks for the same lock alone, and is refused; while it runs, this one is.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg

from hub.errors import StoreError, StoreLockedError
from hub.store.connection import Connection
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.connection import PostgresConnection
from hub.store.postgres.errors import store_error
from hub.store.postgres.migrate import LOCKS

T = TypeVar("T")

_log = logging.getLogger("pushbridge.store")
_LOOKS = 3
_POOLED = "a pooler hands out a connection of others: it has to pool sessions"
_USED = 1
"""The second half of the key of the lock that the sessions of all daemons share."""
_IS_SHARED = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
    f" AND classid = {LOCKS} AND objid = {_USED} AND objsubid = 2"
)
_HOSTS = (
    "SELECT DISTINCT coalesce(host(a.client_addr), 'its own host') FROM pg_locks l"
    " JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND l.classid = {LOCKS} AND l.objid = {_USED} AND l.objsubid = 2 ORDER BY 1"
)


def hosts_of_daemons(connection: psycopg.Connection[Any]) -> list[str]:
    """Which hosts daemons of this database are connected from."""
    return [str(host) for (host,) in connection.execute(_HOSTS.encode()).fetchall()]


def use_database(connection: psycopg.Connection[Any], address: PostgresAddress) -> None:
    """Say for the life of the connection that the database is used by processes that share it.

    Raises: StoreLockedError: a process has it for itself. StoreError: a pooler stands between that shares out sessions.
    """
    got = connection.execute("SELECT pg_try_advisory_lock_shared(%s::int, %s::int)", (LOCKS, _USED)).fetchall()
    if got != [(True,)]:
        raise StoreLockedError(
            f"a daemon of a version that shares no database uses {address}, connected from"
            f" {', '.join(hosts_of_daemons(connection)) or 'an unknown host'}: stop it first"
        )
    for _ in range(_LOOKS):  # a pooler that hands out another session each time loses the lock at once
        if connection.execute(_IS_SHARED.encode()).fetchall() == [(0,)]:
            raise StoreError(_POOLED)


def look_for_pooler(*connections: psycopg.Connection[Any]) -> None:
    """Connections of one process: each has to keep a session of the server that no other has.

    A pooler that hands out sessions by the transaction gives one that was just left to the next who asks, and settings and
    locks go with it. Raises: StoreError: there is such a one. psycopg.Error.
    """
    sessions: list[set[int]] = [set() for _ in connections]
    for _ in range(_LOOKS):
        for connection, mine in zip(connections, sessions, strict=True):
            mine.update(pid for (pid,) in connection.execute("SELECT pg_backend_pid()").fetchall())
    if len(set().union(*sessions)) != len(connections) or any(len(mine) != 1 for mine in sessions):
        raise StoreError(_POOLED)


def keep_daemons_out(connection: psycopg.Connection[Any], address: PostgresAddress) -> None:
    """For the rest of the transaction. Raises: StoreLockedError: a daemon works on the database."""
    got = connection.execute("SELECT pg_try_advisory_xact_lock(%s::int, %s::int)", (LOCKS, _USED)).fetchall()
    if got != [(True,)]:
        hosts = ", ".join(hosts_of_daemons(connection))
        raise StoreLockedError(f"daemons work on {address}, connected from {hosts}: stop them first")


def roll_back(connection: psycopg.Connection[Any]) -> None:
    """End a transaction that failed; a session that cannot do it is closed.

    Where a statement of a pipeline fails, the server skips the rest, and the driver takes what the rest would have prepared
    for prepared. So the driver has to prepare all again: its own `rollback` sees to it, the statement ROLLBACK not always.
    """
    try:
        connection.rollback()
    except psycopg.Error:
        connection.close()


def again(use: str) -> None:
    """Tell the log that a connection was lost, and what the new one is for: a lost one may have cost no call."""
    _log.warning("connected to the database again for %s: the connection to the database was lost", use)


class OwnershipSession:
    """`hub.store.outbox.ownership.Session`: a connection and a thread of its own, begun again when it is lost."""

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._thread: ThreadPoolExecutor | None = None
        self._connection: psycopg.Connection[Any] | None = None

    async def run(self, job: Callable[[Connection], T], /) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pushbridge-store-owner")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, job)

    async def close(self) -> None:
        """May be called twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._disconnect)
            await asyncio.to_thread(thread.shutdown)

    def _run(self, job: Callable[[Connection], T]) -> T:
        if self._connection is None:
            self._connection = self._address.connect()
        elif self._connection.closed:
            self._connection = self._address.connect()
            again("renewals")
        try:
            with self._connection.transaction():
                return job(PostgresConnection(self._connection))
        except psycopg.Error as error:
            raise store_error(error) from error

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
