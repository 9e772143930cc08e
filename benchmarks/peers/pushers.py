"""Libraries that push to APNs, and h2load, each for so many pushes to the stand-in: pushes a CPU-second."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import daemon
from benchmarks.nginx import FastPushService
from benchmarks.peers.build import AIOAPNS, go_program, python_library
from benchmarks.pinning import on_the_measured_core

_STREAMS, _CONNECTIONS = 100, 4
_BODY = '{"aps":{"alert":{"title":"Bench","body":"For you: round 1"},"sound":"default"}}'


def apns2(service: FastPushService, directory: Path, pushes: int) -> float:
    """The Go library that gorush has. Raises: NotBuiltError."""
    command = [str(go_program("apns2")), "many", str(pushes), service.url, str(service.ca_file)]
    command += ["key", str(_key_file(directory)), "ABC123DEFG", "DEF123GHIJ"]
    return pushes / float(_output(command, GOMAXPROCS="1"))


def aioapns(service: FastPushService, directory: Path, pushes: int) -> float:
    """The Python library, which knows an answer by the `apns-id` that comes back. Raises: NotBuiltError."""
    library = python_library(AIOAPNS)
    program = Path(__file__).with_name("aioapns_pushes.py")
    port = urlsplit(service.echoing_url).port
    command = [sys.executable, str(program), str(port), str(service.ca_file), str(_key_file(directory)), str(pushes)]
    return pushes / float(_output(command, PYTHONPATH=str(library)))


def h2load(service: FastPushService, directory: Path, pushes: int) -> float:
    """Requests that are all alike, from C: what HTTP/2 itself costs, nearly."""
    body = directory / "body.json"
    body.write_text(_BODY)
    options = ["-n", str(pushes), "-c", str(_CONNECTIONS), "-m", str(_STREAMS), "-d", str(body)]
    before = os.times()
    _output(["h2load", *options, f"{service.url}/3/device/{1:064X}"])
    after = os.times()
    return pushes / (after.children_user + after.children_system - before.children_user - before.children_system)


def _key_file(directory: Path) -> Path:
    key = directory / "key.p8"
    key.write_text(daemon.apns_key())
    return key


def _output(command: list[str], **environment: str) -> bytes:
    return subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        preexec_fn=on_the_measured_core,
        env={**os.environ, **environment},
    ).stdout
