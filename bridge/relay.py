"""Sends rows of the store on to a broker or a receiver, with confirmation: dead letters, and reports to sinks."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from connectors.base import OutMessage, Publisher
from connectors.errors import PublishError, SourceError
from hub.backoff import Backoff
from hub.errors import StoreError

_BATCH = 100
_IDLE, _FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 1.0, 30.0


class Outgoing(Protocol):
    """The rows that a relay sends on. Every method may raise StoreError."""

    async def waiting(self, limit: int) -> Mapping[int, OutMessage]:
        """By row, those to be sent next, in order."""

    async def published(self, rows: Sequence[int]) -> None:
        """These were confirmed."""

    async def refused(self, rows: Sequence[int]) -> None:
        """These were not, though there was a connection."""


class Relay:
    """Publishes what waits, in order; a message is published again until it is confirmed.

    `observe` is told the name and what is wrong, empty where nothing is, after each look.
    """

    def __init__(
        self, name: str, publisher: Publisher, outgoing: Outgoing, *, observe: Callable[[str, str], None]
    ) -> None:
        self._name = name
        self._publisher = publisher
        self._outgoing = outgoing
        self._observe = observe

    async def run(self) -> None:
        """Until cancelled; a broker that is away is asked again, with backoff."""
        backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        while True:
            try:
                await self._publisher.connect()
                while True:
                    idle = not await self._send_some()
                    self._observe(self._name, "")
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
            raise
        await self._outgoing.published(list(waiting))
        return True
