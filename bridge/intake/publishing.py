"""Dead letters that go to a broker: they are rows of the store first, and a relay publishes them with confirmation."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bridge.relay import message_id
from connectors.base import OutMessage
from hub.acceptance import DeadLetter

DEAD_LETTER_HEADERS = "x-pushbridge-"
"""Begins the headers that say why: source, event-id, rule, stage, reason, detail, tries, trace, config-hash."""


class Letters(Protocol):
    """What is asked of the store."""

    async def unpublished(self, relay: str, *, limit: int) -> Sequence[tuple[int, float, DeadLetter]]:
        """(id, when, letter): those that `relay` has yet to send on, oldest first. Raises: StoreError."""

    async def published(self, ids: Sequence[int]) -> None:
        """These were sent on. Raises: StoreError."""


class OutgoingLetters:
    """The dead letters of the source `name`, oldest first."""

    def __init__(self, name: str, store: Letters, *, destination: str) -> None:
        self._name = name
        self._store = store
        self._destination = destination

    async def waiting(self, limit: int) -> Mapping[int, OutMessage]:
        letters = await self._store.unpublished(self._name, limit=limit)
        return {number: self._message(number, at, letter) for number, at, letter in letters}

    async def published(self, rows: Sequence[int]) -> None:
        await self._store.published(rows)

    async def refused(self, rows: Sequence[int]) -> None:
        """They stay the first of all: where one is refused, its place takes none."""

    def _message(self, number: int, at: float, letter: DeadLetter) -> OutMessage:
        """The original bytes and headers, and beside them why they came here."""
        return OutMessage(
            id=message_id(self._name, number, at=at, body=letter.body),
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
        "trace": letter.trace,
        "config-hash": letter.config_hash,
        "revision": letter.revision,
        "withheld-bytes": "" if letter.withheld is None else str(letter.withheld),
    }
    return {DEAD_LETTER_HEADERS + name: fact for name, fact in facts.items() if fact}
