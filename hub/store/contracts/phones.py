"""Phones that users sign in with, and what each user subscribed to on each of them."""

from collections.abc import Sequence
from typing import Protocol

from hub.acceptance import AuditEntry
from hub.notification import Platform
from hub.phone import Phone, Topics


class Phones(Protocol):
    """Every method may raise StoreError. Ids of users compare as in tags; ids of phones are in lower case."""

    async def phone(self, hub: str, phone_id: str) -> Phone | None:
        """The phone, signed in or not."""

    async def phone_registered(self, hub: str, registration_id: str) -> Phone | None:
        """The phone whose registration id this is now."""

    async def phones_of(self, hub: str, user_id: str) -> Sequence[Phone]:
        """The phones with which a user is signed in, by id; expired ones too."""

    async def phones_with(self, hub: str, platform: Platform, push_channel: str) -> Sequence[Phone]:
        """The phones that are signed in with a push channel, by id."""

    async def subscriptions(self, hub: str, user_id: str, phone_id: str) -> Topics | None:
        """What a user subscribed to on a phone; None: the user was never signed in there."""

    async def put_phone(self, hub: str, phone: Phone, *, topics: Topics | None = None) -> Phone:
        """Keep a phone as it is to be, if its row still is as it was read: `phone.etag`, 0 for a phone that is new.

        The answer has the new etag and time. With `topics` these are kept of its user, in the same transaction.

        Raises: PreconditionError: another change came between.
        """

    async def phone_written(self, hub: str, phone: Phone, digest: str) -> bool:
        """The engine has the phone as this state says. A phone that signed off is forgotten with that.

        False: the phone has changed since, and what the engine has may be of either state.
        """

    async def unwritten_phones(
        self, hub: str, *, unchanged_for: float, after: Phone | None = None, limit: int
    ) -> Sequence[Phone]:
        """Phones that the engine may have otherwise, the longest unchanged first; those changed just now are left out.

        With `after`, those that come behind it: what could not be written hides none of them.
        """

    async def rewrite_phones(
        self, hub: str, *, after: str = "", limit: int, audit: AuditEntry | None = None
    ) -> tuple[int, str]:
        """Take for granted no more that the engine has what is here, of up to `limit` phones behind an id.

        How many are signed in, and the id of the last one; empty: there are no more. `audit` is written with that.
        """

    async def forget_phones(self, *, kept: float, subscriptions_kept: float) -> bool:
        """Drop a slice of phones that expired `kept` seconds ago, and of subscriptions that were not used for so long;
        whether more is left."""
