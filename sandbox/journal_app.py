"""The journal over HTTP: what a test in any language asks to see what was really sent."""

from itertools import islice

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sandbox.journal import Journal, line_of

_MOST = 1000
_FILTERS = ("service", "handle", "push_id")


def journal_app(journal: Journal) -> ASGIApp:
    """`GET /journal`: `{"entries": [...], "next": N, "first": N, "size": N}`, oldest first.

    `?after=N` begins behind entry N, `limit` (100, up to 1000) ends it, `service`, `handle` and `push_id` choose. `next` is
    the `after` of the next page. The last `size` entries are kept (null: all), the oldest of them is number `first`: an
    `after` below `first - 1` has missed some.
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
        following = entries[-1].seq if len(entries) == limit else max(after, journal.last)
        facts = orjson.dumps({"next": following, "first": journal.first, "size": journal.size})
        body = b'{"entries":[%b],%b\n' % (b",".join(line_of(entry).rstrip() for entry in entries), facts[1:])
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/journal", read)])
