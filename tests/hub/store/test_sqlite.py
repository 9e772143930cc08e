"""The store on SQLite keeps the contract of all stores; what is its own is tested beside it."""

import asyncio
import os
import signal
import sqlite3
import stat
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from pyroaring import BitMap

from hub.errors import StoreError, StoreLockedError
from hub.notification import Platform
from hub.outcome import OutcomeName
from hub.store import first_sqlite, housekeeping, tag_index
from hub.store.base import Failed, PageResult, Store
from hub.store.first_sqlite import SqliteStore
from hub.store.seen import SeenWindow
from hub.tags import parse
from hub.work import Lane
from tests.fakes.clock import FakeClock
from tests.hub.examples import HUB, arrival, arrivals, installation, notification
from tests.hub.store.behaviour import StoreBehaviour
from tests.hub.store.harness import LEASE, WHOLE, Stores, ids, lease, lease_pages
from tests.hub.store.registering import found, native


class SqliteStores:
    """Stores on one file."""

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self.expired: list[tuple[Lane, int]] = []
        self._path = path
        self._opened: list[Store] = []

    async def open(self, *, window: SeenWindow = SeenWindow()) -> Store:
        store = SqliteStore(
            self._path,
            window=window,
            clock=self.clock,
            expired=lambda lane, count: self.expired.append((lane, count)),
        )
        await store.open()
        self._opened.append(store)
        return store

    async def close(self) -> None:
        for store in self._opened:
            await store.close()


class TestSqliteStore(StoreBehaviour):
    @pytest.fixture
    async def stores(self, tmp_path: Path) -> AsyncIterator[Stores]:
        stores = SqliteStores(tmp_path / "hub.db")
        yield stores
        await stores.close()


async def test_opening_makes_the_folder(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "not" / "yet" / "hub.db")
    await store.open()
    await store.close()
    assert (tmp_path / "not" / "yet" / "hub.db").exists()


async def test_a_file_that_is_no_database_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.write_text("not a database, whatever its name says, and long enough to be looked at")
    store = SqliteStore(path)
    with pytest.raises(StoreError, match=r"hub\.db.*not a database"):
        await store.open()
    await store.close()


async def test_a_store_belongs_to_one_process_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    first, second = SqliteStore(path), SqliteStore(path)
    await first.open()
    with pytest.raises(StoreLockedError, match=r"another process uses .*hub\.db"):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


async def test_a_store_that_could_not_be_opened_can_be_opened_later(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.mkdir()
    store = SqliteStore(path)
    with pytest.raises(StoreError):
        await store.open()
    path.rmdir()
    await store.open()
    assert await store.pending() == 0
    await store.close()


async def test_a_folder_that_cannot_be_made_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot open .*file/hub\.db: .*exists.*file'"):
        await SqliteStore(tmp_path / "file" / "hub.db").open()


async def test_a_store_that_another_program_is_writing_to_is_told_with_its_name_and_can_be_opened_later(
    tmp_path: Path,
) -> None:
    path = tmp_path / "hub.db"
    store, another = SqliteStore(path), SqliteStore(path)
    await store.open()
    await store.close()
    store = SqliteStore(path, busy=0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"cannot open .*hub\.db: .*locked"):
            await store.open()
        backup.execute("ROLLBACK")
    await another.open()
    await another.close()
    await store.open()
    assert await store.pending() == 0
    await store.close()


async def test_a_damaged_database_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    store = SqliteStore(path)
    await store.open()
    await store.accept([arrival(notification())], lease=0, until=0)
    await store.close()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(StoreError, match=r"cannot open .*hub\.db: .*malformed"):
        await SqliteStore(path).open()


async def test_a_full_disk_refuses_what_does_not_fit_loses_nothing_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    store = TracedStore(tmp_path / "hub.db")
    await store.open()

    async def limit(pages: int) -> None:
        await store._write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone())

    await limit(1)  # SQLite takes that for: no more than there are
    taken, refused = 0, None
    while refused is None:
        batch = arrivals([notification() for _ in range(50)])
        try:
            await store.accept(batch, lease=0, until=0)
            taken += len(batch)
        except StoreError as error:
            refused = error
    assert "full" in str(refused)
    assert await store.pending() == taken
    await limit(10**6)
    assert not (await store.accept(batch, lease=0, until=0)).duplicates
    assert await store.pending() == taken + len(batch)
    await store.close()


async def test_a_closed_store_refuses_instead_of_waiting(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "hub.db")
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.accept([arrival(notification())], lease=0, until=0)
    with pytest.raises(StoreError, match="closed"):
        await store.pending()


