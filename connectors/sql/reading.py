"""Rows that were found, with those that the driver cannot read read in another way."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import exc
from sqlalchemy.sql import ColumnElement, Select, TableClause

from connectors.sql.database import Database, cause, is_lost

UNREADABLE = (exc.DBAPIError, ValueError, TypeError, OverflowError)
"""What drivers raise for a value that they cannot read: their own errors, or Python's."""


class UnreadableRowError(Exception):
    """A value of the row can be read in no way; the message names the column."""


def read_singly(database: Database, table: TableClause, where: ColumnElement[bool]) -> Mapping[str, Any]:
    """One row, a column at a time: one that the driver cannot read comes as text, or as bytes, from the database.

    The connection may be another one afterwards. Raises: UnreadableRowError, LookupError: the row is gone; and what
    SQLAlchemy raises for a connection that is lost.
    """
    whole = sqlalchemy.select(*table.columns).where(where)
    try:
        return _one(database.rows(whole))
    except UNREADABLE as error:
        if is_lost(error):
            raise
        database.reopen()
    return {column.name: _value(database, sqlalchemy.select(column).where(where)) for column in table.columns}


def _value(database: Database, select: "Select[Any]") -> Any:
    (column,) = select.selected_columns
    forms: Sequence[ColumnElement[Any]] = (
        column,
        sqlalchemy.cast(column, sqlalchemy.Text),
        sqlalchemy.cast(column, sqlalchemy.LargeBinary),
    )
    trouble = ""
    for form in forms:
        try:
            (value,) = _one(database.rows(select.with_only_columns(form.label("value")))).values()
        except UNREADABLE as error:
            if is_lost(error):
                raise
            trouble = trouble or cause(error)
            database.reopen()
        else:
            return value
    raise UnreadableRowError(f"column {column.name}: {trouble}")


def _one(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    if not rows:
        raise LookupError("the row is gone")
    return rows[0]
