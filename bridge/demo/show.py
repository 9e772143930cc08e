"""The order of things: phones register, events are posted, what comes of them is watched and judged."""

import asyncio
from typing import Any

import httpx

from bridge.app import Daemon
from bridge.demo.events import SampleEvent, first_events, later_events
from bridge.demo.expected import differences, is_complete
from bridge.demo.phones import HUB, Cast
from bridge.demo.summary import event_summary, phone_summary
from sandbox.journal import Journal

_PAUSE = 4.0
"""Seconds between the events that come after the first ones."""

_QUIET = 1.0
"""Seconds in which nothing more may come after all that was expected has."""

_AGAIN = 0.1
"""Seconds until an event that could not be taken is posted again."""


class Show:
    """One performance in front of a daemon that runs; everything goes over HTTP, as it would from elsewhere."""

    def __init__(
        self, daemon: Daemon, cast: Cast, client: httpx.AsyncClient, journal: Journal, *, hub_key: str
    ) -> None:
        assert daemon.api is not None  # the demo's configuration has a hub
        self.page_url = "http://{}:{}/".format(*daemon.admin.address)
        self._api_url = "http://{}:{}".format(*daemon.api.address)
        self.hub_url = f"{self._api_url}/{HUB}"
        self._daemon = daemon
        self._cast = cast
        self._client = client
        self._journal = journal
        self._hub_key = hub_key
        self._taken: set[str] = set()

    async def play(self) -> None:
        """Post the first events and wait until everything expected has come, and nothing else for a second."""
        await self._open()
        changed = asyncio.Event()
        unsubscribe = self._journal.subscribe(lambda _: changed.set())
        try:
            while not is_complete(self._cast.devices) or not await _is_quiet(changed):
                await changed.wait()
                changed.clear()
        finally:
            unsubscribe()

    async def go_on(self) -> None:
        """Post the first events, and others for ever."""
        await self._open()
        for event in later_events():
            await asyncio.sleep(_PAUSE)
            await self._post(event)

    def summary(self) -> dict[str, Any]:
        """What became of the events and what each phone received, whether that was right, and what differs if not."""
        found = [f"the event {event.id} was not taken" for event in first_events() if event.id not in self._taken]
        found += differences(self._cast.devices)
        return {
            "ok": not found,
            "differences": found,
            "events": [event_summary(entry, self._journal) for entry in self._daemon.trail.entries()],
            "phones": [phone_summary(role, phone) for role, phone in self._cast.devices],
        }

    async def _open(self) -> None:
        await self._cast.register(self._client, self._api_url, key=self._hub_key)
        for event in first_events():
            await self._post(event)

    async def _post(self, event: SampleEvent) -> None:
        """Post an event, again while the source says that it cannot take it now."""
        source = self._daemon.settings.sources[event.source].http
        assert source is not None
        while True:
            answer = await self._client.post(
                self.page_url.rstrip("/") + source.path,
                content=event.body.encode(),
                headers={"content-type": event.content_type},
            )
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            await asyncio.sleep(_AGAIN)
        if answer.status_code == httpx.codes.ACCEPTED:
            self._taken.add(event.id)


async def _is_quiet(changed: asyncio.Event) -> bool:
    changed.clear()
    try:
        async with asyncio.timeout(_QUIET):
            await changed.wait()
    except TimeoutError:
        return True
    return False
