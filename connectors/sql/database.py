"""A connection to a database through SQLAlchemy's core: how it is opened, what its errors mean, which locks it knows."""

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy
from sqlalchemy import exc
from sqlalchemy.engine import URL, Connection, Dialect, make_url
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import ClauseElement, ColumnElement, Select, TableClause
from sqlalchemy.sql.elements import ColumnClause

from connectors.errors import AuthenticationError, NotConnectedError, SourceError, TopologyError
from connectors.sql.timing import Timing

_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql", "oracle": "oracledb"}
"""The driver of a URL that names none."""

_EXTRAS = {
    "psycopg": "pushbridge[sql-postgresql]",
    "pymysql": "pushbridge[sql-mysql]",
    "pyodbc": "pushbridge[sql-mssql]",
    "oracledb": "pushbridge[sql-oracle]",
    "ibm_db_sa": "pushbridge[sql-db2]",
    "ibm_db_dbi": "pushbridge[sql-db2]",
}
"""By the module that is missing, what installs it."""

_SETTINGS: Mapping[str, Sequence[str]] = {
    "postgresql": (
        "SET lock_timeout = {milliseconds}",
        "SET idle_in_transaction_session_timeout = {silence_milliseconds}",
    ),
    "mysql": (
        "SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}, wait_timeout = {silence}",
    ),
    "mssql": ("SET LOCK_TIMEOUT {milliseconds}",),
}
"""By dialect, what keeps a statement from waiting without end for a lock of another session, and the locks of a session of
ours whose connection is gone, which the database need not notice for hours, from keeping rows from the next one."""

_READS_COMMITTED = frozenset({"postgresql", "mysql", "mssql"})
"""Where a transaction reads what was committed by then. MySQL would lock the gaps between rows too, and writers wait."""

_CLAIMS = frozenset({"postgresql", "mysql", "mssql"})
"""Where a row is locked as it is read, and rows that others have locked are passed over."""

_REFUSED = {"28000", "28P01", 1044, 1045, 1698, 18456}
"""Codes of PostgreSQL (SQLSTATE), MySQL and SQL Server for a user or a password that is not taken."""

_LOCKED = {"55P03", 1205, 1222, 3572}
"""Codes for a lock that was not given in time: PostgreSQL, MySQL and MariaDB, SQL Server."""

_AT_A_TIME = 500
"""Values in one statement; SQL Server takes 2,100."""

_DEADLOCKS = {"40001", "40P01", 1213}


