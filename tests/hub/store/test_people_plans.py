"""SQLite finds what it keeps of a person by the person, and reads no row of another."""

import pytest

from hub.store.connection import Statement
from hub.store.people import erasing, finding
from tests.hub.store.plans import plan_of

STATEMENTS = [
    each
    for module in (finding, erasing)
    for value in vars(module).values()
    for each in ([value] if isinstance(value, Statement) else [])
    if each.name.startswith("person.") and "(:keys)" in each.text
]
STATEMENTS += [each for counts in finding.COUNTS.values() for each in counts]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
def test_rows_of_a_person_are_found_by_an_index(statement: Statement) -> None:
    plan = plan_of(statement)
    assert [line for line in plan if "_person (person=?" in line], plan
    assert not [line for line in plan if line.startswith("SCAN") and "carray" not in line], plan
