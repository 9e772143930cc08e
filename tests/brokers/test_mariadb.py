"""The MariaDB of the tests is a real one: it keeps what was committed over a crash, and drops whom it is told to."""

import pytest
from pymysql.err import OperationalError

from tests.brokers.mariadb import MariaDb


def test_what_was_committed_is_there_after_a_kill(mariadb: MariaDb) -> None:
    database = mariadb.create()
    mariadb.run("CREATE TABLE t (id INT)", database=database)
    mariadb.run("INSERT INTO t VALUES (7)", database=database)
    mariadb.kill()
    mariadb.start()
    assert mariadb.run("SELECT id FROM t", database=database) == [(7,)]


def test_a_connection_is_cut(mariadb: MariaDb) -> None:
    database = mariadb.create()
    connection = mariadb.connect(database)
    mariadb.cut(database)
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
