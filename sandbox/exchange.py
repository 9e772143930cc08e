"""One request and its answer, whichever HTTP version carried them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sandbox.connection import Connection

RetryAfter = int | datetime | None
"""Seconds, or a moment that goes out as an HTTP date (RFC 9110 section 10.2.3)."""

BodyShape = Literal["whole", "split", "missing"]
"""How the body of an error goes out: as it should, in two DATA frames, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a service answers. Each piece of `body` becomes a DATA frame of its own in HTTP/2."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: tuple[bytes, ...] = ()


class Exchange(ABC):
    """A request that waits for its answer; `answer` and `drop` do nothing once the client is gone.

    Header names are lower case. `repeated` says that a header came twice (the last one is kept). `chunked` says that
    the body came without a Content-Length, which is HTTP/1.1 only: it was not read then. A body over the connection's
    bound is handed over cut off there, long enough for every limit of a service to be seen as passed.
    """

    __slots__ = ("chunked", "headers", "method", "path", "repeated")

    def __init__(
        self, method: str, path: str, headers: dict[str, str], *, repeated: bool = False, chunked: bool = False
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.repeated = repeated
        self.chunked = chunked

    @property
    @abstractmethod
    def connection(self) -> Connection:
        """The connection it came on."""

    @property
    @abstractmethod
    def body(self) -> bytes:
        """The request's body."""

    @abstractmethod
    def answer(self, answer: Answer) -> None:
        """Answer it; may be called much later than the request came."""

    def drop(self) -> None:
        """Break the connection off instead of an answer."""
        self.connection.abort()


class RefusedError(Exception):
    """Why a service does not take a push: the status and the service's own word, `facts` further members of its body.

    Raised by a service's own examination and by scripted faults; it never leaves the service.
    """

    def __init__(
        self,
        status: int,
        reason: str = "",
        *,
        retry_after: RetryAfter = None,
        body_shape: BodyShape = "whole",
        **facts: object,
    ) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.facts = facts
        self._body_shape = body_shape

    def pieces(self, body: bytes) -> tuple[bytes, ...]:
        """`body` in the shape asked for."""
        match self._body_shape:
            case "whole":
                return (body,)
            case "split":
                return body[: len(body) // 2], body[len(body) // 2 :]
            case "missing":
                return ()

    def retry_after_value(self) -> str | None:
        """The value of a Retry-After header, in whichever of its two forms was asked for."""
        if isinstance(self.retry_after, datetime):
            return format_datetime(self.retry_after, usegmt=True)
        return None if self.retry_after is None else str(self.retry_after)
