"""Statements on an apsw connection: names become numbered placeholders, keys an array that SQLite reads as a table."""

import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import apsw

from hub.store.connection import Row, Statement

_NAME = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")
_KEYS = "(:keys)"
_KEYS_AS_TABLE = "(SELECT value FROM carray(:keys))"

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
        return self.apsw.executemany(_numbered(statement), rows).fetchall() if rows else []

    update_many = insert_many

    def read_many(self, statement: Statement, rows: Sequence[Row], /) -> list[Row]:
        return self.insert_many(statement, rows)

    def write_all(self, writes: Sequence[tuple[Statement, Sequence[Row]]], /) -> list[int]:
        counts = []
        for statement, rows in writes:
            before = self.apsw.total_changes()
            if rows:
                self.apsw.executemany(_numbered(statement), rows)
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
    numbers = {name: number for number, (name, _) in enumerate(statement.columns, start=1)}
    return _NAME.sub(lambda match: f"?{numbers[match[1]]}", statement.text)


@cache
def _with_table_of_keys(statement: Statement) -> str:
    if statement.text.count(_KEYS) != 1:
        raise ValueError(f"statement {statement.name} does not say {_KEYS} once")
    return statement.text.replace(_KEYS, _KEYS_AS_TABLE)
