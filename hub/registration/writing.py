"""The engine gets a phone as the store has it; what was left unwritten is written later, a few at a time."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import orjson

from hub.errors import GoneError, HubError, InvalidRequestError, PreconditionError
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
_AGAIN: Final = 60.0
"""Seconds between two looks, and until a hub is tried again that could not be written to."""


def digest_of(installation: Installation) -> str:
    """What stands for an installation, but for its end, which each write renews."""
    text = orjson.dumps(document_of(replace(installation, expires_at=None), whole=True), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16, usedforsecurity=False).hexdigest()


async def write(hub: str, phone: Phone, topics: Topics, *, offer: Offer, store: Phones, engine: Engine) -> Phone:
    """Give the engine a phone, or take it away when its user signed off; the phone as it is then.

    Where the engine serves its id no more, the phone gets a new one. Where another process changed the phone meanwhile, the
    newest state is written.

    Raises: EngineError, InvalidRequestError, StoreError: it stays unwritten; PreconditionError: another change came
    between.
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
        if newest is None and phone.sign_in is None:  # another process took it away
            return phone
        if newest is None:  # and did so before the engine got it from here: it is to be taken away again
            phone, topics = await store.put_phone(hub, replace(phone, sign_in=None, etag=0)), {}
            continue
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
        """Until cancelled. A hub that could not be written to is left alone for a while."""
        again_at: dict[str, float] = {}
        while True:
            await asyncio.sleep(_EVERY)
            for name, hub in self._hubs().items():
                if again_at.get(name, 0.0) <= time.monotonic():
                    _, is_well = await self._write(name, hub, _LEFT_FOR)
                    again_at[name] = 0.0 if is_well else time.monotonic() + _AGAIN

    async def once(self, *, left_for: float = _LEFT_FOR) -> int:
        """Write what is left of all hubs, as long as that works; how many phones."""
        done = [await self._write(name, hub, left_for) for name, hub in self._hubs().items()]
        return sum(count for count, _ in done)

    async def _write(self, name: str, hub: WrittenHub, left_for: float) -> tuple[int, bool]:
        """How many phones were written, and whether nothing failed. Never raises for what a hub answers."""
        written, last = 0, None
        try:
            while phones := await self._store.unwritten_phones(name, unchanged_for=left_for, after=last, limit=_PART):
                last = phones[-1]
                written += await self._part(name, hub, phones)
        except (HubError, EngineError) as error:
            self._failed(name, error)
            return written, False
        return written, True

    async def _part(self, name: str, hub: WrittenHub, phones: Sequence[Phone]) -> int:
        """How many were written; what the engine refuses is left, and holds up nothing. Raises: EngineError, StoreError."""
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
        for error in errors:
            if not isinstance(error, InvalidRequestError):
                raise error
        if errors:
            self._failed(name, errors[0])
        return len(phones) - len(errors)
