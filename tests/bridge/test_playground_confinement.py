"""What the process of a try cannot do, tried in such a process; and what is left of its bounds where there is no filter."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes

TRIED = """
import sys
from bridge.trial.playground.confinement import confine
import asyncio, os, socket, subprocess, threading, time
open_before = confine()
def attempt():
    {attempt}
try:
    attempt()
except (OSError, RuntimeError, MemoryError) as error:
    os.write(1, type(error).__name__.encode())
else:
    os.write(1, b"done")
os.write(1, b" " + ",".join(open_before).encode())
"""

REFUSED = {
    "connect": ("socket.create_connection(('127.0.0.1', 9), timeout=1)", "PermissionError"),
    "datagrams": ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "PermissionError"),
    "another program": ("subprocess.run(['true'])", "PermissionError"),
    "a child": ("os.fork()", "PermissionError"),
    "a signal to another": ("os.kill(os.getppid(), 0)", "PermissionError"),
    "a new file": ("open('/tmp/pushbridge-playground-test', 'w')", "PermissionError"),
    "a file that is there": ("open(sys.executable, 'ab')", "PermissionError"),
    "taking a file away": ("os.unlink('/tmp/pushbridge-playground-none')", "PermissionError"),
    "a directory": ("os.mkdir('/tmp/pushbridge-playground-test')", "PermissionError"),
    "much memory": ("bytearray(2_000_000_000)", "MemoryError"),
}
ALLOWED = {
    "a thread": "thread = threading.Thread(target=time.time); thread.start(); thread.join()",
    "a loop": "asyncio.run(asyncio.to_thread(time.time))",
    "reading": "open(__import__('json').__file__).read()",
}


def said_of(attempt: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", TRIED.format(attempt=attempt)], capture_output=True, timeout=120, check=False
    )


@pytest.mark.parametrize(("attempt", "error"), REFUSED.values(), ids=REFUSED)
def test_a_try_cannot(attempt: str, error: str) -> None:
    assert said_of(attempt).stdout.split() == [error.encode()]


@pytest.mark.parametrize("attempt", ALLOWED.values(), ids=ALLOWED)
def test_a_try_can(attempt: str) -> None:
    assert said_of(attempt).stdout.split() == [b"done"]


def test_a_loop_without_end_ends_at_the_bound_of_processor_time() -> None:
    ended = said_of("""
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))  # a process may lower its own bound
    while True: pass""")
    assert ended.returncode < 0
