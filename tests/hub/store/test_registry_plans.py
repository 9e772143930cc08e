"""SQLite finds devices by their keys, and does not read all of a hub for that."""

import pytest

from hub.store.connection import Statement
from hub.store.registry import statements
from tests.hub.store.plans import plan_of

KEYED = {
    name: each for name, each in vars(statements).items() if isinstance(each, Statement) and "(:keys)" in each.text
} | {name: getattr(statements, name) for name in ("DEVICES_BEGINNING", "DEVICES_ENDING")}


@pytest.mark.parametrize("name", KEYED)
def test_a_read_by_keys_searches_by_the_key(name: str) -> None:
    plan = plan_of(KEYED[name])
    assert not [line for line in plan if line.endswith("(hub=? AND shard=?)")], plan
