"""The other hub, listed again and compared with what is known of each device: what is new there, changed or deleted.

Nothing is taken before the list was read to its end, and so a list that breaks off deletes nothing. What waits to be
written there wins over what was listed, for the phone that wrote it came here. Where nobody knows which side is newer, the
side that sends to phones wins.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final, Protocol

from hub.errors import InvalidRequestError, NotFoundError
from hub.facts import MirrorAnswer
from hub.installation import Installation, Registration
from hub.moving.found import Found as Listed
from hub.moving.found import (
    Thing,
    digest_of,
    found_in,
    installation_key,
    installation_said,
    print_of,
    registration_key,
    thing_of,
)
from hub.moving.listing import Listing
from hub.moving.spool import Spool
from hub.store.contracts.mirrors import Found, MirroredDevice

_PART: Final = 200


class Registered(Protocol):
    """The registry of this hub, and what is known of its devices. Every call may raise StoreError."""

    async def get_installation(self, hub: str, installation_id: str) -> Installation: ...

    async def get_registration(self, hub: str, registration_id: str) -> Registration: ...

    async def mirrored(
        self, hub: str, keys: Sequence[str], *, there: Sequence[str] = ()
    ) -> Sequence[MirroredDevice]: ...

    async def mirrored_before(
        self, hub: str, before: float, *, after: str = "", limit: int
    ) -> Sequence[MirroredDevice]: ...

    async def take_found(self, hub: str, found: Sequence[Found], *, began: float) -> Sequence[bool]: ...

    async def write_again(self, hub: str, keys: Sequence[str]) -> None: ...

    async def forget_mirrored(self, hub: str, keys: Sequence[str], *, began: float) -> None: ...


class Relisting:
    """One hub's. `other_wins` where nobody knows who is newer; `expires` gives single registrations their end."""

    def __init__(
        self,
        hub: str,
        listing: Listing,
        store: Registered,
        *,
        other_wins: bool,
        expires: Callable[[Registration], Registration] = lambda registration: registration,
    ) -> None:
        self._hub = hub
        self._listing = listing
        self._store = store
        self._other_wins = other_wins
        self._expires = expires

    async def run(self, *, began: float) -> Counter[str]:
        """List all, then take it; how many devices had each `MirrorAnswer`, and how many `registrations` there are.

        `began` is the store's time. Raises: RemoteError: nothing was taken; StoreError: some was.
        """
        with Spool(None, source=self._hub) as spool:
            async for page in self._listing.pages():
                spool.add(map(found_in, page.descriptions), token=page.next)
            counts = Counter({answer.value: 0 for answer in MirrorAnswer})
            counts["registrations"] = spool.found_count
            for part in _parts(spool.things()):
                counts += await self._take(part, began)
                await asyncio.sleep(0)
            counts += await self._remove_absent(spool, began)
            return counts

    async def _take(self, things: Sequence[Sequence[Listed]], began: float) -> Counter[str]:
        """Of things that were listed, take those that are not as they were known."""
        keys = [installation_key(each[0].owner) if each[0].owner else registration_key(each[0].id) for each in things]
        ids = [each[0].id for each in things if not each[0].owner]
        known = {each.key: each for each in await self._store.mirrored(self._hub, keys, there=ids)}
        by_id_there = {each.there: each for each in known.values() if each.there}
        answers: Counter[str] = Counter()
        found: list[tuple[MirrorAnswer | None, Found]] = []
        for key, listed in zip(keys, things, strict=True):
            device = by_id_there.get(listed[0].id) if not listed[0].owner else None
            device = device or known.get(key) or MirroredDevice(key=key)
            if not listed[0].owner and device.there not in ("", listed[0].id):
                answers[MirrorAnswer.KEPT.value] += 1  # the one of this id here is another one there
                continue
            mark = print_of(listed)
            if device.print == mark or device.waits_since is not None or device.at >= began:
                continue
            try:
                found.append(await self._decide(device, listed, mark))
            except InvalidRequestError:
                answers[MirrorAnswer.REFUSED.value] += 1
                continue
        return answers + await self._write(found, began)

    async def _write(self, found: Sequence[tuple[MirrorAnswer | None, Found]], began: float) -> Counter[str]:
        taken = await self._store.take_found(self._hub, [each for _, each in found], began=began) if found else ()
        done = [(answer, each) for (answer, each), is_taken in zip(found, taken, strict=True) if is_taken]
        kept = [each.key for answer, each in done if answer is MirrorAnswer.KEPT]
        if kept:
            await self._store.write_again(self._hub, kept)
        return Counter(answer.value for answer, _ in done if answer is not None)

    async def _decide(
        self, device: MirroredDevice, listed: Sequence[Listed], mark: str
    ) -> tuple[MirrorAnswer | None, Found]:
        """What becomes of a device; None: nothing that counts. Raises: InvalidRequestError: no hub can keep it."""
        there = self._as_it_is_kept(device.key, thing_of(listed))
        said = digest_of(there)
        here = await self._here(device.key)
        found = Found(
            key=device.key,
            there="" if isinstance(there, Installation) else listed[0].id,
            said=said,
            print=mark,
            etag=None,
        )
        if here is None:
            return MirrorAnswer.ADDED, _with(found, there, 0)
        if digest_of(here) == said:
            renewed = _renewed(here, there)
            return (None, found) if renewed is None else (MirrorAnswer.RENEWED, _with(found, renewed, here.etag))
        # It is as it was there: then it was written here by a process that did not know yet that it is mirrored.
        if device.said == said or not (device.said or self._other_wins):
            return MirrorAnswer.KEPT, found
        return MirrorAnswer.CHANGED, _with(found, there, here.etag)

    def _as_it_is_kept(self, key: str, thing: Thing) -> Installation | Registration:
        if key.startswith("i:"):
            return installation_said(key, thing.said)
        return self._expires(replace(thing.registrations[0], registration_id=key.removeprefix("r:")))

    async def _here(self, key: str) -> Installation | Registration | None:
        id = key[2:]
        try:
            if key.startswith("i:"):
                return await self._store.get_installation(self._hub, id)
            return await self._store.get_registration(self._hub, id)
        except NotFoundError:
            return None

    async def _remove_absent(self, spool: Spool, began: float) -> Counter[str]:
        """Take away what was there before the list began and is not in it."""
        answers, last = Counter[str](), ""
        while part := await self._store.mirrored_before(self._hub, began, after=last, limit=_PART):
            last = part[-1].key
            absent = [each for each in part if not spool.has(f"r:{each.there}" if each.there else each.key)]
            await self._store.forget_mirrored(self._hub, [each.key for each in absent if not each.said], began=began)
            found: list[tuple[MirrorAnswer | None, Found]] = []
            for each in absent:
                if each.said:
                    here = await self._here(each.key)
                    etag = None if here is None else here.etag
                    found.append(
                        (MirrorAnswer.REMOVED, Found(key=each.key, there="", said="", print="", etag=etag, gone=True))
                    )
            answers += await self._write(found, began)
        return answers


def _with(found: Found, thing: Installation | Registration, etag: int) -> Found:
    if isinstance(thing, Installation):
        return replace(found, etag=etag, installation=thing)
    return replace(found, etag=etag, registration=thing)


def _renewed(
    here: Installation | Registration, there: Installation | Registration
) -> Installation | Registration | None:
    """What is here with the later end that it has there; None: it has none. One that never ends stays so."""
    if here.expires_at is None or (there.expires_at is not None and there.expires_at <= here.expires_at):
        return None
    return replace(here, expires_at=there.expires_at)


def _parts(things: Iterable[Sequence[Listed]]) -> Iterator[list[Sequence[Listed]]]:
    iterator = iter(things)
    while part := list(islice(iterator, _PART)):
        yield part
