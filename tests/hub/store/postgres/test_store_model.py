"""The outbox on PostgreSQL against the model that the one on SQLite is held against."""

from typing import ClassVar

import pytest
from hypothesis import settings

from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.database import PostgresDatabase
from tests.brokers.postgres import Postgres
from tests.hub.store.postgres.conftest import empty
from tests.hub.store.test_store import DatabaseStores
from tests.hub.store.test_store_model import OutboxMachine


class PostgresOutboxMachine(OutboxMachine):
    server: ClassVar[Postgres]
    schema: ClassVar[str]

    def make_stores(self) -> DatabaseStores:
        address = PostgresAddress(url=self.server.url(self.schema))
        return DatabaseStores(lambda: PostgresDatabase(address))

    def remove_stores(self) -> None:
        empty(self.server, self.schema)


@pytest.fixture(autouse=True)
def server(postgres: Postgres, schema: str) -> None:
    PostgresOutboxMachine.server, PostgresOutboxMachine.schema = postgres, schema


PostgresOutboxMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestOutbox = PostgresOutboxMachine.TestCase
