"""Connections go to public addresses and to those that are allowed, whatever name leads to them and whenever it changes."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from hub.addresses import PublicAddresses, is_public, literal
from hub.egress import Egress, Proxy
from hub.tls import Tls
from hub.transport.client import Transport
from hub.transport.http2.dialling import ForbiddenAddressError, dial
from hub.transport.requests import Response
from sandbox.exchange import Answer, Exchange
from sandbox.faults import Faults
from sandbox.server import HttpServer, Version
from sandbox.tls import Authority
from tests.fakes.requests import Request, post_each
from tests.hub.transport.test_dialling import resolving_to

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2002:a00:1::", "2001:db8::1", "fec0::1", "::127.0.0.1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_in_each_of_its_forms(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not PublicAddresses().has(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_taken(address: str) -> None:
    assert PublicAddresses().has(address)


def test_what_is_allowed_is_taken_in_each_of_its_forms_and_nothing_beside_it() -> None:
    allowed = PublicAddresses((ip_network("10.1.0.0/16"), ip_network("fd12::/16")))
    assert [allowed.has(one) for one in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1")] == [True] * 3
    assert [allowed.has(one) for one in ("10.2.0.1", "::ffff:10.2.0.1", "fd13::1", "127.0.0.1")] == [False] * 4


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_a_host_may_be_an_address_in_many_forms(host: str) -> None:
    assert literal(host) is not None
    assert not PublicAddresses().may_name(host)


def test_a_name_is_left_to_whom_resolves_it() -> None:
    assert literal("push.example") is None
    assert PublicAddresses().may_name("push.example")


async def test_a_name_that_leads_to_private_addresses_only_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving_to(monkeypatch, "127.0.0.1", "::1")
    with pytest.raises(
        ForbiddenAddressError, match=r"push\.example is at 127\.0\.0\.1, ::1, which is no public address"
    ):
        await dial("push.example", 443, None, only_to=PublicAddresses())


async def test_the_public_address_of_a_name_with_both_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    resolving_to(monkeypatch, "127.0.0.2", "127.0.0.1")
    connected = await dial("push.example", port, None, only_to=PublicAddresses((ip_network("127.0.0.1/32"),)))
    assert connected.getpeername() == ("127.0.0.1", port)
    connected.close()
    server.close()


async def test_a_proxy_is_not_asked_for_a_private_address() -> None:
    proxy = Proxy("http://127.0.0.1:1", "127.0.0.1", 1, "", "")
    for host in ("127.0.0.1", "169.254.169.254", "0x7f.1", "::1"):
        with pytest.raises(ForbiddenAddressError):
            await dial(host, 443, proxy, only_to=PublicAddresses())


class Changing:
    """A name server whose answers change: what it says next, for each question."""

    def __init__(self, *answers: str) -> None:
        self._answers: Iterator[str] = iter(answers)
        self.asked = 0

    async def getaddrinfo(self, _host: str, port: int, **_: Any) -> Sequence[Any]:
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(self._answers), port))]


class Server:
    """A push service that takes everything, in one version of HTTP."""

    def __init__(self, directory: Path, version: Version) -> None:
        self.ca_file = Authority(directory)
        self.requests = 0
        self.http = HttpServer(
            self._serve,
            faults=Faults(),
            context=self.ca_file.server_context([version]),
            versions=(version,),
            max_streams=100,
        )

    def _serve(self, exchange: Exchange) -> None:
        self.requests += 1
        exchange.answer(Answer(status=201))


@pytest.fixture(params=["h2", "http/1.1"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    running = Server(tmp_path, request.param)
    await running.http.start()
    yield running
    await running.http.stop()


def transport(server: Server, *networks: str, **given: Any) -> Transport:
    allowed = PublicAddresses(tuple(map(ip_network, networks)))
    return Transport(Egress(tls=Tls(ca_file=server.ca_file.ca_file)), only_to=allowed, **given)


async def ask(transport: Transport, port: int, host: str = "localhost") -> Response:
    request = Request(f"https://{host}:{port}/x", [b"ttl: 0"], b"body")
    (answer,) = await post_each(transport, [request], deadline=5)
    return answer


async def test_no_connection_is_made_to_a_private_address(server: Server) -> None:
    refusing = transport(server)
    for host in ("localhost", "127.0.0.1", "0x7f.0.0.1"):
        answer = await ask(refusing, server.http.port, host)
        assert (answer.status, answer.is_forbidden) == (0, True)
        assert "no public address" in answer.failure
    assert (server.requests, len(server.http.connections)) == (0, 0)
    await refusing.close()
    allowing = transport(server, "127.0.0.0/8")
    assert (await ask(allowing, server.http.port)).status == 201
    await allowing.close()


async def test_a_name_that_changes_is_looked_at_with_each_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: what was allowed a moment ago leads elsewhere now."""
    names = Changing("127.0.0.1", "169.254.169.254")
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)
    allowing = transport(server, "127.0.0.1/32", close_after=0.01)
    assert (await ask(allowing, server.http.port)).status == 201
    while allowing.open_origins:
        await asyncio.sleep(0.01)
    answer = await ask(allowing, server.http.port)
    assert (answer.is_forbidden, names.asked) == (True, 2)
    assert "169.254.169.254" in answer.failure
    await allowing.close()


async def test_libcurl_connects_to_what_was_looked_at(tmp_path: Path) -> None:
    """HTTP/1.1 resolves names by libcurl, which asks once more; without HTTP/2 it is the only one that asks."""
    server = Server(tmp_path, "http/1.1")
    await server.http.start()
    refusing = transport(server, http2=False)
    answer = await ask(refusing, server.http.port)
    assert (answer.is_forbidden, answer.failure) == (True, "127.0.0.1 is no public address")
    assert server.requests == 0
    await refusing.close()
    allowing = transport(server, "127.0.0.1/32", http2=False)
    for _ in range(3):
        assert (await ask(allowing, server.http.port)).status == 201
    await allowing.close()
    await server.http.stop()
