"""All addresses of a host are tried, both families by turns."""

import asyncio
import socket
from typing import Any

import pytest

from hub.transport.http2.dialling import DialError, dial


def resolving_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    async def getaddrinfo(_host: str, port: int, **_: Any) -> list[Any]:
        families = [socket.AF_INET6 if ":" in host else socket.AF_INET for host in hosts]
        return [(family, 1, 6, "", (host, port)) for family, host in zip(families, hosts, strict=True)]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_an_address_that_refuses_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    resolving_to(monkeypatch, "127.0.0.2", "::1", "127.0.0.3", "127.0.0.1")
    connected = await dial("push.example", port, None)
    assert connected.getpeername() == ("127.0.0.1", port)
    connected.close()
    server.close()


async def test_a_host_whose_addresses_all_refuse_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving_to(monkeypatch, "127.0.0.2", "127.0.0.3")
    with pytest.raises(DialError, match=r"push\.example:1: .*127\.0\.0\.3"):
        await dial("push.example", 1, None)
