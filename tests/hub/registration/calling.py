"""A hub whose phones call the registration service, in this process, with a provider of tokens beside it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import httpx
from starlette.responses import PlainTextResponse

from hub.delivery.dispatch import Timing
from hub.engine import Hub
from hub.facts import PhoneAnswered
from hub.installation import Installation, Template
from hub.notification import EVERYONE, Platform
from hub.oidc.settings import OidcSettings
from hub.oidc.tokens import TokenCheck
from hub.phone import PhoneOperation, PhoneOutcome
from hub.registration.app import HubPhones, PhonesApp
from hub.registration.engine import LocalEngine
from hub.registration.offer import Claims, Offer, PlatformTemplate, User
from hub.registration.service import PhoneService
from hub.registration.writing import Writing, WrittenHub
from hub.tags import parse
from tests.fakes.clock import FakeClock
from tests.fakes.observer import FakeObserver
from tests.fakes.provider import AUDIENCE, Provider
from tests.fakes.senders import FakeSender
from tests.fakes.stores import FlakyStore
from tests.hub.examples import HUB, notification

DAY = 86_400.0
PATH = "/register"
PHONE = "6e0f4f2c-3d0a-4c0f-9d7e-0b6a5c1d2e3f"
TOPICS = {"debits": [Decimal(100), Decimal(500), Decimal(1000)], "offers": [], "security": []}
TEMPLATES = {
    Platform.FCM: PlatformTemplate(
        template=Template(body='{"message":{"notification":{"title":"$(title)"}}}'),
        locales={"de": Template(body="""{"message":{"notification":{"title":"{'Neu: ' + $(title)}"}}}""")},
    )
}


class PhoneObserver(FakeObserver):
    """Keeps what phones were answered too."""

    def __init__(self) -> None:
        super().__init__()
        self.answers_to_phones: list[PhoneAnswered] = []

    def observe(self, fact: Any) -> None:
        if isinstance(fact, PhoneAnswered):
            self.answers_to_phones.append(fact)
        else:
            super().observe(fact)


def user_of(claims: Claims) -> User:
    return User(id=claims["sub"], tags=(f"customer:{claims['customer_id']}",), push_variables={"name": claims["sub"]})


class FailingEngine(LocalEngine):
    """The hub of this process, but the next calls raise `failures`; `ids` are those that were put."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(HUB, hub)
        self.failures: list[Exception] = []
        self.ids: list[str] = []

    async def put(self, installation: Installation) -> None:
        self.ids.append(installation.id)
        self._fail()
        await super().put(installation)

    async def delete(self, installation_id: str) -> None:
        self._fail()
        await super().delete(installation_id)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


class Calling:
    """One hub, and the application that its phones call."""

    def __init__(self, path: Path, provider: Provider, *, max_phones: int = 3) -> None:
        self.clock, self.observer, self.provider = FakeClock(), PhoneObserver(), provider
        self.store = FlakyStore(path, clock=self.clock)
        self.sender = FakeSender(Platform.FCM)
        self.hub = Hub(
            self.store,
            {(HUB, Platform.FCM): self.sender},
            hubs=[HUB],
            observer=self.observer,
            clock=self.clock,
            timing=Timing(poll=0.003, accept_backoff=(0.001, 0.01), count_every=0.005),
        )
        offer = Offer(user_of=user_of, topics=TOPICS, templates=TEMPLATES, ttl=90 * DAY, max_phones=max_phones)
        self.engine = FailingEngine(self.hub)
        self.service = PhoneService(HUB, offer, self.hub.store, self.engine, reporting=self.hub, now=self.store.now)
        check = TokenCheck(OidcSettings(issuer=provider.issuer, audience=(AUDIENCE,)), now=self.store.now)
        self.app = PhonesApp(
            {HUB: HubPhones(path=PATH, check=check, service=self.service)},
            PlainTextResponse("another's", 418),
            observer=self.observer,
            clock=self.clock,
        )
        self.failed: list[str] = []
        self.writing = Writing(
            self.hub.store,
            lambda: {HUB: WrittenHub(offer=offer, engine=self.engine)},
            failed=lambda hub, error: self.failed.append(str(error)),
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=f"https://hub.example/{HUB}{PATH}"
        )
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.hub.open()
        self._running = asyncio.ensure_future(self.hub.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running
        await self.client.aclose()
        await self.hub.close()

    def headers(self, user: str, **claims: Any) -> dict[str, str]:
        token = self.provider.token(user, now=self.store.now(), **{"customer_id": f"of-{user}", **claims})
        return {"Authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, user: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        return await self.client.request(method, path, json=body, headers=self.headers(user))

    async def sign_in(self, user: str, **changes: Any) -> dict[str, Any]:
        """The answer to a phone that registers."""
        response = await self.call("POST", "", user, registration(**changes))
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document

    async def pushed(self, audience: str) -> list[str]:
        """The push channels that a notification reaches."""
        before = len(self.sender.push_channels)
        ended = sum(self.observer.states.values())
        await self.hub.send(notification(EVERYONE if audience == "everyone" else parse(audience)))
        await self.observer.until_ended(ended + 1)
        return sorted(self.sender.push_channels[before:])

    async def tags(self, phone: str = PHONE) -> list[str]:
        """Those that the hub has of a phone."""
        return sorted((await self.hub.get_installation(HUB, f"phone:{phone}")).tags)

    @property
    def outcomes(self) -> list[tuple[PhoneOperation, PhoneOutcome]]:
        return [(each.operation, each.outcome) for each in self.observer.answers_to_phones]


def registration(**changes: Any) -> dict[str, Any]:
    document = {"phone": PHONE, "platform": "fcm", "pushChannel": "handle-1"} | changes
    return {name: value for name, value in document.items() if value is not None}
