"""What the admin listener serves for the console: the page, and what the page asks for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from bridge.admin.console.live import Viewer, as_json, health_as_dict, phones_as_dict, trail_as_dict
from bridge.admin.console.phones import PhoneFeed
from bridge.admin.health import Part
from bridge.admin.listener import Listener
from bridge.observe.recent import RecentEvents

_DIRECTORY = Path(__file__).parent
_FILES = {
    "/": ("index.html", "text/html"),
    "/console.css": ("console.css", "text/css"),
    "/console.js": ("console.js", "text/javascript"),
    "/console.svg": ("console.svg", "image/svg+xml"),
}
_PAGE_HEADERS = {
    # Nothing from elsewhere, nothing inline: even markup that got into the page by a mistake of ours could run no script.
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_DATA_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Process(Protocol):
    """What the console shows."""

    @property
    def trail(self) -> RecentEvents: ...

    @property
    def admin(self) -> Listener: ...

    def health(self) -> list[Part]: ...


def console(process: Process, phones: PhoneFeed | None = None) -> Sequence[Route]:
    """The page at `/`; `/api/trail`, `/api/health` and `/api/phones` as JSON; `/api/live` tells of changes."""

    async def trail(request: Request) -> Response:
        return _json(trail_as_dict(process.trail, process.trail.entries()))

    async def health(request: Request) -> Response:
        return _json(health_as_dict(process.health()))

    async def all_phones(request: Request) -> Response:
        return _json(phones_as_dict(phones))

    async def live(request: Request) -> Response:
        messages = Viewer(process.trail, phones, health=process.health).messages(process.admin.closing)
        return StreamingResponse(messages, headers=_DATA_HEADERS, media_type="text/event-stream")

    return [
        *(_file(path, name, media_type) for path, (name, media_type) in _FILES.items()),
        Route("/api/trail", trail),
        Route("/api/health", health),
        Route("/api/phones", all_phones),
        Route("/api/live", live),
    ]


def _file(path: str, name: str, media_type: str) -> Route:
    async def serve(request: Request) -> Response:
        return FileResponse(_DIRECTORY / name, headers=_PAGE_HEADERS, media_type=media_type)

    return Route(path, serve)


def _json(content: dict[str, Any]) -> Response:
    return Response(as_json(content), headers=_DATA_HEADERS, media_type="application/json")
