"""Statements on an apsw connection: names become numbered placeholders, keys an array that SQLite reads as a table.

Many rows of an INSERT are one statement with many VALUES: a statement a row takes 1.4 times the CPU, as each gives up the
interpreter's lock and takes it again.
"""

import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import apsw

from hub.store.connection import Row, Statement

_NAME = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")
_KEYS = "(:keys)"
_KEYS_AS_TABLE = "(SELECT value FROM carray(:keys))"

_VALUES = re.compile(r"(?s)(INSERT INTO .*? VALUES )(\(.*?\))( (?:ON CONFLICT|RETURNING).*)?")
_TOGETHER = 32
"""Rows of an INSERT in one statement; fewer have a statement each."""

_ARRAYS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "bigint": lambda keys: array("q", keys),
    "double precision": lambda keys: array("d", keys),
    "text": tuple,
    "bytea": tuple,
}
"""What apsw binds as an array, by the SQL type of the keys."""


class SqliteConnection:
    """`hub.store.connection.Connection`: a transaction that has begun. Errors are apsw's: the database translates them."""

    __slots__ = ("apsw",)

    def __init__(self, connection: apsw.Connection) -> None:
        self.apsw = connection

    def read(self, statement: Statement, /, **values: Any) -> list[Row]:
        return self.apsw.execute(statement.text, values).fetchall()

    write = read

    def insert_many(self, statement: Statement, rows: Sequence[Row], /) -> list[Row]:
        found: list[Row] = []
        rest = 0
        if len(rows) >= _TOGETHER and (together := _many_values(statement)) is not None:
            rest = len(rows) - len(rows) % _TOGETHER
            for start in range(0, rest, _TOGETHER):
                values = tuple(chain.from_iterable(rows[start : start + _TOGETHER]))
                found += self.apsw.execute(together, values).fetchall()
        if rest < len(rows):
            found += self.apsw.executemany(_numbered(statement), rows[rest:]).fetchall()
        return found

    update_many = insert_many

    def read_many(self, statement: Statement, rows: Sequence[Row], /) -> list[Row]:
        return self.insert_many(statement, rows)

    def write_all(self, writes: Sequence[tuple[Statement, Sequence[Row]]], /) -> list[int]:
        counts = []
        for statement, rows in writes:
            before = self.apsw.total_changes()
            self.insert_many(statement, rows)
            counts.append(self.apsw.total_changes() - before)
        return counts

    def read_by_keys(self, statement: Statement, keys: Sequence[Any], /, **values: Any) -> list[Row]:
        if not keys:
            return []
        if len(keys) == 1:  # a table of one costs three times as much as the key itself
            return self.apsw.execute(statement.text, {**values, "keys": keys[0]}).fetchall()
        ((_, sql_type),) = statement.columns
        if sql_type == "text" and any("\0" in key for key in keys):
            return self._read_by_texts_with_nul(statement, keys, values)
        bound = apsw.carray(_ARRAYS[sql_type](keys))
        return self.apsw.execute(_with_table_of_keys(statement), {**values, "keys": bound}).fetchall()

    def read_all_by_keys(self, reads: Sequence[tuple[Statement, Sequence[Any]]], /, **values: Any) -> list[list[Row]]:
        return [self.read_by_keys(statement, keys, **values) for statement, keys in reads]

    def _read_by_texts_with_nul(
        self, statement: Statement, keys: Sequence[str], values: Mapping[str, Any]
    ) -> list[Row]:
        """An array of texts cannot hold a NUL character, a bound text can."""
        names = {f"key_{number}": key for number, key in enumerate(keys)}
        marks = ", ".join(f":{name}" for name in names)
        return self.apsw.execute(statement.text.replace(_KEYS, f"({marks})"), {**values, **names}).fetchall()


@cache
def _numbered(statement: Statement) -> str:
    """The text with `?N` for the name of column N, so that a row is bound by its order."""
    return _with_numbers(statement, statement.text)


@cache
def _many_values(statement: Statement) -> str | None:
    """An INSERT of `_TOGETHER` rows, whose values are bound one behind the other; None where it cannot be said so."""
    matched = _VALUES.fullmatch(statement.text)
    if matched is None:
        return None
    insert, row, rest = matched.groups(default="")
    if "(" in row[1:] or _NAME.search(rest):  # an expression, or a value beside those of VALUES, which each row has
        return None
    width = len(statement.columns)
    rows = [_with_numbers(statement, row, before=before) for before in range(0, width * _TOGETHER, width)]
    return f"{insert}{', '.join(rows)}{rest}"


def _with_numbers(statement: Statement, text: str, *, before: int = 0) -> str:
    numbers = {name: number for number, (name, _) in enumerate(statement.columns, start=1 + before)}
    return _NAME.sub(lambda match: f"?{numbers[match[1]]}", text)


@cache
def _with_table_of_keys(statement: Statement) -> str:
    if statement.text.count(_KEYS) != 1:
        raise ValueError(f"statement {statement.name} does not say {_KEYS} once")
    return statement.text.replace(_KEYS, _KEYS_AS_TABLE)
