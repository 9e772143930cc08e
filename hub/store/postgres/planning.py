"""What PostgreSQL's planner knows of the registry, kept fresh while the registry grows.

Registry tables lead with (hub, shard). Of a table without statistics, and of a hub that they do not name, the planner
expects a row or two, and reads all of the hub where it should look up a thousand keys. Autovacuum comes once a minute, and
to a large table after a tenth of it has changed: an import would take time by the square of its length until then.
"""

import asyncio
from collections.abc import Callable
from contextlib import closing

import psycopg

from hub.store.connection import Connection
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.connection import PostgresConnection
from hub.store.postgres.database import PostgresDatabase
from hub.store.postgres.errors import store_error
from hub.store.postgres.migrate import LOCKS

_EVERY = 3.0
"""Seconds between two looks at how much has changed."""
_ONE_AT_A_TIME = 2
"""The second half of the key of the lock of who analyzes."""
# A table is due when it has doubled, or when so much has changed that a hub may be new; only an owner may analyze.
_DUE = """
SELECT c.relname::text FROM pg_class c JOIN pg_stat_all_tables s ON s.relid = c.oid
 WHERE c.oid IN ('device'::regclass, 'registration'::regclass, 'tag_change'::regclass, 'tag_block'::regclass)
   AND pg_has_role(c.relowner, 'USAGE') AND s.n_mod_since_analyze >= 1000
   AND (s.n_live_tup > 2 * c.reltuples OR s.n_mod_since_analyze >= least(s.n_live_tup / 10, 20000)
        AND coalesce(greatest(s.last_analyze, s.last_autoanalyze), '-infinity') < now() - interval '20 s')
"""


class RegistryPlanning:
    """`tend` belongs to the event loop; it looks no more often than once in three seconds of `monotonic`."""

    def __init__(self, database: PostgresDatabase, address: PostgresAddress, monotonic: Callable[[], float]) -> None:
        self._database = database
        self._address = address
        self._monotonic = monotonic
        self._next = 0.0

    async def tend(self) -> None:
        """Raises: StoreError."""
        if self._monotonic() < self._next:
            return
        self._next = self._monotonic() + _EVERY
        if await self._database.read(_due):
            await asyncio.to_thread(self._analyze)

    def _analyze(self) -> None:
        """On a connection of its own, so that nothing waits for it; of several processes one does it."""
        try:
            with closing(self._address.connect()) as connection:
                lock = connection.execute("SELECT pg_try_advisory_lock(%s::int, %s::int)", (LOCKS, _ONE_AT_A_TIME))
                if lock.fetchall() == [(True,)]:
                    for table in connection.execute(_DUE.encode()).fetchall():
                        connection.execute(b"ANALYZE " + table[0].encode())
        except psycopg.Error as error:
            raise store_error(error) from error


def _due(connection: Connection) -> bool:
    assert isinstance(connection, PostgresConnection)
    return bool(connection.psycopg.execute(_DUE.encode()).fetchall())
