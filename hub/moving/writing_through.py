"""What was written here, written at the other hub too: each device as it is by then, until the other hub has it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol
from urllib.parse import quote

import orjson

from hub.api.wire.registrations import description_xml, kind_of
from hub.delivery.remote import detail_of
from hub.delivery.remote_api import RemoteApi
from hub.errors import GoneError, InvalidRequestError, NotFoundError, RemoteError
from hub.facts import DeviceMirrored, MirrorWrite
from hub.installation import Installation, Registration
from hub.moving.found import digest_of, why
from hub.moving.listing import check
from hub.observer import Observer
from hub.registry.documents import document_of
from hub.store.contracts.mirrors import MirroredDevice

PART: Final = 200
AT_ONCE: Final = 8
"""Devices that are written together; no two of them are the same."""
_REFUSED_FOR: Final = (60.0, 3600.0)
"""Seconds until one that the other hub does not take is tried again, at first and at most."""
_JSON = {"Content-Type": "application/json;charset=utf-8"}
_ATOM = {"Content-Type": "application/atom+xml;type=entry;charset=utf-8"}


class Registered(Protocol):
    """The registry of this hub, and what waits to be written. Every call may raise StoreError."""

    async def get_installation(self, hub: str, installation_id: str) -> Installation: ...

    async def get_registration(self, hub: str, registration_id: str) -> Registration: ...

    async def due_devices(self, hub: str, *, limit: int) -> Sequence[MirroredDevice]: ...

    async def name_there(self, hub: str, key: str, there: str) -> None: ...

    async def written_there(self, hub: str, written: Sequence[MirroredDevice]) -> None: ...

    async def postpone_there(self, hub: str, key: str, *, delay: float, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Refused:
    """The other hub does not take a device as it is: it holds up no other one."""

    key: str
    attempt: int
    reason: str


class WritingThrough:
    """One hub's. `may_go_on` is asked before each request: False once another process may write there."""

    def __init__(
        self,
        hub: str,
        api: RemoteApi,
        store: Registered,
        *,
        observer: Observer,
        may_go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self._hub = hub
        self._api = api
        self._store = store
        self._observer = observer
        self._may_go_on = may_go_on

    async def part(self) -> int:
        """Write what is due, some of it; how many devices that were. Raises: RemoteError: it stays due; StoreError."""
        due = await self._store.due_devices(self._hub, limit=PART)
        slots = asyncio.Semaphore(AT_ONCE)
        failed: list[RemoteError] = []

        async def one(device: MirroredDevice) -> MirroredDevice | _Refused | None:
            async with slots:
                if failed or not self._may_go_on():
                    return None
                try:
                    return await self._write(device)
                except InvalidRequestError as error:
                    return _Refused(device.key, device.attempt, why(error))
                except RemoteError as error:
                    failed.append(error)
                    return None

        done = await asyncio.gather(*map(one, due))
        written = [each for each in done if isinstance(each, MirroredDevice)]
        await self._store.written_there(self._hub, written)
        for each in done:
            if isinstance(each, _Refused):
                await self._postpone(each)
        for device in written:
            outcome = MirrorWrite.WRITTEN if device.said else MirrorWrite.DELETED
            self._observer.observe(DeviceMirrored(hub=self._hub, key=device.key, outcome=outcome))
        if failed:
            raise failed[0]
        return len(due) if self._may_go_on() else 0

    async def _postpone(self, refused: _Refused) -> None:
        first, most = _REFUSED_FOR
        delay = min(first * 2 ** min(refused.attempt, 10), most)
        await self._store.postpone_there(self._hub, refused.key, delay=delay, reason=refused.reason[:500])
        self._observer.observe(
            DeviceMirrored(hub=self._hub, key=refused.key, outcome=MirrorWrite.REFUSED, detail=refused.reason)
        )

    async def _write(self, device: MirroredDevice) -> MirroredDevice:
        """As it is there then. What does not live here is deleted there.

        Raises: InvalidRequestError: the other hub takes it not; RemoteError: the other hub takes nothing; StoreError.
        """
        kind, _, id = device.key.partition(":")
        if kind == "i":
            return replace(device, said=await self._write_installation(id))
        return await self._write_registration(device, id)

    async def _write_installation(self, id: str) -> str:
        path = f"installations/{quote(id, safe='')}"
        try:
            installation = await self._store.get_installation(self._hub, id)
        except NotFoundError:
            installation = None
        if installation is None or installation.push_channel_expired:
            await self._delete(path)
            return ""
        document = document_of(installation.spoken_in_variables)
        del document["pushChannelExpired"]
        try:
            await self._ask("PUT", path, orjson.dumps(document), _JSON)
        except GoneError as error:  # an installation's id is its app's: there is no other one to put it under
            raise InvalidRequestError(str(error)) from error
        return digest_of(installation)

    async def _write_registration(self, device: MirroredDevice, id: str) -> MirroredDevice:
        """Under an id that the other hub gave, which is kept before it is used: a kill in between makes no second one."""
        try:
            registration = await self._store.get_registration(self._hub, id)
        except NotFoundError:
            if device.there:
                await self._delete(f"registrations/{device.there}", {"If-Match": "*"})
            return replace(device, there="", said="")
        kind = kind_of(registration)
        if kind is None:
            raise InvalidRequestError(f"the wire contract knows no registration of {registration.platform.value}")
        there = device.there or await self._first_id(device.key, id)
        content = description_xml(registration, kind, is_put=True)
        body = (
            '<?xml version="1.0" encoding="utf-8"?><entry xmlns="http://www.w3.org/2005/Atom">'
            f'<content type="application/xml">{content}</content></entry>'
        ).encode()
        try:
            await self._ask("PUT", f"registrations/{there}", body, _ATOM)
        except GoneError:  # the id has expired there, and another one is given
            there = await self._new_id(device.key)
            await self._ask("PUT", f"registrations/{there}", body, _ATOM)
        return replace(device, there=there, said=digest_of(registration))

    async def _first_id(self, key: str, id: str) -> str:
        """The same as here, where the other hub knows it: a phone that came from there has kept its id."""
        answer = await self._api.request("GET", f"registrations/{id}")
        if answer.status_code in (404, 410):
            return await self._new_id(key)
        check(answer.status_code, dict(answer.headers), answer.content, api=self._api)
        await self._store.name_there(self._hub, key, id)
        return id

    async def _new_id(self, key: str) -> str:
        answer = await self._api.request("POST", "registrationids")
        check(answer.status_code, dict(answer.headers), answer.content, api=self._api)
        location = answer.headers.get("Content-Location") or answer.headers.get("Location") or ""
        there = location.partition("?")[0].rstrip("/").rpartition("/")[2]
        if not there:
            raise RemoteError("the other hub gave no registration id: its answer has no Content-Location")
        await self._store.name_there(self._hub, key, there)
        return there

    async def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        """Raises: GoneError, InvalidRequestError, RemoteError."""
        answer = await self._api.request(method, path, body, headers=headers)
        if answer.status_code == 410:
            raise GoneError("the other hub serves this id no more")
        if answer.status_code in (400, 409, 412, 413):
            raise InvalidRequestError(f"HTTP {answer.status_code}: {detail_of(answer.content) or 'refused'}")
        check(answer.status_code, dict(answer.headers), answer.content, api=self._api)

    async def _delete(self, path: str, headers: dict[str, str] | None = None) -> None:
        answer = await self._api.request("DELETE", path, headers=headers)
        if answer.status_code not in (404, 410):
            check(answer.status_code, dict(answer.headers), answer.content, api=self._api)
