"""A table that nobody may change: rows above a watermark are new, and an overlap below it is looked at again."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy
from sqlalchemy.sql import ColumnElement

from connectors.errors import TopologyError
from connectors.sql.database import Database, among, bound, cause, is_contended, is_lost, pieces, table_of
from connectors.sql.outbox import check_columns
from connectors.sql.reading import UNREADABLE, UnreadableRowError, read_singly
from connectors.sql.row import Row, text_of
from connectors.sql.settings import Watermark

_log = logging.getLogger("pushbridge")

_EPOCH = datetime(1970, 1, 1)

Key = tuple[Any, int]
"""What a row is known by: its id, and the value of the column that rises, as a whole number."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a table was read; it lasts from one connection to the next.

    `floor` is below the first row that counts. Up to `watermark` every row that was seen is settled. `seen` are the rows
    that were settled and may be met again.
    """

    floor: int | None = None
    watermark: int | None = None
    seen: set[Key] = field(default_factory=set)


class WatermarkReader:
    """Reads one table over one connection, with the right to read alone. Everything here blocks, in one thread.

    Each look begins `overlap` below the watermark, since values are given out before they are committed, and passes over
    the rows that it knows. Rows that it does not know any more, after a restart, the store knows.
    """

    def __init__(
        self,
        database: Database,
        settings: Watermark,
        *,
        body: str | None,
        progress: Progress,
    ) -> None:
        self._database = database
        self._settings = settings
        self._body = body
        self._progress = progress
        self._held: set[Key] = set()
        self._given_back: set[Key] = set()
        self._unreadable: set[Any] = set()
        self._scale = Scale()

    def open(self) -> Sequence[str]:
        """Look at the table; what it cannot see, in words. Raises: SourceError."""
        settings = self._settings
        with self._database.translating(refused=TopologyError):
            found = self._database.columns(table_of(settings.table, ()))
        needed = [settings.id, settings.column, *([self._body] if self._body else [])]
        check_columns(self._database.name, settings.table, needed, found)
        self._table = table_of(settings.table, found)
        with self._database.translating(refused=TopologyError):
            highest = self._highest()
            without = sqlalchemy.select(sqlalchemy.literal(1)).select_from(self._table).where(self._column.is_(None))
            has_null = self._database.value(without.limit(1)) is not None
            self._database.rollback()
        top = self._read_value(highest)
        progress = self._progress
        if progress.floor is None:
            progress.floor = top if settings.start == "latest" and top is not None else LOWEST
        if progress.watermark is None:
            progress.watermark = progress.floor
        return list(self._warnings(has_null))

    def read(self, limit: int) -> list[Row]:
        """Up to `limit` rows that are not known, by rising values; those are held now. Raises: SourceError."""
        keys = self._keys(limit)
        if not keys:
            return []
        with self._database.translating():
            try:
                rows = self._whole([id for id, _ in keys])
            except UNREADABLE:
                self._database.reopen()
                rows = {}
                for id, _ in keys:
                    rows |= self._singly(id)
            self._database.rollback()
        found = [rows[key] for key in keys if key in rows]  # one that was changed since has another value, and comes
        self._held.update(row.key for row in found)
        self._given_back.difference_update(self._held)
        return found

    def finish(self, done: Sequence[Key], given_back: Sequence[Key]) -> None:
        """Know rows as done, move the watermark, and hold those no longer that are given back."""
        progress = self._progress
        self._held.difference_update(given_back, done)
        self._given_back.update(given_back)
        progress.seen.update(done)
        assert progress.watermark is not None
        highest = max((value for _, value in progress.seen), default=progress.watermark)
        lowest_open = min((value - 1 for _, value in self._held | self._given_back), default=highest)
        progress.watermark = max(progress.watermark, min(highest, lowest_open))
        lowest = self._lowest()
        progress.seen = {key for key in progress.seen if key[1] >= lowest}

    def count(self) -> int:
        """How many rows above the watermark are not settled. Raises: NotConnectedError."""
        watermark = self._progress.watermark
        assert watermark is not None
        settled = sum(value > watermark for _, value in self._progress.seen)
        with self._database.translating():
            counted = sqlalchemy.select(sqlalchemy.func.count()).select_from(self._table).where(*self._above(watermark))
            number = int(self._database.value(counted))
            self._database.rollback()
        return max(0, number - settled)

    def _highest(self) -> Any:
        """Raises: TopologyError: it is one that no program can read, such as the date `infinity` of PostgreSQL."""
        try:
            return self._database.value(sqlalchemy.select(sqlalchemy.func.max(self._column)))
        except UNREADABLE as error:
            if is_lost(error) or is_contended(error):
                raise
            raise TopologyError(
                f"{self._database.name}: the highest value of {self._settings.table}.{self._settings.column} cannot be"
                f" read: {cause(error)}; correct it, or read a view that leaves it out"
            ) from error

    def _keys(self, limit: int) -> list[Key]:
        """Those that are new, by rising values: as many rows are asked for as are known besides."""
        known = self._progress.seen | self._held
        floor = self._progress.floor
        assert floor is not None
        with self._database.translating():
            select = sqlalchemy.select(self._id.label("id"), self._column.label("value"))
            from_here = max(floor, self._lowest() - 1)
            ordered = select.where(*self._above(from_here), *self._readable()).order_by(self._column, self._id)
            found = self._database.rows(ordered.limit(limit + len(known)))
            self._database.rollback()
        keys = [(row["id"], value) for row in found if (value := self._read_value(row["value"])) is not None]
        return [key for key in keys if key not in known and key[1] > floor][:limit]

    def _whole(self, ids: Sequence[Any]) -> dict[Key, Row]:
        select = sqlalchemy.select(*self._table.columns)
        found = [self._database.rows(select.where(among(self._id, each))) for each in pieces(list(dict.fromkeys(ids)))]
        rows = [self._row(columns) for each in found for columns in each]
        return {row.key: row for row in rows}

    def _singly(self, id: Any) -> dict[Key, Row]:
        try:
            row = self._row(read_singly(self._database, self._table, self._id == bound(id)))
        except UnreadableRowError as error:
            self._unreadable.add(id)
            name, table = self._database.name, self._settings.table
            _log.warning(
                "source %s: row %s of %s is passed over, it cannot be read: %s", name, text_of(id), table, error
            )
            return {}
        except LookupError:
            return {}
        return {row.key: row}

    def _row(self, columns: Mapping[str, Any]) -> Row:
        id, value = columns[self._settings.id], self._read_value(columns[self._settings.column])
        return Row(key=(id, value), id=id, version=str(value), columns=columns)

    def _lowest(self) -> int:
        """Where the overlap begins."""
        watermark = self._progress.watermark
        assert watermark is not None
        return watermark - self._scale.of(self._settings.overlap)

    def _above(self, value: int) -> Iterator[ColumnElement[bool]]:
        if value > LOWEST and self._scale.is_known:
            yield self._column > bound(self._scale.value(value))

    def _readable(self) -> Iterator[ColumnElement[bool]]:
        if self._unreadable:
            yield sqlalchemy.not_(among(self._id, list(self._unreadable)))

    def _read_value(self, value: Any) -> int | None:
        try:
            return self._scale.number(value)
        except ValueError as error:
            raise TopologyError(
                f"{self._database.name}: {self._settings.table}.{self._settings.column} cannot be a watermark: {error}"
            ) from None

    def _warnings(self, has_null: bool) -> Iterator[str]:
        table, column = self._settings.table, self._settings.column
        overlap = self._scale.shown(self._settings.overlap)
        yield (
            f"{table} is read by {column}: a row that is committed more than {overlap} behind the highest value is not"
            f" seen, nor one that is deleted, nor a change that leaves {column} as it is"
        )
        if has_null:
            yield f"{table} has rows without {column}: those are not seen"

    @property
    def _id(self) -> ColumnElement[Any]:
        return self._table.columns[self._settings.id]

    @property
    def _column(self) -> ColumnElement[Any]:
        return self._table.columns[self._settings.column]


class Scale:
    """Values of the column as whole numbers and back: numbers as they are, times in microseconds since 1970.

    Of which kind the column is, the first value says. A time without an offset is taken for UTC; it is never shown.
    """

    def __init__(self) -> None:
        self._kind: type[int] | type[datetime] | type[date] | None = None
        self._is_aware = False

    @property
    def is_known(self) -> bool:
        return self._kind is not None

    def number(self, value: Any) -> int | None:
        """Raises: ValueError: neither a whole number nor a time."""
        match value:
            case None:
                return None
            case datetime():
                self._kind, self._is_aware = datetime, value.tzinfo is not None
                naive = value.astimezone(UTC).replace(tzinfo=None) if self._is_aware else value
                return (naive - _EPOCH) // timedelta(microseconds=1)
            case date():
                self._kind = date
                return (value - _EPOCH.date()) // timedelta(microseconds=1)
            case bool():
                raise ValueError("it holds truth values; take a column of whole numbers or of times")
            case int():
                self._kind = int
                return value
            case Decimal() if value == value.to_integral_value():
                self._kind = int
                return int(value)
            case _:
                kind = type(value).__name__
                raise ValueError(f"it holds values of the kind {kind}; take a column of whole numbers or of times")

    def value(self, number: int) -> Any:
        """What the database compares with."""
        if self._kind is int:
            return number
        try:
            at = _EPOCH + timedelta(microseconds=number)
        except OverflowError:
            at = datetime.min
        if self._kind is date:
            return at.date()
        return at.replace(tzinfo=UTC) if self._is_aware else at

    def of(self, overlap: float) -> int:
        """An overlap, which is in seconds where the column holds times."""
        return round(overlap if self._kind is int else overlap * 1_000_000)

    def shown(self, overlap: float) -> str:
        return f"{overlap:g}" if self._kind is int else f"{overlap:g} s"


LOWEST = -(2**62)
"""Below every value that a row has."""
