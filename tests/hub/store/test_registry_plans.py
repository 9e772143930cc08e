"""SQLite finds devices by their keys, and does not read all of a hub for that."""

import re

import apsw
import pytest

from hub.store.connection import Statement
from hub.store.registry import statements
from hub.store.sqlite.migrate import shipped_versions

KEYED = {
    name: each for name, each in vars(statements).items() if isinstance(each, Statement) and "(:keys)" in each.text
} | {name: getattr(statements, name) for name in ("DEVICES_BEGINNING", "DEVICES_ENDING")}


@pytest.mark.parametrize("name", KEYED)
def test_a_read_by_keys_searches_by_the_key(name: str) -> None:
    connection = apsw.Connection(":memory:")
    for version in shipped_versions():
        connection.execute(version.sql)
    text = KEYED[name].text.replace("(:keys)", "(SELECT value FROM carray(:keys))")
    values = dict.fromkeys(re.findall(r":([a-z_]+)", text))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    assert not [line for line in plan if line.endswith("(hub=? AND shard=?)")], plan
    connection.close()
