"""A hub that is kept the same as another one: what is written here goes there, and that one is listed again and again."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from hub.backoff import Backoff
from hub.delivery.remote_api import RemoteApi
from hub.errors import HubError, RemoteError, RemoteUnreachableError, StoreError
from hub.facts import Crashed, MirrorAnswer, MirrorFailed, MirrorListed, MirrorWork
from hub.installation import Registration
from hub.moving import relisting, writing_through
from hub.moving.asking import Asking
from hub.moving.listing import Listing
from hub.moving.relisting import Relisting
from hub.moving.writing_through import WritingThrough
from hub.observer import Observer
from hub.store.contracts.mirrors import MirrorState

LEASE: Final = 60.0
"""Seconds for which a process has a hub, and so until another one takes it after a kill."""
PATIENCE: Final = 30.0
"""Seconds for one request."""
_MARGIN: Final = PATIENCE + 15.0
"""Seconds before the end of the lease in which no request begins: none is under way when another process begins."""
_RENEW_EVERY: Final = 5.0
_LOOK_EVERY: Final = 1.0
_LIST_AGAIN: Final = 60.0
"""Seconds until a list is tried again that was not read to its end, or less where lists are more often."""

Sleep = Callable[[float], Awaitable[None]]


class Mirrored(relisting.Registered, writing_through.Registered, Protocol):
    """The store. Every call but `now` may raise StoreError."""

    def now(self) -> float: ...

    async def hold_mirror(self, hub: str, *, owner: str, lease: float) -> MirrorState | None: ...

    async def release_mirror(self, hub: str, *, owner: str) -> None: ...

    async def seed_mirror(self, hub: str) -> int: ...

    async def begin_listing(self, hub: str) -> None: ...

    async def listed(self, hub: str, *, began: float, counts: dict[str, int]) -> None: ...

    async def listing_failed(self, hub: str, failure: str) -> None: ...


class Mirroring:
    """One hub's; of all processes with the store one has it at a time. `other_wins`: the other hub sends to phones."""

    def __init__(
        self,
        hub: str,
        api: RemoteApi,
        store: Mirrored,
        *,
        owner: str,
        list_every: float,
        other_wins: bool,
        observer: Observer,
        expires: Callable[[Registration], Registration] = lambda registration: registration,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._hub = hub
        self._api = api
        self._store = store
        self._owner = owner
        self._list_every = list_every
        self._other_wins = other_wins
        self._observer = observer
        self._expires = expires
        self._clock = clock
        self._sleep = sleep
        self._writing = WritingThrough(hub, api, store, observer=observer, may_go_on=lambda: self._holds)
        self._state = MirrorState()
        self._held_until = -math.inf
        self._is_owed = True
        self._wakes = asyncio.Event()

    def look(self) -> None:
        """Something was asked of this hub: do not wait for the next look."""
        self._wakes.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep())
                group.create_task(self._again(self._write, MirrorWork.WRITE))
                group.create_task(self._again(self._list, MirrorWork.LIST))
        finally:
            with suppress(StoreError):
                await asyncio.shield(self._store.release_mirror(self._hub, owner=self._owner))
            await self._api.close()

    @property
    def _holds(self) -> bool:
        return self._clock() < self._held_until - _MARGIN

    async def _keep(self) -> None:
        while True:
            self._wakes.clear()
            asked_at = self._clock()
            with suppress(StoreError):  # then what is held stays held until its time is over
                state = await self._store.hold_mirror(self._hub, owner=self._owner, lease=LEASE)
                self._held_until = -math.inf if state is None else asked_at + LEASE
                self._state = state or MirrorState()
            with suppress(TimeoutError):
                async with asyncio.timeout(_RENEW_EVERY):
                    await self._wakes.wait()

    async def _again(self, work: Callable[[], Awaitable[float]], name: MirrorWork) -> None:
        """Do it while this process holds the hub; it says after how many seconds it is to be done again."""
        backoff = Backoff(first=1.0, longest=_LIST_AGAIN)
        while True:
            pause = _LOOK_EVERY
            if self._holds:
                try:
                    pause = await work()
                    backoff.reset()
                except HubError as error:
                    self._observer.observe(MirrorFailed(hub=self._hub, work=name, cause=str(error)))
                    pause = backoff.next()
                    if isinstance(error, RemoteUnreachableError) and error.retry_after is not None:
                        pause = max(pause, min(error.retry_after, _LIST_AGAIN))
                except Exception as error:  # a defect here is no reason to end delivery
                    self._observer.observe(Crashed(work=f"mirror of {self._hub}: {name.value}", error=error))
                    pause = _LIST_AGAIN
            await self._sleep(pause)

    async def _write(self) -> float:
        return 0.0 if await self._writing.part() else _LOOK_EVERY

    async def _list(self) -> float:
        """Raises: HubError: some of it, or nothing, was taken."""
        state, now = self._state, self._store.now()
        again = min(self._list_every, _LIST_AGAIN)
        is_due = now >= max(state.listed_at + self._list_every, state.failed_at + again)
        if not (is_due or state.is_wanted or self._is_owed):
            return _LOOK_EVERY
        self._is_owed = True  # until it is done, whatever comes between
        await self._store.begin_listing(self._hub)
        began = self._store.now()
        self._state = replace(state, is_wanted=False, may_remove=False)
        try:
            counts = await self._relisting().run(began=began, may_remove=state.may_remove)
        except RemoteError as error:
            await self._store.listing_failed(self._hub, str(error)[:500])
            self.look()
            raise
        if counts is None:
            return _LOOK_EVERY
        if not state.listed_at:
            counts["seeded"] = await self._store.seed_mirror(self._hub)
        await self._store.listed(self._hub, began=began, counts=dict(counts))
        self._is_owed = False
        self._observer.observe(
            MirrorListed(
                hub=self._hub,
                registrations=counts["registrations"],
                answers={answer: counts[answer.value] for answer in MirrorAnswer},
                seconds=self._store.now() - began,
            )
        )
        self._state = MirrorState(listed_began=began, listed_at=self._store.now())
        self.look()
        return _LOOK_EVERY

    def _relisting(self) -> Relisting:
        return Relisting(
            self._hub,
            Listing(self._api, sleep=self._sleep),
            Asking(self._api, sleep=self._sleep),
            self._store,
            other_wins=self._other_wins,
            expires=self._expires,
            may_go_on=lambda: self._holds,
        )
