"""The HTTP/2 client on bad networks and before peers that mean harm: each batch ends, and nothing goes round in circles."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.egress import Egress
from hub.requests import RequestGroup
from hub.tls import Tls
from hub.transport.client import Transport
from hub.transport.http2 import frames
from hub.transport.http2.connection import Http2Connection, Http2Error
from hub.transport.http2.frames import END_STREAM, Code, Kind, Setting
from hub.transport.requests import Batch, Response
from sandbox.tls import Authority
from tests.fakes.requests import Request, post_each
from tests.hub.transport.peer import Script, Talk, network, relay, scripted

DOUBT = 0.2
GROUP = RequestGroup("https://x", (), "/", (), [], "id", (), ())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def transport(authority: Authority) -> AsyncIterator[Transport]:
    transport = Transport(Egress(tls=Tls(ca_file=authority.ca_file)), connections=1, doubt=DOUBT)
    yield transport
    await transport.close()


async def post(
    transport: Transport, origin: str, count: int = 1, *, body: bytes = b"{}", deadline: float = 60
) -> list[Response]:
    requests = [Request(f"{origin}/{number}", [b"content-type: application/json"], body) for number in range(count)]
    return await post_each(transport, requests, deadline=deadline)


async def answering(talk: Talk) -> None:
    await talk.greet()
    while True:
        talk.answer((await talk.request()).stream)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)


async def trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A handshake that never ends: one record of 16 kB, a byte at a time."""
    writer.write(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xf0")
    while True:
        writer.write(b"\0")
        await writer.drain()
        await asyncio.sleep(DOUBT / 10)


# Opening


@pytest.mark.parametrize("stage", [silent, trickling])
async def test_a_handshake_without_an_end_is_given_up_and_said_to_be_one(
    authority: Authority, transport: Transport, stage: Script
) -> None:
    async with scripted(authority, answering) as peer, network(stage, relay(peer)) as origin:  # type: ignore[arg-type]
        (failed,) = await post(transport, origin)
        assert (
            failed.failure == f"{origin.removeprefix('https://')}: no connection in 0.4 s: the TLS handshake has no end"
        )
        assert not failed.timed_out
        assert [each.status for each in await post(transport, origin)] == [200]


async def test_dns_that_does_not_answer_is_named(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hanging(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hanging)
    (failed,) = await post(transport, "https://push.example")
    assert failed.failure == "push.example:443: no connection in 0.4 s: DNS does not answer for push.example"


async def test_renewing_while_a_connection_is_being_opened_opens_another_at_once(authority: Authority) -> None:
    transport = Transport(Egress(tls=Tls(ca_file=authority.ca_file)), doubt=60)
    held = asyncio.Event()

    async def holding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.set()
        await reader.read(-1)

    async with scripted(authority, answering) as peer, network(holding, relay(peer)) as origin:
        posting = asyncio.create_task(post(transport, origin, 3))
        await held.wait()
        transport.renew(since=transport.generation)
        assert [each.status for each in await posting] == [200] * 3
        await transport.close()


async def test_an_origin_that_can_have_no_connection_takes_no_place_from_others(authority: Authority) -> None:
    transport = Transport(Egress(tls=Tls(ca_file=authority.ca_file)), origins=1)
    async with scripted(authority, answering) as peer:
        (failed,) = await post(transport, "http://127.0.0.1:1")
        assert "https" in failed.failure
        assert [each.status for each in await post(transport, peer.origin, deadline=60)] == [200]
        await transport.close()


# Ending


async def ready_and_gone(talk: Talk) -> None:
    await talk.greet()


async def refusing_all(talk: Talk) -> None:
    await talk.greet()
    talk.send(frames.frame(Kind.GOAWAY, struct.pack(">II", 0, Code.NO_ERROR) + b"not\nnow"))
    await talk.until_left()


async def taking_one(talk: Talk) -> None:
    await talk.greet()
    stream = (await talk.request()).stream
    talk.send(frames.frame(Kind.GOAWAY, struct.pack(">II", stream, Code.NO_ERROR)))


@pytest.mark.parametrize("script", [ready_and_gone, refusing_all, taking_one])
async def test_a_peer_that_never_answers_is_not_connected_to_over_and_over(
    authority: Authority, transport: Transport, script: Script
) -> None:
    async with scripted(authority, script) as peer:
        answers = await post(transport, peer.origin, 500)
        assert len(peer.talks) <= 4
    where = peer.origin.removeprefix("https://")
    assert all(each.failure.startswith(f"{where}: the service closed the connection") for each in answers)
    assert ("not now" in answers[-1].failure) is (script is refusing_all)


async def test_connections_that_only_finish_are_bounded(authority: Authority, transport: Transport) -> None:
    finishing, most = set(), 0

    async def one_each(talk: Talk) -> None:
        nonlocal most
        await talk.greet()
        talk.answer((await talk.request()).stream)
        stream = (await talk.request()).stream
        talk.send(frames.frame(Kind.GOAWAY, struct.pack(">II", stream, Code.NO_ERROR)))
        finishing.add(talk)
        most = max(most, len(finishing))
        await talk.frame(Kind.PING)  # the client waits, and opens nothing more
        finishing.remove(talk)
        talk.answer(stream)
        await talk.until_left()

    async with scripted(authority, one_each) as peer:
        assert [each.status for each in await post(transport, peer.origin, 24)] == [200] * 24
    assert most == 8


async def test_a_connection_whose_peer_reads_nothing_is_cut_in_the_end(
    authority: Authority, transport: Transport
) -> None:
    """What waits to be sent would keep it open for ever, and its socket with it."""
    ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def deaf(talk: Talk) -> None:
        await talk.greet({Setting.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW})
        talk.send(frames.window_update(0, frames.MAX_WINDOW - frames.WINDOW))
        talk.answer((await talk.request()).stream)
        talk.stop_reading()
        await asyncio.sleep(4 * DOUBT)
        talk.resume_reading()
        try:
            while True:
                await talk.any_frame()
        except (asyncio.IncompleteReadError, ConnectionError):
            ended.set_result(any(each.kind == Kind.GOAWAY for each in talk.frames))

    async with scripted(authority, deaf) as peer:
        assert (await post(transport, peer.origin))[0].status == 200
        (failed,) = await post(transport, peer.origin, body=bytes(1 << 25), deadline=2 * DOUBT)
        assert failed.timed_out
        assert await asyncio.wait_for(ended, 20) is False


# What a peer says


def ready(settings: dict[Setting, int] | None = None, *, body: bytes = b"") -> tuple[Http2Connection, Batch]:
    """A connection with one request under way, on stream 1."""
    connection = Http2Connection("x", streams=100, answer_headers=False)
    connection.receive(frames.settings(settings or {}))
    batch = Batch(iter(()), asyncio.get_running_loop().create_future())
    batch.open = 1
    connection.begin(batch, GROUP, [(0, "", "1", body, "")], tries=0)
    return connection, batch


@pytest.mark.parametrize(
    "said",
    [frames.reset(1, Code.REFUSED_STREAM), frames.frame(Kind.GOAWAY, struct.pack(">II", 0, 0))],
    ids=["refused", "goaway"],
)
async def test_what_has_begun_to_answer_is_never_sent_again(said: bytes) -> None:
    connection, _ = ready()
    connection.receive(frames.headers(1, b"\x88") + said)
    assert connection.not_processed == []


@pytest.mark.parametrize(
    "flood",
    [
        frames.window_update(0, 1) * 20_000,
        frames.window_update(1, 1) * 20_000,
        frames.frame(Kind.SETTINGS, struct.pack(">HI", Setting.INITIAL_WINDOW_SIZE, 0) * 1500),
        frames.reset(1, Code.CANCEL) * 20_000,
    ],
    ids=["window of the connection", "window of a stream", "long SETTINGS", "resets"],
)
async def test_floods_end_the_connection_also_while_a_body_waits(flood: bytes) -> None:
    connection, _ = ready({Setting.INITIAL_WINDOW_SIZE: 0}, body=b"{}")
    with pytest.raises(Http2Error) as error:
        connection.receive(frames.headers(1, b"\x88") + flood)
    assert error.value.code == Code.ENHANCE_YOUR_CALM


async def test_a_header_block_that_cannot_be_read_is_not_repeated_in_words() -> None:
    connection, _ = ready()
    with pytest.raises(Http2Error) as error:
        connection.receive(frames.headers(1, b"\x7f" + b"\xff" * 16_000, flags=END_STREAM))
    assert len(str(error.value)) < 200


async def test_bytes_that_come_one_by_one_are_whole_answers(authority: Authority) -> None:
    transport = Transport(Egress(tls=Tls(ca_file=authority.ca_file)))
    async with scripted(authority, answering) as peer, network(relay(peer, chunk=1)) as origin:
        assert [each.status for each in await post(transport, origin, 20)] == [200] * 20
        await transport.close()
