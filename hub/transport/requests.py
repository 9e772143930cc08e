"""What the transport gives, answers as a count and exceptions, and a call under way."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from hub.requests import RequestGroup

MAX_IDLE: Final = 3600
"""Seconds without a request after which a connection is not used again."""

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Response(NamedTuple):
    """What came back; `status` 0 means that no answer came, and `failure` says why.

    `headers` have lower-case names: all of them if the transport is asked to, else only `retry-after`, and that only
    if the status is not 200; it is in seconds, whichever form the service used (RFC 9110, 10.2.3).
    `timed_out` tells a deadline that passed from a connection that broke. `is_forbidden`: the address is one that must not
    be connected to, so nothing was sent.
    """

    status: int
    headers: Mapping[str, str] = _NO_HEADERS
    body: bytes = b""
    failure: str = ""
    timed_out: bool = False
    is_forbidden: bool = False


class Answers(NamedTuple):
    """`plain` requests were answered by a 200 with nothing in it; the other answers are here by position, in any order."""

    plain: int
    others: Mapping[int, Response]


@dataclass(slots=True, eq=False)
class Batch:
    """The requests of one call: groups not yet read, `waiting` requests for a connection, `open` ones under way."""

    groups: Iterator[RequestGroup]
    done: asyncio.Future[None]
    in_order: bool = False
    others: dict[int, Response] = field(default_factory=dict)
    plain: int = 0
    waiting: int = 0
    open: int = 0
    is_read: bool = False

    def settle(self, position: int, response: Response | None) -> None:
        """A request that was under way has its answer; None for a plain one."""
        if response is None:
            self.plain += 1
        else:
            self.others[position] = response
        self.open -= 1

    def end_if_answered(self) -> None:
        if self.is_read and not self.waiting and not self.open and not self.done.done():
            self.done.set_result(None)
