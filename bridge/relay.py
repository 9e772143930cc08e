"""Sends rows of the store on to a broker or a receiver, with confirmation: dead letters, and reports to sinks."""

import asyncio
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol

from connectors.base import OutMessage, Publisher
from connectors.errors import PublishError, SourceError
from hub.backoff import Backoff
from hub.errors import StoreError

_BATCH = 100
_IDLE, _FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 1.0, 30.0
_REFUSAL_IS_NEWS = 3600.0
"""Seconds after which a message that was not tried again is taken for given up: no try is so far from the one before."""


class Outgoing(Protocol):
    """The rows that a relay sends on. Every method may raise StoreError."""

    async def waiting(self, limit: int) -> Mapping[int, OutMessage]:
        """By row, those to be sent next, in order."""

    async def published(self, rows: Sequence[int]) -> None:
        """These were confirmed."""

    async def refused(self, rows: Sequence[int]) -> None:
        """These were not, though there was a connection."""


def message_id(relay: str, row: int, *, at: float, body: bytes) -> str:
    """What a row of the store is called outside: the same with each try, and another one for each row of each store.

    A new store counts its rows from the start, and a broker that looks for duplicates would drop a message that has the
    id of an earlier one. `at` is when the row was written.
    """
    digest = blake2b(struct.pack(">d", at) + body, digest_size=8, usedforsecurity=False)
    return f"{relay}-{row}-{digest.hexdigest()}"


class Relay:
    """Publishes what waits, in order; a message is published again until it is confirmed.

    `observe` is told the name and what is wrong, empty where nothing is, after each look. What was refused by itself is
    wrong until it is published, also where all others are.
    """

    def __init__(
        self, name: str, publisher: Publisher, outgoing: Outgoing, *, observe: Callable[[str, str], None]
    ) -> None:
        self._name = name
        self._publisher = publisher
        self._outgoing = outgoing
        self._observe = observe
        self._refused: dict[str, float] = {}  # ids of messages, and until when the refusal is news
        self._refusal = ""

    async def run(self) -> None:
        """Until cancelled; a broker that is away is asked again, with backoff."""
        backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        while True:
            try:
                await self._publisher.connect()
                while True:
                    idle = not await self._send_some()
                    self._observe(self._name, self._held_back())
                    backoff.reset()
                    if idle:
                        await asyncio.sleep(_IDLE)
            except (SourceError, StoreError) as error:
                self._observe(self._name, str(error))
            except Exception as error:  # its text may hold what the message holds
                self._observe(self._name, f"{type(error).__name__}: a defect of ours")
            finally:
                await self._publisher.close()
            await asyncio.sleep(backoff.next())

    async def _send_some(self) -> bool:
        waiting = await self._outgoing.waiting(_BATCH)
        if not waiting:
            return False
        try:
            await self._publisher.publish(list(waiting.values()))
        except PublishError as error:  # the broker has those already, and would get them with every try
            published = [row for row, message in waiting.items() if message.id in error.published]
            if published:
                await self._outgoing.published(published)
            await self._outgoing.refused([row for row in waiting if row not in published])
            self._note(waiting.values(), error)
            raise
        await self._outgoing.published(list(waiting))
        for message in waiting.values():
            self._refused.pop(message.id, None)
        return True

    def _note(self, messages: Iterable[OutMessage], error: PublishError) -> None:
        """Remember what was refused by itself: it waits on while others go out."""
        until = asyncio.get_running_loop().time() + _REFUSAL_IS_NEWS
        for message in messages:
            if message.id in error.published:
                self._refused.pop(message.id, None)
            else:
                self._refused[message.id] = until
        self._refusal = str(error)

    def _held_back(self) -> str:
        """What is wrong with messages that were refused and wait for another try, empty where none is known."""
        now = asyncio.get_running_loop().time()
        self._refused = {id: until for id, until in self._refused.items() if until > now}
        return self._refusal if self._refused else ""


def noting(troubles: dict[str, str], changed: Callable[[str, str], None]) -> Callable[[str, str], None]:
    """What a relay is to observe: keeps its trouble by name, and tells name and cause of one that begins or ends."""

    def note(name: str, trouble: str) -> None:
        if bool(troubles.get(name)) != bool(trouble):
            changed(name, trouble)
        troubles[name] = trouble

    return note
