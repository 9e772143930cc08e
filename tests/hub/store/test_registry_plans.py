"""SQLite finds devices by their keys, and does not read all of a hub for that."""

import re
from pathlib import Path

import apsw
import pytest

import hub.store.sqlite
from hub.store.connection import Statement
from hub.store.registry import statements

KEYED = {
    name: each for name, each in vars(statements).items() if isinstance(each, Statement) and "(:keys)" in each.text
}


@pytest.mark.parametrize("name", KEYED)
def test_a_read_by_keys_searches_by_the_key(name: str) -> None:
    schema = Path(hub.store.sqlite.__file__).with_name("schema") / "0001" / "registry.sql"
    connection = apsw.Connection(":memory:")
    connection.execute(schema.read_text())
    text = KEYED[name].text.replace("(:keys)", "(SELECT value FROM carray(:keys))")
    values = dict.fromkeys(re.findall(r":([a-z_]+)", text))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    assert not [line for line in plan if line.endswith("(hub=? AND shard=?)")], plan
    connection.close()
