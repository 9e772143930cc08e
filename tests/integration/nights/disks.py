"""Nights of the disk below the store: one that another program fills, and one that takes long over each sync."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from sandbox.services import PushServices
from tests.deploy.machine import namespaces
from tests.integration.daemon import START_TIMEOUT, Daemon
from tests.integration.nights import Fault, Night, Scene
from tests.integration.test_operator import configuration, post

MIB = 1024 * 1024
VOLUME = 100 * MIB
"""Bytes: below 1 GiB, and above 64 MiB until something fills it."""
LEFT = 32 * MIB
SYNC = 0.3
"""Seconds that a sync takes longer: three times what the alert and doctor call slow."""


@asynccontextmanager
async def small_volume(config: Mapping[str, Any], directory: Path) -> AsyncIterator[tuple[Daemon, Path]]:
    """A daemon whose store has a file system of its own, and that file system as it is seen from here.

    It is mounted where the daemon alone sees it, and gone with it.
    """
    volume = directory / "volume"
    volume.mkdir()
    store = {"url": f"sqlite:///{volume / 'pushbridge.db'}"}
    async with Daemon(directory, {**config, "bridge": {**config.get("bridge", {}), "store": store}}) as daemon:
        mounted = f'mount --make-rprivate / && mount -t tmpfs -o size={VOLUME} tmpfs {volume} && exec "$@"'
        daemon.under = namespaces("--mount", "sh", "-c", mounted, "sh")
        await daemon.start()
        entered = ["nsenter", f"--target={daemon.pid}", "--mount"]
        daemon.beside = entered if os.geteuid() == 0 else [*entered, "--user", "--preserve-credentials"]
        yield daemon, Path(f"/proc/{daemon.pid}/root{volume}")


def fill(volume: Path, *, left: int) -> Path:
    """Another program's file, which takes all but `left` bytes."""
    file = volume / "of-another-program"
    found = os.statvfs(volume)
    with file.open("wb") as opened:
        os.posix_fallocate(opened.fileno(), 0, found.f_bavail * found.f_frsize - left)
    return file


@asynccontextmanager
async def filled(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """A small volume with little on it."""
    async with small_volume(configuration(services), directory) as (daemon, volume):
        night = FilledNight(daemon, services, directory)
        night.volume = volume
        yield night


class FilledNight(Night):
    volume: Path


async def little_is_free(night: Night) -> None:
    """What the alert goes by is what doctor will say."""
    await until_free(night, below=1024 * MIB)


async def next_to_nothing_is_free(night: Night) -> None:
    assert isinstance(night, FilledNight)
    fill(night.volume, left=LEFT)
    await until_free(night, below=64 * MIB)


async def until_free(night: Night, *, below: int) -> None:
    """Return when the daemon measures less free space than an alert asks for."""
    async with asyncio.timeout(START_TIMEOUT):
        while (await night.daemon.metrics())['pushbridge_store_free_bytes{engine="sqlite"}'] >= below:
            await asyncio.sleep(0.1)


@asynccontextmanager
async def slow(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """Each sync of the daemon, and of a command beside it, comes back late, as from a disk that is out of its credit."""
    async with Daemon(directory, configuration(services)) as daemon:
        daemon.under = daemon.beside = [
            *("strace", "--daemonize", "--follow-forks", "--seccomp-bpf", "--quiet=all", f"--output={os.devnull}"),
            *("--trace=fsync,fdatasync", f"--inject=fsync,fdatasync:delay_exit={int(SYNC * 1e6)}"),
        ]
        await daemon.start()
        yield Night(daemon, services, directory)


async def waits_for_the_disk(night: Night) -> None:
    """One commit in a hundred, at the least, takes longer than the alert allows."""
    accepted = await post(night.daemon, "slow")
    assert accepted.status_code == httpx.codes.ACCEPTED
    async with asyncio.timeout(START_TIMEOUT):
        while True:
            found = await night.daemon.metrics()
            name = 'pushbridge_store_commit_seconds_{}{{engine="sqlite"{}}}'
            within, all_ = found[name.format("bucket", ',le="0.1"')], found[name.format("count", "")]
            if within < 0.99 * all_:
                return
            await asyncio.sleep(0.1)


SCENES: Mapping[str, Scene] = {"disk fills": filled, "disk slow": slow}

FAULTS: Mapping[str, Fault] = {
    "PushbridgeStoreDiskFills": Fault(
        scene="disk fills", prints=r"warning +free space +\d\d MiB free of 100 MiB", make=little_is_free
    ),
    "PushbridgeStoreDiskFull": Fault(
        scene="disk fills", prints=r"failed +free space +[123]\d MiB free of 100 MiB", make=next_to_nothing_is_free
    ),
    "PushbridgeStoreSlow": Fault(
        scene="disk slow", prints=r"warning +fsync +[3-9]\d\d\.\d\d ms in the middle", make=waits_for_the_disk
    ),
}
