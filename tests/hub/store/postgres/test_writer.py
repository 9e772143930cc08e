"""What commits groups in PostgreSQL, when a statement of a pipeline fails and the server skips the rest."""

import threading

import pytest

from hub.errors import StoreError
from hub.store.connection import Connection, Statement
from hub.store.groups import WriteJob
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.writer import PostgresCommitter

FIRST = Statement(
    "test.first",
    "UPDATE configuration SET hash = '' WHERE 1 / :divisor = 1",
    (("divisor", "bigint"),),
)
SECOND = Statement(
    "test.second",
    "INSERT INTO configuration (id, revision, hash) VALUES (:id, '', '') ON CONFLICT DO NOTHING",
    (("id", "bigint"),),
)


def both(divisor: int) -> WriteJob:
    """Writes in one pipeline, of which the first fails if it divides by 0."""
    return lambda connection: connection.write_all([(FIRST, [(divisor,)]), (SECOND, [(1,)])])


def failing(connection: Connection) -> None:
    raise StoreError("a job that fails by itself")


def test_a_statement_that_the_server_skipped_while_it_was_to_be_prepared_is_prepared_again(
    address: PostgresAddress,
) -> None:
    connection = address.connect()
    committer = PostgresCommitter(connection, address, observe=lambda name, seconds: None, abandoning=threading.Event())

    def answers(job: WriteJob) -> list[object]:
        committer.begin()
        return committer.transact([job])

    with pytest.raises(StoreError, match="by itself"):  # a rollback before anything is prepared, as of a new session
        answers(failing)
    connection.execute("INSERT INTO configuration (id, revision, hash) VALUES (0, '', '')")
    threshold = connection.prepare_threshold
    assert threshold is not None
    for _ in range(threshold):
        answers(both(1))
    with pytest.raises(StoreError, match="division by zero"):  # the driver would prepare the second here
        answers(both(0))
    assert answers(both(1)) == [[2, 0]]
    committer.close()
