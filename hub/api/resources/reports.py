"""Reports of installations on their pushes, by a key with Listen: an addition to the Notification Hubs REST API."""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.api.access import Right
from hub.api.gate import Gate
from hub.api.request import json_object, read_body
from hub.api.service import HubService
from hub.api.wire.reports import MAX_BODY, reports_in, taken_document
from hub.errors import InvalidRequestError
from hub.registry.documents import check_installation_id


class PhoneReports:
    """The operation on `/{hub}/reports`: the body names the installation in `installationId`."""

    def __init__(self, service: HubService, gate: Gate) -> None:
        self._service = service
        self._gate = gate

    def routes(self) -> list[Route]:
        return [Route("/{hub}/reports", self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        hub, _ = self._gate.admit(request, Right.LISTEN)
        document = json_object(await read_body(request, most=MAX_BODY))
        installation_id = document.pop("installationId", None)
        if not isinstance(installation_id, str):
            raise InvalidRequestError("installationId: a text is needed")
        check_installation_id(installation_id)
        taken = await self._service.report(hub, installation_id, reports_in(document), with_key=True)
        return Response(orjson.dumps(taken_document(taken)), media_type="application/json; charset=utf-8")
