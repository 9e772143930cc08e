"""Installations (Notification Hubs REST API): put, read, change, delete."""

from dataclasses import replace

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.api.access import Right
from hub.api.gate import Gate
from hub.api.request import json_list, json_object, read_body, url_of
from hub.api.service import HubService
from hub.api.wire.errors import XML
from hub.installation import Installation
from hub.registry.documents import check_installation_id, document_of, installation_from_document
from hub.registry.patching import patched


class Installations:
    """The operations on `/{hub}/installations/{id}`; an id may hold slashes."""

    def __init__(self, service: HubService, gate: Gate) -> None:
        self._service = service
        self._gate = gate

    def routes(self) -> list[Route]:
        path = "/{hub}/installations/{id:path}"
        return [
            Route(path, self.put, methods=["PUT"]),
            Route(path, self.get, methods=["GET"]),
            Route(path, self.patch, methods=["PATCH"]),
            Route(path, self.delete, methods=["DELETE"]),
        ]

    async def put(self, request: Request) -> Response:
        hub, access = self._gate.admit(request, Right.LISTEN)
        id = _id(request)
        document = json_object(await read_body(request))
        installation = installation_from_document(id, document, max_tags=access.max_tags)
        self._gate.admit_push_channel(request, installation.platform, installation.push_channel)
        await self._service.put_installation(hub, installation)
        # 200 even when it is new: two SDKs take 201 for a failure.
        return Response(headers={"Content-Location": url_of(request, "installations", id)}, media_type=XML)

    async def get(self, request: Request) -> Response:
        hub, _ = self._gate.admit(request, Right.LISTEN)
        installation = await self._service.get_installation(hub, _id(request))
        return Response(orjson.dumps(document_of(installation)), media_type="application/json; charset=utf-8")

    async def patch(self, request: Request) -> Response:
        hub, access = self._gate.admit(request, Right.LISTEN)
        id = _id(request)
        operations = json_list(await read_body(request))

        def change(installation: Installation) -> Installation:
            document = patched(document_of(installation, whole=True), operations)
            changed = installation_from_document(installation.id, document, max_tags=access.max_tags)
            self._gate.admit_push_channel(request, changed.platform, changed.push_channel)
            return replace(changed, etag=installation.etag)

        await self._service.change_installation(hub, id, change)
        return Response(media_type=XML)  # 200, though the manual says 204: SDKs take that for a failure

    async def delete(self, request: Request) -> Response:
        hub, _ = self._gate.admit(request, Right.LISTEN)
        await self._service.delete_installation(hub, _id(request))
        return Response(status_code=204)


def _id(request: Request) -> str:
    """Raises: InvalidRequestError."""
    id: str = request.path_params["id"]
    check_installation_id(id)
    return id
