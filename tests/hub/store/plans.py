"""How SQLite would run a statement on the newest schema."""

import re
from contextlib import closing

import apsw

from hub.store.connection import Statement
from hub.store.sqlite.migrate import shipped_versions


def plan_of(statement: Statement) -> list[str]:
    """The lines of the plan; keys are an array that is read as a table, as the daemon's connection has it."""
    text = statement.text.replace("(:keys)", "(SELECT value FROM carray(:keys))")
    values = dict.fromkeys(re.findall(r":([a-z_]+)", text))
    with closing(apsw.Connection(":memory:")) as connection:
        for version in shipped_versions():
            connection.execute(version.sql)
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
