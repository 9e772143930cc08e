"""The unit: what systemd's own tools say of it, and its commands, run as it runs them.

systemd itself is not run here: a test is not the first process of its machine.
"""

import asyncio
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon
from tests.selection import ROOT

UNIT = ROOT / "deploy" / "systemd" / "pushbridge.service"
MOST_EXPOSED = 15
"""In tenths, of ten; systemd calls everything below 20 OK."""


def _section(name: str) -> dict[str, list[str]]:
    """The settings of a section; one may be set several times."""
    found: dict[str, list[str]] = {}
    lines = UNIT.read_text().partition(f"[{name}]\n")[2].partition("\n[")[0].splitlines()
    for line in lines:
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_systemd_takes_every_line_of_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "pushbridge"
    shutil.copy("/bin/true", program)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/pushbridge/bin/pushbridge", str(program)))
    answer = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    said = [line for line in answer.stderr.splitlines() if UNIT.name in line]
    assert (answer.returncode, said) == (0, []), answer.stderr


def test_systemd_calls_the_unit_closed() -> None:
    options = ["--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager"]
    command = ["systemd-analyze", "security", *options, str(UNIT)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout[-500:]


@pytest.mark.processes
async def test_a_daemon_started_reloaded_and_stopped_as_the_unit_does_it_ends_with_0(tmp_path: Path) -> None:
    service = _section("Service")
    assert service["ExecStart"] == ["/opt/pushbridge/bin/pushbridge run /etc/pushbridge"]
    async with Daemon(tmp_path, {"hubs": {"app": {}}}) as daemon:
        await daemon.start()
        started = (await daemon.metrics())["pushbridge_config_last_reload_success_timestamp_seconds"]
        reload = service["ExecReload"][0].replace("$MAINPID", str(daemon.pid))
        subprocess.run(shlex.split(reload), check=True)
        await _until_read_after(daemon, started)
        assert await daemon.terminate() == 0


async def _until_read_after(daemon: Daemon, moment: float) -> None:
    while (await daemon.metrics())["pushbridge_config_last_reload_success_timestamp_seconds"] <= moment:
        await asyncio.sleep(0.05)
