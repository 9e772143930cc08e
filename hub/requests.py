"""What goes to a push service on the wire: POSTs in groups of columns."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hub.push import SendResult


class RequestGroup(NamedTuple):
    """POSTs to one origin (`https://host[:port]`) that share their header lines.

    `positions`, `tails`, `ids` and `bodies` have an entry a request, in order; `tails` and `bodies` may be made as they are
    read. A request goes to `path` with its tail behind it. `headers` are whole lines (`b"name: value"`), checked by the
    caller; the header `id_name` carries the request's id. `positions` are where the answers belong.
    """

    origin: str
    positions: Sequence[int]
    path: str
    tails: Iterable[str]
    headers: Sequence[bytes]
    id_name: str
    ids: Sequence[str]
    bodies: Iterable[bytes]


class Refused(NamedTuple):
    """Pushes for which there is no request, and why: nothing is sent."""

    positions: Sequence[int]
    result: SendResult


Requests = Iterable[RequestGroup | Refused]
"""What becomes of a page, made as it is read; each position once."""
