"""What all tests rely on."""

import asyncio
import gc
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.selection import ROOT

UNSTEADY = """
from pathlib import Path

import pytest

def fails_first(name):
    tried = Path(__file__).with_name(name)
    if not tried.exists():
        tried.touch()
        raise AssertionError(f"{name} was tried once")

@pytest.mark.slow
def test_slow():
    fails_first("slow")

@pytest.mark.slow
def test_broken():
    raise AssertionError("broken")

def test_fast():
    fails_first("fast")
"""


@pytest.mark.slow
async def test_a_connection_that_comes_as_its_server_closes_is_no_leak_of_ours() -> None:
    for turns in range(5):
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()):
            for _ in range(turns):
                await asyncio.sleep(0)
            server.close()
            await asyncio.sleep(0.01)
    gc.collect()


@pytest.mark.slow
def test_a_slow_test_has_a_second_try_beside_others_and_the_run_tells_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_unsteady.py").write_text(UNSTEADY)
    makefile = (ROOT / "Makefile").read_text()
    of_reruns = re.findall(r"--\S*rerun\S*", makefile)
    assert of_reruns, "make test says how many tests may be tried again"
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml")]
    command += [f"--rootdir={ROOT}", "--numprocesses=1", *of_reruns, str(tmp_path)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert re.search(r"2 failed, 1 passed, 2 rerun", told.splitlines()[-1]), told
    assert re.search(r"^FAILED \S+::test_broken", told, re.MULTILINE)
    assert re.search(r"^FAILED \S+::test_fast", told, re.MULTILINE)
    assert "slow was tried once" in told, "how it failed at first is shown"
