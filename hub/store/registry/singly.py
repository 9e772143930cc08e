"""Writes of single documents: those that wait at the same time are decided and written together, and answered each.

A phone writes one document a call, and many phones call at once. Reading, deciding and writing for many costs a third of
what it costs one by one. A write that is refused changes nothing and fails alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from hub.errors import StoreError
from hub.installation import Installation, Registration
from hub.notification import Platform
from hub.store.contracts.mirrors import Found
from hub.store.decide.device import tile_key
from hub.store.decide.registering import Registering

MOST = 64
"""Writes that one transaction takes, at most: bounds how long the first of them, and an event to be accepted, wait for it.
256 make a fifth more writes a second, and let others wait two to three times as long."""


class SingleWrite(NamedTuple):
    """`play` makes the change, or raises a `HubError` before it changed anything; `ordinals` is how many it may take.

    The ids and the channel are those that it names; `tiles` are the keys of the secondary tiles of its document, and
    `tile_channels` their push channels.
    """

    play: Callable[[Registering], Any]
    installation_id: str = ""
    registration_id: str = ""
    channel: tuple[Platform, str] | None = None
    ordinals: int = 0
    tiles: Sequence[str] = ()
    tile_channels: Sequence[tuple[Platform, str]] = ()


def put_installation(installation: Installation) -> SingleWrite:
    return _write_of(installation, lambda registering: registering.put_installation(installation))


def add_installation(installation: Installation) -> SingleWrite:
    """Refused when there is one."""
    return _write_of(installation, lambda registering: registering.add_installation(installation))


def change_installation(installation: Installation) -> SingleWrite:
    """Refused when it is not as it was read any more."""
    return _write_of(installation, lambda registering: registering.change_installation(installation))


def _write_of(installation: Installation, play: Callable[[Registering], Any]) -> SingleWrite:
    return SingleWrite(
        play=play,
        installation_id=installation.id,
        channel=(installation.platform, installation.push_channel),
        ordinals=installation.registration_count,
        tiles=[tile_key(installation.id, each) for each in installation.secondary_tiles],
        tile_channels=[(installation.platform, each.push_channel) for each in installation.secondary_tiles.values()],
    )


def drop_installation(installation_id: str) -> SingleWrite:
    """Its answer: whether there was one. Its tag stays known, as one whose registrations are gone."""
    return SingleWrite(
        play=lambda registering: registering.drop_installation(installation_id), installation_id=installation_id
    )


def put_registration(registration: Registration, registration_id: str, if_match: int | None) -> SingleWrite:
    """Its answer: the registration as it stands now."""
    return SingleWrite(
        play=lambda registering: registering.put_registration(registration, registration_id, if_match),
        registration_id=registration_id,
        channel=(registration.platform, registration.push_channel),
        ordinals=1,
    )


def drop_registration(registration_id: str, if_match: int | None) -> SingleWrite:
    return SingleWrite(
        play=lambda registering: registering.drop_registration(registration_id, if_match),
        registration_id=registration_id,
    )


def take_found(found: Found) -> SingleWrite | None:
    """What a list of another hub says of a device; None: nothing changes here. Refused when it was written since."""
    etag, id = found.etag, found.key.partition(":")[2]
    if etag is None:
        return None
    if found.installation is not None:
        return (
            change_installation(replace(found.installation, etag=etag))
            if etag
            else add_installation(found.installation)
        )
    if found.registration is not None:
        registration = found.registration
        return SingleWrite(
            play=lambda registering: registering.take_registration(registration, etag),
            registration_id=id,
            channel=(registration.platform, registration.push_channel),
            ordinals=1,
        )
    if found.key.startswith("i:"):
        return SingleWrite(play=lambda registering: registering.drop_installation(id, etag), installation_id=id)
    return drop_registration(id, etag)


WriteAll = Callable[[Sequence[SingleWrite]], Awaitable[Sequence[Any]]]
"""The answers, in order, an exception for one that was refused. Raises: StoreError."""


class SingleWrites:
    """The single writes of one hub, in the order they came. Belongs to the event loop."""

    def __init__(self, write_all: WriteAll, *, most: int = MOST) -> None:
        self._write_all = write_all
        self._most = most
        self._waiting: deque[tuple[SingleWrite, asyncio.Future[Any]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def run(self, write: SingleWrite) -> Any:
        """The answer, once it is durable. Raises: what `play` raises; StoreError."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((write, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), self._most)
                await self._write([self._waiting.popleft() for _ in range(count)])
        finally:
            self._working = None

    async def _write(self, batch: Sequence[tuple[SingleWrite, "asyncio.Future[Any]"]]) -> None:
        answers: Sequence[Any]
        try:
            answers = await self._write_all([write for write, _ in batch])
        except StoreError as error:
            answers = [error] * len(batch)
        except Exception as error:  # a defect in one of them must not cost the others theirs
            if len(batch) > 1:
                for one in batch:
                    await self._write([one])
                return
            answers = [error]
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
