"""Virtual phones: they register at a hub over its wire API and show what their push service accepted for them."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import quote

import httpx

from sandbox.display import Shown, on_screen, shown
from sandbox.errors import RegistrationError
from sandbox.journal import Entry, Journal

API_VERSION = "2020-06"

Authorize = Callable[[str], str]
"""Makes the Authorization header for a URL."""


class VirtualPhone:
    """One app on one device; `received` is what came of every push that its service took for it, in order, and `pulled`
    what the app then asked its back end for.

    `platform` is the name in installations (`apns`, `fcmv1`, …), `handle` the push channel. The name serves as installation
    id.
    """

    def __init__(self, *, name: str, platform: str, handle: str) -> None:
        self.name = name
        self.platform = platform
        self.handle = handle
        self.received: list[Shown] = []
        self.pulled: list[bytes] = []
        self._woken: asyncio.Queue[Shown] = asyncio.Queue()

    @property
    def screen(self) -> list[Shown]:
        """What of it all a person would see: nothing that is hidden, and nothing that was replaced since."""
        return on_screen(self.received)

    def watch(self, journal: Journal) -> Callable[[], None]:
        """Receive from now on; calling the result switches the phone off."""
        return journal.subscribe(self._receive, handle=self.handle)

    def _receive(self, entry: Entry) -> None:
        if entry.accepted and entry.service == self.platform:
            self.received.append(push := shown(entry))
            if push.wakes:
                self._woken.put_nowait(push)

    async def pull(self, client: httpx.AsyncClient, url: str) -> NoReturn:
        """Answer each silent push, from the first one on, by a GET of `url`, as an app does that is woken; until cancelled.

        The query says the phone's name and the push's id. Raises: httpx.HTTPError.
        """
        while True:
            push = await self._woken.get()
            answer = await client.get(url, params={"device": self.name, "push": push.push_id})
            self.pulled.append(answer.raise_for_status().content)

    async def register(
        self,
        client: httpx.AsyncClient,
        hub_url: str,
        hub: str,
        *,
        authorize: Authorize,
        user_id: str | None = None,
        tags: Sequence[str] = (),
        templates: Mapping[str, Mapping[str, Any]] | None = None,
        push_variables: Mapping[str, str] | None = None,
    ) -> None:
        """Put this phone's installation into `hub` (Notification Hubs REST API, "Create or overwrite installation").

        Raises: RegistrationError: the hub refuses it. httpx.TransportError: the hub cannot be reached.
        """
        installation = {
            "installationId": self.name,
            "platform": self.platform,
            "pushChannel": self.handle,
            "userId": user_id,
            "tags": list(tags),
            "templates": templates,
            "pushVariables": push_variables,
        }
        url = f"{hub_url}/{hub}/installations/{quote(self.name, safe='')}"
        answer = await client.put(
            url,
            params={"api-version": API_VERSION},
            content=json.dumps({name: value for name, value in installation.items() if value}),
            headers={"Authorization": authorize(url), "Content-Type": "application/json"},
        )
        if answer.status_code != httpx.codes.OK:
            text = f"the hub answered {answer.status_code} to the installation of {self.name}: {answer.text}"
            raise RegistrationError(text, status=answer.status_code)
