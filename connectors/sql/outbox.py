"""An outbox: rows are claimed, and deleted or marked once their events are in the store."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import exc
from sqlalchemy.sql import ColumnElement, Select

from connectors.errors import NotConnectedError, TopologyError
from connectors.sql.database import (
    Database,
    among,
    bound,
    cause,
    claiming,
    is_contended,
    is_lost,
    parameter,
    pieces,
    table_of,
)
from connectors.sql.reading import UNREADABLE, UnreadableRowError, read_singly
from connectors.sql.row import Row, text_of, version_of
from connectors.sql.settings import Outbox

_log = logging.getLogger("pushbridge")

_MAX_LEFT = 500
"""Rows that are passed over, as they can be neither read nor marked, before the whole table counts as broken."""


class _SharedIdError(Exception):
    """Ids name more rows than there are ids."""


class OutboxReader:
    """Reads one table over one connection. Everything here blocks, and is called in one thread.

    A row is claimed by its lock, where the database can pass over locked rows: no other process reads it until the
    claim ends, with the first settlement of what was read together. Elsewhere all processes read all rows, and the store
    knows those it has.

    Rows that share an id are left where they are: a row that was not read would be deleted with the one that was.
    """

    def __init__(self, database: Database, settings: Outbox, *, body: str | None) -> None:
        self._database = database
        self._settings = settings
        self._body = body
        self._held: set[Any] = set()
        self._left: set[Any] = set()
        self._has_nameless = False
        self._has_unique_id = False

    def open(self) -> None:
        """Look at the table, and at what we may do there. Raises: SourceError."""
        with self._database.translating(refused=TopologyError):
            found = self._database.columns(table_of(self._settings.table, ()))
        needed = [self._settings.id, *self._settings.order, *([self._body] if self._body else [])]
        if self._settings.mark is not None:
            needed.append(self._settings.mark.column)
        self._table = table_of(self._settings.table, found)
        check_columns(self._database.name, self._settings.table, needed, found)
        with self._database.translating(refused=TopologyError):
            self._has_unique_id = self._database.is_unique(self._table, self._settings.id)
            try:
                self._database.rows(self._selecting(0))
                self._database.run(self._finishing(sqlalchemy.false()))
            finally:
                self._database.rollback()

    def read(self, limit: int) -> list[Row]:
        """Up to `limit` rows that are not held yet, in order; those are held now. Raises: SourceError."""
        with self._database.translating():
            try:
                found = self._database.rows(self._selecting(limit + len(self._held)))
                rows = [self._row(columns) for columns in found if columns[self._settings.id] not in self._held]
            except UNREADABLE as error:
                if is_lost(error):
                    raise
                self._database.reopen()
                rows = list(self._read_singly(limit + len(self._held), cause(error)))
            rows = self._with_own_id(rows)[:limit]
            if not self._held and not (rows and self._database.claims):
                self._database.rollback()
        self._held.update(row.id for row in rows)
        return rows

    def finish(self, done: Sequence[Any], given_back: Sequence[Any]) -> None:
        """Delete or mark rows, and hold those no longer that are given back. Raises: NotConnectedError."""
        self._held.difference_update(given_back)
        with self._database.translating():
            try:
                for ids in pieces(done):
                    self._end(self._unshared(ids))
                self._database.commit()
            except (exc.DBAPIError, _SharedIdError) as error:
                if is_lost(error) or is_contended(error):
                    raise
                self._database.rollback()
                self._finish_singly(done)
        self._held.difference_update(done)

    def count(self) -> int:
        """How many rows wait, those that are held among them. Raises: NotConnectedError."""
        with self._database.translating():
            rows, named = sqlalchemy.func.count().label("rows"), sqlalchemy.func.count(self._id).label("named")
            counted = sqlalchemy.select(rows, named).select_from(self._table).where(*self._waiting())
            (counts,) = self._database.rows(counted)
            if not self._held:
                self._database.rollback()
        number = int(counts["rows"])
        self._tell_of_nameless(number - int(counts["named"]))
        return number

    def _row(self, columns: Mapping[str, Any]) -> Row:
        mark = self._settings.mark
        id = columns[self._settings.id]
        version = version_of(columns, leaving_out=None if mark is None else mark.column)
        return Row(key=id, id=id, version=version, columns=columns)

    def _waiting(self) -> Iterator[ColumnElement[bool]]:
        mark = self._settings.mark
        if mark is not None:
            column = self._table.columns[mark.column]
            yield column.is_(None) if mark.waiting is None else column == bound(mark.waiting)
        if self._left:
            yield sqlalchemy.not_(among(self._id, list(self._left)))

    def _selecting(self, limit: int) -> "Select[Any]":
        return claiming(self._ordered(sqlalchemy.select(*self._table.columns), limit), self._table, self._database)

    def _ordered(self, select: "Select[Any]", limit: int) -> "Select[Any]":
        order = [self._table.columns[name] for name in self._settings.order]
        return select.where(*self._waiting(), self._id.is_not(None)).order_by(*order).limit(limit)

    @property
    def _id(self) -> ColumnElement[Any]:
        return self._table.columns[self._settings.id]

    def _finishing(self, which: ColumnElement[bool]) -> Any:
        mark = self._settings.mark
        if mark is None:
            return sqlalchemy.delete(self._table).where(which)
        value = sqlalchemy.func.current_timestamp() if mark.done is None else bound(mark.done)
        return sqlalchemy.update(self._table).where(which).values({mark.column: value})

    def _end(self, ids: Sequence[Any]) -> None:
        """Delete or mark rows, without a commit. Raises: _SharedIdError: ids name more rows than were read."""
        if not ids:
            return
        if self._database.scans:
            ended = self._database.run_for(self._finishing(self._id == parameter("that")), "that", ids)
        else:
            ended = self._database.run(self._finishing(among(self._id, ids)))
        if ended > len(ids):
            raise _SharedIdError

    def _finish_singly(self, done: Sequence[Any]) -> None:
        """What cannot be deleted or marked is left where it is, and not read again over this connection."""
        for id in done:
            try:
                self._end(self._unshared([id]))
                self._database.commit()
            except _SharedIdError:
                self._database.rollback()
                self._leave_shared(id)
            except exc.DBAPIError as error:
                if is_lost(error) or is_contended(error):
                    raise
                self._database.rollback()
                self._leave(id, f"its event is taken, but it cannot be {self._ended}: {cause(error)}")

    def _with_own_id(self, rows: Sequence[Row]) -> list[Row]:
        """Those whose id no other of them has."""
        if self._has_unique_id:
            return list(rows)
        often = Counter(row.id for row in rows)
        for id, count in often.items():
            if count > 1:
                self._leave_shared(id)
        return [row for row in rows if often[row.id] == 1]

    def _unshared(self, ids: Sequence[Any]) -> Sequence[Any]:
        """Those that name one row at most. The number of rows that are deleted does not tell: other rows may be gone."""
        if self._has_unique_id:
            return ids
        counted = sqlalchemy.select(self._id).where(among(self._id, ids)).group_by(self._id)
        shared = {row[self._settings.id] for row in self._database.rows(counted.having(sqlalchemy.func.count() > 1))}
        for id in shared:
            self._leave_shared(id)
        return [id for id in ids if id not in shared]

    def _leave_shared(self, id: Any) -> None:
        self._leave(
            id, f"other rows have this {self._settings.id} too, and outbox.id has to be a column that is unique"
        )

    def _read_singly(self, limit: int, trouble: str) -> Iterator[Row]:
        """Rows one by one, as one among them cannot be read as it is."""
        _log.warning("source %s: a row of %s is read in parts: %s", self._database.name, self._settings.table, trouble)
        for found in self._database.rows(self._ordered(sqlalchemy.select(self._id), limit)):
            id = found[self._settings.id]
            if id in self._held:
                continue
            try:
                yield self._row(read_singly(self._database, self._table, self._id == bound(id)))
            except UnreadableRowError as error:
                self._leave(id, f"it cannot be read: {error}")
            except LookupError:  # another process has done it
                continue

    def _leave(self, id: Any, why: str) -> None:
        if id in self._left:
            return
        self._left.add(id)
        name, table = self._database.name, self._settings.table
        _log.warning("source %s: row %s of %s is left where it is: %s", name, text_of(id), table, why)
        if len(self._left) > _MAX_LEFT:
            raise NotConnectedError(
                f"{name}: more than {_MAX_LEFT} rows of {table} can be neither read nor {self._ended}"
            )

    def _tell_of_nameless(self, number: int) -> None:
        """Say once that there are rows which cannot be deleted or marked, as nothing names them."""
        if number and not self._has_nameless:
            name, table, id = self._database.name, self._settings.table, self._settings.id
            _log.warning(
                "source %s: %d rows of %s have no %s and are left where they are: give each a value",
                name,
                number,
                table,
                id,
            )
        self._has_nameless = number > 0

    @property
    def _ended(self) -> str:
        return "deleted" if self._settings.done == "delete" else "marked"


def check_columns(name: str, table: str, needed: Sequence[str], found: Sequence[str]) -> None:
    """Raises: TopologyError: the table has no column of this name."""
    missing = [column for column in dict.fromkeys(needed) if column not in found]
    if missing:
        listed = ", ".join(repr(column) for column in missing)
        raise TopologyError(f"{name}: {table} has no column {listed}; it has {', '.join(found)}")