class Database:
    """One connection. Everything here blocks, and is called in one thread."""

    def __init__(self, name: str, url: str, *, timing: Timing) -> None:
        self.name = name
        self._timing = timing
        try:
            self._url = with_driver(make_url(url))
            self._engine = sqlalchemy.create_engine(
                self._url,
                poolclass=NullPool,
                connect_args=_connect_args(self._url, timing),
                **({"isolation_level": "READ COMMITTED"} if self._dialect_name in _READS_COMMITTED else {}),
            )
        except exc.NoSuchModuleError:
            dialect = self._url.get_backend_name()
            raise TopologyError(f"{name}: no dialect for {dialect}:// is installed; {_install(dialect)}") from None
        except exc.ArgumentError:  # its text has the URL in it, with the password
            raise TopologyError(f"{name}: the URL cannot be read; a password has @ : / as %40 %3A %2F") from None
        except ModuleNotFoundError as error:
            missing = str(error.name)
            raise TopologyError(f"{name}: the driver {missing} is not installed; {_install(missing)}") from None
        self._connection: Connection | None = None
        self._driver: Any = None

    def reopen(self) -> None:
        """A driver that could not read a value may have left the rest of the answer unread. Raises: as `open`."""
        self.close()
        self.open()

    def open(self) -> None:
        """Raises: NotConnectedError, AuthenticationError, TopologyError."""
        seconds, silence = max(1, round(self._timing.lock)), max(1, round(self._timing.silence))
        with self.translating():
            self._connection = self._engine.connect()
            self._driver = self._connection.connection.driver_connection
            for statement in _SETTINGS.get(self._dialect_name, ()):
                text = statement.format(
                    seconds=seconds,
                    milliseconds=1000 * seconds,
                    silence=silence,
                    silence_milliseconds=1000 * silence,
                )
                self._connection.exec_driver_sql(text)
            self._connection.commit()

    def abandon(self) -> None:
        """Break a connection that does not answer, from any thread: what waits for its answer fails, and ends its thread.

        A driver need not have a limit of time of its own, and a server behind a proxy may be gone without a sign.
        """
        with suppress(Exception), socket.socket(fileno=os.dup(self._driver.fileno())) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the transaction under way without effect, and disconnect; never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.rollback()
            with suppress(Exception):
                connection.close()
        self._engine.dispose()

    @property
    def claims(self) -> bool:
        """Whether a row is locked as it is read."""
        return self._dialect_name in _CLAIMS

    @property
    def scans(self) -> bool:
        """Whether a list of ids may be looked for in the whole table, where each row that it meets is locked."""
        return self._dialect_name == "mysql"

    @property
    def dialect(self) -> Dialect:
        return self._engine.dialect

    def rows(self, statement: ClauseElement) -> list[Mapping[str, Any]]:
        """Raises: what SQLAlchemy and the driver raise, for `translating`."""
        return [dict(row) for row in self._run(statement).mappings().all()]

    def columns(self, table: TableClause) -> list[str]:
        """The names of the columns of a table, as they are in rows."""
        nothing = sqlalchemy.select(sqlalchemy.text("*")).select_from(table).where(sqlalchemy.false())
        names = list(self._run(nothing).keys())
        self.rollback()
        return names

    def is_unique(self, table: TableClause, column: str) -> bool:
        """Whether the database lets no two rows have the same value there, as far as it tells: it does so of no view."""
        assert self._connection is not None
        try:
            catalogue = sqlalchemy.inspect(self._connection)
            where = (table.name, table.schema)
            keys: list[Sequence[str | None]] = [catalogue.get_pk_constraint(*where)["constrained_columns"]]
            keys += [each["column_names"] for each in catalogue.get_unique_constraints(*where)]
            keys += [
                each["column_names"]
                for each in catalogue.get_indexes(*where)
                if each["unique"] and not each.get("dialect_options", {}).get("postgresql_where")
            ]
        except (exc.SQLAlchemyError, NotImplementedError) as error:
            if is_lost(error):
                raise
            keys = []
        self.rollback()
        return [column.casefold()] in [[str(name).casefold() for name in key] for key in keys]

    def value(self, statement: ClauseElement) -> Any:
        return self._run(statement).scalar()

    def run(self, statement: ClauseElement) -> int:
        """How many rows it has changed, as far as the driver says."""
        return int(self._run(statement).rowcount)

    def run_for(self, statement: ClauseElement, name: str, values: Sequence[Any]) -> int:
        """As `run`, once for each value of the parameter `name`."""
        return int(self._run(statement, [{name: value} for value in values]).rowcount)

    def _run(self, statement: Any, values: Any = None) -> Any:
        if self._connection is None:
            raise NotConnectedError(f"{self.name}: not connected")
        return self._connection.execute(statement, values)

    def commit(self) -> None:
        assert self._connection is not None
        self._connection.commit()

    def rollback(self) -> None:
        assert self._connection is not None
        self._connection.rollback()

    @contextmanager
    def translating(self, *, refused: type[SourceError] = NotConnectedError) -> Iterator[None]:
        """Errors of SQLAlchemy and of its driver in our words: `refused` for a statement that is not taken."""
        try:
            yield
        except (exc.SQLAlchemyError, OSError, ValueError, TypeError) as error:
            raise self._translated(error, refused) from error

    def _translated(self, error: BaseException, refused: type[SourceError]) -> SourceError:
        text = f"{self.name}: {cause(error)}"
        codes = _codes(error)
        if _REFUSED & codes or re.search(r"(?i)password authentication failed|ORA-01017|SQL30082N", text):
            return AuthenticationError(text)
        if is_contended(error):
            return NotConnectedError(f"{text}: another session holds a lock")
        if self._connection is None or is_lost(error):
            return NotConnectedError(text)
        return refused(text)

    @property
    def _dialect_name(self) -> str:
        """MariaDB is MySQL here."""
        name = self._url.get_backend_name()
        return "mysql" if name == "mariadb" else name


