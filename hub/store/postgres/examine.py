"""What can be said of a PostgreSQL database without being its owner; works while a daemon has it."""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from hub.errors import StoreError
from hub.store.findings import Finding, Health
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.errors import store_error
from hub.store.postgres.looking import look_for_parts, look_for_rights
from hub.store.postgres.migrate import version_of
from hub.store.postgres.schema import shipped_versions
from hub.store.postgres.session import hosts_of_daemons, look_for_pooler

_DURABLE = ("fsync", "full_page_writes")


def examine(address: PostgresAddress) -> list[Finding]:
    """All findings, in the order in which they matter; nothing more is looked at where no connection can be made."""
    try:
        connection = address.connect()
    except StoreError as error:
        return [
            Finding(name="connection", health=Health.FAILED, text=str(error), cure="see bridge.store in docs/store.md")
        ]
    looks: Sequence[tuple[str, Callable[[psycopg.Connection[Any]], Finding]]] = (
        ("postgresql", _server),
        ("connection", _connection),
        ("durability", _durability),
        ("daemons", _daemons),
        ("schema", _schema),
        ("rights", _rights),
    )
    with connection:
        return [_look(name, look, connection) for name, look in looks] + _pooler(address, connection)


def _pooler(address: PostgresAddress, connection: psycopg.Connection[Any]) -> list[Finding]:
    """A finding where a pooler stands between that a daemon cannot work with; a good one is not told from none."""
    try:
        with address.connect() as second:
            look_for_pooler(connection, second)
    except (StoreError, psycopg.Error) as error:
        text = str(store_error(error) if isinstance(error, psycopg.Error) else error)
        return [Finding(name="sessions", health=Health.FAILED, text=text, cure="see a pooler in docs/store.md")]
    return []


def _look(
    name: str, look: Callable[[psycopg.Connection[Any]], Finding], connection: psycopg.Connection[Any]
) -> Finding:
    try:
        return look(connection)
    except psycopg.Error as error:
        return Finding(name=name, health=Health.FAILED, text=str(store_error(error)))


def _server(connection: psycopg.Connection[Any]) -> Finding:
    text = f"PostgreSQL {connection.info.parameter_status('server_version')}, database {connection.info.dbname}"
    return Finding(name="postgresql", health=Health.OK, text=text)


def _connection(connection: psycopg.Connection[Any]) -> Finding:
    if connection.pgconn.ssl_in_use:
        return Finding(name="connection", health=Health.OK, text="TLS")
    if connection.info.host.startswith("/") or connection.info.hostaddr in ("127.0.0.1", "::1"):
        return Finding(name="connection", health=Health.OK, text="on this machine, without TLS")
    return Finding(
        name="connection",
        health=Health.WARNING,
        text="without TLS: all that is kept can be read on the way",
        cure="set bridge.store.tls",
    )


def _durability(connection: psycopg.Connection[Any]) -> Finding:
    off = [name for name in _DURABLE if connection.execute(f"SHOW {name}".encode()).fetchall() != [("on",)]]
    if off:
        return Finding(
            name="durability",
            health=Health.WARNING,
            text=f"{', '.join(off)} off: a power cut loses or damages what was acknowledged",
            cure=f"set {' and '.join(off)} to on in postgresql.conf",
        )
    ((standbys,),) = connection.execute("SHOW synchronous_standby_names").fetchall()
    text = f"synchronous standbys: {standbys}" if standbys else "no synchronous standby: a failover may lose the newest"
    return Finding(name="durability", health=Health.OK, text=text)


def _daemons(connection: psycopg.Connection[Any]) -> Finding:
    hosts = hosts_of_daemons(connection)
    text = f"daemons work on the database, from {', '.join(hosts)}" if hosts else "no daemon works on the database"
    return Finding(name="daemons", health=Health.OK, text=text)


def _schema(connection: psycopg.Connection[Any]) -> Finding:
    versions = shipped_versions()
    newest = versions[-1].number
    try:
        version, readable_from = version_of(connection)
        if version == newest:
            look_for_parts(connection, versions)
    except StoreError as error:
        return Finding(name="schema", health=Health.FAILED, text=str(error), cure="see docs/store.md")
    if readable_from > newest:
        text = f"version {version}, which needs a program that knows version {readable_from}"
        return Finding(name="schema", health=Health.FAILED, text=text, cure="run the newer pushbridge")
    if version < newest:
        text = f"version {version} of {newest}" if version else "empty"
        return Finding(
            name="schema", health=Health.WARNING, text=text, cure="run pushbridge migrate, or start a daemon"
        )
    return Finding(name="schema", health=Health.OK, text=f"version {version}")


def _rights(connection: psycopg.Connection[Any]) -> Finding:
    try:
        look_for_rights(connection, shipped_versions())
    except StoreError as error:
        return Finding(name="rights", health=Health.FAILED, text=str(error), cure="see PostgreSQL in docs/store.md")
    return Finding(name="rights", health=Health.OK, text=f"the role {connection.info.user} may read and write")
