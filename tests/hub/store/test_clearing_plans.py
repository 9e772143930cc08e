"""SQLite finds content to be cleared by its own indexes: it stays for a day, and what ended for a month."""

import pytest

from hub.store.connection import Statement
from hub.store.outbox import clearing
from hub.store.telemetry import tallying
from tests.hub.store.plans import plan_of


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
    plan = plan_of(statement)
    assert [line for line in plan if f"INDEX {index} (queue=?" in line], plan
    assert not [line for line in plan if line.startswith("SCAN") or "TEMP B-TREE" in line], plan
