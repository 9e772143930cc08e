"""The hubs that are mirrored here while their phones move: what their remotes send is compared with who is registered."""

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bridge.config.models import HubSettings
from bridge.senders import remote_settings_of
from hub.notification import Notification
from hub.observer import Observer

if TYPE_CHECKING:
    from hub.moving.comparing import Comparing, Registered


class Mirrors:
    """Until a configuration has a mirrored hub nothing is built, and no client for HTTP is in memory."""

    def __init__(self, *, observer: Observer) -> None:
        self._observer = observer
        self._comparing: Comparing | None = None
        self._is_wanted = asyncio.Event()

    def apply(self, hubs: Mapping[str, HubSettings]) -> None:
        """Compare the sends of the mirrored ones of these, and of no others."""
        mirrored = {
            name: remote_settings_of(name, hub.remote)
            for name, hub in hubs.items()
            if hub.remote is not None and hub.is_mirrored
        }
        if self._comparing is None and not mirrored:
            return
        from hub.delivery.remote_api import RemoteApi
        from hub.moving.comparing import Comparing

        if self._comparing is None:
            self._comparing = Comparing(observer=self._observer, clock=time.monotonic)
            self._is_wanted.set()
        self._comparing.apply({name: RemoteApi(settings) for name, settings in mirrored.items()})

    def sent(self, notification: Notification, id: str) -> None:
        """The remote of a mirrored hub took it, and calls it by this id."""
        if self._comparing is not None:
            self._comparing.sent(notification, id)

    async def run(self, registered: "Registered") -> None:
        """Until cancelled."""
        await self._is_wanted.wait()
        assert self._comparing is not None
        await self._comparing.run(registered)
