"""Many rows of an INSERT are few statements, and come to what a statement for each row comes to."""

from collections.abc import Callable, Iterator

import apsw
import pytest

from hub.store.connection import Row, Statement
from hub.store.sqlite.connection import SqliteConnection

RowOf = Callable[[int], Row]

_COLUMNS = (("n", "bigint"), ("text", "text"))
PLAIN = Statement("test.plain", "INSERT INTO kept (n, a, text, b) VALUES (:n, 7, :text, NULL)", columns=_COLUMNS)
UNLESS_THERE = Statement(
    "test.unless_there",
    "INSERT INTO kept (n, text) VALUES (:n, :text) ON CONFLICT (n) DO NOTHING RETURNING n",
    columns=_COLUMNS,
)
COUNTED = Statement(
    "test.counted",
    "INSERT INTO kept (n, a) VALUES (:n, :a) ON CONFLICT (n) DO UPDATE SET a = kept.a + excluded.a",
    columns=(("n", "bigint"), ("a", "bigint")),
)
IN_OTHER_ORDER = Statement("test.in_other_order", "INSERT INTO kept (text, n) VALUES (:text, :n)", columns=_COLUMNS)
BESIDE_VALUES = Statement(
    "test.beside_values",
    "INSERT INTO kept (n, a) VALUES (:n, :a) ON CONFLICT (n) DO UPDATE SET a = excluded.a WHERE kept.a < :least",
    columns=(("n", "bigint"), ("a", "bigint"), ("least", "bigint")),
)
EXPRESSION = Statement("test.expression", "INSERT INTO kept (n, text) VALUES (:n, upper(:text))", columns=_COLUMNS)
CHANGE = Statement("test.change", "UPDATE kept SET text = :text WHERE n = :n", columns=_COLUMNS)


@pytest.fixture
def database() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE kept (n BIGINT PRIMARY KEY, a BIGINT, text TEXT, b BLOB)")
    yield connection
    connection.close()


def test_a_hundred_rows_are_seven_statements(database: apsw.Connection) -> None:
    said: list[str] = []
    database.trace_v2(apsw.SQLITE_TRACE_STMT, lambda event: said.append(event["sql"]))
    SqliteConnection(database).insert_many(PLAIN, [(n, f"text {n}") for n in range(100)])
    assert len(said) == 3 + 4
    database.trace_v2(0, None)
    found = database.execute("SELECT n, a, text, b FROM kept ORDER BY n").fetchall()
    assert found == [(n, 7, f"text {n}", None) for n in range(100)]


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 1000])
def test_rows_that_are_there_are_left_and_not_returned(database: apsw.Connection, count: int) -> None:
    connection = SqliteConnection(database)
    connection.insert_many(PLAIN, [(n, "first") for n in range(0, count, 3)])
    returned = connection.insert_many(UNLESS_THERE, [(n, "second") for n in range(count)])
    assert sorted(n for (n,) in returned) == [n for n in range(count) if n % 3]
    ((kept, left),) = database.execute("SELECT count(*), sum(text = 'first') FROM kept").fetchall()
    assert (kept, left) == (count, len(range(0, count, 3)))


def test_one_key_in_several_rows_of_a_statement_is_added_up(database: apsw.Connection) -> None:
    (written,) = SqliteConnection(database).write_all([(COUNTED, [(n % 5, n) for n in range(80)])])
    assert written == 80
    assert database.execute("SELECT n, a FROM kept ORDER BY n").fetchall() == [
        (n, sum(range(n, 80, 5))) for n in range(5)
    ]


@pytest.mark.parametrize(
    ("statement", "row", "kept"),
    [
        (IN_OTHER_ORDER, lambda n: (n, f"text {n}"), lambda n: (None, f"text {n}")),
        (BESIDE_VALUES, lambda n: (n, n, 5), lambda n: (n, None)),
        (EXPRESSION, lambda n: (n, f"text {n}"), lambda n: (None, f"TEXT {n}")),
    ],
    ids=lambda value: value.name if isinstance(value, Statement) else "",
)
def test_each_value_finds_its_place(database: apsw.Connection, statement: Statement, row: RowOf, kept: RowOf) -> None:
    counts = SqliteConnection(database).write_all([(statement, [row(n) for n in range(70)])])
    assert counts == [70]
    assert database.execute("SELECT a, text FROM kept ORDER BY n").fetchall() == [kept(n) for n in range(70)]


def test_a_change_of_many_rows_counts_what_it_changed(database: apsw.Connection) -> None:
    connection = SqliteConnection(database)
    connection.insert_many(PLAIN, [(n, "") for n in range(40)])
    assert connection.write_all([(CHANGE, [(n, "new") for n in range(50)])]) == [40]
