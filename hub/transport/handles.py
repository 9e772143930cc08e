"""Easy handles of libcurl for HTTP/1.1: their options, which are set once, and the answer that one holds."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import pycurl

from hub.addresses import PublicAddresses
from hub.egress import Proxy, refusal
from hub.tls import Tls
from hub.transport.requests import MAX_IDLE, Batch, Response

_MAX_ANSWER: Final = 65_536  # bytes of an answer's body; a push service needs a few hundred
_KEEPALIVE: Final = 30  # seconds of silence before TCP asks whether the other end, and all between, is still there
_DNS_CACHE: Final = 5  # seconds; a burst asks once, a later connection may land on another of the service's machines
_RETRY_AFTER = pycurl.RETRY_AFTER
_SUPPRESS_CONNECT_HEADERS: Final = 265  # CURLOPT_SUPPRESS_CONNECT_HEADERS, which pycurl has no name for
_NO_PROXY_THERE: Final = (pycurl.E_COULDNT_RESOLVE_PROXY, pycurl.E_COULDNT_CONNECT)


@dataclass(slots=True, eq=False)
class Handle:
    """An easy handle with its constant options set, and the request it carries; `batch` None means idle.

    `forbidden` is an address that it was about to connect to, and must not.
    """

    curl: Any
    chunks: list[bytes] = field(default_factory=list)
    header_lines: list[bytes] = field(default_factory=list)
    body: bytes | None = None
    batch: Batch | None = None
    position: int = 0
    proxy: Proxy | None = None
    forbidden: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleOptions:
    """What all handles of a transport have in common; see `Transport`."""

    tls: Tls
    answer_headers: bool
    only_to: PublicAddresses | None = None


class Handles:
    """Those of a transport: an idle one is used again."""

    def __init__(self, options: HandleOptions) -> None:
        self._options = options
        self._free: list[Handle] = []

    def take(self) -> Handle:
        """An idle handle."""
        return self._free.pop() if self._free else new_handle(self._options)

    def put_back(self, handle: Handle) -> None:
        """A handle that is not used any more; what it holds of an answer is dropped."""
        handle.batch = None
        handle.forbidden = ""
        handle.chunks.clear()
        handle.header_lines.clear()
        self._free.append(handle)

    def close(self) -> None:
        """Close those that are idle."""
        while self._free:
            self._free.pop().curl.close()


def new_handle(options: HandleOptions) -> Handle:
    """An idle handle."""
    curl = pycurl.Curl()
    handle = Handle(curl)
    curl.setopt(pycurl.POST, 1)
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.USERAGENT, "")  # each header costs more than half a microsecond a push
    curl.setopt(pycurl.PROXY, "")  # else libcurl looks at the environment
    curl.setopt(_SUPPRESS_CONNECT_HEADERS, 1)
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS)
    curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
    if (roots := options.tls.ca_file or ssl.get_default_verify_paths().cafile) is not None:
        curl.setopt(pycurl.CAINFO, str(roots))
    if options.tls.cert is not None:
        curl.setopt(pycurl.SSLCERT, str(options.tls.cert))
        curl.setopt(pycurl.SSLKEY, str(options.tls.key))
    curl.setopt(pycurl.DNS_CACHE_TIMEOUT, _DNS_CACHE)
    curl.setopt(pycurl.TCP_NODELAY, 1)
    curl.setopt(pycurl.TCP_KEEPALIVE, 1)
    curl.setopt(pycurl.TCP_KEEPIDLE, _KEEPALIVE)
    curl.setopt(pycurl.TCP_KEEPINTVL, _KEEPALIVE)
    curl.setopt(pycurl.MAXAGE_CONN, MAX_IDLE)
    curl.setopt(pycurl.MAXFILESIZE, _MAX_ANSWER)
    curl.setopt(pycurl.WRITEFUNCTION, handle.chunks.append)
    if options.answer_headers:
        curl.setopt(pycurl.HEADERFUNCTION, handle.header_lines.append)
    if options.only_to is not None:
        curl.setopt(pycurl.OPENSOCKETFUNCTION, _socket_only_to(options.only_to, handle))
    return handle


def _socket_only_to(only_to: PublicAddresses, handle: Handle) -> Callable[[int, Any], Any]:
    """What opens the sockets of a handle: none to an address that must not be. A proxy was looked at by who set it."""

    def opened(purpose: int, target: Any) -> Any:
        if handle.proxy is None and not only_to.has(target.addr[0]):
            handle.forbidden = target.addr[0]
            return pycurl.SOCKET_BAD
        made = socket.socket(target.family, target.socktype, target.protocol)
        asyncio.get_running_loop().call_soon(made.close)  # pycurl works with a duplicate
        return made

    return opened


def response_of(handle: Handle, status: int) -> Response:
    """The answer that a handle has got, with what its headers say."""
    headers = _fields(handle.header_lines)
    if status != 200 and (retry_after := handle.curl.getinfo(_RETRY_AFTER)):
        headers["retry-after"] = str(retry_after)
    return Response(status, headers, b"".join(handle.chunks))


def failure_of(handle: Handle, code: int, words: str) -> Response:
    """No answer, and why; a proxy that is the cause is named."""
    proxy = handle.proxy
    if handle.forbidden:
        return Response(0, failure=f"{handle.forbidden} is no public address", is_forbidden=True)
    if proxy is not None and (status := handle.curl.getinfo(pycurl.HTTP_CONNECTCODE)) // 100 not in (0, 2):
        words = refusal(proxy, status)
    elif proxy is not None and code in _NO_PROXY_THERE:
        words = f"proxy {proxy.address} cannot be reached: {words}"
    return Response(0, failure=words or f"libcurl error {code}", timed_out=code == pycurl.E_OPERATION_TIMEDOUT)


def _fields(lines: Iterable[bytes]) -> dict[str, str]:
    """The header fields among libcurl's lines, which hold a status line and an empty one too."""
    fields = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    return fields
