"""HTTP/1.1 as our listeners speak it: requests that can be read in one way only, and within times and sizes.

The parser is llhttp, through httptools: in C, and strict about what RFC 9112 calls ambiguous. What it leaves to its caller
is here.
"""

import asyncio
import math
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

import httptools

from bridge.admin.connections import ConnectionLimits
from bridge.admin.roles import CERTIFICATE
from bridge.web_server import ASGI3Application, HttpToolsProtocol, RequestResponseCycle, uvicorn

REQUEST_TIME = 60.0
"""Seconds that a client has to send a request, headers and body; who drips it in only holds a connection."""

MAX_HEAD = 32 * 1024
"""Bytes of a request's header, all lines together; as many may come that are no body, as a trailer or between chunks."""

_BAD = "Invalid HTTP request received."


_OVERRIDDEN = ("_start_asgi_task", "_unset_keepalive_if_required", "on_response_complete", "send_400_response")
if missing := [name for name in _OVERRIDDEN if not hasattr(HttpToolsProtocol, name)]:
    # A parser that it calls no more would leave requests unanswered, and say nothing.
    raise ImportError(f"uvicorn {uvicorn.__version__} has no {', '.join(missing)}: pushbridge needs another version")


def _names_in(certificate: Mapping[str, Any]) -> Collection[str]:
    """DNS names and common name of a client certificate, as `ssl.SSLSocket.getpeercert` has it."""
    names = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    return names | {value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"}


def _end_of(certificate: Mapping[str, Any]) -> float:
    """When it ends, in seconds since 1970."""
    return ssl.cert_time_to_seconds(certificate["notAfter"]) if "notAfter" in certificate else math.inf


def _ignore(*_: object) -> None:
    """No one has to be told."""


class _AmbiguousRequestError(Exception):
    """The parser would take the request, and a proxy may have read another one."""


class Http1Protocol(HttpToolsProtocol):
    """Closes a connection on which a request was begun and not ended in time; uvicorn itself would wait for ever.

    The header of a request has a shorter time of its own, and so has a connection's first byte. Requests that came
    together are answered one after the other, in their order. A request that cannot be read is answered 400 in its
    turn, unless its answer has begun, and nothing after it is read. A client certificate that has ended since the
    connection began says nothing any more.
    """

    head_time = ConnectionLimits().head
    """Seconds until the end of a request's header, from the moment it, or its connection, began."""

    request_time = REQUEST_TIME
    """Seconds until the end of a request's body, from that moment."""

    now: Callable[[], float] = staticmethod(time.time)
    """The time of day, by which certificates end."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.on_lost: Callable[[], None] = _ignore
        """Called once, when the connection ends or is given up."""
        self.on_idle: Callable[[bool], None] = _ignore
        """Called with True when all requests are answered, and with False when bytes of another come, or none can."""
        self._is_idle = False
        self._answering: RequestResponseCycle | None = None
        self._is_in_head = self._is_refused = self._is_repeated = False
        self._certificate: Collection[str] = ()
        self._certificate_end = math.inf
        self._idle_bytes = 0
        """Bytes since the last of a body, or since the end of a header: what no one has asked for yet."""
        self._patience: asyncio.TimerHandle | None = None
        self._head_patience: asyncio.TimerHandle | None = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        secured = transport.get_extra_info("ssl_object")
        certificate = {} if secured is None else secured.getpeercert() or {}
        self._certificate, self._certificate_end = _names_in(certificate), _end_of(certificate)
        self._wait()
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._idle_no_more()
        self._unset_keepalive_if_required()
        self._idle_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse()
            return
        if self._idle_bytes > MAX_HEAD:
            self._refuse()
        elif self._patience is None and (self._answering is None or self._answering.more_body):
            self._wait()  # not for what comes while a request is being answered: that has its time afterwards

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        self._wait_for_head_no_more()
        super().connection_lost(exc)
        self._leave()

    def give_up(self) -> bool:
        """Close an idle connection at once, without the end of TLS, for which a client may take its time. False, and
        nothing done, where the client has not taken all of an answer or the connection is closing by itself."""
        if not self._is_idle or self.transport.is_closing() or self.transport.get_write_buffer_size():
            return False
        self.transport.abort()
        self._leave()  # the place is free now; the loop tells of the end later
        return True

    def _leave(self) -> None:
        self._idle_no_more()
        on_lost, self.on_lost = self.on_lost, _ignore
        on_lost()

    def _idle_no_more(self) -> None:
        if self._is_idle:
            self._is_idle = False
            self.on_idle(False)

    def prove_again(self) -> None:
        """End a connection that a client certificate was shown on, behind the request under way: what certificates are good
        has changed."""
        if self._certificate:
            self.shutdown()

    def _feed(self, data: bytes) -> None:
        """Raises: HttpParserError."""
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                self._decline_upgrade()
                data = data[upgrade.args[0] :]

    def _decline_upgrade(self) -> None:
        """Go on as if the request asked for none: the parser takes it for ended, and its body for another protocol."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        head = [self.scope["method"].encode(), b" ", self.url, b" HTTP/1.1\r\n"]
        for name, value in self.headers:
            if name not in (b"upgrade", b"connection"):
                head += [name, b": ", value, b"\r\n"]
        self._is_repeated = True
        self.parser.feed_data(b"".join([*head, b"\r\n"]))

    # What the parser finds

    def on_message_begin(self) -> None:
        if self._is_repeated:
            return
        super().on_message_begin()
        is_over = self.now() >= self._certificate_end
        cast(dict[str, Any], self.scope)[CERTIFICATE] = () if is_over else self._certificate
        self._is_in_head = True
        if self._head_patience is None:
            self._wait_for_head()

    def on_url(self, url: bytes) -> None:
        if not self._is_repeated:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # A field of a trailer is no field of the header, whatever its name (RFC 9110, section 6.5.1).
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._is_repeated:
            self._is_repeated = False
            return
        self._check_head()
        self._is_in_head = False
        self._idle_bytes = 0
        self._wait_for_head_no_more()
        super().on_headers_complete()

    def _check_head(self) -> None:
        """Raises: _AmbiguousRequestError."""
        version = self.parser.get_http_version()
        named: dict[bytes, list[bytes]] = {b"host": [], b"transfer-encoding": []}
        size = len(self.url)
        for name, value in self.headers:
            size += len(name) + len(value) + 4
            if name in named:
                named[name].append(value)
        hosts, codings = named.values()
        if size > MAX_HEAD:
            raise _AmbiguousRequestError("the header is too long")
        if version not in ("1.0", "1.1") or not (self.url.startswith(b"/") or self.url == b"*"):
            raise _AmbiguousRequestError("only HTTP/1.0 and HTTP/1.1, and a path")
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            raise _AmbiguousRequestError("a request names one host (RFC 9112, section 3.2)")
        if codings and (version == "1.0" or [coding.lower() for coding in codings] != [b"chunked"]):
            raise _AmbiguousRequestError("chunked stands alone, and not in HTTP/1.0 (RFC 9112, section 6)")

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # not yet: see `_decline_upgrade`
        self._idle_bytes = 0
        super().on_message_complete()
        self.cycle.more_body = False  # also where it was answered before its end
        self._wait_no_more()

    # Answers

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self._wait_no_more()  # until the next request begins, uvicorn's own time to keep alive counts
        self._answering = None
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None and not self._is_in_head:
            self._is_idle = True  # also where it was answered before the end of its body, which may never come
            self.on_idle(True)
        # For the rest of this request, answered early, or of the next one, which was here already.
        if self._is_in_head or self.cycle.more_body:
            self._wait()

    def _refuse(self) -> None:
        """Answer 400 where an answer is due, and close after the answers to the requests before."""
        self._is_refused = True
        self._wait_for_head_no_more()
        self.logger.warning(_BAD)
        broken = self.cycle if self.cycle is not None and self.cycle.more_body and not self._is_in_head else None
        if broken is not None and self.pipeline and self.pipeline[0][0] is broken:
            self.pipeline.popleft()  # its turn has not come
            broken = None
        before = self.pipeline[0][0] if self.pipeline else self._answering
        if before is not None and before is not broken:
            before.keep_alive = False
        elif broken is None:
            self.send_400_response(_BAD)
        elif broken.response_started:
            self.transport.close()
        else:
            broken.disconnected = True
            broken.message_event.set()
            self.send_400_response(_BAD)

    # Time

    def _wait(self) -> None:
        self._patience = self.loop.call_later(self.request_time, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _wait_for_head(self) -> None:
        self._head_patience = self.loop.call_later(self.head_time, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._answering is None:
            self.transport.abort()
        else:  # the answer before is not lost for that
            self._wait_for_head()

    def _wait_for_head_no_more(self) -> None:
        if self._head_patience is not None:
            self._head_patience.cancel()
            self._head_patience = None
