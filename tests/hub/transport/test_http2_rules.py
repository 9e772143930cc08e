"""What RFC 9113, RFC 7541 and RFC 8305 ask of the HTTP/2 client, beside `test_http2.py`: each rule with a scripted peer."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.egress import Egress
from hub.requests import RequestGroup
from hub.tls import Tls
from hub.transport.client import Transport
from hub.transport.http2 import dialling, frames, wire
from hub.transport.http2.dialling import dial
from hub.transport.http2.frames import ACK, Kind, Setting
from hub.transport.requests import Response
from sandbox.tls import Authority
from tests.fakes.requests import Request, post_each
from tests.hub.transport.peer import Peer, Talk, scripted

TOKEN = [b"authorization: bearer abc", b"content-type: application/json", b"apns-topic: com.example"]
PATIENCE = 60


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def transport(authority: Authority) -> AsyncIterator[Transport]:
    transport = Transport(Egress(tls=Tls(ca_file=authority.ca_file)), connections=1)
    yield transport
    await transport.close()


async def post(transport: Transport, peer: Peer, count: int = 1, *, body: bytes = b"{}") -> list[Response]:
    asked = [Request(f"{peer.origin}/3/device/{number}", TOKEN, body) for number in range(count)]
    return await post_each(transport, asked, deadline=PATIENCE)


async def answering(talk: Talk) -> None:
    await talk.greet()
    while True:
        talk.answer((await talk.request()).stream)


async def paused(talk: Talk) -> None:
    """Until the client has gone."""
    while True:
        await talk.any_frame()


# Settings


async def test_frames_are_as_large_as_the_other_side_says_now(authority: Authority, transport: Transport) -> None:
    sizes: list[int] = []

    async def whole(talk: Talk) -> int:
        """The largest DATA frame of the next request."""
        request = await talk.request()
        talk.answer(request.stream)
        return max(len(each.payload) for each in talk.frames if (each.kind, each.stream) == (Kind.DATA, request.stream))

    async def script(talk: Talk) -> None:
        await talk.greet({Setting.MAX_FRAME_SIZE: 50_000, Setting.INITIAL_WINDOW_SIZE: 1 << 20})
        talk.send(frames.window_update(0, 1 << 24))
        talk.answer((await talk.request()).stream)
        sizes.append(await whole(talk))
        talk.send(frames.settings({Setting.MAX_FRAME_SIZE: 20_000}))
        while (await talk.any_frame()).kind != Kind.SETTINGS:  # until it is acknowledged
            pass
        sizes.append(await whole(talk))
        await paused(talk)

    async with scripted(authority, script) as peer:
        await post(transport, peer)
        for _ in range(2):
            (answer,) = await post(transport, peer, body=b"x" * 120_000)
            assert answer.status == 200
    assert sizes == [50_000, 20_000]


async def test_a_window_that_shrinks_below_what_was_sent_is_paid_back_first(
    authority: Authority, transport: Transport
) -> None:
    """RFC 9113, section 6.9.2: the window of an open stream becomes negative."""
    body = b"x" * 30_000
    came: list[int] = []

    async def script(talk: Talk) -> None:
        await talk.greet({Setting.INITIAL_WINDOW_SIZE: 10_000})
        stream = (await talk.frame(Kind.HEADERS)).stream
        received = 0
        while received < 10_000:
            received += len((await talk.frame(Kind.DATA)).payload)
        talk.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 1000}))  # 9,000 less than nothing is left
        talk.send(frames.window_update(stream, 9000))  # nothing is left
        talk.send(frames.frame(Kind.PING, b"12345678"))
        while True:  # no DATA comes before the answer to what was sent behind it
            found = await talk.any_frame()
            assert found.kind != Kind.DATA
            if found.kind == Kind.PING:
                break
        talk.send(frames.window_update(stream, 5))
        came.append(len((await talk.frame(Kind.DATA)).payload))
        talk.send(frames.window_update(stream, 1 << 20))
        while sum(came) < len(body) - 10_000:
            came.append(len((await talk.frame(Kind.DATA)).payload))
        talk.answer(stream)
        await paused(talk)

    async with scripted(authority, script) as peer:
        assert [each.status for each in await post(transport, peer, body=body)] == [200]
    assert came[0] == 5


async def test_fewer_streams_than_are_open_hold_back_the_others(authority: Authority, transport: Transport) -> None:
    async def script(talk: Talk) -> None:
        await talk.greet({Setting.MAX_CONCURRENT_STREAMS: 4})
        talk.answer((await talk.request()).stream)
        streams = [(await talk.request()).stream for _ in range(4)]
        talk.send(frames.settings({Setting.MAX_CONCURRENT_STREAMS: 1}))
        for stream in streams[:3]:
            talk.answer(stream)
        talk.send(frames.frame(Kind.PING, b"12345678"))
        while True:
            found = await talk.any_frame()
            assert found.kind != Kind.HEADERS  # one is open still, and one is allowed
            if found.kind == Kind.PING and found.flags & ACK:
                break
        talk.answer(streams[3])
        while True:
            talk.answer((await talk.request()).stream)

    async with scripted(authority, script) as peer:
        assert [each.status for each in await post(transport, peer, 9)] == [200] * 9


async def test_a_window_of_nothing_costs_a_request_its_deadline_and_no_more(
    authority: Authority, transport: Transport
) -> None:
    """Whoever answers each PING and never opens a window holds no request beyond its time, nor those behind it."""
    given_up: list[int] = []

    async def script(talk: Talk) -> None:
        await talk.greet({Setting.INITIAL_WINDOW_SIZE: 0})
        while True:
            found = await talk.frame(Kind.PING, Kind.RST_STREAM, Kind.DATA)
            assert found.kind != Kind.DATA
            if found.kind == Kind.PING:
                talk.send(frames.frame(Kind.PING, found.payload, flags=ACK))
            else:
                given_up.append(found.stream)

    async with scripted(authority, script, answering) as peer:
        asked = [Request(f"{peer.origin}/3/device/1", TOKEN, b"{}")]
        (answer,) = await post_each(transport, asked, deadline=1)
        assert answer.timed_out
        assert [each.status for each in await post(transport, peer)] == [200]
        async with asyncio.timeout(PATIENCE):
            while not given_up:
                await asyncio.sleep(0.001)
    assert given_up == [1]


# Header fields


async def test_what_differs_between_pushes_is_not_put_into_the_table(
    authority: Authority, transport: Transport
) -> None:
    """Apple's advice: path, id and collapse id are literals that no table keeps, what stays the same is indexed."""
    kept: list[set[bytes]] = []

    async def script(talk: Talk) -> None:
        await talk.greet()
        while True:
            talk.answer((await talk.request()).stream)
            kept.append({bytes(name) for name, _ in talk._decoder.header_table.dynamic_entries})

    async with scripted(authority, script) as peer:
        for count in (1, 2, 30):  # one is written by itself, others together
            group = RequestGroup(
                peer.origin,
                range(count),
                "/3/device/",
                [f"{number:064x}" for number in range(count)],
                TOKEN,
                "apns-id",
                [f"id-{number:02}" for number in range(count)],
                [b"{}"] * count,
                "apns-collapse-id",
                [f"key-{number:02}" for number in range(count)],
            )
            answers = await transport.post([group], deadline=PATIENCE)
            assert (answers.plain, answers.others) == (count, {})
    assert kept == [{b":authority", b"authorization", b"content-type", b"apns-topic"}] * 33


