"""What commits groups in PostgreSQL, when the driver and the server do not agree on what is prepared."""

import threading

from hub.store.connection import Connection
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.connection import PostgresConnection
from hub.store.postgres.writer import PostgresCommitter

_UNTIL_PREPARED = 10
"""Runs after which psycopg has prepared a statement; its threshold is five."""


def test_a_statement_that_the_server_does_not_have_prepared_is_prepared_anew(address: PostgresAddress) -> None:
    connection = address.connect()
    committer = PostgresCommitter(connection, address, observe=lambda name, seconds: None, abandoning=threading.Event())

    def job(connection: Connection) -> list[tuple[int]]:
        assert isinstance(connection, PostgresConnection)
        return connection.psycopg.execute("SELECT %s::int", (1,)).fetchall()

    def answers() -> list[object]:
        committer.begin()
        return committer.transact([job])

    for _ in range(_UNTIL_PREPARED):
        answers()
    committer.begin()
    connection.pgconn.exec_(b"DEALLOCATE ALL")  # past the driver, which goes on taking them for prepared
    assert committer.transact([job]) == [[(1,)]]
    committer.close()
