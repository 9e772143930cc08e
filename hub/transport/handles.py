"""Easy handles of libcurl: their options, which are set once, and the answer that one holds."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import pycurl

from hub.transport.curl_multi import EventedMulti
from hub.transport.pool import OriginPool
from hub.transport.requests import Batch, Response

MAX_IDLE: Final = 3600  # seconds without a request after which a connection is not used again

_MAX_ANSWER: Final = 65_536  # bytes of an answer's body; a push service needs a few hundred
_KEEPALIVE: Final = 30  # seconds of silence before TCP asks whether the other end, and all between, is still there
_DNS_CACHE: Final = 5  # seconds; a burst asks once, a later connection may land on another of the service's machines
_RETRY_AFTER = pycurl.RETRY_AFTER


@dataclass(slots=True, eq=False)
class Handle:
    """An easy handle with its constant options set, and the request it carries; `batch` None means idle."""

    curl: Any
    chunks: list[bytes] = field(default_factory=list)
    header_lines: list[bytes] = field(default_factory=list)
    body: bytes | None = None
    batch: Batch | None = None
    position: int = 0
    multi: EventedMulti | None = None
    pool: OriginPool | None = None

    def connecting(self, _fd: int, _purpose: int) -> int:
        if self.multi is not None:
            self.multi.connecting()
        return int(pycurl.SOCKOPT_OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleOptions:
    """What all handles of a transport have in common; see `Transport`."""

    ca_file: str | None
    http2: bool
    answer_headers: bool
    proxy: str


def new_handle(options: HandleOptions) -> Handle:
    """An idle handle."""
    curl = pycurl.Curl()
    handle = Handle(curl)
    curl.setopt(pycurl.POST, 1)
    version = pycurl.CURL_HTTP_VERSION_2TLS if options.http2 else pycurl.CURL_HTTP_VERSION_1_1
    curl.setopt(pycurl.HTTP_VERSION, version)
    curl.setopt(pycurl.PIPEWAIT, 1)  # a stream on a connection being opened rather than a connection of its own
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.USERAGENT, "")  # each header costs more than half a microsecond a push
    curl.setopt(pycurl.PROXY, options.proxy)
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS)
    curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
    if options.ca_file:
        curl.setopt(pycurl.CAINFO, options.ca_file)
    curl.setopt(pycurl.DNS_CACHE_TIMEOUT, _DNS_CACHE)
    curl.setopt(pycurl.TCP_NODELAY, 1)
    curl.setopt(pycurl.TCP_KEEPALIVE, 1)
    curl.setopt(pycurl.TCP_KEEPIDLE, _KEEPALIVE)
    curl.setopt(pycurl.TCP_KEEPINTVL, _KEEPALIVE)
    curl.setopt(pycurl.MAXAGE_CONN, MAX_IDLE)
    curl.setopt(pycurl.MAXFILESIZE, _MAX_ANSWER)
    curl.setopt(pycurl.SOCKOPTFUNCTION, handle.connecting)
    curl.setopt(pycurl.WRITEFUNCTION, handle.chunks.append)
    if options.answer_headers:
        curl.setopt(pycurl.HEADERFUNCTION, handle.header_lines.append)
    return handle


def response_of(handle: Handle, status: int) -> Response:
    """The answer that a handle has got, with what its headers say."""
    headers = _fields(handle.header_lines)
    if status != 200 and (retry_after := handle.curl.getinfo(_RETRY_AFTER)):
        headers["retry-after"] = str(retry_after)
    return Response(status, headers, b"".join(handle.chunks))


def _fields(lines: Iterable[bytes]) -> dict[str, str]:
    """The header fields among libcurl's lines, which hold a status line and an empty one too."""
    fields = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    return fields
