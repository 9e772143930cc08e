"""A hub `h1` with rules `full`, `listen` and `send`, as the conformance cases of the wire contract have it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from hub.api.access import AccessPolicy, HubAccess, Right
from hub.api.app import create_app
from hub.notification import Platform
from tests.fakes.hub_service import FakeHubService
from tests.hub.api.signing import KEY, OTHER_KEY, token

NOW = datetime(2030, 1, 31, 16, 5, 6, tzinfo=UTC)


def policy(name: str, *rights: Right, key: str = KEY, other: str = OTHER_KEY) -> AccessPolicy:
    keys = (key, other) if other else (key,)
    return AccessPolicy(name=name, rights=frozenset(rights), keys=keys)


HUBS = {
    "h1": HubAccess(
        policies=(
            policy("full", *Right),
            policy("listen", Right.LISTEN),
            policy("send", Right.SEND),
            policy("manage", Right.MANAGE),
        ),
        platforms=frozenset(Platform.declared()),
    ),
    "apple": HubAccess(policies=(policy("full", *Right),), platforms=frozenset({Platform.APNS})),
    "none": HubAccess(policies=(policy("full", *Right),), platforms=frozenset()),
}


@pytest.fixture
def service() -> FakeHubService:
    return FakeHubService()


@pytest.fixture
async def client(service: FakeHubService) -> AsyncIterator[httpx.AsyncClient]:
    """Calls `https://ns.example` with a good token of the rule `full`; what the app raises is seen by the client."""
    app = create_app(service, HUBS, policies=(policy("root", *Right),), clock=lambda: NOW)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="https://ns.example",
        headers={"Authorization": token("full")},
    ) as client:
        yield client
