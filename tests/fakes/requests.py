"""Requests one by one, as tests read and write them; to the transport they are groups of columns."""

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import NamedTuple
from urllib.parse import urlsplit

from hub.push import SendResult
from hub.requests import Refused, RequestGroup
from hub.transport.client import Transport
from hub.transport.requests import Response


class Request(NamedTuple):
    """A POST; `headers` are whole lines, that with the id last."""

    url: str
    headers: list[bytes]
    body: bytes


def requests_in(made: Iterable[RequestGroup | Refused]) -> list[Request | SendResult]:
    """What becomes of each push, in order: a request, or why there is none."""
    found: dict[int, Request | SendResult] = {}
    for each in made:
        if isinstance(each, Refused):
            found |= dict.fromkeys(each.positions, each.result)
            continue
        keys = each.keys if each.key_name else repeat("")
        for position, tail, id_, body, key in zip(
            each.positions, each.tails, each.ids, each.bodies, keys, strict=False
        ):
            own = [f"{each.key_name}: {key}".encode()] if key else []
            headers = [*each.headers, *own, f"{each.id_name}: {id_}".encode()]
            found[position] = Request(each.origin + each.path + tail, headers, body)
    assert sorted(found) == list(range(len(found)))
    return [found[position] for position in sorted(found)]


async def post_each(
    transport: Transport, requests: Iterable[Request], *, deadline: float, in_order: bool = False
) -> list[Response]:
    """A response a request, in order."""
    answers = await transport.post(_groups(requests), deadline=deadline, in_order=in_order)
    return [answers.others.get(position, Response(200)) for position in range(answers.plain + len(answers.others))]


def _groups(requests: Iterable[Request]) -> Iterator[RequestGroup]:
    for position, (url, headers, body) in enumerate(requests):
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        yield RequestGroup(origin, [position], url[len(origin) :], [""], headers, "x-id", [str(position)], [body])
