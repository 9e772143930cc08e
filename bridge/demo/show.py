"""The order of things: phones register, events are posted, what comes of them is watched and judged."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import httpx

from bridge.app import Daemon
from bridge.config.models.document import Settings
from bridge.demo import backend
from bridge.demo.events import SampleEvent, first_events, later_events
from bridge.demo.expected import CHANCE, NEWS, differences, is_complete, uncompleted
from bridge.demo.phones import HUB, SENDING_POLICY, DemoPhones
from bridge.demo.summary import event_summary, phone_summary, subscription_summary
from connectors.http.settings import HttpSettings
from connectors.servicebus.settings import ServiceBusSettings
from sandbox.journal import Journal
from sandbox.sas import shared_access_signature
from sandbox.servicebus import ServiceBus

_PAUSE = 4.0
"""Seconds between the events that come after the first ones."""

_SEND_PAUSE = 13.0
"""Seconds between sends of the hub API, which come between those events."""

_QUIET = 1.0
"""Seconds in which nothing more may come after all that was expected has."""

_AGAIN = 0.1
"""Seconds until an event that could not be taken is posted again, or readiness is asked for again."""


class DemoRun:
    """One performance in front of a daemon that runs; everything goes over the network, as from another machine."""

    def __init__(
        self,
        daemon: Daemon,
        phones: DemoPhones,
        client: httpx.AsyncClient,
        *,
        journal: Journal,
        broker: ServiceBus,
        hub_key: str,
    ) -> None:
        assert daemon.api is not None  # the demo's configuration has a hub
        self.page_url = "http://{}:{}/".format(*daemon.admin.address)
        self._api_url = "http://{}:{}".format(*daemon.api.address)
        self.hub_url = f"{self._api_url}/{HUB}"
        self._daemon = daemon
        self._phones = phones
        self._client = client
        self._journal = journal
        self._broker = broker
        self._hub_key = hub_key
        self._subscription = _subscription(daemon.settings)
        self._taken: set[str] = set()

    async def play(self) -> None:
        """Let the first events come, and wait until everything expected has, and nothing else for a second."""
        await self._open()
        first_news = islice(backend.news(random.Random(CHANCE)), len(NEWS))
        async with asyncio.TaskGroup() as systems:
            systems.create_task(backend.send(first_news, self._broker.connection_string, ca_file=self._broker.ca_file))
            await self._until_all_has_come()

    async def go_on(self) -> None:
        """Let the first events come, and others for ever."""
        await self._open()
        all_news = backend.news(random.Random())
        async with asyncio.TaskGroup() as systems:
            systems.create_task(
                backend.send(all_news, self._broker.connection_string, ca_file=self._broker.ca_file, pause=_PAUSE)
            )
            systems.create_task(self._post_later_events())
            systems.create_task(self._send_now_and_then())

    def summary(self) -> dict[str, Any]:
        """What became of the events and what each phone received, whether that was right, and what differs if not."""
        found = [f"the event {event.id} was not taken" for event in first_events() if event.id not in self._taken]
        subscription = subscription_summary(self._broker, self._subscription)
        found += uncompleted(subscription)
        found += differences(self._phones.devices)
        return {
            "ok": not found,
            "differences": found,
            "events": [event_summary(entry, self._journal) for entry in self._daemon.recent_events.entries()],
            "subscription": subscription,
            "phones": [phone_summary(role, phone) for role, phone in self._phones.devices],
        }

    async def _open(self) -> None:
        await self._phones.register(self._client, self._api_url, key=self._hub_key)
        for event in first_events():
            await self._post(event)
        await self._until_subscribed()

    async def _until_subscribed(self) -> None:
        """Wait for the bridge to be ready: what is sent to a topic before it has a subscription there is lost."""
        while True:
            answer = await self._client.get(f"{self.page_url}readyz/sources")
            if answer.status_code == httpx.codes.OK:
                return
            await asyncio.sleep(_AGAIN)

    async def _until_all_has_come(self) -> None:
        changed = asyncio.Event()
        unsubscribe = self._journal.subscribe(lambda _: changed.set())
        try:
            while not is_complete(self._phones.devices) or not await _is_quiet(changed):
                await changed.wait()
                changed.clear()
        finally:
            unsubscribe()

    async def _post_later_events(self) -> None:
        for event in later_events():
            await asyncio.sleep(_PAUSE)
            await self._post(event)

    async def _send_now_and_then(self) -> None:
        """Push through the hub API, as a system does that knows no event bridge."""
        url = f"{self.hub_url}/messages"
        while True:
            await asyncio.sleep(_SEND_PAUSE)
            expires_at = datetime.now(UTC) + timedelta(minutes=5)
            token = shared_access_signature(url, key_name=SENDING_POLICY, key=self._hub_key, expires_at=expires_at)
            await self._client.post(
                url,
                json={"title": "Canteen", "body": "Lunch is served."},
                headers={
                    "authorization": token,
                    "ServiceBusNotification-Format": "template",
                    "ServiceBusNotification-Tags": "team:hr",
                },
            )

    async def _post(self, event: SampleEvent) -> None:
        """Post an event, again while the source says that it cannot take it now."""
        source = http_settings(self._daemon.settings, event.source)
        while True:
            answer = await self._client.post(
                self.page_url.rstrip("/") + source.path,
                content=event.body.encode(),
                headers={"content-type": event.content_type, "authorization": f"Bearer {bearer_token(source)}"},
            )
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            await asyncio.sleep(_AGAIN)
        if answer.status_code == httpx.codes.ACCEPTED:
            self._taken.add(event.id)


def http_settings(settings: Settings, name: str) -> HttpSettings:
    """The settings of a source of the demo that is posted to."""
    source = settings.sources[name].connector_settings
    assert isinstance(source, HttpSettings)
    return source


def bearer_token(source: HttpSettings) -> str:
    """What a sender shows to a source of the demo."""
    assert source.auth is not None
    assert source.auth.bearer is not None
    return source.auth.bearer[0].get_secret_value()


def _subscription(settings: Settings) -> str:
    """The path of the subscription that the bridge creates, as the broker calls it."""
    source = settings.sources["employees"].connector_settings
    assert isinstance(source, ServiceBusSettings)
    assert source.topic is not None
    assert source.subscription is not None
    return f"{source.topic.name}/Subscriptions/{source.subscription.name}"


async def _is_quiet(changed: asyncio.Event) -> bool:
    changed.clear()
    try:
        async with asyncio.timeout(_QUIET):
            await changed.wait()
    except TimeoutError:
        return True
    return False
