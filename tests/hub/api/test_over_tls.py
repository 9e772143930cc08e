"""The API as it is deployed: uvicorn and TLS, a client that trusts only the sandbox's authority."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from hub.api.app import create_app
from sandbox.tls import Authority
from tests.fakes.hub_service import FakeHubService
from tests.hub.api.conftest import HUBS
from tests.hub.api.signing import token


@contextlib.asynccontextmanager
async def serving(authority: Authority) -> AsyncIterator[str]:
    ready = asyncio.Event()
    listener_ports: list[int] = []

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup()
            listener_ports.append(self.servers[0].sockets[0].getsockname()[1])
            ready.set()

    config = uvicorn.Config(create_app(FakeHubService(), HUBS), host="127.0.0.1", port=0, log_config=None)
    config.load()
    config.ssl = authority.server_context(["http/1.1"])
    server = Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server._serve())
        await ready.wait()
        yield f"https://localhost:{listener_ports[0]}"
        server.should_exit = True


@pytest.mark.parametrize("size", [0, 5_000_000])
async def test_a_phone_registers_and_is_sent_to_over_tls(tmp_path: Path, size: int) -> None:
    authority = Authority(tmp_path)
    async with (
        serving(authority) as url,
        httpx.AsyncClient(base_url=url, verify=ssl.create_default_context(cafile=authority.ca_file)) as client,
    ):
        client.headers["Authorization"] = token("full", resource=url, expiry=int(time.time()) + 60)
        put = await client.put("/h1/installations/i1", json={"platform": "apns", "pushChannel": "aabb"})
        assert put.status_code == 200
        send = await client.post("/h1/messages/", content=b'{"m":"' + b"x" * size + b'"}')
        assert send.status_code == (413 if size else 201)
        if not size:
            assert send.headers["location"].startswith(f"{url}/h1/messages/")
