"""PostgreSQL's errors in the store's words: what happened first, then PostgreSQL's own text."""

import psycopg
from psycopg import errors

from hub.errors import ConflictError, StoreError

_OTHER_SCHEMA = "the schema is not that of pushbridge"
_WORDS: tuple[tuple[type[psycopg.Error], str], ...] = (
    (errors.DiskFull, "the disk of the database is full"),
    (errors.InsufficientPrivilege, "the role lacks a right"),
    (errors.ReadOnlySqlTransaction, "the database is read-only, as a standby is"),
    (errors.TooManyConnections, "the database has no connection left"),
    (errors.AdminShutdown, "the database ended the connection"),
    (errors.CrashShutdown, "the database crashed"),
    (errors.CannotConnectNow, "the database is starting or stopping"),
    (errors.IdleInTransactionSessionTimeout, "the process stood still in a transaction, which the database ended"),
    (errors.UndefinedTable, _OTHER_SCHEMA),
    (errors.UndefinedColumn, _OTHER_SCHEMA),
    (errors.UndefinedFunction, _OTHER_SCHEMA),  # of a type that a column has not
    (errors.DatatypeMismatch, _OTHER_SCHEMA),
    (errors.InvalidColumnReference, _OTHER_SCHEMA),  # a key of ON CONFLICT that is no key
    (errors.InvalidSchemaName, _OTHER_SCHEMA),
    (errors.InvalidSqlStatementName, "a pooler hands out a connection of others: it has to pool sessions"),
    (errors.DuplicatePreparedStatement, "a pooler hands out a connection of others: it has to pool sessions"),
    (errors.DataCorrupted, "the database is damaged"),
    (errors.IndexCorrupted, "the database is damaged"),
    (errors.QueryCanceled, "the store is closing"),
)
_CONNECT_WORDS = (
    ("password authentication failed", "the user or its password is refused"),
    ("no password supplied", "the database asks for a password: name its file in bridge.store.password_file"),
    ("no pg_hba.conf entry", "the database does not let this host, user or database in"),
    ("permission denied for database", "the role may not connect to the database"),
    ("is not permitted to log in", "the role may not connect to the database"),
    ("does not exist", "there is no such database or user"),
    ("certificate verify failed", "the certificate of the database is not trusted"),
    ("server certificate for", "the certificate of the database is of another host"),
    ("server does not support SSL", "the database does not speak TLS"),
    ("too many clients", "the database has no connection left"),
    ("too many connections", "the database has no connection left"),
    ("remaining connection slots", "the database has no connection left"),
    ("starting up", "the database is starting or stopping"),
    ("shutting down", "the database is starting or stopping"),
)
"""A refused connection has no code, only the text of the server."""

RETRIED = (errors.SerializationFailure, errors.DeadlockDetected)
"""Another transaction came between: the same again may work."""


def store_error(error: psycopg.Error) -> StoreError:
    """The error of PostgreSQL as one of the store, with it as the cause."""
    kind = ConflictError if isinstance(error, (*RETRIED, errors.UniqueViolation)) else StoreError
    translated = kind(": ".join(filter(None, [_words(error), _text(error)])))
    translated.__cause__ = error
    return translated


def connect_error(error: psycopg.Error) -> StoreError:
    """Why no connection could be made."""
    text = _text(error)
    words = next((words for part, words in _CONNECT_WORDS if part in text), "the database cannot be reached")
    translated = StoreError(f"{words}: {text}")
    translated.__cause__ = error
    return translated


def _words(error: psycopg.Error) -> str:
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError):
        return "the connection to the database was lost"
    return ""


def _text(error: psycopg.Error) -> str:
    """In one line; values of rows, which stand in a server's DETAIL, are left out."""
    text = error.diag.message_primary or str(error)
    return " ".join(text.split())
