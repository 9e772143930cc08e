"""What a daemon holds that waits: its modules and its memory, with one HTTP source and a hub that is elsewhere."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.ports import free_ports

pytestmark = [pytest.mark.processes, pytest.mark.slow]

NOT_NEEDED = (
    "aiokafka",
    "azure",
    "babel",
    "bridge.cli.init",
    "bridge.demo",
    "bridge.observe.otlp",
    "click",
    "cryptography",
    "fastavro",
    "httpcore",
    "httpx",
    "jwt",
    "google.protobuf",
    "lxml",
    "multiprocessing",
    "opentelemetry",
    "pika",
    "psycopg",
    "pycurl",
    "rich",
    "sandbox",
    "sqlalchemy",
    "uvicorn.main",
)
"""Clients of what is not configured, and what only other commands use."""

OURS = ("bridge", "connectors", "hub", "rules")
MOST_MODULES = 515
"""Of others."""
MOST_KB = 69_500
"""Of pages that no other process shares."""

_PROGRAM = """
import atexit, sys
atexit.register(lambda: print("MODULES", *sorted(sys.modules)))
from bridge.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[str]]:
    """KB of a daemon's own memory while it waits, and its modules."""
    directory, port = tmp_path_factory.mktemp("idle"), free_ports(1)[0]
    config = directory / "idle.yaml"
    config.write_text(
        f"""
listeners: {{ admin: {{ address: "127.0.0.1:{port}" }} }}
bridge: {{ store: {{ url: "sqlite:///{directory}/idle.db", allow_ephemeral: true }} }}
sources: {{ app: {{ http: {{ path: /events/app }} }} }}
rules: [{{ name: greet, push: {{ hub: staff, to: "team:a", with: {{ title: "{{{{ data.title }}}}" }} }} }}]
hubs:
  staff:
    remote:
      connection_string: "Endpoint=sb://127.0.0.1:1/;SharedAccessKeyName=send;SharedAccessKey=c2VjcmV0"
      hub: staff
      durability: remote
"""
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "run", str(config)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            _await_ready(process, f"http://127.0.0.1:{port}/readyz/sources")
            time.sleep(1.0)  # what the first turns of its loops load is there by then
            own = _anonymous(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return own, next(line for line in out.splitlines() if line.startswith("MODULES")).split()[1:]


def test_a_daemon_that_waits_has_loaded_no_client_that_its_configuration_does_not_name(
    ended: tuple[int, list[str]],
) -> None:
    _, modules = ended
    loaded = {name for name in modules for unneeded in NOT_NEEDED if f"{name}.".startswith(f"{unneeded}.")}
    assert loaded == set()
    assert "bridge.app" in modules


def test_a_daemon_that_waits_has_no_more_modules_than_it_had(ended: tuple[int, list[str]]) -> None:
    others = [name for name in ended[1] if name.partition(".")[0] not in OURS]
    assert len(others) < MOST_MODULES, "a package came along: import it where it is used"


def test_the_memory_of_a_daemon_that_waits_is_bounded(ended: tuple[int, list[str]]) -> None:
    assert ended[0] < MOST_KB


def _await_ready(process: subprocess.Popen[str], url: str) -> None:
    for _ in range(600):
        assert process.poll() is None
        try:
            if httpx.get(url, timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("it did not become ready")


def _anonymous(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Anonymous:")).split()[1])
