"""What could not become a notification, kept until it is replayed, dropped or too old."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.acceptance import DeadLetter, Ingest
from hub.store.contracts.listing import ListPage
from hub.store.contracts.outbox import AcceptanceResult


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterReplay:
    """One replay of a letter: when, by whom, and what it came to."""

    at: float
    actor: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLetter:
    """A dead letter in its place; `size` are the bytes of its body, which is left out of lists.

    `replayed_at` and `replay` say when it was last replayed and how that ended, None and empty when it never was.
    `replays` are the newest replays, the last one first; lists leave them out.
    """

    id: int
    at: float
    size: int
    letter: DeadLetter
    replayed_at: float | None = None
    replay: str = ""
    replays: Sequence[LetterReplay] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterUsage:
    """How many letters are kept, and the bytes of their bodies, headers and details, as the bounds count them."""

    letters: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which dead letters: of these ids (empty: any), this source, reason and rule (None: any). `open_only` leaves out those
    that a replay had accepted; a letter that failed again is open still."""

    ids: Sequence[int] = ()
    source: str | None = None
    reason: str | None = None
    rule: str | None = None
    open_only: bool = False


EVERY_LETTER = LetterFilter()


class DeadLetters(Protocol):
    """Every method may raise StoreError."""

    async def letters(
        self, chosen: LetterFilter = EVERY_LETTER, *, after: str = "", limit: int
    ) -> ListPage[KeptLetter]:
        """Newest first, without bodies."""

    async def letter(self, letter_id: int) -> KeptLetter:
        """With its body and its replays. Raises: NotFoundError."""

    async def letter_usage(self) -> LetterUsage:
        """How much is kept."""

    async def drop_dead_letters(self, ids: Sequence[int], *, actor: str) -> Sequence[int]:
        """Forget these, and write an audit row for each, in one transaction; the ids of those that were there."""

    async def replay(
        self, letter_id: int, ingest: Ingest, *, outcome: str, start: int, actor: str
    ) -> AcceptanceResult | None:
        """Accept what a letter causes by today's rules, mark the letter with the `outcome` and write an audit row, in one
        transaction; None: a replay of the letter was `accepted` before, and nothing is done. Raises: NotFoundError."""

    async def unpublished(self, relay: str, *, limit: int) -> Sequence[tuple[int, float, DeadLetter]]:
        """(id, when, letter) of those that a publisher has yet to send on, oldest first."""

    async def published(self, ids: Sequence[int]) -> None:
        """These were sent on."""

    async def bound_dead_letters(self, *, kept: float, max_rows: int, max_bytes: int) -> bool:
        """Drop a slice of those older than `kept` seconds or beyond the bounds, oldest first; whether more is left."""
