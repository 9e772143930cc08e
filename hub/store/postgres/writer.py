"""What commits groups of jobs in PostgreSQL: one session, begun again when it is lost."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from hub.errors import StoreError
from hub.store.groups import CommonError, WriteJob
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.connection import PostgresConnection
from hub.store.postgres.errors import RETRIED, store_error
from hub.store.postgres.session import again, roll_back, use_database

_TRIES = 5
"""Of a transaction that others got in the way of."""


class PostgresCommitter:
    """`hub.store.groups.Committer`. Once `abandoning` is set, no job is begun.

    `observe` is called with (operation, seconds): `write` for a transaction, `commit` for its end.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        address: PostgresAddress,
        *,
        observe: Callable[[str, float], None],
        abandoning: threading.Event,
    ) -> None:
        self._connection = connection
        self._address = address
        self._observe = observe
        self._abandoning = abandoning
        self._began = 0.0

    def begin(self) -> None:
        if self._abandoning.is_set():
            raise StoreError("the store is closing")
        self._began = time.perf_counter()
        try:
            self._connection.execute("BEGIN")
        except psycopg.Error:  # nothing was begun on a session that was lost
            self._connect()
            try:
                self._connection.execute("BEGIN")
            except psycopg.Error as error:
                raise store_error(error) from error

    def transact(self, jobs: Sequence[WriteJob], /) -> list[Any]:
        for tries_left in reversed(range(_TRIES)):
            try:
                return self._run(jobs)
            except psycopg.Error as error:
                if self._connection.closed:  # whether a commit that was under way was done, nobody can know
                    raise CommonError(store_error(error)) from error
                if not (isinstance(error, RETRIED) and tries_left):
                    raise store_error(error) from error
                self.begin()
        raise AssertionError("the last try returns or raises")

    def after_group(self) -> None:
        """Nothing: the database keeps its log itself."""

    def close(self) -> None:
        self._connection.close()

    def _run(self, jobs: Sequence[WriteJob]) -> list[Any]:
        connection = PostgresConnection(self._connection)
        try:
            answers = [job(connection) for job in jobs]
            committing = time.perf_counter()
            self._connection.execute("COMMIT")
        except BaseException:
            roll_back(self._connection)
            raise
        ended = time.perf_counter()
        self._observe("commit", ended - committing)
        self._observe("write", ended - self._began)
        return answers

    def _connect(self) -> None:
        """Raises: StoreError."""
        self._connection.close()
        connection = self._address.connect()
        try:
            use_database(connection, self._address)
        except psycopg.Error as error:
            connection.close()
            raise store_error(error) from error
        except StoreError:
            connection.close()
            raise
        again("writes")
        self._connection = connection