# Silence


async def test_an_idle_connection_is_asked_and_one_that_is_dead_is_left_before_it_is_needed(
    authority: Authority, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_ASK_IDLE", 0.05)
    asked: list[int] = []
    left = asyncio.Event()

    async def dying(talk: Talk) -> None:
        await talk.greet()
        talk.answer((await talk.request()).stream)
        for _ in range(3):
            ping = await talk.frame(Kind.PING)
            asked.append(ping.flags)
            talk.send(frames.frame(Kind.PING, ping.payload, flags=ACK))
        try:
            await paused(talk)  # says nothing any more
        finally:
            left.set()

    transport = Transport(Egress(tls=Tls(ca_file=authority.ca_file)), connections=1, doubt=1.0)
    async with scripted(authority, dying, answering) as peer:
        assert [each.status for each in await post(transport, peer)] == [200]
        async with asyncio.timeout(PATIENCE):
            await left.wait()
        assert [each.status for each in await post(transport, peer)] == [200]
        assert len(peer.talks) == 2
    await transport.close()
    assert asked == [0, 0, 0]


# TLS


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_of_tls_serve_with_the_name_of_the_host_and_what_is_spoken(
    authority: Authority, transport: Transport, version: ssl.TLSVersion
) -> None:
    context = authority.server_context(["h2"])
    context.minimum_version = context.maximum_version = version
    names: list[str | None] = []
    context.sni_callback = lambda connection, name, context: names.append(name)
    spoken: list[tuple[str | None, str | None]] = []

    async def script(talk: Talk) -> None:
        found = talk._writer.get_extra_info("ssl_object")
        spoken.append((found.version(), found.selected_alpn_protocol()))
        await answering(talk)

    peer = Peer("", [script])
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=context)
    try:
        peer.origin = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        assert [each.status for each in await post(transport, peer)] == [200]
    finally:
        server.close()
    assert names == ["localhost"]
    assert spoken == [(version.name.replace("_", "."), "h2")]


