"""The journal over HTTP: what a test in any language asks to see what was really sent."""

from itertools import islice

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sandbox.journal import Journal, line_of

_MOST = 1000
_FILTERS = ("service", "handle", "push_id")


def journal_app(journal: Journal) -> ASGIApp:
    """`GET /journal`: `{"entries": [...], "next": N}`, oldest first.

    `?after=N` begins behind entry N, `limit` (100, up to 1000) ends it, `service`, `handle` and `push_id` choose. `next` is
    the `after` of the next page.
    """

    async def read(request: Request) -> Response:
        query = request.query_params
        try:
            after, limit = int(query.get("after", "0")), int(query.get("limit", "100"))
        except ValueError:
            return PlainTextResponse("after and limit are whole numbers\n", 400)
        if after < 0 or not 0 < limit <= _MOST:
            return PlainTextResponse(f"after is 0 or more, limit from 1 to {_MOST}\n", 400)
        wanted = {name: query[name] for name in _FILTERS if name in query}
        chosen = (
            entry
            for entry in journal.after(after)
            if all(getattr(entry, name) == value for name, value in wanted.items())
        )
        entries = list(islice(chosen, limit))
        following = entries[-1].seq if len(entries) == limit else max(after, len(journal))
        body = b'{"entries":[%b],"next":%d}\n' % (b",".join(line_of(entry).rstrip() for entry in entries), following)
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/journal", read)])
