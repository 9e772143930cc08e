"""What was found at another hub, taken into this one: never over what a phone or a back end has said here itself."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from hub.errors import GoneError, InvalidRequestError, NotFoundError, PreconditionError
from hub.facts import CannotMove, ImportAnswer
from hub.installation import Installation, Registration
from hub.moving.found import Found, found_in, installation_said, kind_of_refusal, read, said_of, why
from hub.registry.documents import MAX_TAGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A thing (`hub.moving.found.Thing`) by its key and text; `was` is what was taken of it before, empty for nothing."""

    key: str
    said: str
    was: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """`reason` says why it was refused, and `cannot_move` what kind of reason that is."""

    answer: ImportAnswer
    reason: str = ""
    cannot_move: CannotMove | None = None


class Registered(Protocol):
    """The registry of the hub that takes. Every call may raise StoreError."""

    async def get_installation(self, hub: str, installation_id: str) -> Installation: ...

    async def add_installation(self, hub: str, installation: Installation) -> None: ...

    async def change_installation(
        self, hub: str, installation_id: str, change: Callable[[Installation], Installation]
    ) -> None: ...

    async def get_registration(self, hub: str, registration_id: str) -> Registration: ...

    async def put_registration(
        self, hub: str, registration: Registration, *, if_match: int | None = None
    ) -> Registration: ...


class Taking:
    """Into one hub. What is there and says something else stays, unless it is as it was taken before.

    `expires` gives single registrations their end, as those have that a client puts.
    """

    def __init__(
        self,
        hub: str,
        registry: Registered,
        *,
        max_tags: int = MAX_TAGS,
        expires: Callable[[Registration], Registration] = lambda registration: registration,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._max_tags = max_tags
        self._expires = expires

    async def take(self, offered: Sequence[Offered]) -> list[Taken]:
        """What became of each, in order. Raises: StoreError: some may have been taken, and the same again is fine."""
        return await asyncio.gather(*map(self._take, offered))

    async def _take(self, offered: Offered) -> Taken:
        try:
            if offered.key.startswith("i:"):
                return Taken(await self._installation(offered))
            return Taken(await self._registration(offered))
        except PreconditionError:
            return Taken(ImportAnswer.KEPT)  # a phone has come in between
        except (InvalidRequestError, GoneError) as error:
            return Taken(ImportAnswer.REFUSED, why(error), kind_of_refusal(error))

    async def _installation(self, offered: Offered) -> ImportAnswer:
        made = installation_said(offered.key, offered.said, max_tags=self._max_tags)
        try:
            known = await self._registry.get_installation(self._hub, made.id)
        except NotFoundError:
            await self._registry.add_installation(self._hub, made)
            return ImportAnswer.ADDED
        if said_of(known) == said_of(made):
            return ImportAnswer.UNCHANGED
        if not offered.was:
            return ImportAnswer.KEPT
        before = said_of(installation_said(offered.key, offered.was, max_tags=self._max_tags))

        def change(known: Installation) -> Installation:
            if said_of(known) != before:
                raise PreconditionError("said here since")
            return replace(made, etag=known.etag)

        await self._registry.change_installation(self._hub, made.id, change)
        return ImportAnswer.CHANGED

    async def _registration(self, offered: Offered) -> ImportAnswer:
        made = self._expires(self._read(offered.said))
        try:
            known = await self._registry.get_registration(self._hub, made.registration_id)
        except NotFoundError:
            await self._registry.put_registration(self._hub, made)
            return ImportAnswer.ADDED
        if _said(known) == _said(made):
            return ImportAnswer.UNCHANGED
        if not offered.was or _said(known) != _said(self._read(offered.was)):
            return ImportAnswer.KEPT
        await self._registry.put_registration(self._hub, made, if_match=known.etag)
        return ImportAnswer.CHANGED

    def _read(self, said: str) -> Registration:
        found: Found = found_in(said)
        registration = read(found, max_tags=self._max_tags)
        if registration.installation_id is not None:
            raise InvalidRequestError(f"registration {found.id!r} derives from an installation")
        return registration


def _said(registration: Registration) -> Registration:
    """Without what a hub sets."""
    return replace(registration, etag=1, expires_at=None)