async def test_a_database_in_trouble_is_told_as_the_stores_trouble_and_works_again(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    store = SqliteStore(path)
    await store.open()
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE notification RENAME TO elsewhere")
    with pytest.raises(StoreError, match="no such table"):
        await store.accept([arrival(notification(), event_id="a")], lease=0, until=0)
    with pytest.raises(StoreError, match="no such table"):
        await store.pending()
    other.execute("ALTER TABLE elsewhere RENAME TO notification")
    other.close()
    result = await store.accept([arrival(notification(), event_id="a")], lease=0, until=0)
    assert not result.duplicates
    assert await store.pending() == 1
    await store.close()


_CRASHING = """
import asyncio, sys
from pathlib import Path
from pyroaring import BitMap
from hub.notification import Platform
from hub.store.base import Audience
from hub.store.first_sqlite import SqliteStore
from tests.hub.examples import HUB, arrivals, notification

async def main() -> None:
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    given = [notification(id=f"{number:032x}") for number in range(5)]
    first, *_ = (await store.accept(arrivals(given), lease=3, until=2e12)).work
    await store.expand(first, Audience(pages=[(Platform.FCM, BitMap([n])) for n in range(3)]), started_at=0)
    await store.lease_pages({(HUB, Platform.FCM): 2}, until=2e12)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_what_a_killed_process_had_leased_is_free_when_the_store_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CRASHING, str(path), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL
    clock = FakeClock()
    store = SqliteStore(path, clock=clock)
    assert await store.open() == 4  # two notifications and two pages
    assert sorted(ids(await lease(store, clock))) == [f"{number:032x}" for number in range(1, 5)]
    pages = await lease_pages(store, clock, HUB)
    assert sorted(list(page.ordinals or ()) for page in pages) == [[0], [1], [2]]
    await store.close()


class TracedStore(SqliteStore):
    """Keeps the statements of all its connections."""

    def __init__(self, path: Path, *, failures_a_turn: int = housekeeping.FAILURES) -> None:
        super().__init__(path, failures_a_turn=failures_a_turn)
        self.statements: list[str] = []

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.set_trace_callback(self.statements.append)
        return connection


async def test_a_notification_that_is_its_own_page_costs_one_insert_and_one_update(tmp_path: Path) -> None:
    store = TracedStore(tmp_path / "hub.db")
    await store.open()
    await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "news")])
    store.statements.clear()
    result = await store.accept([arrival(notification("news"))], lease=1, until=2e12)
    (audience,) = await store.audiences([work.notification for work in result.work])
    ordinals = BitMap([target.ordinal for target in audience.targets])
    assert len(ordinals) == 2
    counts = {Platform.FCM: {OutcomeName.SUCCESS: 2}}
    await store.record([PageResult(work=result.work[0], counts=counts, ordinals=ordinals, started_at=1.0)])
    writes = [line for line in store.statements if line.startswith(("INSERT", "UPDATE", "DELETE"))]
    of_events = [line for line in writes if "seen_" in line]
    assert [line.split(" (")[0].split(" SET")[0] for line in writes if line not in of_events] == [
        "INSERT INTO notification",
        "UPDATE notification",
    ]
    assert [line for line in store.statements if line == "COMMIT"] == ["COMMIT"] * 3  # accept, read, record
    await store.close()


async def test_the_failures_of_a_broadcast_are_forgotten_a_few_at_a_time(tmp_path: Path) -> None:
    store = TracedStore(tmp_path / "hub.db", failures_a_turn=10)
    await store.open()
    failures = [Failed(ordinal=ordinal, outcome=OutcomeName.DROPPED, reason="x") for ordinal in range(35)]
    counts = {Platform.FCM: {OutcomeName.DROPPED: 35}}
    for _ in range(2):
        result = await store.accept([arrival(notification())], lease=1, until=2e12)
        await store.record([PageResult(work=result.work[0], counts=counts, failures=failures)])
    store.statements.clear()
    await store.housekeep(notifications_before=2e12, dead_letters_before=0, max_dead_letters=10**9)
    assert store.statements.count("COMMIT") >= 70 // 10
    with closing(sqlite3.connect(tmp_path / "hub.db")) as connection:
        for table in ("notification", "failure"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    await store.close()


async def test_batches_accepted_at_the_same_time_share_transactions(tmp_path: Path) -> None:
    store = TracedStore(tmp_path / "hub.db")
    await store.open()
    store.statements.clear()
    batches = [arrivals([notification()]) for _ in range(50)]
    await asyncio.gather(*(store.accept(batch, lease=1, until=2e12) for batch in batches))
    assert store.statements.count("COMMIT") <= 3
    assert await store.pending() == 50
    await store.close()


@pytest.mark.parametrize("size", [tag_index.FOLD_AT - 1, tag_index.FOLD_AT, tag_index.FOLD_AT + 1])
async def test_a_tag_with_many_members_is_folded_and_still_changes(tmp_path: Path, size: int) -> None:
    store = SqliteStore(tmp_path / "hub.db")
    await store.open()
    phones = [installation(f"p{number}", "all", templates=False) for number in range(size)]
    await store.put_installations(HUB, phones)
    with sqlite3.connect(tmp_path / "hub.db") as connection:
        (dense,) = connection.execute("SELECT dense FROM tag WHERE key = 'all'").fetchone()
    connection.close()
    assert bool(dense) == (size > tag_index.FOLD_AT)
    await store.delete_installation(HUB, "p0")
    await store.put_installations(HUB, [installation("p1", "other", templates=False)])
    await store.put_installations(HUB, [installation("new", "all", templates=False)])
    (audience,) = await store.audiences([native("all")])
    assert sum(len(page) for _, page in audience.pages) == size - 1
    assert [target.push_channel for target in await found(store, native("!all"))] == ["token of p1"]
    assert [target.push_channel for target in await found(store, native("all && $InstallationId:{new}"))] == [
        "token of new"
    ]
    await store.close()


async def test_too_old_an_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_sqlite, "_MINIMUM_VERSION", (99, 0, 0))
    with pytest.raises(StoreError, match="too old"):
        await SqliteStore(tmp_path / "hub.db").open()
    assert not os.listdir(tmp_path)


async def test_transactions_are_timed(tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []
    store = SqliteStore(tmp_path / "hub.db", observe=lambda operation, seconds: seen.append((operation, seconds)))
    await store.open()
    seen.clear()
    await store.accept([arrival(notification())], lease=WHOLE, until=LEASE)
    await store.close()
    assert [operation for operation, _ in seen] == ["write"]
    assert 0 < seen[0][1] < 60


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
async def test_files_of_the_store_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    store = SqliteStore(tmp_path / "new" / "deep" / "hub.db")
    before = os.umask(umask)
    try:
        await store.open()
        await store.accept([arrival(notification())], lease=WHOLE, until=LEASE)
        modes = modes_below(tmp_path)
    finally:
        os.umask(before)
    await store.close()
    assert modes == {
        "new": 0o700,
        "deep": 0o700,
        **dict.fromkeys(["hub.db", "hub.db-wal", "hub.db-shm", "hub.db.lock"], 0o600),
    }


@pytest.mark.parametrize("name", ["hub.db", "hub.db-wal", "hub.db-shm", "hub.db.lock"])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o666, 0o601])
async def test_a_file_that_others_could_read_is_tightened_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, mode: int
) -> None:
    tmp_path.chmod(0o755)
    first = SqliteStore(tmp_path / "hub.db")
    await first.open()
    await first.close()
    (tmp_path / name).touch()
    (tmp_path / name).chmod(mode)
    store = SqliteStore(tmp_path / "hub.db")
    await store.open()
    await store.accept([arrival(notification())], lease=WHOLE, until=LEASE)
    assert set(modes_below(tmp_path).values()) == {0o600}
    await store.close()
    told = [record.getMessage() for record in caplog.records if record.name == "pushbridge.store"]
    assert told == [f"readable by others until now: {tmp_path / name}"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755, "a directory that was there keeps its mode"


def modes_below(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.rglob("*")}


async def test_a_list_of_a_million_devices_costs_the_same_at_its_end_as_at_its_start(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    store = SqliteStore(path)
    await store.open()
    await store.put_installations(HUB, [installation("d0000000", "all")])
    count, block = 1_000_000, 65_536
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            f"""
            PRAGMA synchronous = OFF;
            BEGIN;
            CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})
              SELECT i FROM n;
            INSERT INTO installation SELECT hub, printf('d%07d', i), document, updated_at, NULL FROM n, installation;
            INSERT INTO registration (hub, registration_id, installation_id, platform, push_channel, template_name,
              template, tags, etag, registered_at) SELECT r.hub, 'r' || i, printf('d%07d', i), platform, 'c' || i,
              template_name, template, tags, 1, 0 FROM n, (SELECT * FROM registration WHERE template_name NOT NULL) r;
            COMMIT;
            """
        )
        (last,) = connection.execute("SELECT max(ordinal) FROM registration").fetchone()
        tags = connection.execute("SELECT id FROM tag WHERE key IN ('all', '%template:fcmv1')").fetchall()
        for (tag,) in tags:
            connection.execute("UPDATE tag SET dense = 1 WHERE id = ?", (tag,))
            for start in range(0, last + 1, block):
                bitmap = BitMap(range(max(start, 3), min(start + block, last + 1)))
                connection.execute("INSERT INTO tag_block VALUES (?, ?, ?)", (tag, start // block, bitmap.serialize()))
    everyone = parse("all")
    for audience, deep in ((None, "d0999000"), (everyone, str(last - 999))):
        tracemalloc.start()
        walked = 0
        for after in ("", deep):
            for _ in range(3):
                started = time.perf_counter()
                page = await store.devices(HUB, audience=audience, after=after, limit=500)
                assert time.perf_counter() - started < 1.5  # it takes 0.03 s; all of them would take 20
                walked += len(page.items)
                after = page.next
                if not after:
                    break
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 16 * 1024 * 1024
        assert walked == 1500 + 999
        assert not after
    await store.close()
