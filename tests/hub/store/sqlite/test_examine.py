"""What doctor says of a store: each thing by name, whether it is well, and the cure."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from hub.store.findings import Finding, Health
from hub.store.sqlite import examine as examine_module
from hub.store.sqlite.database import SqliteDatabase
from hub.store.sqlite.examine import examine
from hub.store.sqlite.volume import Volume, VolumeKind
from tests.hub.store.sqlite.numbers import NUMBERS


@pytest.fixture(autouse=True)
def _on_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine_module, "shipped_versions", lambda: NUMBERS)
    on(VolumeKind.DISK, "ext4", monkeypatch)


def on(kind: VolumeKind, file_system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Volume(mount="/data", file_system=file_system, kind=kind)
    monkeypatch.setattr(examine_module, "volume_of", lambda path: found)


def found(path: Path, name: str, *, allow_ephemeral: bool = False, must_last: bool = False) -> Finding:
    findings = examine(path, allow_ephemeral=allow_ephemeral, must_last=must_last)
    (finding,) = [each for each in findings if each.name == name]
    return finding


def test_a_store_that_is_not_there_yet_is_looked_at_and_not_made(tmp_path: Path) -> None:
    findings = examine(tmp_path / "deep" / "hub.db", allow_ephemeral=False)
    assert [finding.name for finding in findings if finding.health is not Health.OK] in ([], ["free space"], ["fsync"])
    assert not list(tmp_path.iterdir())


async def test_a_store_is_looked_at_while_a_daemon_has_it_and_afterwards(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "hub.db", versions=NUMBERS, allow_ephemeral=True)
    await database.open()
    assert found(tmp_path / "hub.db", "lock").text == "a daemon has the database open"
    assert found(tmp_path / "hub.db", "schema").text == "version 1"
    await database.close()
    assert found(tmp_path / "hub.db", "lock").text == "free: no daemon has it open"
    assert found(tmp_path / "hub.db", "schema").text == "version 1"
    assert [path.name for path in tmp_path.iterdir()] == ["hub.db"]


@pytest.mark.parametrize(
    ("kind", "file_system", "allow_ephemeral", "must_last", "health"),
    [
        (VolumeKind.DISK, "ext4", False, False, Health.OK),
        (VolumeKind.MEMORY, "tmpfs", False, False, Health.FAILED),
        (VolumeKind.MEMORY, "tmpfs", True, False, Health.WARNING),
        (VolumeKind.LAYER, "overlay", False, False, Health.WARNING),
        (VolumeKind.NETWORK, "nfs4", False, False, Health.WARNING),
        (VolumeKind.POD, "ext4", False, False, Health.WARNING),
        (VolumeKind.DISK, "ext4", False, True, Health.OK),
        (VolumeKind.MEMORY, "tmpfs", False, True, Health.FAILED),
        (VolumeKind.LAYER, "overlay", False, True, Health.FAILED),
        (VolumeKind.POD, "ext4", False, True, Health.FAILED),
        (VolumeKind.POD, "ext4", True, True, Health.WARNING),
        (VolumeKind.NETWORK, "nfs4", False, True, Health.WARNING),
    ],
)
def test_the_file_system_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: VolumeKind,
    file_system: str,
    allow_ephemeral: bool,
    must_last: bool,
    health: Health,
) -> None:
    on(kind, file_system, monkeypatch)
    finding = found(tmp_path / "hub.db", "file system", allow_ephemeral=allow_ephemeral, must_last=must_last)
    assert finding.health is health
    assert finding.text.startswith(f"{file_system} at /data")
    assert bool(finding.cure) == (health is not Health.OK)


@pytest.mark.parametrize(("free", "health"), [(2**40, Health.OK), (2**29, Health.WARNING), (2**20, Health.FAILED)])
def test_little_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, health: Health) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=2**41, free=free))
    assert found(tmp_path / "hub.db", "free space").health is health


@pytest.mark.parametrize(("seconds", "health"), [(0.002, Health.OK), (0.2, Health.WARNING), (1e-6, Health.WARNING)])
def test_a_sync_that_is_slow_or_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, health: Health
) -> None:
    monkeypatch.setattr(examine_module, "_sync_times", lambda directory: [seconds] * 3)
    assert found(tmp_path / "hub.db", "fsync").health is health


def test_a_file_that_others_can_read_is_named_with_its_mode(tmp_path: Path) -> None:
    (tmp_path / "hub.db").touch()
    (tmp_path / "hub.db").chmod(0o640)
    finding = found(tmp_path / "hub.db", "file modes")
    assert finding.health is Health.WARNING
    assert finding.text == f"{tmp_path / 'hub.db'} is 0640"


def test_a_file_that_is_not_ours_is_named(tmp_path: Path) -> None:
    other = apsw.Connection(str(tmp_path / "hub.db"))
    other.execute("CREATE TABLE theirs (value)")
    other.close()
    finding = found(tmp_path / "hub.db", "schema")
    assert (finding.health, finding.text[:41]) == (Health.FAILED, "the database belongs to another program: ")
    (tmp_path / "hub.db").write_text("no database " * 100)
    finding = found(tmp_path / "hub.db", "schema")
    assert (finding.health, finding.text[:28]) == (Health.FAILED, "this is no SQLite database: ")


async def test_a_part_that_is_missing_and_a_damaged_page_are_found(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    database = SqliteDatabase(path, versions=NUMBERS, allow_ephemeral=True)
    await database.open()
    await database.close()
    assert found(path, "pages").text == "no damage found"
    connection = apsw.Connection(str(path))
    connection.execute(
        f"INSERT INTO number (value, name) VALUES (9, '{'x' * 50_000}'); PRAGMA wal_checkpoint(TRUNCATE)"
    )
    connection.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: 2 * 4096] + b"\xff" * 4096 + whole[3 * 4096 :])
    finding = found(path, "pages")
    assert (finding.health, finding.text.partition(": ")[0]) == (Health.FAILED, "damaged")
    assert "restore" in finding.cure
    path.write_bytes(whole)
    connection = apsw.Connection(str(path))
    connection.execute("DROP TABLE number")
    connection.close()
    finding = found(path, "schema")
    assert (finding.health, finding.text.partition(":")[0]) == (
        Health.FAILED,
        "the database lacks number of its schema",
    )


def test_a_journal_that_a_dead_process_left_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    writer = apsw.Connection(str(path))
    writer.execute("PRAGMA cache_size = 1; CREATE TABLE t (v); BEGIN; INSERT INTO t VALUES (zeroblob(100000))")
    left = {name: (tmp_path / name).read_bytes() for name in ("hub.db", "hub.db-journal")}
    writer.close()
    for name, content in left.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "hub.db-wal").touch()
    for name in ("schema", "pages"):
        assert found(path, name).health is Health.OK
