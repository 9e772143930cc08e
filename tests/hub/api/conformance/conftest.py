"""The API over a hub with a store of its own and push services in memory, as the contract's cases presuppose it.

Hub `h1` has the policies `full`, `listen` and `send`. The names of tests begin with the numbers of the cases in the wire
contract, section 18.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from hub.api.access import HubAccess, Right
from hub.api.app import create_app
from hub.delivery.dispatch import Timing
from hub.engine import Hub
from hub.notification import Platform
from tests.fakes.clock import FakeClock
from tests.fakes.observer import FakeObserver
from tests.fakes.senders import FakeSender
from tests.fakes.stores import FlakyStore
from tests.hub.api.conftest import policy
from tests.hub.api.signing import token

TTL = timedelta(days=90)
QUICK = Timing(poll=0.003, sum_every=0.003, accept_backoff=(0.001, 0.01), count_every=0.005)


@dataclass(slots=True)
class Service:
    """The hub at work, with what its push services were given."""

    hub: Hub
    clock: FakeClock
    observer: FakeObserver
    senders: dict[Platform, FakeSender]
    client: httpx.AsyncClient

    async def put(self, id: str, **document: object) -> None:
        """Put an installation for Apple's service."""
        body = {"installationId": id, "platform": "apns", "pushChannel": "AABB", **document}
        answer = await self.client.put(f"/h1/installations/{id}", json=body)
        assert answer.status_code == 200, answer.text


def signed(policy_name: str, clock: FakeClock) -> str:
    return token(policy_name, expiry=int(clock()) + 10**9)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    clock, observer = FakeClock(), FakeObserver()
    senders = {platform: FakeSender(platform) for platform in Platform.declared()}
    hub = Hub(
        FlakyStore(tmp_path / "hub.db", clock=clock),
        {("h1", platform): sender for platform, sender in senders.items()},
        hubs=["h1", "short"],
        observer=observer,
        clock=clock,
        timing=QUICK,
    )
    policies = (policy("full", *Right), policy("listen", Right.LISTEN), policy("send", Right.SEND))
    access = HubAccess(policies=policies, platforms=frozenset(Platform.declared()))
    short = HubAccess(policies=policies, platforms=frozenset(Platform.declared()), registration_ttl=TTL)
    app = create_app(hub, {"h1": access, "short": short}, clock=lambda: datetime.fromtimestamp(clock(), UTC))
    await hub.open()
    work = asyncio.ensure_future(hub.run())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="https://ns.example",
        headers={"Authorization": signed("full", clock)},
    ) as client:
        yield Service(hub, clock, observer, senders, client)
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    await hub.close()


@pytest.fixture
def client(service: Service) -> httpx.AsyncClient:
    return service.client
