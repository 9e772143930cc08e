"""Whether what was accepted is what ended and what is on its way: each notification is one or the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hub.books import Unaccounted


class AccountPlace(NamedTuple):
    """How far the rows were looked through: pages come after notifications, and queues in order."""

    is_page: bool = False
    queue: int = -1
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStep:
    """A part of the rows. `notifications` were looked at, of which `ended` have ended. `next` is None at the end of all."""

    notifications: int
    ended: int
    found: Sequence[Unaccounted]
    next: AccountPlace | None


class Accounting(Protocol):
    async def account(self, after: AccountPlace) -> AccountStep | None:
        """Look through some thousand rows behind a place. None: another process of the fleet does so.

        Each answer is of one state of the database. Only a NO_WORK may be right a moment later: of a notification whose
        last page has just ended, and that is about to be summed. Raises: StoreError.
        """

    async def account_again(self, found: Sequence[Unaccounted]) -> Sequence[Unaccounted]:
        """Those that are still so. Raises: StoreError."""
