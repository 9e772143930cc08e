"""`status`, `top` and `events --follow` beside a daemon that goes away, whose disk is full, or whose clock is set."""

import asyncio
import json
import os
import pty
import re
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from sandbox.services import PushServices
from tests.integration.daemon import START_TIMEOUT, Daemon
from tests.integration.settable_clock import set_clock
from tests.integration.test_drill import told
from tests.integration.test_operator import configuration, post

pytestmark = pytest.mark.processes

HOUR = 3600.0


@asynccontextmanager
async def following(daemon: Daemon, *more: str) -> AsyncIterator[tuple[Path, Path]]:
    """`pushbridge events --follow` as it runs: the files of its output and its errors."""
    directory = daemon.config_file.parent
    output, errors = directory / "followed", directory / "followed.errors"
    arguments = ["events", "--follow", "--url", daemon.url, *more]
    with output.open("wb") as out, errors.open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bridge",
            *arguments,
            stdout=out,
            stderr=err,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        await asyncio.sleep(2)
        yield output, errors
        assert process.returncode is None, errors.read_text()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def register_android(daemon: Daemon, services: PushServices) -> None:
    phone = services.add_phone("android", "fcmv1")
    await daemon.register(
        {
            "installationId": phone.name,
            "platform": phone.platform,
            "pushChannel": phone.handle,
            "tags": ["team:all"],
            "templates": {"text": {"body": '{"message": {"notification": {"title": "$(text)"}}}'}},
        }
    )


async def until_there(file: Path, word: str) -> None:
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while word not in file.read_text():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{word!r} is not in {file.read_text()!r}") from None


async def followed(daemon: Daemon, file: Path, id: str) -> int:
    """Post events until one is followed, for a look may begin behind the first; how many it took."""
    async with asyncio.timeout(START_TIMEOUT):
        number = 0
        while f"{id}-" not in file.read_text():
            await post(daemon, f"{id}-{number}")
            number += 1
            await asyncio.sleep(0.5)
    return number


async def test_following_outlasts_a_daemon_that_goes_away_and_comes_back(
    services: PushServices, tmp_path: Path
) -> None:
    async with Daemon(tmp_path, configuration(services)) as daemon:
        await daemon.start()
        async with following(daemon) as (output, errors):
            await followed(daemon, output, "before")
            for number in (1, 2):
                assert await daemon.terminate() == 0
                async with asyncio.timeout(START_TIMEOUT):
                    while errors.read_text().count("does not answer") < number:
                        await asyncio.sleep(0.1)
                await daemon.start()
                await followed(daemon, output, f"after {number}")
            assert errors.read_text().count("does not answer") == 2


@pytest.mark.slow
async def test_top_keeps_its_last_figures_while_the_daemon_is_away(services: PushServices, tmp_path: Path) -> None:
    async with Daemon(tmp_path, configuration(services)) as daemon:
        await daemon.start()
        parent, child = pty.openpty()
        shown = b""

        def read() -> None:
            nonlocal shown
            shown += os.read(parent, 65_536)

        asyncio.get_running_loop().add_reader(parent, read)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "top", "--every", "0.5", "--url", daemon.url),
            stdin=child,
            stdout=child,
            stderr=child,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        )

        async def until_shown(word: bytes) -> None:
            nonlocal shown
            shown = b""
            async with asyncio.timeout(START_TIMEOUT):
                while word not in shown:
                    await asyncio.sleep(0.1)

        try:
            await until_shown(b"orders")
            assert await daemon.terminate() == 0
            await until_shown(b"DOES NOT ANSWER")
            await daemon.start()
            await until_shown(b"r reload")
            os.write(parent, b"q")
            assert await asyncio.wait_for(process.wait(), 30) == 0
        finally:
            asyncio.get_running_loop().remove_reader(parent)
            if process.returncode is None:
                process.kill()
                await process.wait()
            os.close(parent)
            os.close(child)


@pytest.mark.timeout(400)
async def test_a_full_disk_is_named_by_each_and_ends_none(services: PushServices, tmp_path: Path) -> None:
    async with Daemon(tmp_path, configuration(services)) as daemon:
        await daemon.start()
        async with following(daemon) as (output, _):
            size = max(file.stat().st_size for file in tmp_path.glob("pushbridge.db*"))
            _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size, hard))
            try:
                async with asyncio.timeout(3 * START_TIMEOUT):  # for twenty commands, on a busy machine
                    number = 0
                    top = status = ""
                    while "NOT READY" not in top or not re.search(r"store +failing", status):
                        await asyncio.gather(
                            *(post(daemon, f"more-{number}-{n}", text="x" * 50_000) for n in range(20))
                        )
                        number += 1
                        top, status = await told(daemon, "top --once"), await told(daemon, "status")
            finally:
                resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))
            async with asyncio.timeout(START_TIMEOUT):
                while (await post(daemon, "room")).status_code != 202:
                    await asyncio.sleep(0.2)
            await followed(daemon, output, "again")


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["an hour ahead", "an hour back"])
async def test_a_clock_that_is_set_stalls_nothing_and_each_command_goes_on(
    services: PushServices, tmp_path: Path, step: float
) -> None:
    """Books are looked through each second, and the heart beats every five: three of each come behind the step.

    The phone is FCM's: APNs refuses tokens of another hour, and `status` says so with Apple's word for it.
    """
    config = configuration(services)
    config["bridge"] = {"heartbeat": "5s"}
    config["sources"]["orders"]["expect_every"] = "10m"
    async with Daemon(tmp_path, config, module="tests.integration.settable_clock") as daemon:
        await daemon.start()
        await register_android(daemon, services)
        async with following(daemon) as (output, _):
            before = await followed(daemon, output, "before")
            await services.journal.wait_for(lambda entry: entry.accepted, count=before)
            services.fcm.faults.answer(503, "UNAVAILABLE", times=1)
            await post(daemon, "tried again")
            set_clock(tmp_path, step)
            await post(daemon, "behind the step")
            await services.journal.wait_for(lambda entry: entry.accepted, count=before + 2)
            await until_there(output, "behind the step")
            await asyncio.sleep(15)
            status = await told(daemon, "status")
            assert re.search(r"heartbeat +ok", status), status
            assert re.search(r"books +ok", status), status
            assert re.search(r"orders +running", status), status
            assert "ready" in await told(daemon, "top --once")
            found = json.loads(await told(daemon, "top --once --json"))
            assert [row["state"] for row in found["sources"]] == ["running"]
        metrics = await daemon.metrics()
        unaccounted = {name: value for name, value in metrics.items() if "unaccounted" in name}
        assert unaccounted
        assert not any(unaccounted.values())
        assert not [line for line in daemon.log() if line["event"] in ("defect", "source late")]
        assert await daemon.terminate() == 0
