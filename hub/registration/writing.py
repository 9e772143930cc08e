"""The engine gets a phone as the store has it; what was left unwritten is written later, a few at a time."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import orjson

from hub.errors import GoneError, HubError, PreconditionError
from hub.installation import Installation
from hub.phone import Phone, Topics
from hub.registration.engine import Engine
from hub.registration.errors import EngineError
from hub.registration.offer import Offer, installation_of
from hub.registry.documents import document_of
from hub.store.contracts.phones import Phones

_TRIES: Final = 5
_LEFT_FOR: Final = 15.0
"""Seconds for which a phone is left to the request that changed it."""

_AT_ONCE: Final = 8
_PART: Final = 200
_EVERY: Final = 5.0


def digest_of(installation: Installation) -> str:
    """What stands for an installation, but for its end, which each write renews."""
    text = orjson.dumps(document_of(replace(installation, expires_at=None), whole=True), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16, usedforsecurity=False).hexdigest()


async def write(hub: str, phone: Phone, topics: Topics, *, offer: Offer, store: Phones, engine: Engine) -> Phone:
    """Give the engine a phone, or take it away when its user signed off; the phone as it is then.

    Where the engine serves its id no more, the phone gets a new one. Where another process changed the phone meanwhile, the
    newest state is written.

    Raises: EngineError, InvalidRequestError, StoreError: it stays unwritten.
    """
    for _ in range(_TRIES):
        if phone.sign_in is None:
            await engine.delete(phone.installation_id)
            digest = ""
        else:
            installation = installation_of(offer, phone.installation_id, phone.sign_in, topics)
            digest = digest_of(installation)
            ends = datetime.fromtimestamp(phone.expires_at, UTC)
            try:
                await engine.put(replace(installation, expires_at=ends))
            except GoneError:
                renamed = replace(phone, installation_id=f"phone:{phone.id[:60]}:{secrets.token_hex(8)}")
                phone = await store.put_phone(hub, renamed)
                continue
        if await store.phone_written(hub, phone, digest):
            return replace(phone, written=digest)
        newest = await store.phone(hub, phone.id)
        if newest is None:  # another process took it away
            return phone
        phone, topics = newest, await _topics(hub, newest, store)
    raise EngineError("the phone is changed by others at the same time")


async def _topics(hub: str, phone: Phone, store: Phones) -> Topics:
    if phone.sign_in is None:
        return {}
    return await store.subscriptions(hub, phone.sign_in.user_id, phone.id) or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenHub:
    """A hub whose phones are written."""

    offer: Offer
    engine: Engine


class Writing:
    """Writes what requests, erasures and `rewrite` have left. `hubs` are asked each time."""

    def __init__(
        self,
        store: Phones,
        hubs: Callable[[], Mapping[str, WrittenHub]],
        *,
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._store = store
        self._hubs = hubs
        self._failed = failed

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            await self.once()

    async def once(self, *, left_for: float = _LEFT_FOR) -> int:
        """Write what is left of all hubs, as long as that works; how many phones. Never raises for what a hub answers."""
        written = 0
        for name, hub in self._hubs().items():
            try:
                while count := await self._part(name, hub, left_for):
                    written += count
            except HubError as error:
                self._failed(name, error)
            except EngineError as error:
                self._failed(name, error)
        return written

    async def _part(self, name: str, hub: WrittenHub, left_for: float) -> int:
        """Raises: StoreError; EngineError: none of them could be written."""
        phones = await self._store.unwritten_phones(name, unchanged_for=left_for, limit=_PART)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(phone: Phone) -> EngineError | HubError | None:
            async with slots:
                try:
                    topics = await _topics(name, phone, self._store)
                    await write(name, phone, topics, offer=hub.offer, store=self._store, engine=hub.engine)
                except PreconditionError:  # changed by a request, which writes it
                    return None
                except (EngineError, HubError) as error:
                    return error
                return None

        errors = [error for error in await asyncio.gather(*map(one, phones)) if error is not None]
        if errors and (len(errors) == len(phones) or any(isinstance(error, EngineError) for error in errors)):
            raise errors[0]
        return len(phones) - len(errors)
