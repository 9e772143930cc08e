"""Tag expressions against brute force, on PostgreSQL."""

import pytest

import hub.platforms.table  # noqa: F401 - declares the platforms
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.database import PostgresDatabase
from hub.store.registry import audience
from tests.hub.store.oracle.behaviour import reaches_whom_brute_force_says


async def test_ten_thousand_expressions_reach_whom_brute_force_says(
    address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reaches_whom_brute_force_says(
        lambda: PostgresDatabase(address),
        lambda limits: monkeypatch.setattr(audience.audiences, "__kwdefaults__", limits),
    )
