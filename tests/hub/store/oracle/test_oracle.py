"""Tag expressions against brute force, on SQLite."""

from pathlib import Path

import pytest

import hub.platforms.table  # noqa: F401 - declares the platforms
from hub.store.registry import audience
from hub.store.sqlite.database import SqliteDatabase
from tests.hub.store.oracle.behaviour import reaches_whom_brute_force_says


@pytest.mark.slow
async def test_ten_thousand_expressions_reach_whom_brute_force_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reaches_whom_brute_force_says(
        lambda: SqliteDatabase(tmp_path / "hub.db", allow_ephemeral=True),
        lambda limits: monkeypatch.setattr(audience.audiences, "__kwdefaults__", limits),
    )
