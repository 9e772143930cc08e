"""The other hub, listed again and compared with what is known of each device: what is new there, changed or deleted.

Nothing is taken before the list was read to its end, and so a list that breaks off deletes nothing. What waits to be
written there wins over what was listed, for the phone that wrote it came here. Where nobody knows which side is newer, the
side that sends to phones wins. What is here is overwritten or taken away only after the device itself was asked for.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from hub.errors import InvalidRequestError, NotFoundError, RemoteError
from hub.facts import MirrorAnswer
from hub.installation import Installation, Registration
from hub.moving.asking import Asking
from hub.moving.found import Found as Listed
from hub.moving.found import (
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

AT_ONCE: Final = 8
"""Devices that are asked for together."""
SETTLES: Final = 30.0
"""Seconds after which a list of the other hub shows what was written there."""
FEW: Final = 10
SHARE: Final = 10
"""So many devices, and one in so many, may be missing in a list before it is not believed."""

_PART: Final = 200
_KNOWN: Final = 1000
_REFUSED: Final = MirrorAnswer.REFUSED

_T = TypeVar("_T")

Decided = tuple[MirrorAnswer | None, Found]
"""What becomes of a device, and what is written of it; None: nothing that counts."""


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

    async def forget_mirrored(self, hub: str, keys: Sequence[str], *, began: float) -> None: ...


class Relisting:
    """One hub's. `other_wins` where nobody knows who is newer; `expires` gives single registrations their end.

    `may_go_on` is asked before each part is written: False once another process may have the hub.
    """

    def __init__(
        self,
        hub: str,
        listing: Listing,
        asking: Asking,
        store: Registered,
        *,
        other_wins: bool,
        expires: Callable[[Registration], Registration] = lambda registration: registration,
        may_go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self._hub = hub
        self._listing = listing
        self._asking = asking
        self._store = store
        self._other_wins = other_wins
        self._expires = expires
        self._may_go_on = may_go_on
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self, *, began: float, may_remove: bool = False) -> Counter[str] | None:
        """List all, then take it; how many devices had each `MirrorAnswer`, and how many `registrations` there are.

        `began` is the store's time; `may_remove` takes away what the list lacks, however much that is. None: another
        process has the hub by now, and lists it. Raises: RemoteError: nothing was taken, or some; StoreError: some was.
        """
        with Spool(None, source=self._hub) as spool:
            async for page in self._listing.pages():
                spool.add(_read(page.descriptions), token=page.next)
                await asyncio.sleep(0)
            counts = Counter({answer.value: 0 for answer in MirrorAnswer})
            counts["registrations"] = spool.found_count
            for part in _parts(spool.things()):
                if not self._may_go_on():
                    return None
                counts += await self._take(part, began)
                await asyncio.sleep(0)
            removed = await self._remove_absent(spool, began, may_remove=may_remove)
            return None if removed is None else counts + removed

    async def _take(self, things: Sequence[Sequence[Listed]], began: float) -> Counter[str]:
        """Of things that were listed, take those that are not as they were known."""
        keys = [installation_key(each[0].owner) if each[0].owner else registration_key(each[0].id) for each in things]
        ids = [each[0].id for each in things if not each[0].owner]
        known = {each.key: each for each in await self._store.mirrored(self._hub, keys, there=ids)}
        by_id_there = {each.there: each for each in known.values() if each.there}
        answers: Counter[str] = Counter()
        changed: list[tuple[MirroredDevice, Sequence[Listed], str]] = []
        for key, listed in zip(keys, things, strict=True):
            device = by_id_there.get(listed[0].id) if not listed[0].owner else None
            device = device or known.get(key) or MirroredDevice(key=key)
            if not listed[0].owner and device.there not in ("", listed[0].id):
                answers[MirrorAnswer.KEPT.value] += 1  # the one of this id here is another one there
                continue
            mark = print_of(listed)
            if device.print != mark and device.waits_since is None and not _is_news(device, began):
                changed.append((device, listed, mark))
        decided = await _together([self._decide(*each) for each in changed])
        answers[MirrorAnswer.REFUSED.value] += sum(each is _REFUSED for each in decided)
        return answers + await self._write([each for each in decided if isinstance(each, tuple)], began)

    async def _write(self, found: Sequence[Decided], began: float) -> Counter[str]:
        taken = await self._store.take_found(self._hub, [each for _, each in found], began=began) if found else ()
        done = [answer for (answer, _), is_taken in zip(found, taken, strict=True) if is_taken]
        return Counter(answer.value for answer in done if answer is not None)

    async def _decide(
        self, device: MirroredDevice, listed: Sequence[Listed], mark: str
    ) -> Decided | MirrorAnswer | None:
        """What becomes of a device; None: the next list will tell, `REFUSED`: no hub can keep it."""
        async with self._slots:
            try:
                return await self._decided(device, listed, mark)
            except InvalidRequestError:
                return _REFUSED

    async def _decided(self, device: MirroredDevice, listed: Sequence[Listed], mark: str) -> Decided | None:
        """Raises: InvalidRequestError."""
        here, there = await self._here(device.key), self._listed(device.key, listed)
        if there is None:
            there = await self._there(device.key, listed[0].id)
            if there is None:
                raise InvalidRequestError("registrations of an installation that is not there")
        elif here is not None and digest_of(here) != digest_of(there):
            there = await self._there(device.key, listed[0].id)
            if there is None:
                return None
        said = digest_of(there)
        id = "" if isinstance(there, Installation) else listed[0].id
        found = Found(key=device.key, there=id, said=said, print=mark, etag=None)
        if here is None:
            return MirrorAnswer.ADDED, _with(found, there, 0)
        if digest_of(here) == said:
            renewed = _renewed(here, there)
            return (None, found) if renewed is None else (MirrorAnswer.RENEWED, _with(found, renewed, here.etag))
        # It is as it was there: then it was written here by a process that did not know yet that it is mirrored.
        if device.said == said or not (device.said or self._other_wins):
            return MirrorAnswer.KEPT, replace(found, again=True)
        return MirrorAnswer.CHANGED, _with(found, there, here.etag)

    def _listed(self, key: str, listed: Sequence[Listed]) -> Installation | Registration | None:
        """As it would be kept; None: registrations of an installation that do not belong together, or not any more.

        Raises: InvalidRequestError: no hub can keep it.
        """
        try:
            thing = thing_of(listed)
            if key.startswith("i:"):
                return installation_said(key, thing.said)
        except InvalidRequestError:
            if not listed[0].owner:
                raise
            return None
        return self._as_here(key, thing.registrations[0])

    async def _there(self, key: str, id: str) -> Installation | Registration | None:
        """As it is there now; `id` is that of a single registration there. Raises: RemoteError, InvalidRequestError."""
        if key.startswith("i:"):
            return await self._asking.installation(key.removeprefix("i:"))
        found = await self._asking.registration(id)
        return None if found is None else self._as_here(key, found)

    def _as_here(self, key: str, registration: Registration) -> Registration:
        return self._expires(replace(registration, registration_id=key.removeprefix("r:")))

    async def _here(self, key: str) -> Installation | Registration | None:
        id = key[2:]
        try:
            if key.startswith("i:"):
                return await self._store.get_installation(self._hub, id)
            return await self._store.get_registration(self._hub, id)
        except NotFoundError:
            return None

    async def _remove_absent(self, spool: Spool, began: float, *, may_remove: bool) -> Counter[str] | None:
        """Take away what was there before the list began, is not in it, and is not there if it is asked for.

        A list that lacks a good part of all devices is not believed: a hub that was lost and made anew lists nothing.
        """
        if not may_remove:
            known, absent = 0, 0
            async for part, missing in self._absent(spool, began):
                known, absent = known + part, absent + sum(bool(each.said) for each in missing)
            if absent > max(FEW, known // SHARE):
                return Counter({MirrorAnswer.MISSING.value: absent})
        answers = Counter[str]()
        async for _, missing in self._absent(spool, began):
            if not self._may_go_on():
                return None
            unknown = [each.key for each in missing if not each.said]
            await self._store.forget_mirrored(self._hub, unknown, began=began)
            removals = await _together([self._removal(each) for each in missing if each.said])
            answers += await self._write([each for each in removals if each is not None], began)
        return answers

    async def _absent(self, spool: Spool, began: float) -> AsyncIterator[tuple[int, list[MirroredDevice]]]:
        """Part by part how many devices were known before the list began, and those that are not in it."""
        last = ""
        while part := await self._store.mirrored_before(self._hub, began, after=last, limit=_KNOWN):
            last = part[-1].key
            settled = [each for each in part if not _is_news(each, began)]
            yield (
                len(settled),
                [each for each in settled if not spool.has(f"r:{each.there}" if each.there else each.key)],
            )

    async def _removal(self, device: MirroredDevice) -> Decided | None:
        """None: it is there. Raises: RemoteError."""
        async with self._slots:
            try:
                if await self._there(device.key, device.there) is not None:
                    return None
            except InvalidRequestError:
                return None  # there is something
            here = await self._here(device.key)
            etag = None if here is None else here.etag
            return MirrorAnswer.REMOVED, Found(key=device.key, there="", said="", print="", etag=etag, gone=True)


def _is_news(device: MirroredDevice, began: float) -> bool:
    """Whether it was written there since a list began, or so shortly before that the list may not have it yet."""
    return device.at >= began - (0.0 if device.print else SETTLES)


async def _together(work: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    """What came of each; where one fails, the others are cancelled."""
    tasks = list(map(asyncio.ensure_future, work))
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _read(descriptions: Iterable[str]) -> list[Listed]:
    """Raises: RemoteError."""
    try:
        return list(map(found_in, descriptions))
    except InvalidRequestError as error:
        raise RemoteError(f"the other hub lists what is no registration: {error}") from error


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
