"""Connections of a listener: who is admitted, who is answered that there is no room, who is closed."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge import descriptors
from bridge.admin.connections import (
    SPARE,
    Admission,
    ConnectionLimits,
    IdleConnections,
    Standing,
    client_of,
    limits_of,
)
from bridge.admin.listener import Listener
from bridge.config.models.credentials import ListenerTls
from bridge.config.models.listeners import Connections, Listen
from bridge.observe.facts import Limit
from sandbox.tls import Authority
from tests.bridge.test_listener import everything
from tests.fakes.clock import FakeClock

HELLO = PlainTextResponse("hello")
ADMITTED, REFUSED, CLOSED = Standing.ADMITTED, Standing.REFUSED, Standing.CLOSED
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "address, client",
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
    ],
)
def test_a_client_is_an_address_or_a_network_that_one_host_has(address: str, client: str) -> None:
    assert client_of(address) == client


def test_one_client_leaves_room_for_others_and_all_of_them_stay_within_the_total() -> None:
    admission = Admission(ConnectionLimits(total=3, per_client=2))
    standings = [admission.admit(address) for address in ("a", "a", "a", "b", "b", "c")]
    assert standings == [ADMITTED, ADMITTED, REFUSED, ADMITTED, REFUSED, REFUSED]
    admission.leave("a", REFUSED)
    admission.leave("a", ADMITTED)
    assert admission.admit("c") is ADMITTED
    assert admission.open == 3


def test_connections_over_the_limit_are_answered_up_to_a_few_and_then_closed() -> None:
    admission = Admission(ConnectionLimits(total=1, per_client=1))
    admission.admit("a")
    of_one = [admission.admit("a") for _ in range(SPARE)]
    assert of_one == [REFUSED] * (SPARE // 4) + [CLOSED] * (SPARE * 3 // 4)
    of_many = [admission.admit(str(number)) for number in range(SPARE)]
    assert of_many.count(REFUSED) == SPARE * 3 // 4
    for _ in range(SPARE // 4):
        admission.leave("a", REFUSED)
    assert admission.admit("a") is REFUSED


def test_each_refusal_is_told_with_the_limit_it_was_over() -> None:
    told: list[Limit] = []
    admission = Admission(ConnectionLimits(total=2, per_client=1), on_refused=told.append)
    for client in ("a", "a", "b", "c", "b"):
        admission.admit(client)
    assert told == [Limit.PER_CLIENT, Limit.TOTAL, Limit.PER_CLIENT]


def test_trouble_is_told_for_ten_seconds_after_the_last_refusal() -> None:
    clock = FakeClock()
    admission = Admission(ConnectionLimits(total=1, per_client=1), clock=clock)
    admission.admit("a")
    assert admission.trouble == ""
    admission.admit("a")
    admission.admit("a")
    assert admission.trouble.startswith("at its limit: 1 of 1 connections are open")
    assert admission.trouble.endswith("2 were refused")
    clock.advance(10)
    assert admission.trouble == ""
    admission.admit("a")
    assert admission.trouble.endswith("1 were refused")


@pytest.mark.parametrize(
    "files, configured, total, per_client",
    [
        (1024, Connections(), 512, 256),
        (1_000_000, Connections(), 2000, 500),
        (1_000_000, Connections(max=10, max_per_client=100), 10, 5),
        (1_000_000, Connections(max=1), 1, 1),
        (64, Connections(), 16, 8),
    ],
)
def test_the_limit_of_open_files_lowers_what_is_configured(
    files: int, configured: Connections, total: int, per_client: int
) -> None:
    limits = limits_of(configured, allowed=descriptors.share(files, 2 / 3))
    assert (limits.total, limits.per_client) == (total, per_client)


@contextlib.asynccontextmanager
async def listening(
    limits: ConnectionLimits, app: ASGIApp = HELLO, *, tls: ListenerTls | None = None
) -> AsyncIterator[Listener]:
    listener = Listener(app, Listen("127.0.0.1", 0), limits=limits, always=frozenset({"/livez"}), tls=tls)
    await listener.open()
    try:
        yield listener
    finally:
        await listener.close()


async def ask(listener: Listener, path: bytes) -> bytes:
    """What is answered on a connection of its own, which the other side closes."""
    reader, writer = await asyncio.open_connection(*listener.address)
    try:
        writer.write(GET % path)
        return await everything(reader)
    finally:
        writer.close()


async def test_over_the_limit_all_but_health_is_answered_503_and_closed() -> None:
    async with listening(ConnectionLimits(total=1, per_client=1)) as listener:
        _, holding = await asyncio.open_connection(*listener.address)
        refused = await ask(listener, b"/")
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 5" in refused
        assert (await ask(listener, b"/livez")).startswith(b"HTTP/1.1 200 ")
        holding.close()
        while listener.admission.open:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(GET % b"/")
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_a_connection_that_begins_no_tls_counts_and_is_closed_in_time(tmp_path: Path) -> None:
    authority, pair = Authority(tmp_path), tmp_path / "server.pem"
    limits = ConnectionLimits(total=2, per_client=2, head=0.3)
    async with (
        listening(limits, tls=ListenerTls(cert=pair, key=pair)) as listener,
        httpx.AsyncClient(verify=ssl.create_default_context(cafile=authority.ca_file), timeout=20) as client,
    ):
        url = f"https://localhost:{listener.address.port}"
        assert (await client.get(url)).text == "hello"
        await client.aclose()
        while listener.admission.open:
            await asyncio.sleep(0.01)
        silent = [await asyncio.open_connection(*listener.address) for _ in range(2)]
        while listener.admission.open < 2:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(20):
            for reader, writer in silent:
                assert await everything(reader) == b""
                writer.close()
            while listener.admission.open:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "begun, answers", [(b"", 0), (b"GET / HTTP/1.1\r\nX: ", 0), (GET % b"/" + b"GET / HTTP/1.1\r\n", 1)]
)
async def test_the_header_of_a_request_has_a_time_of_its_own(begun: bytes, answers: int) -> None:
    async with listening(ConnectionLimits(head=0.2, idle=3600)) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(begun)
        async with asyncio.timeout(20):
            assert (await everything(reader)).count(b"200 OK") == answers
        writer.close()


async def test_a_header_that_is_dripped_in_is_given_up_too() -> None:
    async with listening(ConnectionLimits(head=0.3)) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)

        async def drip() -> None:
            writer.write(b"GET / HTTP/1.1\r\nX: ")
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"a")
                    await writer.drain()
                    await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(20):
            assert await everything(reader) == b""
        dripping.cancel()
        writer.close()


async def test_between_two_requests_a_connection_is_kept_for_the_idle_time() -> None:
    async with listening(ConnectionLimits(head=0.1, idle=0.6)) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)
        for _ in range(2):
            writer.write(GET % b"/")
            await reader.readuntil(b"hello")
            await asyncio.sleep(0.3)  # longer than a header may take
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


class Kept:
    """An idle connection that is closed when asked, or has an answer to write."""

    def __init__(self, *, writes: bool = False) -> None:
        self.writes = writes
        self.is_closed = False

    def give_up(self) -> bool:
        self.is_closed = not self.writes
        return self.is_closed


def test_the_connection_that_has_been_idle_longest_makes_room() -> None:
    idle = IdleConnections()
    kept = [Kept(), Kept(writes=True), Kept(), Kept(), Kept()]
    for connection, client in zip(kept, ("a", "b", "b", "a", "b"), strict=True):
        idle.add(connection, client)
    idle.remove(kept[0])  # it has a request
    idle.make_room(Limit.TOTAL, "c")
    assert [connection.is_closed for connection in kept] == [False, False, True, False, False]
    idle.make_room(Limit.PER_CLIENT, "b")
    assert [connection.is_closed for connection in kept] == [False, False, True, False, True]
    idle.add(kept[0], "a")
    idle.make_room(Limit.PER_CLIENT, "a")
    idle.make_room(Limit.PER_CLIENT, "c")
    assert [connection.is_closed for connection in kept] == [False, False, True, True, True]


def test_a_listener_waits_longer_for_a_request_than_load_balancers_keep_connections() -> None:
    assert limits_of(Connections(), allowed=2000).idle == ConnectionLimits().idle == 75


@pytest.mark.parametrize("total, per_client", [(2, 3), (3, 2)])
@pytest.mark.parametrize("is_secure", [False, True])
async def test_at_a_limit_a_new_connection_has_the_place_of_an_idle_one(
    total: int, per_client: int, is_secure: bool, tmp_path: Path
) -> None:
    authority, pair = Authority(tmp_path), tmp_path / "server.pem"
    tls = ListenerTls(cert=pair, key=pair) if is_secure else None
    context = ssl.create_default_context(cafile=authority.ca_file) if is_secure else None
    limits = ConnectionLimits(total=total, per_client=per_client)
    async with listening(limits, tls=tls) as listener, asyncio.timeout(20):
        opened = []
        for _ in range(6):
            reader, writer = await asyncio.open_connection("localhost", listener.address.port, ssl=context)
            opened.append((reader, writer))
            writer.write(GET % b"/")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
            assert listener.admission.open <= 2
        for reader, _ in opened[:4]:
            assert await everything(reader) == b""
        for reader, writer in opened[4:]:
            writer.write(GET % b"/")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        assert listener.admission.trouble == ""
        for _, writer in opened:
            writer.close()


async def test_a_connection_with_a_request_under_way_or_an_answer_to_write_makes_no_room() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    long = PlainTextResponse("x" * 20_000_000)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/long":
            await long(scope, receive, send)
        else:
            if scope["path"] == "/slow":
                asked.set()
                await answer.wait()
            await HELLO(scope, receive, send)

    async with listening(ConnectionLimits(total=2, per_client=2), app) as listener, asyncio.timeout(20):
        unread, behind = await asyncio.open_connection(*listener.address)
        behind.write(GET % b"/long")
        await unread.readuntil(b"\r\n\r\n")
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(GET % b"/")
        await reader.readuntil(b"hello")  # idle now, and not any more:
        writer.write(GET % b"/slow")
        await asked.wait()
        assert (await ask(listener, b"/")).startswith(b"HTTP/1.1 503 ")
        answer.set()
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        assert len(await unread.readexactly(20_000_000)) == 20_000_000
        behind.close()
        writer.close()
