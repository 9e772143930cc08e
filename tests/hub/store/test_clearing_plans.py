"""SQLite finds content to be cleared by its own indexes: it stays for a day, and what ended for a month."""

import re

import apsw
import pytest

from hub.store.connection import Statement
from hub.store.outbox import clearing
from hub.store.sqlite.migrate import shipped_versions
from hub.store.telemetry import tallying


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (clearing.ENDED, "notification_content"),
        (clearing.ANY_ENDED, "notification_content"),
        (clearing.NEWEST_SENSITIVE, "notification_sensitive"),
        (tallying.ENDED, "notification_ended"),
    ],
    ids=lambda each: each.name if isinstance(each, Statement) else each,
)
def test_of_what_ended_only_the_rows_that_are_asked_for_are_read(statement: Statement, index: str) -> None:
    connection = apsw.Connection(":memory:")
    for version in shipped_versions():
        connection.execute(version.sql)
    values = dict.fromkeys(re.findall(r":([a-z_]+)", statement.text))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement.text}", values)]
    connection.close()
    assert [line for line in plan if f"INDEX {index} (queue=?" in line], plan
    assert not [line for line in plan if line.startswith("SCAN") or "TEMP B-TREE" in line], plan
