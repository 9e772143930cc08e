"""Persons: all that is kept of one, to be exported or erased.

A person is an id, compared as ids of users are. What is kept of a person are devices of that user (`$UserId`), sign-ins
and subscriptions on phones, and rows of events that a source's `map.person` says are about the person, or whose audience
names the user or a device of the user.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hub.explained import Explained
from hub.store.contracts.listing import ListPage


class Kept(Explained):
    """What is kept of a person."""

    DEVICE = "device", "Installations and registrations of the user, of all hubs."
    SUBSCRIPTION = "subscription", "What the user subscribed to on phones, and on which of them the user is signed in."
    NOTIFICATION = "notification", "Notifications that wait, are scheduled or held, or have ended, with their text."
    DEAD_LETTER = "dead_letter", "Dead letters, with their bodies."
    EVENT = "event", "What became of events."
    REPORT = "report", "What the user's phones reported of pushes: received, opened, acted on."
    SINK = "sink", "What has yet to be published to a sink."


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOfPerson:
    """One thing that is kept of a person; `content` are JSON types, and bytes that are no UTF-8 in base64.

    A notification says with `content_cleared` whether its `content` was cleared, and a dead letter with `body_withheld`
    whether its `body` was never kept; what is not there is None, and `content_size` or `body_size` its bytes.
    """

    kind: Kept
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure came to. `digest` stands for the person in audit rows, log and file of erasures.

    `rows` count what there was. `notifications` are the ids of those that are gone. With `is_overwritten` no file of the
    database holds a byte of it any more; else readers of the moment are in the way, and that follows when they are done.
    """

    digest: str
    rows: Mapping[Kept, int]
    notifications: Collection[str] = field(default=(), repr=False)
    is_overwritten: bool


class People(Protocol):
    """Every method may raise StoreError."""

    async def count_person(self, person: str) -> Mapping[Kept, int]:
        """How much is kept of a person."""

    async def export_person(self, person: str, *, after: str = "", limit: int) -> ListPage[KeptOfPerson]:
        """All that is kept of a person, in the order of `Kept`. Raises: InvalidRequestError."""

    async def overwrite_cleared(self) -> None:
        """Begin to overwrite, in the files of the database, what sensitive notifications said that have ended; the
        store does it while it is open. PostgreSQL uses such space again by itself."""

    async def erase_person(self, person: str, *, actor: str) -> Erased:
        """Delete all that is kept of a person, in slices, each a transaction. The first writes an audit row, and so does
        the last, both with the digest.

        When it returns, the file of erasures names the digest durably, so that a copy made before is erased in too when
        it is restored. Work of the person that this process has in hand is withdrawn: what is not with a push service yet
        is not pushed. An erasure that failed halfway is finished by the same call. What comes later is kept again.
        """
