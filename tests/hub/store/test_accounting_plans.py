"""SQLite looks at a slice of rows by their numbers, and at pages by an index: a check of the books scans no table."""

import pytest

from hub.store.accounting import accounting
from hub.store.connection import Statement
from tests.hub.store.plans import plan_of

STATEMENTS = [value for value in vars(accounting).values() if isinstance(value, Statement)]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
def test_rows_are_found_by_their_numbers(statement: Statement) -> None:
    plan = plan_of(statement)
    assert [line for line in plan if "INTEGER PRIMARY KEY (rowid" in line], plan
    assert not [line for line in plan if line.startswith("SCAN") and "slice" not in line], plan
    assert not [line for line in plan if "TEMP B-TREE" in line], plan
