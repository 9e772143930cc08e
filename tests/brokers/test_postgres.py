"""The PostgreSQL that tests run against: it keeps what was committed, and each test has a database to itself."""

import psycopg
import pytest

from tests.brokers import postgres as backends
from tests.brokers.postgres import OLDEST, Postgres
from tests.brokers.server import ServerError


@pytest.mark.parametrize("how", ["kill", "kill_hard"])
def test_what_was_committed_survives_a_crash_and_clients_are_cut(postgres: Postgres, how: str) -> None:
    database = postgres.create()
    with psycopg.connect(postgres.url(database), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        getattr(postgres, how)()
        postgres.start()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert postgres.run("SELECT n FROM kept", database=database) == [(7,)]
    copy = postgres.create(database)
    assert postgres.run("SELECT n FROM kept", database=copy) == [(7,)]
    postgres.drop(copy)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres.run("SELECT 1", database=copy)


def test_the_server_is_new_enough_and_asks_for_a_password(postgres: Postgres) -> None:
    ((version,),) = postgres.run("SELECT current_setting('server_version_num')::int")
    assert version >= OLDEST * 10000
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url(password="wrong"))


def test_a_missing_server_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "native_programs", lambda: None)
    with pytest.raises(ServerError, match="not installed"), backends.native():
        pass
