"""What no push service should answer: each is an outcome with a name, removes no phone, and the next push goes on.

One suite over all senders: a stand-in does as always, but for the answer that a test puts in the place of its own.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from hub.outcome import OutcomeName, Reaction
from hub.push import SendResult
from sandbox.exchange import Answer, Exchange
from sandbox.http2 import Http2Exchange
from sandbox.services import PushServices
from tests.hub.platforms.lanes import NAMES, Lane, lane_of

Misbehave = Callable[[Exchange], None]
TOKEN_PATHS = ("/token", "/auth/O2/token", "/oauth2/v3/token", "/oauth2/v2.0/token")


def answering(status: int, *body: bytes, **headers: str) -> Misbehave:
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return lambda exchange: exchange.answer(Answer(status=status, headers=fields, body=body))


def broken_off(http2: bytes, http1: bytes) -> Misbehave:
    """Bytes in the place of an answer, and the end of the connection."""

    def misbehave(exchange: Exchange) -> None:
        transport = exchange.connection._transport
        is_http2 = transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        transport.write(http2 if is_http2 else http1)
        transport.close()

    return misbehave


def endless(exchange: Exchange) -> None:
    """The head of an answer, and then a body that drips for as long as the client listens."""
    transport = exchange.connection._transport
    if isinstance(exchange, Http2Exchange):
        transport.write(b"\0\0\1\1\4" + struct.pack(">I", exchange.id) + b"\x88")  # HEADERS: 200
        drop = b"\0\0\1\0\0" + struct.pack(">I", exchange.id) + b" "
    else:
        transport.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        drop = b"1\r\n \r\n"

    async def drip() -> None:
        while not transport.is_closing():
            transport.write(drop)
            await asyncio.sleep(0.05)

    dripping = asyncio.get_running_loop().create_task(drip())
    exchange.connection.lost.add_done_callback(lambda _: dripping.cancel())


CASES: dict[str, Misbehave] = {
    "a page of another server": answering(200, b"<html>log in</html>", content_type="text/html"),
    "bytes that are no text": answering(200, bytes(range(256)), content_type="application/json"),
    "JSON of another kind": answering(200, b"[1,2]", content_type="application/json"),
    "JSON within JSON without end": answering(400, b"[" * 9000, content_type="application/json"),
    "an error that is no JSON": answering(400, b"no", content_type="text/plain"),
    "an error of 640 KB": answering(400, *(b"x" * 16_000,) * 40),
    "an error without a word": answering(400),
    "a status that nobody has": answering(418, b"{}"),
    "a server that fails without a word": answering(500),
    "a wait without end": answering(503, retry_after="9" * 400),
    "a wait that is none": answering(503, retry_after="soon"),
    "a redirect": answering(302, location="https://169.254.169.254/latest"),
    "a redirect for good": answering(308, location="/elsewhere"),
    "half a frame": broken_off(b"\x00\x10\x00\x01\x04", b"HTTP/1.1 200 OK\r\ncontent-le"),
    "half a body": broken_off(
        b"\x00\x00\x40\x00\x00\x00\x00\x00\x01abc", b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{"
    ),
    "bytes of another protocol": broken_off(b"220 mail.example ESMTP\r\n" * 9, b"220 mail.example ESMTP\r\n" * 9),
    "the end of the connection": broken_off(b"", b""),
}
LIES = ("a page of another server", "bytes that are no text", "JSON of another kind")


@pytest.fixture(params=NAMES)
async def lane(request: pytest.FixtureRequest, services: PushServices) -> AsyncIterator[Lane]:
    running = lane_of(request.param, services)
    yield running
    await running.sender.close()


def misbehave_once(lane: Lane, misbehave: Misbehave) -> list[str]:
    """Have the next push answered so; the paths of all pushes from now on."""
    server, asked = lane.service._server, list[str]()
    as_always = server._handle

    def handle(exchange: Exchange) -> None:
        if exchange.path.endswith(TOKEN_PATHS):
            as_always(exchange)
            return
        asked.append(exchange.path)
        (misbehave if len(asked) == 1 else as_always)(exchange)

    server._handle = handle
    return asked


async def one_push(lane: Lane, number: int) -> SendResult:
    (result,) = await lane.send([lane.push(number)])
    return result


@pytest.mark.parametrize("case", CASES)
async def test_a_bad_answer_is_an_outcome_and_the_next_push_goes_on(lane: Lane, case: str) -> None:
    asked = misbehave_once(lane, CASES[case])
    odd = await one_push(lane, 1)
    assert odd.reaction in (Reaction.RETRY, Reaction.DROP, Reaction.THROTTLED, Reaction.DELIVERED)
    assert odd.outcome in OutcomeName
    assert len(odd.reason) < 300
    assert not odd.lane_wide or odd.reaction is Reaction.THROTTLED
    if case in LIES and lane.sender.platform.value != "browser":  # RFC 8030 leaves the body of a success open
        assert (odd.reaction, odd.outcome) == (Reaction.RETRY, OutcomeName.PNS_INTERFACE_ERROR)
    if case.startswith("a redirect"):
        assert odd.reaction is Reaction.RETRY
        assert len(asked) == 1
    assert (await one_push(lane, 2)).reaction is Reaction.DELIVERED


@pytest.mark.parametrize("status", [301, 303, 307])
async def test_no_redirect_is_followed_wherever_it_leads(lane: Lane, status: int) -> None:
    asked = misbehave_once(lane, answering(status, location=f"{lane.service.url}/3/device/somewhere"))
    assert (await one_push(lane, 1)).reaction is Reaction.RETRY
    assert len(asked) == 1


async def test_a_body_without_an_end_costs_a_deadline_and_the_next_push_goes_on(lane: Lane) -> None:
    misbehave_once(lane, endless)
    (odd,) = await lane.send([lane.push(1)], deadline=1.0)
    assert (odd.reaction, odd.outcome) == (Reaction.RETRY, OutcomeName.PNS_UNREACHABLE)
    assert (await one_push(lane, 2)).reaction is Reaction.DELIVERED


async def test_a_certificate_that_expires_while_running_is_named_and_pushes_go_on_when_it_is_renewed(
    lane: Lane,
) -> None:
    """What has a connection keeps it; the next connection is refused, by the sender."""
    lane.service._server._context.num_tickets = 0  # a session that is resumed shows no certificate
    assert (await one_push(lane, 1)).reaction is Reaction.DELIVERED
    lane.service.faults.expire_certificate()
    for connection in list(lane.service._server.connections):
        connection.abort()
    async with asyncio.timeout(60):
        while "expired" not in (odd := await one_push(lane, 2)).reason:  # at first a connection was only broken off
            assert odd.reaction is Reaction.RETRY
    assert (odd.reaction, odd.outcome) == (Reaction.RETRY, OutcomeName.PNS_UNREACHABLE)
    assert not odd.lane_wide
    lane.service.faults.expire_certificate(False)
    async with asyncio.timeout(60):
        while (await one_push(lane, 3)).reaction is not Reaction.DELIVERED:
            await asyncio.sleep(0.05)
