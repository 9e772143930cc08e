"""Many batches to many peers that do anything: each batch ends with one answer a position, and nothing is left behind.

PUSHBRIDGE_HTTP2_SEED repeats a run.
"""

import asyncio
import os
import random
import struct
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from hub.egress import Egress
from hub.requests import RequestGroup
from hub.tls import Tls
from hub.transport.client import Transport
from hub.transport.http2 import frames
from hub.transport.http2.frames import Code, Kind, Setting
from hub.transport.requests import Answers
from sandbox.tls import Authority
from tests.hub.transport.peer import Script, Talk, scripted

BATCHES = 40


def unruly(rng: random.Random) -> Script:
    """A peer that answers mostly, and otherwise does what a peer, or the network before it, may do."""

    async def script(talk: Talk) -> None:
        if rng.random() < 0.1:
            return  # closed before a word
        await talk.greet({Setting.MAX_CONCURRENT_STREAMS: rng.choice([1, 7, 100])})
        while True:
            stream = (await talk.request()).stream
            whim = rng.random()
            if whim < 0.90:
                talk.answer(stream, rng.choice([200, 200, 200, 410]))
            elif whim < 0.94:
                talk.send(frames.reset(stream, rng.choice([Code.REFUSED_STREAM, Code.INTERNAL_ERROR])))
            elif whim < 0.95:
                talk.send(frames.settings({Setting.MAX_CONCURRENT_STREAMS: rng.choice([1, 7, 100])}))
            elif whim < 0.97:
                talk.send(frames.frame(Kind.GOAWAY, struct.pack(">II", rng.randrange(stream + 1), 0)))
            elif whim < 0.98:
                return  # closed in the middle
            # else it is never answered

    return script


def groups(rng: random.Random, origins: list[str], count: int) -> Iterator[RequestGroup]:
    """`count` requests in all, in groups to any of the origins."""
    first = 0
    while first < count:
        size = min(rng.randint(1, 20), count - first)
        ids = [f"{number:04}" for number in range(first, first + size)]
        headers = [b"authorization: bearer %d" % rng.randrange(3)]
        numbers = range(first, first + size)
        yield RequestGroup(rng.choice(origins), numbers, "/", ids, headers, "x-id", ids, [b"{}"] * size)
        first += size


async def test_each_batch_ends_with_one_answer_a_position_whatever_peers_do(tmp_path: Path) -> None:
    seed = int(os.environ.get("PUSHBRIDGE_HTTP2_SEED") or random.SystemRandom().randrange(10**9))
    rng = random.Random(seed)
    authority = Authority(tmp_path)
    transport = Transport(Egress(tls=Tls(ca_file=authority.ca_file)), origins=3, close_after=0.05, doubt=0.2)
    now = asyncio.get_running_loop().time
    late: list[float] = []

    async def post(count: int, limit: float, cancel_after: float | None) -> tuple[int, Answers | None]:
        begun = now()
        in_order = rng.random() < 0.3
        posting = asyncio.create_task(transport.post(groups(rng, origins, count), deadline=limit, in_order=in_order))
        if cancel_after is not None:
            asyncio.get_running_loop().call_later(cancel_after, posting.cancel)
        try:
            return count, await posting
        except asyncio.CancelledError:
            return count, None
        finally:
            late.append(now() - begun - limit)

    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(scripted(authority, unruly(rng))) for _ in range(5)]
        origins = [peer.origin for peer in peers]
        posts = []
        for _ in range(BATCHES):
            cancel_after = rng.random() * 0.3 if rng.random() < 0.1 else None
            posts.append(asyncio.create_task(post(rng.randint(0, 60), rng.choice([0.1, 0.5, 1.0]), cancel_after)))
            if rng.random() < 0.1:
                transport.renew(since=transport.generation)
            await asyncio.sleep(0)
        ended = await asyncio.gather(*posts)
        async with asyncio.timeout(60):
            while transport.open_origins:
                await asyncio.sleep(0.01)
        await transport.close()
    which = f"PUSHBRIDGE_HTTP2_SEED={seed}"
    for count, answers in ended:
        if answers is not None:
            assert answers.plain + len(answers.others) == count, which
            assert set(answers.others) <= set(range(count)), which
    assert any(answers is not None and answers.plain for _, answers in ended), which
    assert max(late) < 5, which
