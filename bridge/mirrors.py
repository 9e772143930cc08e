"""The hubs that are mirrored while their phones move: kept the same as their remotes, and compared with what those send."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bridge.config.models.hubs import HubSettings
from bridge.senders import remote_settings_of
from hub.errors import StoreError
from hub.installation import Registration
from hub.notification import Notification
from hub.observer import Observer
from hub.store.contracts.mirrors import MirrorBacklog, MirrorState
from hub.store.contracts.store import Store

if TYPE_CHECKING:
    from hub.moving.comparing import ComparedHub, Comparing
    from hub.moving.mirroring import Mirroring

_FORGET_EVERY = 30.0
"""Seconds between two looks for hubs that are mirrored no more."""


class Mirrors:
    """Until a configuration has a mirrored hub nothing is built, and no client for HTTP is in memory.

    With a store that `is_shared` a hub is one process's at a time; else the next process has it at once after a kill.
    """

    def __init__(self, *, observer: Observer, is_shared: bool) -> None:
        self._observer = observer
        self._owner = secrets.token_hex(8) if is_shared else "alone"
        self._comparing: Comparing | None = None
        self.hubs: dict[str, HubSettings] = {}
        self._tasks: dict[str, tuple[HubSettings, Mirroring, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()

    def apply(self, hubs: Mapping[str, HubSettings], store: Store) -> None:
        """Mirror those of these that say so, and no others; compare the sends of those that send by their remotes."""
        self.hubs = {name: hub for name, hub in hubs.items() if hub.mirror is not None}
        store.write_through(self.hubs)
        self._changed.set()
        compared = {name: hub for name, hub in self.hubs.items() if hub.is_mirrored}
        if self._comparing is None and not compared:
            return
        from hub.moving.comparing import Comparing

        if self._comparing is None:
            self._comparing = Comparing(observer=self._observer, clock=time.monotonic)
        self._comparing.apply({name: _compared(name, hub) for name, hub in compared.items()})

    def sent(self, notification: Notification, id: str) -> None:
        """The remote of a mirrored hub took it, and calls it by this id."""
        if self._comparing is not None:
            self._comparing.sent(notification, id)

    async def states(self, store: Store) -> dict[str, tuple[MirrorState, MirrorBacklog]]:
        """How each mirrored hub fares, and what of it waits. Raises: StoreError."""
        return {name: (await store.mirror_state(name), await store.mirror_backlog(name)) for name in self.hubs}

    async def list_now(self, hub: str, store: Store, *, may_remove: bool = False) -> None:
        """Have the remote of a mirrored hub listed now, by the process that has it. Raises: StoreError."""
        await store.want_listing(hub, may_remove=may_remove)
        if hub in self._tasks:
            self._tasks[hub][1].look()

    async def run(self, store: Store) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forget(store))
                compares = False
                while True:
                    self._changed.clear()
                    await self._exchange(store, group)
                    if self._comparing is not None and not compares:
                        compares = True
                        group.create_task(self._comparing.run(store))
                    await self._changed.wait()
        finally:
            self._tasks.clear()

    async def _exchange(self, store: Store, group: asyncio.TaskGroup) -> None:
        """Of a hub whose keys differ the old task ends before the new one begins."""
        for name, (settings, _, task) in list(self._tasks.items()):
            if self.hubs.get(name) != settings:
                task.cancel()
                await asyncio.wait([task])
                del self._tasks[name]
        for name, settings in self.hubs.items():
            if name not in self._tasks:
                mirroring = self._mirroring(name, settings, store)
                self._tasks[name] = settings, mirroring, group.create_task(mirroring.run())

    def _mirroring(self, name: str, hub: HubSettings, store: Store) -> "Mirroring":
        from hub.delivery.remote_api import RemoteApi
        from hub.moving.mirroring import PATIENCE, Mirroring

        assert hub.remote is not None
        return Mirroring(
            name,
            RemoteApi(remote_settings_of(name, hub.remote), patience=PATIENCE),
            store,
            owner=self._owner,
            list_every=hub.list_every,
            other_wins=hub.is_remote,
            observer=self._observer,
            expires=expiry_of(hub, store.now),
        )

    async def _forget(self, store: Store) -> None:
        while True:
            with suppress(StoreError):  # reported by the store's health, and tried again
                while await store.forget_mirrors(self.hubs):
                    pass
            await asyncio.sleep(_FORGET_EVERY)


def _compared(name: str, hub: HubSettings) -> "ComparedHub":
    from hub.delivery.remote_api import RemoteApi
    from hub.moving.comparing import ComparedHub

    assert hub.remote is not None
    return ComparedHub(api=RemoteApi(remote_settings_of(name, hub.remote)), list_every=hub.list_every)


def expiry_of(hub: HubSettings, now: Callable[[], float]) -> Callable[[Registration], Registration]:
    """What gives a single registration of a hub the end that it has after a write now, in seconds since 1970."""
    ttl = hub.limits.registration_ttl

    def expires(registration: Registration) -> Registration:
        if ttl is None:
            return registration
        return replace(registration, expires_at=datetime.fromtimestamp(now() + ttl, UTC))

    return expires
