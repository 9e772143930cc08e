"""The listener of probes, which anybody on the network reaches: who holds it or asks wrongly harms no probe and no push."""

import asyncio
from pathlib import Path

import httpx
import pytest

from sandbox.services import PushServices
from tests.integration.daemon import Daemon
from tests.integration.test_attacks import IDLE, idle_connections
from tests.integration.test_operator import configuration, post, register
from tests.ports import free_ports

pytestmark = pytest.mark.processes

PATHS = ("/livez", "/readyz", "/startupz", "/metrics")
WRONG = {
    "a method that changes": b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "a method of its own": b"BREW /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "a proxy's": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "another path": b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path that climbs": b"GET /metrics/../api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path in disguise": b"GET /%6detrics/%2e%2e/-/reload HTTP/1.1\r\nHost: x\r\n\r\n",
    "an address of another": b"GET http://127.0.0.1/api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
    "a body beyond measure": b"POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n",
    "a header without end": b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000,
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
REFUSED = (b"400", b"404", b"405", b"413", b"431")


async def answered(port: int, said: bytes) -> bytes:
    """The status that is answered, empty where the connection is closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(said)
        async with asyncio.timeout(30):
            line = await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()
    return line.split(b" ")[1] if line else b""


async def test_who_holds_the_listener_of_probes_or_asks_it_wrongly_harms_nobody(
    services: PushServices, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    config = configuration(services)
    connections = {"max": 60, "max_per_client": 30, "header_timeout": "2s"}
    config["listeners"] = {"probes": {"address": f"127.0.0.1:{port}", "connections": connections}}
    async with (
        Daemon(tmp_path, config) as daemon,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as probe,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            timeout=60,
            transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2"),
        ) as kubelet,
    ):
        await daemon.start()
        await register(daemon, services)
        assert {path: (await probe.get(path)).status_code for path in PATHS} == dict.fromkeys(PATHS, 200)
        for name, said in WRONG.items():
            status = await answered(port, said)
            assert not status or status in REFUSED, (name, status)
        for begun in IDLE.values():
            async with idle_connections(port, 200, begun):
                found = {path: (await kubelet.get(path)).status_code for path in PATHS}
                assert found == dict.fromkeys(PATHS, 200), "a client of another address has its share"
                assert (await post(daemon, f"held-{len(begun)}")).status_code == 202
        await services.journal.wait_for(lambda entry: entry.accepted, count=len(IDLE))
        async with idle_connections(port, 25, IDLE["half a header"]):
            await asyncio.sleep(3)  # the time to send a header has passed
            metrics = (await kubelet.get("/metrics")).text
        refused = 'pushbridge_http_connections_refused_total{limit="per_client",listener="probes"} '
        assert float(metrics.partition(refused)[2].split("\n")[0]) > 0
        drips = await asyncio.gather(*(dripped(port) for _ in range(20)))
        assert max(drips) < 10, "a header that comes a byte at a time has no more time than another"
        assert [line for line in daemon.log() if line["event"] == "defect"] == []


async def dripped(port: int) -> float:
    """Seconds for which a connection lives that sends a byte of its header now and then."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in b"GET /livez HTTP/1.1\r\nX: " + b"x" * 200:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)
    except ConnectionError:
        pass
    return loop.time() - began
