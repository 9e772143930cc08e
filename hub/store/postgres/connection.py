"""Statements on a psycopg connection: a call is a round trip, whatever the number of its rows."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from hub.store.connection import Row, Statement
from hub.store.postgres.statements import bulk, conflict_key, constants, single
from hub.store.postgres.values import array_of


class PostgresConnection:
    """`hub.store.connection.Connection`: a transaction that has begun. Errors are psycopg's."""

    __slots__ = ("psycopg",)

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.psycopg = connection

    def read(self, statement: Statement, /, **values: Any) -> list[Row]:
        return self._run(single(statement), values)

    write = read

    def insert_many(self, statement: Statement, rows: Sequence[Row], /) -> list[Row]:
        return [
            row for each in _rounds(statement, rows) for row in self._run(bulk(statement), _arrays(statement, each))
        ]

    def update_many(self, statement: Statement, rows: Sequence[Row], /) -> list[Row]:
        return self._run(bulk(statement), _arrays(statement, rows)) if rows else []

    def read_many(self, statement: Statement, rows: Sequence[Row], /) -> list[Row]:
        return self.update_many(statement, rows)

    def read_by_keys(self, statement: Statement, keys: Sequence[Any], /, **values: Any) -> list[Row]:
        if not keys:
            return []
        ((_, sql_type),) = statement.columns
        return self._run(single(statement), {**values, "keys": array_of(sql_type, keys)})

    def read_all_by_keys(self, reads: Sequence[tuple[Statement, Sequence[Any]]], /, **values: Any) -> list[list[Row]]:
        cursors = [self.psycopg.cursor() if keys else None for _, keys in reads]
        with self.psycopg.pipeline():
            for (statement, keys), cursor in zip(reads, cursors, strict=True):
                if cursor is not None:
                    ((_, sql_type),) = statement.columns
                    cursor.execute(single(statement), {**values, "keys": array_of(sql_type, keys)}, binary=True)
        return [[] if cursor is None else cursor.fetchall() for cursor in cursors]

    def write_all(self, writes: Sequence[tuple[Statement, Sequence[Row]]], /) -> list[int]:
        sent: list[list[psycopg.Cursor[Any]]] = []
        with self.psycopg.pipeline():
            for statement, rows in writes:
                cursors = []
                for each in _rounds(statement, rows):
                    cursors.append(cursor := self.psycopg.cursor())
                    cursor.execute(bulk(statement), _arrays(statement, each))
                sent.append(cursors)
        return [sum(cursor.rowcount for cursor in cursors) for cursors in sent]

    def _run(self, text: bytes, values: dict[str, Any]) -> list[Row]:
        cursor = self.psycopg.execute(text, values, binary=True)
        return cursor.fetchall() if cursor.description is not None else []


def _arrays(statement: Statement, rows: Sequence[Row]) -> dict[str, Any]:
    columns = list(zip(*rows, strict=True))
    values: dict[str, Any] = {
        f"_{name}": array_of(sql_type, column)
        for (name, sql_type), column in zip(statement.columns, columns, strict=True)
    }
    for number in constants(statement):
        name, column = statement.columns[number][0], columns[number]
        if column.count(column[0]) != len(column):
            raise ValueError(f"statement {statement.name}: {name} is not alike in all rows")
        values[name] = column[0]
    return values


def _rounds(statement: Statement, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows in as many parts as a key of an upsert comes: PostgreSQL writes a key once a statement. No rows, no part."""
    key = conflict_key(statement)
    while rows:
        if not key:
            yield rows
            return
        first: dict[tuple[Any, ...], Row] = {}
        rows = [row for row in rows if first.setdefault(tuple(row[number] for number in key), row) is not row]
        yield list(first.values())
