"""What the admin listener serves for the console: the page, and what the page asks for."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from bridge.admin.api.operation import Management
from bridge.admin.api.status import status_of
from bridge.admin.console.live import Viewer, as_json, phones_as_dict
from bridge.admin.console.pages import PAGES, Page, page_text
from bridge.admin.console.phones import PhoneFeed
from bridge.admin.listener import Listener
from hub.platforms.table import platforms

_DIRECTORY = Path(__file__).parent
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PAGE_HEADERS = {
    # Nothing from other hosts, nothing inline: even markup that got into the page by a mistake of ours could run no script.
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_DATA_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Process(Management, Protocol):
    """What the console shows: what the admin API does, until the listener closes."""

    admin: Listener


def console(process: Process, phones: PhoneFeed | None = None) -> Sequence[Route]:
    """The pages of `pages.PAGES` with their files, which ask `/api/v1`. `/api/live` sends changes in its
    shapes, and `/api/phones` shows virtual phones."""

    async def all_phones(request: Request) -> Response:
        content = as_json(phones_as_dict(phones))
        return Response(content, headers=_DATA_HEADERS, media_type="application/json")

    async def live(request: Request) -> Response:
        messages = Viewer(process.recent_events, phones, status=partial(status_of, process)).messages(
            process.admin.closing
        )
        return StreamingResponse(messages, headers=_DATA_HEADERS, media_type="text/event-stream")

    return [
        *(route for page in PAGES for route in _page(page)),
        *(_file(file, _TYPES[file.suffix]) for file in sorted(_DIRECTORY.iterdir()) if file.suffix in _TYPES),
        _titles(),
        Route("/api/phones", all_phones),
        Route("/api/live", live),
    ]


def _page(page: Page) -> Sequence[Route]:
    text = page_text(page)

    async def serve(request: Request) -> Response:
        return HTMLResponse(text, headers=_PAGE_HEADERS)

    return [Route(path, serve) for path in page.paths]


def _titles() -> Route:
    """What people call the platforms, for all pages: by the names of the wire contract and of the configuration."""
    titles = {name: each.title for each in platforms() for name in (each.name, each.platform.value)}
    text = f"export const TITLES = {as_json(titles)}\n"

    async def serve(request: Request) -> Response:
        return Response(text, headers=_PAGE_HEADERS, media_type=_TYPES[".js"])

    return Route("/platforms.js", serve)


def _file(file: Path, media_type: str) -> Route:
    async def serve(request: Request) -> Response:
        return FileResponse(file, headers=_PAGE_HEADERS, media_type=media_type)

    return Route(f"/{file.name}", serve)
