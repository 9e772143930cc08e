"""Whatever a disk does, what was acknowledged is there afterwards, and a transaction is there as a whole or not at all."""

import logging
import random
from pathlib import Path

import apsw
import pytest

from tests.hub.store.deliveries import Deliveries
from tests.hub.store.power_loss import FaultyDisk, Operation, cuts
from tests.hub.store.sqlite.entries import ROUNDS, TASKS, Entries

OPERATIONS, STORE_OPERATIONS = 150, 800
"""Within so many the power goes, of the database alone and of the whole store; both make 300 cuts together."""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="pushbridge.store")


@pytest.mark.slow
def test_no_cut_of_the_power_loses_what_was_acknowledged(tmp_path: Path) -> None:
    assert cuts(Entries, tmp_path, range(240), operations=OPERATIONS) == []


@pytest.mark.slow
def test_with_less_than_full_durability_the_same_cuts_lose_something(tmp_path: Path) -> None:
    losses = cuts(Entries, tmp_path, range(20), operations=OPERATIONS, synchronous="NORMAL")
    assert len(losses) >= 3
    assert all("has revision" in loss.what[0] for loss in losses)


async def run_on(disk: FaultyDisk, path: Path, seed: int) -> Entries:
    """Work on a disk with faults, cut the power at the end, and look at what is there."""
    load = Entries(random.Random(seed), persistent=True)
    with disk.mounted():
        await load.open(path / "hub.db", vfs=disk.vfs)
        await load.work()
        disk.cut()
        await load.close()
    disk.restore(path / "after")
    broken = list(load.broken)
    await load.open(path / "after" / "hub.db", synchronous="OFF")
    assert await load.missing() == []
    await load.close()
    load.broken = broken
    return load


OPENED = 60
"""Operations after which the database is surely open: what fails before is refused, which other tests show."""


class FailingOnce:
    """A fault at the first operation of a name, and of a file, from a number on."""

    def __init__(self, name: str, number: int, code: int, *, suffix: str | None = None) -> None:
        self.came = False
        self._name, self._number, self._code, self._suffix = name, number, code, suffix

    def __call__(self, operation: Operation) -> int | None:
        is_other = operation.name != self._name or self._suffix not in (None, operation.suffix)
        if self.came or is_other or operation.number < self._number:
            return None
        self.came = True
        return self._code


@pytest.mark.parametrize("number", range(OPENED, OPENED + 300, 30))
async def test_a_write_that_the_disk_refuses_changes_nothing_and_the_next_ones_work(
    tmp_path: Path, number: int
) -> None:
    fault = FailingOnce("write", number, apsw.SQLITE_IOERR_WRITE)
    load = await run_on(FaultyDisk(number, fault=fault), tmp_path, number)
    assert fault.came
    assert set(load.failures) <= {"the disk failed: SQLITE_IOERR_WRITE"}
    assert load.broken == []
    assert load.acknowledged > 60


@pytest.mark.parametrize("suffix", ["", "wal"])
@pytest.mark.parametrize("number", range(OPENED, OPENED + 150, 30))
async def test_no_write_is_acknowledged_after_a_sync_that_failed_of_the_log_or_of_the_database(
    tmp_path: Path, number: int, suffix: str
) -> None:
    fault = FailingOnce("sync", number, apsw.SQLITE_IOERR_FSYNC, suffix=suffix)
    load = await run_on(FaultyDisk(number, fault=fault), tmp_path, number)
    assert fault.came
    assert load.broken == [
        f"the disk failed: SQLITE_IOERR_FSYNC: what was written to {tmp_path / 'hub.db'} may be lost, the process has to"
        " start again"
    ]
    assert set(load.failures) <= {"the disk failed: SQLITE_IOERR_FSYNC", *load.broken}
    assert load.failures.index(load.broken[0]) + load.acknowledged < TASKS * ROUNDS
    assert load.failures[-1] == load.broken[0]


async def test_a_full_disk_refuses_what_does_not_fit_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    disk = FaultyDisk(
        fault=lambda each: apsw.SQLITE_FULL if each.name == "write" and 100 <= each.number < 160 else None
    )
    load = await run_on(disk, tmp_path, 1)
    assert len(load.failures) > 10
    assert set(load.failures) == {"the disk is full"}
    assert load.acknowledged > 30
    assert load.broken == []


@pytest.mark.slow
def test_no_cut_of_the_power_loses_what_the_whole_store_acknowledged(tmp_path: Path) -> None:
    assert cuts(Deliveries, tmp_path, range(60), operations=STORE_OPERATIONS) == []


@pytest.mark.slow
def test_with_less_than_full_durability_the_whole_store_loses_something(tmp_path: Path) -> None:
    losses = cuts(Deliveries, tmp_path, range(15), operations=STORE_OPERATIONS, synchronous="NORMAL")
    assert any("is gone" in what for loss in losses for what in loss.what)
