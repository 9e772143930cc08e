"""Feedback of push services: which push channels are dead (Notification Hubs REST API, "Retrieve PNS feedback")."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hub.api.access import Right
from hub.api.gate import Gate
from hub.api.service import HubService
from hub.api.wire.atom import DESCRIPTION_NAMESPACES
from hub.api.wire.errors import XML
from hub.characters import escape_xml
from hub.dates import format_date
from hub.outcome import OutcomeName
from hub.platforms.table import traits_of
from hub.store.contracts.registry import DeadChannel

_PART = 500
_RESOURCE = "feedback"


class Feedback:
    """The operation on `/{hub}/feedbackcontainer`, and the document that its answer leads to.

    Where the service has a container of blobs, there is one document here: `PnsFeedback` elements, a line each, of all push
    channels whose death is still kept.
    """

    def __init__(self, service: HubService, gate: Gate) -> None:
        self._service = service
        self._gate = gate

    def routes(self) -> list[Route]:
        return [
            Route("/{hub}/feedbackcontainer", self.container, methods=["GET"]),
            Route(f"/{{hub}}/{_RESOURCE}", self.document, methods=["GET"]),
        ]

    async def container(self, request: Request) -> Response:
        self._gate.admit(request, Right.MANAGE)
        # The type that the service gives it: a client that trusts types reads anything else as JSON.
        return Response(self._gate.link(request, _RESOURCE), media_type=XML)

    async def document(self, request: Request) -> Response:
        hub, _ = self._gate.admit_by_link(request, Right.MANAGE)
        first = await anext(
            lines := self._lines(hub), ""
        )  # a store that fails is an answer of its own, not a broken body
        return StreamingResponse(_with_first(first, lines), media_type=XML)

    async def _lines(self, hub: str) -> AsyncIterator[str]:
        after = ""
        while True:
            part = await self._service.dead_channels(hub, after=after, limit=_PART)
            for each in part.items:
                yield _feedback_xml(each)
            if not part.next:
                return
            after = part.next


async def _with_first(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for each in rest:
        yield each


def _feedback_xml(dead: DeadChannel) -> str:
    """Compact, in the data contract's order; without a declaration, for it is one of many."""
    registration = dead.registration
    members = {
        "FeedbackTime": format_date(datetime.fromtimestamp(dead.dead_at, UTC)),
        "NotificationSystemError": OutcomeName.EXPIRED_CHANNEL.value,
        "Platform": traits_of(registration.platform).wire_format,
        "PnsHandle": registration.push_channel,
        "RegistrationId": registration.registration_id,
        "InstallationId": registration.installation_id or "",
    }
    texts = "".join(f"<{name}>{escape_xml(text)}</{name}>" for name, text in members.items() if text)
    return f"<PnsFeedback {DESCRIPTION_NAMESPACES}>{texts}</PnsFeedback>\n"
