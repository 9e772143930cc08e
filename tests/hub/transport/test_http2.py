"""The HTTP/2 client against a server that does what a test says: what RFC 9113 asks of it, and what it has to survive."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hub.egress import Egress
from hub.requests import RequestGroup, joined
from hub.tls import Tls
from hub.transport.client import Transport
from hub.transport.http2 import frames
from hub.transport.http2.connection import Http2Connection
from hub.transport.http2.frames import ACK, END_HEADERS, END_STREAM, Code, Kind, Setting
from hub.transport.requests import Batch, Response
from sandbox.tls import Authority
from tests.brokers.ways import asking_for, client_certificate
from tests.fakes.requests import Request, post_each
from tests.hub.transport.peer import Peer, Received, Script, Talk, scripted

TOKEN = [b"authorization: bearer abc", b"content-type: application/json"]


GROUP = RequestGroup("https://x", (), "/", (), [], "id", (), ())


def begun_batch() -> Batch:
    return Batch(iter(()), asyncio.get_running_loop().create_future())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def transport(authority: Authority) -> AsyncIterator[Transport]:
    transport = Transport(Egress(tls=Tls(ca_file=authority.ca_file)), connections=1, doubt=0.2)
    yield transport
    await transport.close()


def requests(peer: Peer, count: int, *, body: bytes = b"{}", headers: list[bytes] = TOKEN) -> list[Request]:
    return [Request(f"{peer.origin}/3/device/{number}", headers, body) for number in range(count)]


async def post(transport: Transport, peer: Peer, count: int = 1, *, body: bytes = b"{}") -> list[Response]:
    return await post_each(transport, requests(peer, count, body=body), deadline=20)


def answering(settings: dict[Setting, int] | None = None, *, seen: list[Received] | None = None) -> Script:
    """A server as servers are."""

    async def script(talk: Talk) -> None:
        await talk.greet(settings)
        while True:
            request = await talk.request()
            if seen is not None:
                seen.append(request)
            talk.answer(request.stream)

    return script


async def paused(talk: Talk) -> None:
    """Until the client has gone."""
    while True:
        await talk.any_frame()


# Requests


async def test_what_requests_share_is_sent_once_and_every_request_is_whole(
    authority: Authority, transport: Transport
) -> None:
    seen: list[Received] = []
    async with scripted(authority, answering(seen=seen)) as peer:
        group = RequestGroup(
            peer.origin,
            range(300),
            "/3/device/",
            [f"{number:064x}" for number in range(300)],
            [*TOKEN, b"apns-topic: com.example", b"apns-collapse-id: 50% off"],
            "apns-id",
            [f"id-{number}" for number in range(300)],
            [b'{"n":%d}' % number for number in range(300)],
        )
        answers = await transport.post([group], deadline=20)
        size = sum(len(frame.payload) for frame in peer.talks[0].frames if frame.kind == Kind.HEADERS)
    assert (answers.plain, answers.others) == (300, {})
    for number, request in enumerate(sorted(seen, key=lambda each: each.stream)):
        assert request.fields == {
            ":method": "POST",
            ":scheme": "https",
            ":authority": peer.origin.removeprefix("https://"),
            ":path": f"/3/device/{number:064x}",
            "authorization": "bearer abc",
            "content-type": "application/json",
            "apns-topic": "com.example",
            "apns-collapse-id": "50% off",
            "content-length": str(len(b'{"n":%d}' % number)),
            "apns-id": f"id-{number}",
        }
        assert request.body == b'{"n":%d}' % number
    assert size / 300 < 200


async def test_requests_that_were_joined_carry_their_own_keys(authority: Authority, transport: Transport) -> None:
    """Whatever their number: one is written by itself, some are written together, and long ones alone again."""
    seen: list[Received] = []
    async with scripted(authority, answering(seen=seen)) as peer:
        for count, shortest in ((1, 4), (12, 4), (12, 9)):
            before = len(seen)
            groups = [
                RequestGroup(
                    peer.origin,
                    [number],
                    "/3/device/",
                    [f"{number:064x}"],
                    TOKEN,
                    "apns-id",
                    [f"id-{number}"],
                    [b"x" * (shortest + number)],
                    "apns-collapse-id",
                    [f"{number}% off"],
                )
                for number in range(count)
            ]
            answers = await transport.post(joined(groups), deadline=20)
            assert (answers.plain, answers.others) == (count, {})
            found = {request.fields["apns-id"]: request for request in seen[before:]}
            for number in range(count):
                request = found[f"id-{number}"]
                assert request.fields["apns-collapse-id"] == f"{number}% off"
                assert request.fields[":path"] == f"/3/device/{number:064x}"
                assert request.body == b"x" * (shortest + number)


async def test_tokens_that_are_renewed_do_not_fill_the_table_for_good(
    authority: Authority, transport: Transport
) -> None:
    seen: list[Received] = []
    async with scripted(authority, answering(seen=seen)) as peer:
        for number in range(30):
            token = b"authorization: bearer " + b"%03d" % number * 100
            await post_each(transport, requests(peer, 40, headers=[token]), deadline=20)
        late = [frame for frame in peer.talks[0].frames if frame.kind == Kind.HEADERS][-30:]
    assert {request.fields["authorization"][:10] for request in seen[-40:]} == {"bearer 029"}
    assert max(len(frame.payload) for frame in late) < 200


@pytest.mark.parametrize("size", [0, 60, 4096, 1 << 20])
async def test_the_table_of_headers_is_as_large_as_the_other_side_says(
    authority: Authority, transport: Transport, size: int
) -> None:
    """The decoder of the other side ends the connection where an entry is named that it does not have."""
    seen: list[Received] = []

    async def script(talk: Talk) -> None:
        await talk.greet()
        first = await talk.request()
        talk._decoder.max_allowed_table_size = min(size, 4096)
        talk.send(frames.settings({Setting.HEADER_TABLE_SIZE: size}))
        talk.answer(first.stream)
        for _ in range(50):
            request = await talk.request()
            seen.append(request)
            talk.answer(request.stream)
        await paused(talk)

    async with scripted(authority, script) as peer:
        assert [response.status for response in await post(transport, peer, 51)] == [200] * 51
    assert {request.fields["authorization"] for request in seen} == {"bearer abc"}


async def test_headers_larger_than_a_frame_go_on_in_others(authority: Authority, transport: Transport) -> None:
    seen: list[Received] = []
    async with scripted(authority, answering(seen=seen)) as peer:
        large = [b"x-large: " + b"a" * 40_000]
        assert [each.status for each in await post_each(transport, requests(peer, 3, headers=large), deadline=20)] == [
            200
        ] * 3
    assert {len(request.fields["x-large"]) for request in seen} == {40_000}


async def test_a_body_larger_than_a_frame_and_than_the_windows_waits_for_them(
    authority: Authority, transport: Transport
) -> None:
    body = bytes(range(256)) * 1000
    got: list[bytes] = []

    async def script(talk: Talk) -> None:
        await talk.greet({Setting.INITIAL_WINDOW_SIZE: 100})
        stream = (await talk.frame(Kind.HEADERS)).stream
        received = (await talk.frame(Kind.DATA)).payload
        assert len(received) == 100
        talk.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 50_000}))
        while len(received) < 50_000:
            part = (await talk.frame(Kind.DATA)).payload
            assert len(part) <= 16_384
            received += part
        assert len(received) == 50_000
        talk.send(frames.window_update(stream, 1 << 20))
        while len(received) < 65_535:
            received += (await talk.frame(Kind.DATA)).payload
        assert len(received) == 65_535
        talk.send(frames.window_update(0, 1 << 20))
        while len(received) < len(body):
            received += (await talk.frame(Kind.DATA)).payload
        got.append(received)
        talk.answer(stream)
        await paused(talk)

    async with scripted(authority, script) as peer:
        assert [response.status for response in await post(transport, peer, body=body)] == [200]
    assert got == [body]


async def test_the_window_of_the_connection_holds_back_small_requests_too(
    authority: Authority, transport: Transport
) -> None:
    async def script(talk: Talk) -> None:
        await talk.greet()
        talk.answer((await talk.request()).stream)
        streams = [(await talk.request()).stream for _ in range(15)]
        before = sum(len(frame.payload) for frame in talk.frames if frame.kind == Kind.DATA)
        assert before <= 65_535
        talk.send(frames.window_update(0, 1 << 20))
        for stream in streams:
            talk.answer(stream)
        while True:
            talk.answer((await talk.request()).stream)

    async with scripted(authority, script) as peer:
        answers = await post(transport, peer, 100, body=b"x" * 4000)
    assert [response.status for response in answers] == [200] * 100


async def test_a_limit_of_no_streams_is_obeyed_until_it_is_raised(authority: Authority, transport: Transport) -> None:
    async def script(talk: Talk) -> None:
        await talk.greet({Setting.MAX_CONCURRENT_STREAMS: 0})
        await asyncio.sleep(0.1)
        assert not [frame for frame in talk.frames if frame.kind == Kind.HEADERS]
        talk.send(frames.settings({Setting.MAX_CONCURRENT_STREAMS: 1}))
        for _ in range(5):
            request = await talk.request()
            await asyncio.sleep(0.01)
            assert talk.frames[-1].stream == request.stream
            talk.answer(request.stream)
        await paused(talk)

    async with scripted(authority, script) as peer:
        assert [response.status for response in await post(transport, peer, 5)] == [200] * 5


async def test_a_connection_is_left_before_its_stream_ids_run_out() -> None:
    first = frames.MAX_STREAM - 200_010
    connection = Http2Connection("x", streams=100, answer_headers=False, first_stream=first)
    connection.receive(frames.settings({}))
    connection.begin(begun_batch(), GROUP, [(number, "", "1", b"", "") for number in range(10)], tries=0)
    assert connection.is_leaving
    assert connection.room == 0


# Answers


async def test_answers_in_every_form_are_understood(authority: Authority, transport: Transport) -> None:
    def padded(talk: Talk, stream: int) -> None:
        block = talk.encoded((":status", "200"))
        talk.send(frames.frame(Kind.HEADERS, b"\x05" + bytes(5) + block + bytes(5), flags=0x2C, stream=stream))
        talk.send(frames.frame(Kind.DATA, b"\x03abc" + bytes(3), flags=0x9, stream=stream))

    def in_parts(talk: Talk, stream: int) -> None:
        block = talk.encoded((":status", "410"), ("apns-id", "x"))
        talk.send(frames.frame(Kind.HEADERS, block[:1], stream=stream))
        talk.send(frames.frame(Kind.CONTINUATION, block[1:3], stream=stream))
        talk.send(frames.frame(Kind.CONTINUATION, block[3:], flags=END_HEADERS, stream=stream))
        talk.send(frames.frame(Kind.DATA, b"gone", stream=stream))
        talk.send(frames.frame(Kind.DATA, b"", flags=END_STREAM, stream=stream))

    def after_early_hints(talk: Talk, stream: int) -> None:
        for status in ("100", "103"):
            talk.send(frames.headers(stream, talk.encoded((":status", status))))
        talk.answer(stream, 429, [("retry-after", "7")])

    def with_trailers(talk: Talk, stream: int) -> None:
        talk.send(frames.headers(stream, talk.encoded((":status", "503"))))
        talk.send(frames.frame(Kind.DATA, b"later", stream=stream))
        talk.send(frames.headers(stream, talk.encoded(("x-checksum", "1")), flags=END_STREAM))

    def reset_after_the_answer(talk: Talk, stream: int) -> None:
        talk.send(frames.headers(stream, talk.encoded((":status", "413"))))
        talk.send(frames.reset(stream, Code.NO_ERROR))

    forms = [padded, in_parts, after_early_hints, with_trailers, reset_after_the_answer]

    async def script(talk: Talk) -> None:
        await talk.greet()
        for form in forms:
            form(talk, (await talk.request()).stream)
        await paused(talk)

    async with scripted(authority, script) as peer:
        answers = await post(transport, peer, len(forms))
    assert answers == [
        Response(200, {}, b"abc"),
        Response(410, {}, b"gone"),
        Response(429, {"retry-after": "7"}, b""),
        Response(503, {}, b"later"),
        Response(413),
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda talk, stream: talk.send(frames.reset(stream, Code.INTERNAL_ERROR)), "INTERNAL_ERROR"),
        (lambda talk, stream: talk.send(frames.headers(stream, talk.encoded(("a", "b")), flags=END_STREAM)), "status"),
        (lambda talk, stream: talk.answer(stream, 1234), "status"),
        (lambda talk, stream: talk.answer(stream, 103), "not the last"),
        (lambda talk, stream: talk.send(frames.frame(Kind.DATA, b"x", stream=stream)), "before its status"),
        (lambda talk, stream: talk.answer(stream, 200, body=b"x" * 16_000), ""),
    ],
)
async def test_a_wrong_answer_is_a_failure_of_its_request_alone(
    authority: Authority, transport: Transport, wrong: Callable[[Talk, int], None], words: str
) -> None:
    async def script(talk: Talk) -> None:
        await talk.greet()
        talk.answer((await talk.request()).stream)
        wrong(talk, (await talk.request()).stream)
        talk.answer((await talk.request()).stream)
        await paused(talk)

    async with scripted(authority, script) as peer:
        before, failed, after = await post(transport, peer, 3)
        assert (before.status, after.status) == (200, 200)
        assert words in failed.failure
        assert bool(failed.failure) == bool(words)
        assert len(peer.talks) == 1


# The end of a connection


async def test_what_a_goaway_has_not_looked_at_goes_over_another_connection_and_the_rest_finishes(
    authority: Authority, transport: Transport
) -> None:
    again: list[Received] = []

    async def leaving(talk: Talk) -> None:
        await talk.greet()
        talk.answer((await talk.request()).stream)
        streams = [(await talk.request()).stream for _ in range(4)]
        talk.send(frames.frame(Kind.GOAWAY, struct.pack(">II", frames.MAX_STREAM, 0)))
        talk.send(frames.frame(Kind.GOAWAY, struct.pack(">II", streams[1], 0)))
        await asyncio.sleep(0.05)
        talk.answer(streams[0])
        talk.answer(streams[1])
        assert await talk.until_left() is not None

    async with scripted(authority, leaving, answering(seen=again)) as peer:
        assert [response.status for response in await post(transport, peer, 5)] == [200] * 5
        assert [request.fields[":path"][-1] for request in again] == ["3", "4"]
        assert len(peer.talks) == 2


async def test_the_reason_of_a_goaway_is_told(authority: Authority, transport: Transport) -> None:
    async def script(talk: Talk) -> None:
        await talk.greet()
        stream = (await talk.request()).stream
        reason = b'{"reason":"BadCertificateEnvironment"}'
        talk.send(frames.frame(Kind.GOAWAY, struct.pack(">II", stream, Code.NO_ERROR) + reason))
        talk.close()

    async with scripted(authority, script) as peer:
        (response,) = await post(transport, peer)
    assert "BadCertificateEnvironment" in response.failure
    assert not response.timed_out


async def test_a_request_that_is_refused_for_ever_fails_in_the_end(authority: Authority, transport: Transport) -> None:
    refused = 0

    async def script(talk: Talk) -> None:
        nonlocal refused
        await talk.greet()
        while True:
            talk.send(frames.reset((await talk.request()).stream, Code.REFUSED_STREAM))
            refused += 1

    async with scripted(authority, script) as peer:
        (response,) = await post(transport, peer)
    assert "refused" in response.failure
    assert refused == 16


async def test_a_peer_that_breaks_the_connection_costs_only_what_was_under_way(
    authority: Authority, transport: Transport
) -> None:
    async def breaking(talk: Talk) -> None:
        await talk.greet()
        talk.answer((await talk.request()).stream)
        await talk.request()
        talk.close()

    async with scripted(authority, breaking, answering()) as peer:
        answers = await post(transport, peer, 3)
        assert answers[0].status == 200
        assert sum(bool(response.failure) for response in answers) in (1, 2)
        assert [response.status for response in await post(transport, peer, 3)] == [200] * 3


async def test_a_peer_that_is_silent_is_asked_and_left_when_it_does_not_answer(
    authority: Authority, transport: Transport
) -> None:
    asked: list[bytes] = []

    async def silent(talk: Talk) -> None:
        await talk.greet()
        await talk.request()
        asked.append((await talk.frame(Kind.PING)).payload)
        await paused(talk)

    loop = asyncio.get_running_loop()
    async with scripted(authority, silent, answering()) as peer:
        before = loop.time()
        (response,) = await post(transport, peer)
        assert 0.3 < loop.time() - before < 10
        assert "dead" in response.failure
        assert len(asked) == 1
        assert [response.status for response in await post(transport, peer)] == [200]


async def test_a_peer_that_is_slow_but_answers_a_ping_is_kept(authority: Authority, transport: Transport) -> None:
    async def slow(talk: Talk) -> None:
        await talk.greet()
        stream = (await talk.request()).stream
        for _ in range(4):
            ping = await talk.frame(Kind.PING)
            talk.send(frames.frame(Kind.PING, ping.payload, flags=ACK))
        talk.answer(stream)
        await paused(talk)

    async with scripted(authority, slow) as peer:
        assert [response.status for response in await post(transport, peer)] == [200]


async def test_a_peer_that_never_says_what_it_takes_is_a_failure(authority: Authority, transport: Transport) -> None:
    async with scripted(authority, paused) as peer:
        (response,) = await post(transport, peer)
    assert "no SETTINGS" in response.failure


async def test_a_ping_is_answered(authority: Authority, transport: Transport) -> None:
    async def script(talk: Talk) -> None:
        await talk.greet()
        stream = (await talk.request()).stream
        talk.send(frames.frame(Kind.PING, b"12345678"))
        pong = await talk.frame(Kind.PING)
        assert (pong.flags, pong.payload) == (ACK, b"12345678")
        talk.answer(stream)
        await paused(talk)

    async with scripted(authority, script) as peer:
        assert [response.status for response in await post(transport, peer)] == [200]


# Attacks and defects


def _many(data: bytes, count: int = 3000) -> Callable[[Talk, int], bytes]:
    return lambda talk, stream: data * count


_WRONG: dict[str, tuple[Callable[[Talk, int], bytes], Code]] = {
    "flood of SETTINGS": (_many(frames.settings({})), Code.ENHANCE_YOUR_CALM),
    "flood of PING": (_many(frames.frame(Kind.PING, bytes(8))), Code.ENHANCE_YOUR_CALM),
    "flood of unknown frames": (_many(frames.HEAD.pack(0, 0, 0x77, 0, 0)), Code.ENHANCE_YOUR_CALM),
    "flood of empty DATA": (
        lambda talk, stream: (
            frames.headers(stream, talk.encoded((":status", "200")))
            + frames.frame(Kind.DATA, b"", stream=stream) * 3000
        ),
        Code.ENHANCE_YOUR_CALM,
    ),
    "flood of early hints": (
        lambda talk, stream: frames.headers(stream, talk.encoded((":status", "103"))) * 3000,
        Code.ENHANCE_YOUR_CALM,
    ),
    "endless CONTINUATION": (
        lambda talk, stream: (
            frames.frame(Kind.HEADERS, b"", stream=stream)
            + frames.frame(Kind.CONTINUATION, bytes(16_000), stream=stream) * 100
        ),
        Code.ENHANCE_YOUR_CALM,
    ),
    "header bomb": (
        lambda talk, stream: frames.headers(
            stream, b"\x8c\x40\x01a\x7f\xa1\x1e" + b"a" * 4000 + b"\xbe" * 10_000, flags=END_STREAM
        ),
        Code.COMPRESSION_ERROR,
    ),
    "frame too large": (lambda talk, stream: frames.HEAD.pack(256, 0, Kind.DATA, 0, stream), Code.FRAME_SIZE_ERROR),
    "window too large": (
        lambda talk, stream: frames.window_update(0, frames.MAX_WINDOW) * 2,
        Code.FLOW_CONTROL_ERROR,
    ),
    "window raised by nothing": (lambda talk, stream: frames.window_update(0, 0), Code.PROTOCOL_ERROR),
    "initial window too large": (
        lambda talk, stream: frames.settings({Setting.INITIAL_WINDOW_SIZE: 1 << 31}),
        Code.FLOW_CONTROL_ERROR,
    ),
    "frame size not allowed": (
        lambda talk, stream: frames.settings({Setting.MAX_FRAME_SIZE: 100}),
        Code.PROTOCOL_ERROR,
    ),
    "pushed stream": (
        lambda talk, stream: frames.frame(Kind.PUSH_PROMISE, struct.pack(">I", 2), flags=END_HEADERS, stream=stream),
        Code.PROTOCOL_ERROR,
    ),
    "answer to nothing": (
        lambda talk, stream: frames.headers(stream + 100, b"\x88", flags=END_STREAM),
        Code.PROTOCOL_ERROR,
    ),
    "stream of the server": (lambda talk, stream: frames.headers(2, b"\x88", flags=END_STREAM), Code.PROTOCOL_ERROR),
    "interrupted headers": (
        lambda talk, stream: frames.frame(Kind.HEADERS, b"\x88", stream=stream) + frames.settings({}),
        Code.PROTOCOL_ERROR,
    ),
    "continuation of nothing": (
        lambda talk, stream: frames.frame(Kind.CONTINUATION, b"\x88", stream=stream),
        Code.PROTOCOL_ERROR,
    ),
    "padding longer than the frame": (
        lambda talk, stream: frames.frame(Kind.HEADERS, b"\xff\x88", flags=0xD, stream=stream),
        Code.PROTOCOL_ERROR,
    ),
    "headers that cannot be read": (
        lambda talk, stream: frames.headers(stream, b"\xff\xff\xff\xff", flags=END_STREAM),
        Code.COMPRESSION_ERROR,
    ),
    "PING of a wrong size": (lambda talk, stream: frames.frame(Kind.PING, b"1"), Code.FRAME_SIZE_ERROR),
    "SETTINGS of a wrong size": (lambda talk, stream: frames.frame(Kind.SETTINGS, b"1"), Code.FRAME_SIZE_ERROR),
    "RST_STREAM of a wrong size": (
        lambda talk, stream: frames.frame(Kind.RST_STREAM, b"1", stream=stream),
        Code.FRAME_SIZE_ERROR,
    ),
}


@pytest.mark.parametrize("name", _WRONG)
async def test_a_peer_that_breaks_the_rules_is_told_so_and_left(
    authority: Authority, transport: Transport, name: str
) -> None:
    make, code = _WRONG[name]
    told: list[int] = []

    async def wrong(talk: Talk) -> None:
        await talk.greet()
        stream = (await talk.request()).stream
        talk.send(make(talk, stream))
        goaway = await talk.until_left()
        if goaway is not None:
            told.append(struct.unpack(">II", goaway.payload[:8])[1])

    async with scripted(authority, wrong, answering()) as peer:
        (response,) = await post(transport, peer)
        assert "rules of HTTP/2" in response.failure
        assert [response.status for response in await post(transport, peer)] == [200]
        async with asyncio.timeout(20):
            while not told:
                await asyncio.sleep(0.001)
    assert told == [code]


async def test_late_answers_to_what_was_given_up_are_no_attack() -> None:
    connection, batch = Http2Connection("x", streams=2000, answer_headers=False), begun_batch()
    connection.receive(frames.settings({}))
    rows = [(number, "", "1", b"", "") for number in range(1500)]
    connection.begin(batch, GROUP, rows, tries=0)
    assert len(connection.cancel(batch)) == 1500
    for stream in range(1, 3000, 2):
        late = frames.headers(stream, b"\x8c") + frames.frame(Kind.DATA, b"late", flags=END_STREAM, stream=stream)
        connection.receive(late)
    assert (connection.in_flight, connection.room) == (0, 2000)


# TLS


async def test_a_certificate_is_shown_where_it_is_asked_for(authority: Authority, tmp_path: Path) -> None:
    client = client_certificate(tmp_path)
    context = asking_for(authority.server_context(["h2"]), client)
    peer = Peer("", [answering()])
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=context)
    peer.origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    statuses = []
    for tls in (Tls(ca_file=authority.ca_file), Tls(ca_file=authority.ca_file, cert=client, key=client)):
        transport = Transport(Egress(tls=tls))
        (response,) = await post(transport, peer)
        statuses.append((response.status, bool(response.failure)))
        await transport.close()
    server.close()
    assert statuses == [(0, True), (200, False)]


async def test_a_changed_file_of_certificates_is_trusted_by_the_next_connection(
    authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    file = tmp_path / "trusted.pem"
    file.write_bytes(Authority(tmp_path / "other").ca_file.read_bytes())
    transport = Transport(Egress(tls=Tls(ca_file=file)))
    async with scripted(authority, answering()) as peer:
        (refused,) = await post(transport, peer)
        file.write_bytes(authority.ca_file.read_bytes())
        (taken,) = await post(transport, peer)
        await transport.close()
    assert "certificate" in refused.failure
    assert taken.status == 200
