"""A database with the schema for each test: the same one, emptied after each, for a copy takes half a second."""

from collections.abc import AsyncIterator, Iterator

import pytest

from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.migrate import migrate
from hub.store.postgres.schema import shipped_versions
from tests.brokers.postgres import Postgres
from tests.hub.store.postgres.fleet import Fleet

TABLES = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"


@pytest.fixture(scope="session")
def schema(postgres: Postgres) -> str:
    """The name of a database with the newest schema."""
    name = postgres.create()
    with PostgresAddress(url=postgres.url(name)).connect() as connection:
        migrate(connection, shipped_versions())
    return name


@pytest.fixture
def database(postgres: Postgres, schema: str) -> Iterator[str]:
    """The name of a database with the newest schema, and nothing in it."""
    yield schema
    empty(postgres, schema)


@pytest.fixture
def address(postgres: Postgres, database: str) -> PostgresAddress:
    """Of a database with the newest schema, and nothing in it."""
    return PostgresAddress(url=postgres.url(database))


@pytest.fixture
async def fleet(postgres: Postgres, database: str) -> AsyncIterator[Fleet]:
    fleet = Fleet(postgres.url(database))
    yield fleet
    for process in fleet.processes:
        await process.store.close()


def empty(postgres: Postgres, database: str) -> None:
    """Delete all rows; the queues are as new."""
    tables = [table for (table,) in postgres.run(TABLES, database=database) if table != "schema"]
    deletes = "; ".join(f"DELETE FROM {table}" for table in tables)
    postgres.run(f"{deletes}; INSERT INTO queue (queue) SELECT generate_series(0, 63)", database=database)