# Addresses


async def test_an_address_that_says_nothing_is_passed_over_and_both_families_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 8305: the next address is tried beside one that does not answer, IPv6 and IPv4 by turns, each once."""
    tried: list[str] = []
    given_up: list[str] = []

    async def connect_to(family: int, address: Any) -> socket.socket:
        tried.append(address[0])
        if len(tried) == 4:
            return socket.socket(family, socket.SOCK_STREAM)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up.append(address[0])
            raise
        raise AssertionError

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        addresses = ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"]
        families = [socket.AF_INET6, socket.AF_INET6, socket.AF_INET, socket.AF_INET]
        return [(family, 1, 6, "", (each, port)) for family, each in zip(families, addresses, strict=True)]

    monkeypatch.setattr(dialling, "_connect_to", connect_to)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with asyncio.timeout(PATIENCE):
        connected = await dial("push.example", 443, None)
        connected.close()
        while len(given_up) < 3:
            await asyncio.sleep(0)
    assert tried == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"]
    assert sorted(given_up) == sorted(tried[:3])


async def test_a_new_connection_asks_for_the_addresses_again(
    authority: Authority, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that moves: what its name leads to is asked with each connection."""
    ports: list[int] = []
    asked = asyncio.get_running_loop().getaddrinfo

    async def getaddrinfo(host: Any, port: Any, **more: Any) -> list[Any]:
        if host != "localhost" or not ports:
            return await asked(host, port, **more)
        return await asked("127.0.0.1", ports[-1], **more)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with scripted(authority, leaving) as old, scripted(authority, answering) as new:
        named = Peer(old.origin.replace("127.0.0.1", "localhost"), [])
        ports.append(int(old.origin.rpartition(":")[2]))
        assert [each.status for each in await post(transport, named)] == [200]
        ports.append(int(new.origin.rpartition(":")[2]))
        assert [each.status for each in await post(transport, named)] == [200]
        assert (len(old.talks), len(new.talks)) == (1, 1)


async def leaving(talk: Talk) -> None:
    """Answers one request and says good-bye."""
    await talk.greet()
    stream = (await talk.request()).stream
    talk.send(frames.frame(Kind.GOAWAY, struct.pack(">II", stream, 0)))
    talk.answer(stream)
    await talk.until_left()
