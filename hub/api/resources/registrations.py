"""Registrations (Notification Hubs REST API): ids, single ones, lists."""

import re
from collections.abc import Callable
from datetime import datetime
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.api.access import HubAccess, Right
from hub.api.gate import Gate
from hub.api.request import header, query_value, read_body, url_of
from hub.api.service import HubService
from hub.api.wire.atom import ENTRY, FEED, Entry, entry_xml, feed_xml, read_entry
from hub.api.wire.errors import XML
from hub.api.wire.filters import channels_of
from hub.api.wire.registrations import Kind, check_registration_id, description_xml, kind_of, registration_from
from hub.errors import InvalidRequestError, NotFoundError
from hub.installation import ANY_ETAG, Registration, new_registration_id
from hub.store.contracts.listing import ListPage

MAX_PAGE = 100
"""Registrations in a part of a list (Notification Hubs REST API, "Read all registrations")."""

_ETAG = re.compile(r'(?:W/)?"?([0-9]{1,18})"?')
_NEXT = "x-ms-continuationtoken"


class Registrations:
    """The operations on `/{hub}/registrations` and on `/{hub}/tags/{tag}/registrations`; a tag may hold slashes."""

    def __init__(self, service: HubService, gate: Gate, *, clock: Callable[[], datetime]) -> None:
        self._service = service
        self._gate = gate
        self._clock = clock

    def routes(self) -> list[Route]:
        one = "/{hub}/registrations/{id}"
        return [
            Route("/{hub}/registrationids", self.create_id, methods=["POST"]),
            Route("/{hub}/registrations", self.create, methods=["POST"]),
            Route("/{hub}/registrations", self.list, methods=["GET"]),
            Route(one, self.put, methods=["PUT"]),
            Route(one, self.get, methods=["GET"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route("/{hub}/tags/{tag:path}/registrations", self.list_by_tag, methods=["GET"]),
        ]

    async def create_id(self, request: Request) -> Response:
        self._gate.admit(request, Right.LISTEN)
        location = url_of(request, "registrationids", new_registration_id())
        return Response(status_code=201, headers={"Location": location}, media_type=XML)

    async def create(self, request: Request) -> Response:
        hub, access = self._gate.admit(request, Right.LISTEN)
        given, kind = await self._given(request, access, new_registration_id())
        stored = await self._service.put_registration(hub, given)
        answer = self._entry(request, stored, kind)
        answer.headers["Content-Location"] = url_of(request, "registrations", stored.registration_id)
        return answer

    async def put(self, request: Request) -> Response:
        hub, access = self._gate.admit(request, Right.LISTEN)
        given, kind = await self._given(request, access, _id(request))
        stored = await self._service.put_registration(hub, given, if_match=_if_match(request))
        return self._entry(request, stored, kind)

    async def get(self, request: Request) -> Response:
        hub, _ = self._gate.admit(request, Right.LISTEN)
        registration = await self._service.get_registration(hub, _id(request))
        return self._entry(request, registration, kind_of(registration))

    async def delete(self, request: Request) -> Response:
        hub, _ = self._gate.admit(request, Right.LISTEN)
        await self._service.delete_registration(hub, _id(request), if_match=_if_match(request))
        return Response(media_type=XML)

    async def list(self, request: Request) -> Response:
        filtered = query_value(request, "$filter")
        hub, _ = self._gate.admit(request, Right.LISTEN if filtered else Right.MANAGE)
        limit, after = _top(request), _after(request)
        if filtered:
            found = await self._service.registrations_of(hub, channels_of(filtered), after=after, limit=limit)
        else:
            found = await self._service.registrations(hub, after=after, limit=limit)
        return self._feed(request, found, "registrations")

    async def list_by_tag(self, request: Request) -> Response:
        hub, _ = self._gate.admit(request, Right.MANAGE)
        tag = request.path_params["tag"]
        found = await self._service.registrations(hub, tag=tag, after=_after(request), limit=_top(request))
        return self._feed(request, found, "tags", tag, "registrations")

    async def _given(self, request: Request, access: HubAccess, id: str) -> tuple[Registration, Kind]:
        described = read_entry(await read_body(request), request.headers.get("content-type", ""))
        expires_at = None if access.registration_ttl is None else self._clock() + access.registration_ttl
        given = registration_from(described, id, max_tags=access.max_tags, expires_at=expires_at)
        self._gate.admit_push_channel(request, given[0].platform, given[0].push_channel)
        return given

    def _entry(self, request: Request, registration: Registration, kind: Kind | None) -> Response:
        """200 for what is new as well: one SDK takes 201 for a failure. Raises: NotFoundError: it has no spelling."""
        if kind is None:
            raise NotFoundError(f"The wire contract has no description for {registration.platform.value}")
        text = entry_xml(_entry_of(request, registration, kind), now=self._clock())
        return Response(text, headers={"ETag": f'W/"{registration.etag}"', "Content-Type": ENTRY})

    def _feed(self, request: Request, found: ListPage[Registration], *path: str) -> Response:
        """The header is there only when another part is: SDKs ask until it is missing."""
        entries = [_entry_of(request, each, kind) for each in found.items if (kind := kind_of(each)) is not None]
        url = url_of(request, *path)
        headers = {"Content-Type": FEED}
        next_url = None
        if found.next:
            headers[_NEXT] = found.next
            next_url = f"{url}&continuationtoken={found.next}"
        text = feed_xml("Registrations", url, entries, next_url=next_url, now=self._clock())
        return Response(text, headers=headers)


def _entry_of(request: Request, registration: Registration, kind: Kind) -> Entry:
    id = registration.registration_id
    return Entry(
        url=url_of(request, "registrations", id),
        title=id,
        content=description_xml(registration, kind),
        etag=registration.etag,
    )


def _id(request: Request) -> str:
    """Raises: InvalidRequestError."""
    id: str = request.path_params["id"]
    check_registration_id(id)
    return id


def _if_match(request: Request) -> int | None:
    """The number of the ETag, quoted, weak or bare; None without the header. Raises: InvalidRequestError."""
    text = header(request, "If-Match").strip()
    if text in ("", "*"):
        return ANY_ETAG if text else None
    found = _ETAG.fullmatch(text)
    if found is None:
        raise InvalidRequestError(f'If-Match: {text[:60]!r} is no ETag of a registration, such as "1"')
    return int(found[1])


def _top(request: Request) -> int:
    """Raises: InvalidRequestError."""
    text = query_value(request, "$top") or str(MAX_PAGE)
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
        raise InvalidRequestError("$top: expected a number from 1 on")
    return min(int(text[:9]), MAX_PAGE)


def _after(request: Request) -> str:
    """Encoded once more by one SDK."""
    return unquote(query_value(request, "continuationtoken"))
