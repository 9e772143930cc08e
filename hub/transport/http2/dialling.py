"""A TCP connection to an origin, or through a proxy to it: all addresses in turn (RFC 8305), and what the proxy says."""

import asyncio
import base64
import contextlib
import socket
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any, Final

from hub.addresses import PublicAddresses
from hub.egress import Proxy, refusal

_HEAD_START: Final = 0.25
"""Seconds after which the next address is tried beside those before (RFC 8305, section 5)."""
_KEEPALIVE: Final = 30
"""Seconds of silence before TCP asks whether the other end, and all between, is still there."""
_MAX_HEAD: Final = 16_384
"""Bytes of what a proxy says before the tunnel."""


class DialError(Exception):
    """There is no connection, and why."""


class ForbiddenAddressError(DialError):
    """The host has only addresses that must not be connected to."""


AtStage = Callable[[str], None]
"""Takes what is wrong if nothing more happens."""


async def dial(
    host: str,
    port: int,
    proxy: Proxy | None,
    at_stage: AtStage = lambda _: None,
    *,
    only_to: PublicAddresses | None = None,
) -> socket.socket:
    """A socket that is connected, with `only_to` to one of its addresses; a proxy answers for those of names.

    Raises: DialError; ForbiddenAddressError.
    """
    if proxy is None:
        return await _connect(host, port, at_stage, only_to)
    if only_to is not None and not only_to.may_name(host):
        raise ForbiddenAddressError(_not_public(host, [host]))
    try:
        connected = await _connect(proxy.host, proxy.port, at_stage)
    except DialError as error:
        raise DialError(f"proxy {proxy.address} cannot be reached: {error}") from error
    at_stage(f"proxy {proxy.address} does not answer CONNECT")
    try:
        await _tunnel(connected, host, port, proxy)
    except BaseException:
        connected.close()
        raise
    return connected


async def _connect(host: str, port: int, at_stage: AtStage, only_to: PublicAddresses | None = None) -> socket.socket:
    at_stage(f"DNS does not answer for {host}")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DialError(f"{host} has no address: {error}") from error
    addresses = _by_turns(found)
    if only_to is not None:
        # What was looked at is what is connected to: the name is not resolved once more.
        refused = [address[0] for _, address in addresses if not only_to.has(address[0])]
        addresses = [each for each in addresses if each[1][0] not in refused]
        if not addresses:
            raise ForbiddenAddressError(_not_public(host, refused))
    at_stage(f"{host}:{port} does not answer at any of {len(addresses)} addresses")
    tries: set[asyncio.Task[socket.socket]] = set()
    failure = f"{host} has no address"
    try:
        while addresses or tries:
            if addresses:
                tries.add(asyncio.create_task(_connect_to(*addresses.pop(0))))
            timeout = _HEAD_START if addresses else None
            done, tries = await asyncio.wait(tries, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            made = [each.result() for each in done if each.exception() is None]
            for spare in made[1:]:
                spare.close()
            if made:
                return made[0]
            if done:  # else the head start of the next is over
                failure = f"{host}:{port}: {done.pop().exception()}"
        raise DialError(failure)
    finally:
        for each in tries:
            each.cancel()
            each.add_done_callback(_close_late)


def _not_public(host: str, addresses: Sequence[str]) -> str:
    where = "" if addresses == [host] else f" is at {', '.join(addresses[:3])}, which"
    return f"{host}{where} is no public address"


def _by_turns(found: Sequence[Any]) -> list[tuple[int, Any]]:
    """Families and addresses, both families by turns, the resolver's first one first."""
    first = found[0][0] if found else None
    mine = [(family, address) for family, *_, address in found if family == first]
    others = [(family, address) for family, *_, address in found if family != first]
    return [each for each in chain.from_iterable(zip_longest(mine, others)) if each is not None]


async def _connect_to(family: int, address: Any) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL"):  # macOS has the second in place of the first
            if hasattr(socket, name):
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), _KEEPALIVE)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _close_late(connecting: asyncio.Task[socket.socket]) -> None:
    """Of a try that was not needed any more."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()


async def _tunnel(connected: socket.socket, host: str, port: int, proxy: Proxy) -> None:
    """Ask the proxy to connect (RFC 9110, section 9.3.6)."""
    loop = asyncio.get_running_loop()
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if proxy.username:
        pair = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {pair}")
    said = b""
    try:
        await loop.sock_sendall(connected, "\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in said:
            # No more than the head is read: what is behind it belongs to TLS.
            part = await loop.sock_recv(connected, 1)
            if not part:
                raise DialError(f"proxy {proxy.address} closed the connection")
            said += part
            if len(said) > _MAX_HEAD:
                raise DialError(f"proxy {proxy.address} says too much before the tunnel")
    except OSError as error:
        raise DialError(f"proxy {proxy.address}: {error}") from error
    status = 0
    with contextlib.suppress(ValueError, IndexError):
        status = int(said.split(b" ", 2)[1])
    if status // 100 != 2:
        raise DialError(refusal(proxy, status))
