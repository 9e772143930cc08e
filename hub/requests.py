"""What goes to a push service on the wire: POSTs in groups of columns."""

import string
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final, NamedTuple, TypeVar

from hub.push import SendResult

T = TypeVar("T")

UNRESERVED: Final = (string.ascii_letters + string.digits + "-._~").encode()
"""Characters that stand for themselves in a URI, and in a form (RFC 3986, section 2.3)."""


class RequestGroup(NamedTuple):
    """POSTs to one origin (`https://host[:port]`) that share their header lines.

    `positions`, `tails`, `ids` and `bodies` have an entry a request, in order; `tails` and `bodies` may be made as they are
    read. A request goes to `path` with its tail behind it. `headers` are whole lines (`b"name: value"`), checked by the
    caller; the header `id_name` carries the request's id. `positions` are where the answers belong. With a `key_name` the
    header of that name carries the request's own of the `keys`, such as a collapse id; it is ASCII and fits into a header.
    """

    origin: str
    positions: Sequence[int]
    path: str
    tails: Iterable[str]
    headers: Sequence[bytes]
    id_name: str
    ids: Sequence[str]
    bodies: Iterable[bytes]
    key_name: str = ""
    keys: Sequence[str] = ()


class Refused(NamedTuple):
    """Pushes for which there is no request, and why: nothing is sent."""

    positions: Sequence[int]
    result: SendResult


Requests = Iterable[RequestGroup | Refused]
"""What becomes of a page, made as it is read; each position once."""


JOINED = 128
"""Requests of groups that are joined, at most."""


def joined(groups: Iterable[RequestGroup]) -> Iterator[RequestGroup]:
    """The same requests in fewer groups: small neighbours that differ in their columns alone are one.

    Each single push is a group of its own, as its payload is; to send a group costs more than to send a push of it.
    """
    neighbours: list[RequestGroup] = []
    count = 0
    for group in groups:
        if neighbours and (count + len(group.ids) > JOINED or not _are_alike(neighbours[0], group)):
            yield _joined(neighbours)
            neighbours, count = [], 0
        neighbours.append(group)
        count += len(group.ids)
    if neighbours:
        yield _joined(neighbours)


def _are_alike(first: RequestGroup, other: RequestGroup) -> bool:
    return (
        first.headers == other.headers
        and first.origin == other.origin
        and first.path == other.path
        and first.id_name == other.id_name
        and first.key_name == other.key_name
    )


def _joined(groups: Sequence[RequestGroup]) -> RequestGroup:
    if len(groups) == 1:
        return groups[0]
    positions, tails, ids, bodies, keys = zip(
        *[
            (each.positions, _column(each, each.tails), each.ids, _column(each, each.bodies), each.keys)
            for each in groups
        ],
        strict=True,
    )
    return groups[0]._replace(
        positions=_chained(positions),
        tails=_chained(tails),
        ids=_chained(ids),
        bodies=_chained(bodies),
        keys=_chained(keys),
    )


def encoded(column: Sequence[str]) -> Sequence[bytes]:
    """Each text of a column as UTF-8; all at once, as nearly always none has a line feed."""
    found = "\n".join(column).encode().split(b"\n")
    return found if len(found) == len(column) else [each.encode() for each in column]


def all_of(column: Sequence[str], characters: bytes) -> bool:
    """Whether the texts of a column are made of these characters alone, which are ASCII: then none has to be escaped."""
    text = "".join(column)
    return text.isascii() and not text.encode().translate(None, characters)


def _column(group: RequestGroup, entries: Iterable[T]) -> Iterable[T]:
    """Those of the requests: what all of them share may be repeated without end."""
    return islice(entries, len(group.ids))


def _chained(columns: Iterable[Iterable[T]]) -> list[T]:
    return list(chain.from_iterable(columns))
