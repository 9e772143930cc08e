"""Blobs behind shared access signatures: read in ranges, written in blocks (Azure Storage, "Blob service REST API").

The URL comes from a client of ours, so where a connection leads is looked at: see `blob_access.py`.
"""

import asyncio
import base64
import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import httpcore

from hub.addresses import is_public
from hub.characters import escape_xml
from hub.egress import Egress
from hub.errors import BlobError, BlobUnavailableError, InvalidRequestError
from hub.tls import Tls
from hub.transport.blob_access import BlobAccess

_VERSION = "2020-12-06"
_TIMEOUT = {"connect": 10.0, "read": 60.0, "write": 60.0, "pool": 60.0}
_WHOLE_TIMEOUT = 300.0
"""Seconds for a request as a whole: who sends a byte now and then would hold a job, and those behind it, for ever."""

_LONGEST_ETAG = 256
_MOST_BYTES = 1 << 50
"""Of a blob, as far as we believe: none is larger."""

_LATER = frozenset([408, 429, 500, 502, 503, 504])


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobProperties:
    size: int
    etag: str


class Blobs:
    """Requests to a few blobs; `close` at the end. Every method raises BlobError, or BlobUnavailableError to try again."""

    def __init__(self, access: BlobAccess, egress: Egress | None = None) -> None:
        self._access = access
        self._egress = egress or Egress()
        self._pools: dict[str, httpcore.AsyncConnectionPool] = {}

    async def properties(self, url: str) -> BlobProperties:
        status, headers, _ = await self._ask("HEAD", url)
        size = headers.get("content-length", "")
        if status != 200 or not (size.isascii() and size.isdigit() and len(size) < 20 and int(size) <= _MOST_BYTES):
            raise BlobError(f"{_shown(url)}: the answer says no size that can be")
        etag = headers.get("etag", "")
        if not (etag.isascii() and etag.isprintable() and len(etag) <= _LONGEST_ETAG):
            raise BlobError(f"{_shown(url)}: the answer's ETag is none")
        return BlobProperties(size=int(size), etag=etag)

    async def read(self, url: str, start: int, length: int, *, etag: str) -> bytes:
        """Up to `length` bytes of the blob that `etag` names. Raises: also where the blob is another one by now."""
        headers = {"Range": f"bytes={start}-{start + length - 1}", **({"If-Match": etag} if etag else {})}
        status, _, body = await self._ask("GET", url, headers=headers, most=length)
        if status != 206:
            raise BlobError(f"{_shown(url)}: the host answers no ranges")
        return body

    async def put_block(self, url: str, number: int, content: bytes) -> None:
        """Put a block, which is no part of the blob yet; the same number again replaces it."""
        await self._ask("PUT", _with(url, f"comp=block&blockid={_quoted(_block_id(number))}"), body=content)

    async def commit(self, url: str, blocks: int) -> None:
        """Make the blob of the first so many blocks; none make an empty one."""
        latest = "".join(f"<Latest>{escape_xml(_block_id(number))}</Latest>" for number in range(blocks))
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{latest}</BlockList>'.encode()
        headers = {"Content-Type": "application/xml", "x-ms-blob-content-type": "text/plain; charset=utf-8"}
        await self._ask("PUT", _with(url, "comp=blocklist"), body=body, headers=headers)

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()
        self._pools.clear()

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        most: int = 0,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers by lower-case name, and up to `most` bytes. Redirects are not followed."""
        try:
            host = self._access.check(url).hostname or ""
        except InvalidRequestError as error:
            raise BlobError(str(error)) from error
        sent = {
            "Host": url.split("/")[2],
            "x-ms-version": _VERSION,
            **({} if method in ("GET", "HEAD") else {"Content-Length": str(len(body))}),
            **(headers or {}),
        }
        try:
            stream = self._pool(host).stream(
                method, url, headers=list(sent.items()), content=body, extensions={"timeout": _TIMEOUT}
            )
            async with asyncio.timeout(_WHOLE_TIMEOUT), stream as answer:
                found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
                _check(url, answer.status, found)
                return answer.status, found, await _body(answer, url, most)
        except TimeoutError as error:
            raise BlobUnavailableError(f"{_shown(url)}: no answer within {_WHOLE_TIMEOUT:g} s") from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise BlobUnavailableError(f"{_shown(url)}: {error or type(error).__name__}") from error
        except httpcore.ProxyError as error:
            raise BlobUnavailableError(f"{_shown(url)}: the proxy refuses: {error}") from error

    def _pool(self, host: str) -> httpcore.AsyncConnectionPool:
        if host not in self._pools:
            tls = (self._egress.tls or Tls()).client_context()
            tls.minimum_version = ssl.TLSVersion.TLSv1_2
            proxy = self._egress.proxy_for(host)
            backend = httpcore.AnyIOBackend() if proxy else _Guarded(self._access)
            # Names are resolved by a proxy where there is one: it decides where the connection leads.
            by = (
                None
                if proxy is None
                else httpcore.Proxy(
                    f"http://{proxy.address}",
                    auth=(proxy.username.encode(), proxy.password.encode()) if proxy.username else None,
                )
            )
            self._pools[host] = httpcore.AsyncConnectionPool(
                ssl_context=tls, proxy=by, max_connections=2, network_backend=backend
            )
        return self._pools[host]


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to an address that was looked at, so that a name cannot stand for another address a moment later."""

    def __init__(self, access: BlobAccess) -> None:
        self._access = access
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        last: Exception | None = None
        for address in await self._addresses(host, port):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise httpcore.ConnectError(f"no address of {host} answers") from last

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not self._access.hosts and not all(is_public(ip_address(address)) for address in addresses):
            raise BlobError(f"{host} has a private address, and jobs may not use it")
        return addresses

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("blobs are not on sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _body(answer: httpcore.Response, url: str, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async with aclosing(answer.aiter_stream()) as stream:  # type: ignore[type-var]
        async for chunk in stream:
            size += len(chunk)
            if size > most:
                if most:
                    raise BlobError(f"{_shown(url)}: the answer has more bytes than were asked for")
                break  # nothing is read of an answer that only says done
            chunks.append(chunk)
    return b"".join(chunks)


def _check(url: str, status: int, headers: Mapping[str, str]) -> None:
    if 200 <= status < 300:
        return
    if status == 412:
        raise BlobError(f"{_shown(url)}: the blob has changed since the job began")
    said = f"{_shown(url)}: HTTP {status} {headers.get('x-ms-error-code', '')}".rstrip()
    raise BlobUnavailableError(said) if status in _LATER else BlobError(said)


def _block_id(number: int) -> str:
    return base64.b64encode(f"{number:08}".encode()).decode()


def _quoted(text: str) -> str:
    return text.replace("=", "%3D").replace("+", "%2B").replace("/", "%2F")


def _with(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _shown(url: str) -> str:
    """Without the signature."""
    return url.partition("?")[0]
