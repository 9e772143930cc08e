"""The API over a hub with a store of its own and push services in memory, as the contract's cases presuppose it.

Hub `h1` has the policies `full`, `listen` and `send`. The names of tests begin with the numbers of the cases in the wire
contract, section 18.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp

from hub.api.access import HubAccess, Right
from hub.api.app import create_app
from hub.api.wire.lines import DescriptionLines
from hub.delivery.dispatch import Timing
from hub.engine import Hub
from hub.jobs.runner import JobRunner
from hub.jobs.settings import NO_HOSTS_NAMED, JobSettings
from hub.notification import Platform
from tests.fakes.clock import FakeClock
from tests.fakes.observer import FakeObserver
from tests.fakes.senders import FakeSender
from tests.fakes.stores import FlakyStore
from tests.hub.api.conftest import policy
from tests.hub.api.signing import token

TTL = timedelta(days=90)
H2_KEY = "the key of the second hub"
QUICK = Timing(poll=0.003, sum_every=0.003, accept_backoff=(0.001, 0.01), count_every=0.005)


async def until_called_off(seconds: float) -> None:
    """A pause after a failure, which no test waits for."""
    await asyncio.Event().wait()


@dataclass(slots=True)
class HubAtWork:
    """A hub `h1`, `short` where registrations live for `TTL`, and `h2` with a key of its own, with their API and their push
    services in memory. The policy `root` is the namespace's."""

    hub: Hub
    app: ASGIApp
    observer: FakeObserver
    senders: dict[Platform, FakeSender]


@asynccontextmanager
async def hub_at_work(
    path: Path, clock: Callable[[], float], *, jobs: JobSettings = NO_HOSTS_NAMED
) -> AsyncIterator[HubAtWork]:
    """Policies are `full`, `listen` and `send`; `path` is of the store's file, `jobs` says where jobs may write."""
    observer = FakeObserver()
    senders = {platform: FakeSender(platform) for platform in Platform.declared()}
    hub = Hub(
        FlakyStore(path, clock=clock),
        {("h1", platform): sender for platform, sender in senders.items()},
        hubs=["h1", "short", "h2"],
        observer=observer,
        clock=clock,
        timing=QUICK,
    )
    policies = (
        policy("full", *Right),
        policy("listen", Right.LISTEN),
        policy("send", Right.SEND),
        policy("Full Key", *Right),
    )
    access = HubAccess(policies=policies, platforms=frozenset(Platform.declared()), jobs=jobs)
    own = HubAccess(policies=(policy("full", *Right, key=H2_KEY, other=""),), platforms=frozenset(Platform.declared()))
    hubs = {"h1": access, "short": replace(access, registration_ttl=TTL), "h2": own}

    def now() -> datetime:
        return datetime.fromtimestamp(clock(), UTC)

    app = create_app(hub, hubs, policies=(policy("root", *Right),), clock=now)
    runner = JobRunner(
        hub,
        hub.store,
        DescriptionLines(lambda: hubs, clock=now),
        settings=lambda: dict.fromkeys(hubs, jobs),
        observer=observer,
        new_job=hub.new_job,
        sleep=until_called_off,
        piece=8192,
    )
    await hub.open()
    work = asyncio.gather(hub.run(), runner.run())
    try:
        yield HubAtWork(hub, app, observer, senders)
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        await hub.close()


@dataclass(slots=True)
class Service:
    """The hub at work, and a client of its API with a token of the policy `full`."""

    at_work: HubAtWork
    clock: FakeClock
    client: httpx.AsyncClient

    @property
    def hub(self) -> Hub:
        return self.at_work.hub

    @property
    def observer(self) -> FakeObserver:
        return self.at_work.observer

    @property
    def senders(self) -> dict[Platform, FakeSender]:
        return self.at_work.senders

    async def put(self, id: str, **document: object) -> None:
        """Put an installation for Apple's service."""
        body = {"installationId": id, "platform": "apns", "pushChannel": "AABB", **document}
        answer = await self.client.put(f"/h1/installations/{id}", json=body)
        assert answer.status_code == 200, answer.text


def signed(policy_name: str, clock: FakeClock) -> str:
    return token(policy_name, expiry=int(clock()) + 10**9)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    clock = FakeClock()
    async with (
        hub_at_work(tmp_path / "hub.db", clock) as at_work,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(at_work.app),
            base_url="https://ns.example",
            headers={"Authorization": signed("full", clock)},
        ) as client,
    ):
        yield Service(at_work, clock, client)


@pytest.fixture
def client(service: Service) -> httpx.AsyncClient:
    return service.client
