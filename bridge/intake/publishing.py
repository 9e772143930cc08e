"""Sends dead letters on to a broker: they are rows of the store first, and leave it for the broker with confirmation."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from connectors.base import OutMessage, Publisher
from connectors.errors import PublishError, SourceError
from hub.acceptance import DeadLetter
from hub.backoff import Backoff
from hub.errors import StoreError

_BATCH = 100
_IDLE, _FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 1.0, 30.0

DEAD_LETTER_HEADERS = "x-pushbridge-"
"""Begins the headers that say why: source, event-id, rule, stage, reason, detail, tries, config-hash."""


class Letters(Protocol):
    """What a relay asks of the store."""

    async def unpublished(self, relay: str, *, limit: int) -> Sequence[tuple[int, float, DeadLetter]]:
        """(id, when, letter): those that `relay` has yet to send on, oldest first. Raises: StoreError."""

    async def published(self, ids: Sequence[int]) -> None:
        """These were sent on. Raises: StoreError."""


class Relay:
    """One publisher's share of the dead letters, oldest first; a dead letter is published again until it is confirmed."""

    def __init__(
        self,
        name: str,
        publisher: Publisher,
        store: Letters,
        *,
        destination: str,
        observe: Callable[[str, str], None],
    ) -> None:
        self._name = name
        self._publisher = publisher
        self._store = store
        self._destination = destination
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
            except Exception as error:  # its text may hold what the letter holds
                self._observe(self._name, f"{type(error).__name__}: a defect of ours")
            finally:
                await self._publisher.close()
            await asyncio.sleep(backoff.next())

    async def _send_some(self) -> bool:
        letters = await self._store.unpublished(self._name, limit=_BATCH)
        waiting = {number: self._message(number, letter) for number, _, letter in letters}
        if not waiting:
            return False
        try:
            await self._publisher.publish(list(waiting.values()))
        except PublishError as error:  # the broker has those already, and would get them with every try
            published = [number for number, message in waiting.items() if message.id in error.published]
            if published:
                await self._store.published(published)
            raise
        await self._store.published(list(waiting))
        return True

    def _message(self, number: int, letter: DeadLetter) -> OutMessage:
        """The original bytes and headers, and beside them why they came here."""
        return OutMessage(
            id=f"{self._name}-{number}",
            body=letter.body,
            destination=self._destination,
            content_type=letter.content_type,
            headers={**letter.headers, **_why(letter)},
        )


def _why(letter: DeadLetter) -> dict[str, str]:
    facts = {
        "source": letter.source,
        "event-id": letter.event_id,
        "rule": letter.rule,
        "owner": letter.owner,
        "stage": letter.stage,
        "reason": letter.reason,
        "detail": letter.detail[:4096],
        "tries": str(letter.tries),
        "config-hash": letter.config_hash,
        "revision": letter.revision,
    }
    return {DEAD_LETTER_HEADERS + name: fact for name, fact in facts.items() if fact}
