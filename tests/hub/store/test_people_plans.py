"""SQLite finds what it keeps of a person by the person, and reads no row of another."""

import re

import apsw
import pytest

from hub.store.connection import Statement
from hub.store.people import erasing, finding
from hub.store.sqlite.migrate import shipped_versions

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
    connection = apsw.Connection(":memory:")
    for version in shipped_versions():
        connection.execute(version.sql)
    text = statement.text.replace("(:keys)", "(SELECT value FROM carray(:keys))")
    values = dict.fromkeys(re.findall(r":([a-z_]+)", text))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    assert [line for line in plan if "_person (person=?" in line], plan
    assert not [line for line in plan if line.startswith("SCAN") and "carray" not in line], plan
    connection.close()
