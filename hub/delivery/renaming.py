"""Push channels that a push service named in the place of others (ADM): they go into the registry beside the sending."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from hub.errors import StoreError
from hub.facts import Crashed
from hub.observer import Observer
from hub.store.contracts.registry import RenamedChannel

_PART: Final = 500
"""Channels that one transaction renames."""


class Registry(Protocol):
    """What renaming asks of the store."""

    async def rename_channels(self, hub: str, channels: Sequence[RenamedChannel]) -> int: ...


class ChannelRenaming:
    """Renames what `add` is given. Run `run` as a task.

    Nothing is kept over a crash or an outage of the store: the service names the channel again with the next push.
    """

    def __init__(self, store: Registry, *, observer: Observer) -> None:
        self._store = store
        self._observer = observer
        self._named: dict[str, dict[tuple[str, str], RenamedChannel]] = {}
        self._is_named = asyncio.Event()

    def add(self, hub: str, channel: RenamedChannel) -> None:
        self._named.setdefault(hub, {})[channel.platform.value, channel.old] = channel
        self._is_named.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._is_named.wait()
            self._is_named.clear()
            named, self._named = self._named, {}
            for hub, channels in named.items():
                await self._rename(hub, list(channels.values()))

    async def _rename(self, hub: str, channels: Sequence[RenamedChannel]) -> None:
        for first in range(0, len(channels), _PART):
            try:
                await self._store.rename_channels(hub, channels[first : first + _PART])
            except StoreError:
                return
            except Exception as error:
                self._observer.observe(Crashed(work=f"channels that hub {hub} renames", error=error))
                return
