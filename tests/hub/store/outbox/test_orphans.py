"""Work that is too old for a closed service is found a slice at a time, whatever waits beside it."""

from collections.abc import Iterator

import apsw
import pytest

from hub.store.outbox import taking
from hub.store.outbox.in_hand import InHand, Place
from hub.store.outbox.orphans import Orphans
from hub.store.rows import SINGLE
from hub.store.sqlite.connection import SqliteConnection
from hub.store.sqlite.migrate import shipped_versions

SERVICE = "apns/main"
PLACE = Place(0, SINGLE, SERVICE)
YOUNG, NOW = 900.0, 1000.0
INSERT = (
    "INSERT INTO notification (n, queue, id, hub, source, event_id, rule, format, content, priority, state,"
    " accepted_at, lane, service, due, expires_at)"
    " VALUES (?, 0, ?, 'main', '', '', '', 'template', CAST('{}' AS BLOB), 'high', 'Enqueued', ?, ?, ?, ?, ?)"
)


@pytest.fixture
def database() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    for version in shipped_versions():
        connection.execute(version.sql)
    connection.execute("UPDATE queue SET owner = 'me'")
    yield connection
    connection.close()


def wait(database: apsw.Connection, *numbers: int, accepted_at: float = YOUNG, expires_at: float | None = None) -> None:
    """Have notifications wait for the service, in the order of their numbers."""
    rows = [(n, b"%d" % n, accepted_at, SINGLE, SERVICE, YOUNG + n / 1e4, expires_at) for n in numbers]
    database.executemany(INSERT, rows)


def look(database: apsw.Connection, orphans: Orphans, hand: InHand, *, limit: int = 16, now: float = NOW) -> list[int]:
    """The numbers of what a look finds that was accepted more than 500 s ago or has expired."""
    connection = SqliteConnection(database)
    found, _ = orphans.take(connection, [PLACE], hand, limit, now=now, begun=now - 500)
    return [one.n for one in found]


def steps(database: apsw.Connection, orphans: Orphans, hand: InHand) -> int:
    """Of SQLite's machine, for a look."""
    taken = 0

    def step() -> bool:
        nonlocal taken
        taken += 1
        return False

    database.set_progress_handler(step, 1)
    look(database, orphans, hand)
    database.set_progress_handler(None)
    return taken


def test_a_look_costs_the_same_whatever_the_number_that_waits(database: apsw.Connection) -> None:
    wait(database, *range(1, 101))
    few = steps(database, Orphans(rows=50), InHand())
    wait(database, *range(101, 3001))
    assert steps(database, Orphans(rows=50), InHand()) == few


def test_what_is_old_behind_others_is_found_by_a_later_look_and_then_the_first_again(database: apsw.Connection) -> None:
    wait(database, *(n for n in range(1, 121) if n not in (70, 110)))
    wait(database, 70, accepted_at=1.0)
    wait(database, 110, expires_at=NOW)
    orphans, hand = Orphans(rows=50), InHand()
    assert [look(database, orphans, hand) for _ in range(3)] == [[], [70], [110]]
    wait(database, 130, accepted_at=1.0)
    database.execute("UPDATE notification SET accepted_at = 1.0 WHERE n = 3")
    assert [look(database, orphans, hand) for _ in range(3)] == [[3], [70], [110, 130]]


def test_what_grew_old_is_found_though_more_becomes_due_than_a_look_passes(database: apsw.Connection) -> None:
    orphans, hand = Orphans(rows=50), InHand()
    for second in range(10):
        more = range(1 + 100 * second, 101 + 100 * second)
        rows = [(n, b"%d" % n, YOUNG, SINGLE, SERVICE, NOW + second, None) for n in more]
        database.executemany(INSERT, rows)
        if found := look(database, orphans, hand, now=NOW + second):
            break
        database.execute("UPDATE notification SET accepted_at = 1.0 WHERE n = 1")
    assert found == [1]


def test_more_than_is_asked_for_stays_where_the_next_look_finds_it(database: apsw.Connection) -> None:
    wait(database, *range(1, 51), accepted_at=1.0)
    orphans, hand = Orphans(rows=50), InHand()
    found: list[int] = []
    while numbers := look(database, orphans, hand, limit=16):
        assert len(numbers) <= 16
        for n in numbers:
            hand.hold((0, n), PLACE)
        found += numbers
    assert found == list(range(1, 51))


def test_what_waits_is_counted_as_it_is_read(database: apsw.Connection) -> None:
    """SQLite sorts nothing for it."""
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {taking.COUNT.text}", {"owner": "me", "now": NOW})]
    assert not [line for line in plan if "TEMP B-TREE" in line], plan
    wait(database, 1, 2, 3)
    database.execute("UPDATE notification SET due = 2000.0 WHERE n = 3")
    assert taking.count(SqliteConnection(database), "me", now=NOW) == {(SINGLE, SERVICE): (3, 2)}