def with_driver(url: URL) -> URL:
    """The URL with the driver that we know for its database, where it names none."""
    backend = url.drivername
    if backend == "postgres":
        backend = "postgresql"
    driver = _DRIVERS.get(backend)
    return url if driver is None else url.set(drivername=f"{backend}+{driver}")


def table_of(name: str, columns: Sequence[str]) -> TableClause:
    """A table by `TABLE` or `SCHEMA.TABLE`; what stands before the last dot is the schema."""
    schema, _, table = name.rpartition(".")
    named: list[ColumnClause[Any]] = [sqlalchemy.column(column) for column in columns]
    return sqlalchemy.table(table, *named, schema=schema or None)


def bound(value: Any) -> ColumnElement[Any]:
    """A value as its driver binds it: SQLAlchemy would cast a whole number to one of 32 bits for PostgreSQL."""
    return sqlalchemy.literal(value, sqlalchemy.types.NullType())


def among(column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a column has one of these values, each bound as by `bound`."""
    return column.in_(sqlalchemy.bindparam(None, list(values), expanding=True, type_=sqlalchemy.types.NullType()))


def parameter(name: str) -> ColumnElement[Any]:
    """A value that is given later, bound as by `bound`."""
    return sqlalchemy.bindparam(name, type_=sqlalchemy.types.NullType())


def pieces(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """As many at a time as one statement may name."""
    for start in range(0, len(values), _AT_A_TIME):
        yield values[start : start + _AT_A_TIME]


def claiming(select: "Select[Any]", table: TableClause, database: Database) -> "Select[Any]":
    """The same, locking the rows it reads and passing over those that are locked, where the database can do so."""
    if not database.claims:
        return select
    return select.with_for_update(skip_locked=True).with_hint(table, "WITH (UPDLOCK, READPAST, ROWLOCK)", "mssql")


def is_lost(error: BaseException) -> bool:
    """Whether the connection is of no more use."""
    if isinstance(error, OSError):
        return True
    return isinstance(error, exc.DBAPIError) and error.connection_invalidated


def is_contended(error: BaseException) -> bool:
    """Whether another session was in the way: the same statement may succeed the next time."""
    return bool((_LOCKED | _DEADLOCKS) & _codes(error)) or "database is locked" in str(error)


def cause(error: BaseException) -> str:
    """What the driver said, in one line and without the statement and its values."""
    original = getattr(error, "orig", None) or error
    arguments = original.args
    is_numbered = len(arguments) > 1 and isinstance(arguments[0], int) and isinstance(arguments[1], str)
    text = f"{arguments[1]} ({arguments[0]})" if is_numbered else str(original)
    return " ".join(text.split()) or type(original).__name__


def _codes(error: BaseException) -> set[Any]:
    """SQLSTATE and the driver's own number, as far as there are any."""
    original = getattr(error, "orig", None)
    found = {getattr(original, "sqlstate", None), *(getattr(original, "args", ()) or ())[:1]}
    return {each for each in found if isinstance(each, str | int)}


def _connect_args(url: URL, timing: Timing) -> dict[str, Any]:
    """What lets a driver give up: no answer to a connect, and none to a statement."""
    connect, request = round(timing.connect), round(timing.request)
    match url.drivername:
        case "postgresql+psycopg":
            return {
                "connect_timeout": max(2, connect),
                "application_name": "pushbridge",
                "prepare_threshold": None,  # a pooler gives each transaction another session
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 1000 * request,
            }
        case "mysql+pymysql" | "mariadb+pymysql":
            return {"connect_timeout": connect, "read_timeout": request, "write_timeout": request}
        case "sqlite" | "sqlite+pysqlite":
            return {"timeout": timing.lock}
        case _:
            return {}


def _install(missing: str) -> str:
    return f"pip install {_EXTRAS[missing]!r}" if missing in _EXTRAS else f"install the package that brings {missing}"
