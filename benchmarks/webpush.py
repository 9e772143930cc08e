"""Web Push: encryptions a second of CPU, and pushes to many origins at once.

    python -m benchmarks --only webpush

Each origin is a port of its own with TLS and HTTP/2: a push to it costs a connection first, as it does where each browser
is at another push service. The services run in a process of their own, on the other cores.
"""

import asyncio
import os
import subprocess
import sys
import time
from ipaddress import IPv4Network
from pathlib import Path

import orjson
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from benchmarks.pinning import MEASURED
from hub.platforms.webpush.encryption import encrypted, point_of
from hub.platforms.webpush.sender import WebPushSender
from hub.platforms.webpush.settings import WebPushSettings
from hub.push import PushGroup, PushPage
from hub.tls import Tls
from sandbox.credentials import pem
from sandbox.exchange import Answer, Exchange
from sandbox.faults import Faults
from sandbox.server import HttpServer
from sandbox.subscriptions import base64url, keys_of
from sandbox.tls import Authority

MESSAGE = b'{"web_push":8030,"notification":{"title":"Deposit","body":"You received 1,234.56 EUR from Contoso"}}'
_DEADLINE = 60.0


def measure(directory: Path, *, encryptions: int, origins: int) -> dict[str, float]:
    """Encryptions by CPU second of one core, and what a page to `origins` origins takes, cold and warm."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.webpush", str(directory), str(origins)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        ports = orjson.loads(process.stdout.readline())
        others = os.sched_getaffinity(0)
        os.sched_setaffinity(0, MEASURED)
        try:
            found: dict[str, float] = uvloop.run(_pushes(directory, ports))
            return {"encryptions/CPU-s": _encryptions(encryptions), **found}
        finally:
            os.sched_setaffinity(0, others)
    finally:
        process.terminate()
        process.wait()


def _encryptions(count: int) -> float:
    keys = keys_of("anna")
    before = time.process_time()
    for _ in range(count):
        encrypted(MESSAGE, point_of(keys.p256dh), keys.p256dh, keys.auth)
    return count / (time.process_time() - before)


async def _pushes(directory: Path, ports: list[int]) -> dict[str, float]:
    settings = WebPushSettings(
        key=SecretStr(pem(ec.generate_private_key(ec.SECP256R1())).decode()),
        subject="mailto:ops@bank.example",
        private_networks=(IPv4Network("127.0.0.0/8"),),
        tls=Tls(ca_file=Authority(directory, keep=True).ca_file),
    )
    sender = WebPushSender(settings)
    keys = keys_of("anna")
    point, auth = base64url(keys.p256dh), base64url(keys.auth)
    channels = [
        orjson.dumps({"endpoint": f"https://127.0.0.1:{port}/push", "p256dh": point, "auth": auth}).decode()
        for port in ports
    ]
    ids = [f"00000000-0000-4000-8000-{number:012x}" for number in range(len(ports))]
    found: dict[str, float] = {}
    for name in ("new connections", "open connections"):
        page = PushPage(list(channels), list(ids), [(PushGroup(payload=MESSAGE), len(ids))])
        began, cpu = time.perf_counter(), time.process_time()
        verdict = await sender.send(page, deadline=_DEADLINE)
        assert verdict.delivered == len(ports), next(iter(verdict.exceptions.values()))
        found[f"{len(ports):,} origins, {name}, s"] = time.perf_counter() - began
        found[f"{len(ports):,} origins, {name}, ms of CPU a push"] = (time.process_time() - cpu) / len(ports) * 1e3
    await sender.close()
    return found


async def serve(directory: Path, origins: int) -> None:
    """Push services that take everything, a port each; says which ports."""

    def taken(exchange: Exchange) -> None:
        exchange.answer(Answer(status=201))

    context = Authority(directory, keep=True).server_context(["h2"])
    servers = [
        HttpServer(taken, faults=Faults(), context=context, versions=("h2",), max_streams=100) for _ in range(origins)
    ]
    for server in servers:
        await server.start()
    print(orjson.dumps([server.port for server in servers]).decode(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
