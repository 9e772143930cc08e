"""Where the database is, and how a session with it is begun."""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from hub.errors import StoreError
from hub.store.postgres.errors import connect_error
from hub.store.postgres.values import register
from hub.tls import Tls

OLDEST = 15
"""The oldest major version of PostgreSQL that the store works on."""

_SESSION = (
    # A look-up goes by an index, also before the first ANALYZE of a table that was empty: as on SQLite, all statements are
    # written for their indexes. Where a table is read whole, no other way leads to its rows.
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off;"
    " SET synchronous_commit = on; SET bytea_output = 'hex'; SET client_encoding = 'UTF8'; SET lc_messages = 'C';"
)
_SESSION_WITHOUT_MESSAGES = _SESSION.replace(" SET lc_messages = 'C';", "")
"""Only a superuser, or a role with that right, chooses the language of messages."""
_WATCHED = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""How a host that is gone is noticed, in libpq's words: seconds, and milliseconds for the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresAddress:
    """`url` has no password: the first line of `password_file` is it, and the file is read again for each connection.

    With `tls` the server has to show a certificate for its name. `connect_timeout` is in seconds, and `idle_in_transaction`
    too: after it the database ends a transaction in which a process stands still, for others wait for what it has locked.
    """

    url: str
    password_file: Path | None = None
    tls: Tls | None = None
    connect_timeout: int = 5
    idle_in_transaction: float = 2.0
    name: str = field(default_factory=lambda: f"pushbridge {gethostname()[:32]} {os.getpid()} {secrets.token_hex(4)}")
    """What the database calls the sessions of this process: 63 bytes at most."""

    def __str__(self) -> str:
        return self.url

    def connect(self, *, idle_in_transaction: float | None = None) -> psycopg.Connection[Any]:
        """A session, in no transaction; one that locks nothing may stand still for longer.

        Raises: StoreError: it cannot be, and why.
        """
        try:
            connection = psycopg.connect(**self._parameters(), autocommit=True)
        except psycopg.Error as error:
            raise connect_error(error) from error
        try:
            self._begin_session(connection, idle_in_transaction or self.idle_in_transaction)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin_session(self, connection: psycopg.Connection[Any], idle: float) -> None:
        version = connection.info.server_version
        if version < OLDEST * 10_000:
            raise StoreError(f"PostgreSQL {version // 10_000} is too old: {OLDEST} or newer is needed")
        if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
            raise StoreError(f"the encoding of the database is {encoding}: make it with ENCODING 'UTF8'")
        timeout = f" SET idle_in_transaction_session_timeout = {round(idle * 1000)};"
        try:
            try:
                connection.execute(f"{_SESSION}{timeout}".encode())
            except psycopg.errors.InsufficientPrivilege:
                connection.execute(f"{_SESSION_WITHOUT_MESSAGES}{timeout}".encode())
        except psycopg.Error as error:
            raise connect_error(error) from error
        register(connection)

    def _parameters(self) -> dict[str, Any]:
        return {
            "connect_timeout": self.connect_timeout,
            "application_name": self.name,
            **_WATCHED,
            **conninfo_to_dict(self.url),
            **self._tls(),
            **self._password(),
        }

    def _password(self) -> dict[str, str]:
        if self.password_file is None:
            return {}
        try:
            lines = self.password_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"cannot read bridge.store.password_file: {error}") from error
        return {"password": lines[0] if lines else ""}

    def _tls(self) -> dict[str, str]:
        if self.tls is None:
            return {}
        found = {"sslmode": "verify-full", "sslrootcert": str(self.tls.ca_file or "system")}
        if self.tls.cert is not None:
            found |= {"sslcert": str(self.tls.cert), "sslkey": str(self.tls.key)}
        return found
