"""Traces as somebody sends them who means harm, and a collector that does: each costs spans alone."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import orjson
import pytest

from bridge.config.models.tracing import Tracing
from bridge.observe.facts import SpanOutcome
from bridge.observe.tracing.export import Sent, SpanExport
from bridge.observe.tracing.spans import Kind, Span, child_of
from hub.trace_context import NO_TRACE, trace_from
from sandbox.services import PushServices
from tests.fakes.collector import Collector
from tests.integration.test_traces import daemon_with, new_trace

pytestmark = pytest.mark.processes

HOSTILE = {
    "cut off": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    "all zeros": f"00-{'0' * 32}-{'0' * 16}-01",
    "capitals": f"00-{'A' * 32}-{'B' * 16}-01",
    "another alphabet": f"00-{'٣' * 32}-{'٤' * 16}-01",
    "a second field": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, 00-x",
    "markup": "<script>alert(1)</script>",
    "a version that is none": f"ff-{'a' * 32}-{'b' * 16}-01",
    "long": "00-" + "a" * 7_000,
    "a long rest": f"01-{'a' * 32}-{'b' * 16}-01-" + "x" * 7_000,
}
STATES = {
    "as long as a header may be": "a=" + "b" * 7_000,
    "members without end": ",".join(f"k{number}=v" for number in range(900)),
    "commas": "," * 7_000,
    "spaces": "a=b" + " \t" * 3_500 + "!",
    "spaces that could be parted in many ways": "a=b" + ", \t \t" * 100 + "?",
    "the same with what no header may hold": "a=b" + ", \t \t" * 100 + "\x7f",
    "no key": "=v" * 200,
}


async def test_no_trace_that_a_sender_makes_up_costs_an_event_or_stands_in_a_line_of_the_log(
    services: PushServices, tmp_path: Path
) -> None:
    source = {"http": {"path": "/in/shop"}}
    async with (
        Collector() as collector,
        daemon_with(tmp_path, services, collector, source) as daemon,
        httpx.AsyncClient(timeout=60) as client,
    ):
        taken = len(HOSTILE) + len(STATES) - 1
        parents = [*HOSTILE.values(), *(new_trace()[1] for _ in STATES)]
        states = [*("a=b" for _ in HOSTILE), *STATES.values()]
        for number, (parent, state) in enumerate(zip(parents, states, strict=True)):
            headers = [(b"traceparent", parent.encode()), (b"tracestate", state.encode())]
            body = orjson.dumps({"text": f"{number}"})
            answer = await client.post(f"{daemon.url}/in/shop", content=body, headers=headers)
            # What is no header at all is refused as such.
            assert answer.status_code == (400 if "\x7f" in state else 202), (parent, answer.text)
        await services.journal.wait_for(lambda entry: entry.accepted, count=taken)
        await collector.until(lambda: sum(span.name == "receive shop" for span in collector.spans) == taken)
        assert all(len(span.tracestate) <= 512 and re.fullmatch("[0-9a-f]{32}", span.trace) for span in collector.spans)
        said = daemon.output_file.read_text()
        assert not any(parent in said for parent in HOSTILE.values())
        assert [line for line in daemon.log() if line["event"] == "defect"] == []


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@pytest.mark.timeout(20)
def test_a_tracestate_takes_no_time_to_refuse(state: str) -> None:
    _, parent = new_trace()
    took = []
    for _ in range(100):
        began = time.thread_time()
        trace_from({"traceparent": parent, "tracestate": state})
        took.append(time.thread_time() - began)
    assert min(took) < 0.005, "the quickest: a neighbour of the same core slows some, and an expensive state all"


DRIPS = {
    "the header": b"HTTP/1.1 200 OK\r\nx-filling: " + b"x" * 1000,
    "the body": b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n" + b"x" * 1000,
}
DRIP_EVERY = 0.2


@contextmanager
def dripping(answer: bytes) -> Iterator[str]:
    """A collector that takes all, and answers a byte at a time once the header has begun; its address."""
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            at = answer.index(b"x")
            connection.sendall(answer[:at])
            while at < len(answer) and not over.wait(DRIP_EVERY):
                connection.sendall(answer[at : at + 1])
                at += 1

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("answer", DRIPS.values(), ids=DRIPS)
async def test_a_collector_that_answers_a_byte_now_and_then_is_cut_off_and_named(answer: bytes) -> None:
    """Each byte is in time for itself, and the whole would take minutes."""
    sent: list[Sent] = []
    told = threading.Event()

    def report(said: Sent) -> None:
        sent.append(said)
        told.set()

    span = Span(
        name="n", kind=Kind.INTERNAL, context=child_of(NO_TRACE, ratio=1), parent="", start=1, end=2, attributes={}
    )
    with dripping(answer) as url:
        settings = Tracing(endpoint=url, timeout=1, max_queue=512)
        export = SpanExport(settings, {}, report=report, pause=0.01)
        export.put([span])
        assert await asyncio.to_thread(told.wait, 20)
        assert sent == [Sent({SpanOutcome.UNREACHABLE: 1}, "no whole answer within 1 s")]
        export.put([span] * 2_000)
        began = time.monotonic()
        await asyncio.to_thread(export.close, 10)
        assert time.monotonic() - began < 10
    counts = [(outcome, count) for said in sent for outcome, count in said.counts.items()]
    assert sum(count for _, count in counts) == 2_001
    assert (SpanOutcome.QUEUE_FULL, 2_000 - 512) in counts
