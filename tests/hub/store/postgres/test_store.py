"""The store on PostgreSQL keeps the contract of all stores."""

from collections.abc import AsyncIterator

import pytest

from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.database import PostgresDatabase
from tests.hub.store.suite.behaviour import StoreBehaviour
from tests.hub.store.suite.harness import Stores
from tests.hub.store.test_store import DatabaseStores


class TestPostgresStore(StoreBehaviour):
    @pytest.fixture
    async def stores(self, address: PostgresAddress) -> AsyncIterator[Stores]:
        stores = DatabaseStores(lambda: PostgresDatabase(address))
        yield stores
        await stores.close()
