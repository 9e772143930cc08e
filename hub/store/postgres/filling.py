"""An empty PostgreSQL database filled with the rows of another store, as a whole or not at all."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from hub.errors import StoreError
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.errors import store_error
from hub.store.postgres.migrate import migrate
from hub.store.postgres.schema import shipped_versions
from hub.store.postgres.session import keep_daemons_out

_OF_THIS_DATABASE = frozenset(["schema", "process", "queue", "dead_letter_usage"])
"""What the database has by itself: its version, who works on it, its queues, and what it counts."""
_IDLE = 300.0
"""Seconds for which the other store may give no row."""
_TYPES = (
    "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute"
    " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
)


def fill(
    address: PostgresAddress,
    tables: Mapping[str, Sequence[str]],
    rows: Callable[[str], Iterable[tuple[Any, ...]]],
) -> Mapping[str, int]:
    """Bring the schema up to date, and copy tables, each by the names of its columns; how many rows of each came.

    What waited goes into the first queue, with its numbers. Raises: StoreError: a daemon works on the database, something
    is in it already, or the role may not do it; nothing has changed.
    """
    with address.connect(idle_in_transaction=_IDLE) as connection:
        try:
            with connection.transaction():
                keep_daemons_out(connection, address)
                migrate(connection, shipped_versions())
                chosen = {table: columns for table, columns in tables.items() if table not in _OF_THIS_DATABASE}
                _refuse_what_is_used(connection, chosen)
                counts = {table: _copy(connection, table, columns, rows(table)) for table, columns in chosen.items()}
                _take_over_time(connection, tables["queue"], rows("queue"))
        except psycopg.Error as error:
            raise store_error(error) from error
        connection.execute("ANALYZE")
    return counts


def _refuse_what_is_used(connection: psycopg.Connection[Any], tables: Iterable[str]) -> None:
    for table in tables:
        query = sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))
        if connection.execute(query).fetchall():
            raise StoreError(f"the database is not empty: there are rows in {table}")


def _copy(
    connection: psycopg.Connection[Any], table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> int:
    types = dict(connection.execute(_TYPES.encode(), (table,)).fetchall())
    query = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    count = 0
    with connection.cursor().copy(query) as copy:
        copy.set_types([types[column] for column in columns])
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def _take_over_time(
    connection: psycopg.Connection[Any], columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Marks of events and ages of work are of the other store's time."""
    (row,) = rows
    queue = dict(zip(columns, row, strict=True))
    connection.execute("UPDATE queue SET shift = %s", (queue["shift"],))
