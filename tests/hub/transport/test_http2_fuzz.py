"""Bytes of a server that are torn, mixed up and wrong: the client says so in its own words, and loses no request.

PUSHBRIDGE_HTTP2_FRAMES sets how many frames; `make fuzz` has a million.
"""

import asyncio
import os
import random
import struct

import pytest
from hpack import Encoder

from hub.requests import RequestGroup
from hub.transport.http2 import frames
from hub.transport.http2.connection import Http2Connection, Http2Error
from hub.transport.http2.frames import Kind, Setting
from hub.transport.requests import Batch

FRAMES = int(os.environ.get("PUSHBRIDGE_HTTP2_FRAMES") or 20_000)
GROUP = RequestGroup("https://x", (), "/3/device/", (), [b"authorization: bearer abc"], "apns-id", (), ())


def made_up(rng: random.Random, encoder: Encoder, streams: int) -> bytes:
    """A frame, mostly one that a server could send."""
    stream = rng.randrange(1, max(2, streams), 2) if rng.random() < 0.9 else rng.randrange(2**31)
    kind = rng.choices(range(11), weights=[20, 50, 2, 8, 4, 1, 3, 1, 8, 3, 1])[0]
    flags = rng.choice([0, 1, 4, 5, 8, 0x20, rng.randrange(256)])
    if kind == Kind.HEADERS:
        status = rng.choice(["200", "200", "200", "410", "103", "", "x"])
        payload = encoder.encode([(":status", status), ("apns-id", "a" * rng.randrange(20))])
        if rng.random() < 0.5:
            payload = b"\x88"
    elif kind == Kind.SETTINGS:
        name = rng.choice([*Setting, 99])
        payload = struct.pack(">HI", name, rng.choice([0, 1, 100, 16_384, 65_535, 2**31 - 1, 2**32 - 1]))
        stream, flags = (0, rng.choice([0, 0, 0, 1])) if rng.random() < 0.9 else (stream, flags)
    elif kind in (Kind.RST_STREAM, Kind.WINDOW_UPDATE):
        payload = struct.pack(">I", rng.choice([0, 1, 7, 8, 65_535, 2**31 - 1]))
        stream = rng.choice([0, stream])
    elif kind == Kind.GOAWAY:
        payload = struct.pack(">II", rng.choice([0, stream, 2**31 - 1]), rng.randrange(20)) + rng.randbytes(10)
        stream = 0
    elif kind == Kind.PING:
        payload, stream = rng.randbytes(8), 0
    else:
        payload = rng.randbytes(rng.choice([0, 1, 10, 1000]))
    made = bytearray(frames.HEAD.pack(len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload)
    if rng.random() < 0.02:
        made[rng.randrange(len(made))] = rng.randrange(256)
    return bytes(made)


@pytest.mark.slow
async def test_no_bytes_make_the_client_fail_hang_or_lose_a_request() -> None:
    seed = int(os.environ.get("PUSHBRIDGE_HTTP2_SEED") or random.SystemRandom().randrange(10**9))
    rng = random.Random(seed)
    sent = connections = 0
    while sent < FRAMES:
        connections += 1
        sent += one_connection(rng, f"PUSHBRIDGE_HTTP2_SEED={seed}, connection {connections}")


def one_connection(rng: random.Random, which: str) -> int:
    connection = Http2Connection("x", streams=50, answer_headers=rng.random() < 0.2)
    batch = Batch(iter(()), asyncio.get_running_loop().create_future())
    encoder = Encoder()
    encoder.header_table_size = 0
    left, sent, begun, refused = b"", 0, 0, 0
    data = frames.settings({Setting.MAX_CONCURRENT_STREAMS: rng.choice([1, 50, 1000])})
    try:
        for _ in range(200):
            sent += 1
            data = left + data
            cut = rng.randrange(len(data) + 1) if rng.random() < 0.3 else len(data)
            left = data[cut:]
            connection.receive(data[:cut])
            refused += len(connection.not_processed)
            batch.open -= len(connection.not_processed)
            connection.not_processed.clear()
            if connection.room > 0 and rng.random() < 0.7:
                count = rng.randint(1, connection.room)
                body = b"{}" * rng.choice([1, 1, 1, 5000])
                batch.open += count
                rows = [(begun + number, f"{number:064x}", "id", body, "") for number in range(count)]
                connection.begin(batch, GROUP, rows, tries=0)
                begun += count
            connection.take_output()
            data = made_up(rng, encoder, 2 * begun)
            if rng.random() < 0.2:  # answers alike, mostly of requests that await them
                alike = rng.choice([b"\x88", b"\x88\x88"])
                streams = [rng.randrange(1, 2 * begun + 2, 2) for _ in range(rng.randrange(9))]
                behind = rng.random() < 0.5
                for each in sorted(streams):
                    data += frames.headers(each, alike, flags=frames.END_STREAM)
                    data += frames.reset(each, frames.Code.NO_ERROR) if behind else b""
    except Http2Error:
        refused += len(connection.not_processed)
        batch.open -= len(connection.not_processed)
    taken = len(connection.abandon())
    assert batch.plain + len(batch.others) + refused + taken == begun, which
    assert batch.open == taken, which
    return sent
