"""The HTTP source keeps the contract of all sources, with senders on the other side that repeat after a 503."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.applications import Starlette

from connectors.http import HttpSettings, HttpSource
from tests.connectors.behaviour import Harness, SourceBehaviour


@dataclass
class HttpHarness:
    source: HttpSource
    client: httpx.AsyncClient
    senders: set[asyncio.Task[None]] = field(default_factory=set)

    async def publish(self, bodies: Sequence[bytes]) -> None:
        expected = ((await self.source.backlog()).messages or 0) + len(bodies)
        self.senders.update(asyncio.create_task(self._send(body)) for body in bodies)
        while (await self.source.backlog()).messages != expected:
            await asyncio.sleep(0)

    async def lose_connection(self) -> None:
        await self.source.close()

    async def _send(self, body: bytes) -> None:
        while (await self.client.post("/in", content=body)).status_code == 503:
            await asyncio.sleep(0.001)  # a sender that is told to come again


class TestHttpSource(SourceBehaviour):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[Harness]:
        http = HttpSource("web", HttpSettings(path="/in"), idle_wait=0.02)
        transport = httpx.ASGITransport(Starlette(routes=[http.route()]))
        async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
            harness = HttpHarness(http, client)
            yield harness
            for sender in harness.senders:
                sender.cancel()
            await asyncio.gather(*harness.senders, return_exceptions=True)
            await http.close()
