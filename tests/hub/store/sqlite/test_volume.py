"""What a database's file lies on, as the system lists its mounts."""

import logging
import os
import shutil
from pathlib import Path

import pytest

from hub.errors import StoreError
from hub.store.sqlite import database as database_module
from hub.store.sqlite import volume
from hub.store.sqlite.database import SqliteDatabase
from hub.store.sqlite.volume import Volume, VolumeKind, space_of, volume_of
from tests.hub.store.sqlite.numbers import NUMBERS


def mounts(directory: Path, *lines: str) -> Path:
    """A list of mounts; `DEVICE` stands for the device that the directory is on."""
    device = directory.stat().st_dev
    file = directory / "mountinfo"
    number = f"{os.major(device)}:{os.minor(device)}"
    file.write_text("".join(f"{line.replace('DEVICE', number)}\n" for line in lines))
    return file


@pytest.mark.parametrize(
    ("file_system", "kind"),
    [
        ("ext4", VolumeKind.DISK),
        ("xfs", VolumeKind.DISK),
        ("tmpfs", VolumeKind.MEMORY),
        ("ramfs", VolumeKind.MEMORY),
        ("overlay", VolumeKind.LAYER),
        ("nfs4", VolumeKind.NETWORK),
        ("cifs", VolumeKind.NETWORK),
        ("fuse.sshfs", VolumeKind.NETWORK),
    ],
)
def test_a_file_system_promises_what_its_kind_can_keep(tmp_path: Path, file_system: str, kind: VolumeKind) -> None:
    listed = mounts(tmp_path, f"22 1 DEVICE / / rw,relatime shared:1 - {file_system} source rw")
    assert volume_of(tmp_path / "not" / "yet.db", mounts=listed) == Volume(
        mount="/", file_system=file_system, kind=kind
    )


def test_the_last_of_the_deepest_mounts_holds_the_file(tmp_path: Path) -> None:
    deep = str(tmp_path).replace(" ", "\\040")
    listed = mounts(
        tmp_path,
        "20 1 0:1 / / rw - overlay overlay rw",
        f"21 20 DEVICE / {deep} rw - tmpfs hidden rw",
        f"22 20 DEVICE / {deep} rw - ext4 /dev/sda rw",
        f"23 20 0:9 / {deep}/other rw - nfs4 server:/ rw",
    )
    assert volume_of(tmp_path / "hub.db", mounts=listed).file_system == "ext4"


def test_a_mount_point_with_a_space_and_a_device_that_no_mount_names(tmp_path: Path) -> None:
    directory = tmp_path / "a b"
    directory.mkdir()
    deep = str(directory).replace(" ", "\\040")
    listed = mounts(tmp_path, "20 1 0:998 / / rw - ext4 / rw", f"21 20 0:999 / {deep} rw - btrfs /dev/sda rw")
    assert volume_of(directory / "hub.db", mounts=listed).mount == str(directory)


def test_a_system_without_a_list_of_mounts_says_nothing(tmp_path: Path) -> None:
    assert volume_of(tmp_path, mounts=tmp_path / "none").kind is VolumeKind.UNKNOWN


def on(kind: VolumeKind, file_system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Volume(mount="/data", file_system=file_system, kind=kind)
    monkeypatch.setattr(database_module, "volume_of", lambda path: found)


async def test_memory_is_refused_unless_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on(VolumeKind.MEMORY, "tmpfs", monkeypatch)
    with pytest.raises(StoreError, match=r"/data is a tmpfs, which is lost with the machine.*store\.allow_ephemeral"):
        await SqliteDatabase(tmp_path / "hub.db", versions=NUMBERS).open()
    assert not list(tmp_path.iterdir())
    database = SqliteDatabase(tmp_path / "hub.db", versions=NUMBERS, allow_ephemeral=True)
    await database.open()
    await database.close()


def test_an_emptydir_is_known_by_where_kubelet_keeps_it(tmp_path: Path) -> None:
    pod = "/var/lib/kubelet/pods/7f1c/volumes"
    for root, kind in (
        (f"{pod}/kubernetes.io~empty-dir/data", VolumeKind.POD),
        (f"{pod}/kubernetes.io~local-volume/data", VolumeKind.DISK),
        ("/data/empty-dir", VolumeKind.DISK),
    ):
        listed = mounts(
            tmp_path, "20 1 0:998 / / rw - overlay o rw", f"21 20 DEVICE {root} {tmp_path} rw - ext4 /dev/a rw"
        )
        assert volume_of(tmp_path / "hub.db", mounts=listed).kind is kind


@pytest.mark.parametrize(
    ("kind", "lost_with"),
    [(VolumeKind.MEMORY, "machine"), (VolumeKind.LAYER, "container"), (VolumeKind.POD, "pod")],
)
async def test_what_has_to_last_is_not_kept_where_it_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: VolumeKind, lost_with: str
) -> None:
    on(kind, "anyfs", monkeypatch)
    with pytest.raises(StoreError, match=f"lost with the {lost_with}.*durability: remote.*store.allow_ephemeral"):
        await SqliteDatabase(tmp_path / "hub.db", versions=NUMBERS, must_last=True).open()
    assert not list(tmp_path.iterdir())
    database = SqliteDatabase(tmp_path / "hub.db", versions=NUMBERS, must_last=True, allow_ephemeral=True)
    await database.open()
    await database.close()


@pytest.mark.parametrize("kind", [VolumeKind.LAYER, VolumeKind.POD, VolumeKind.NETWORK])
async def test_what_may_lose_data_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: VolumeKind
) -> None:
    on(kind, "anyfs", monkeypatch)
    with caplog.at_level(logging.WARNING):
        database = SqliteDatabase(tmp_path / "hub.db", versions=NUMBERS)
        await database.open()
        await database.close()
    assert caplog.messages == [f"{tmp_path / 'hub.db'} is on /data (anyfs): {volume.VOLUME_WARNINGS[kind]}"]


def test_the_space_of_a_store_is_that_of_its_files_and_its_file_system(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    assert (space_of(path).database, space_of(path).log) == (0, 0)
    path.write_bytes(bytes(7))
    (tmp_path / "hub.db-wal").write_bytes(bytes(9))
    space = space_of(path)
    assert (space.database, space.log) == (7, 9)
    assert 0 < space.free <= shutil.disk_usage(tmp_path).total
