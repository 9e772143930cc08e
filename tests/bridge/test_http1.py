"""What is read of a connection when requests come together, go wrong, or have no end in sight."""

import asyncio
import re

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from bridge.admin.http1 import MAX_HEAD
from bridge.admin.listener import Listener
from tests.bridge.test_listener import HEAD, WHOLE, echo, everything, listening

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BROKEN = HEAD + b"Content-Length: +0\r\n\r\n"
MANY_LINES = b"X: a\r\n" * (MAX_HEAD // 5)


async def statuses(listener: Listener, sent: bytes) -> list[bytes]:
    """Of all that is answered until the connection is closed, which the server has to do."""
    reader, writer = await asyncio.open_connection(*listener.address)
    writer.write(sent)
    answer = await everything(reader)
    writer.close()
    return re.findall(rb"HTTP/1\.1 (\d+)", answer)


async def test_requests_that_came_together_are_answered_in_their_order_before_what_is_wrong_ends_them() -> None:
    async with listening(echo) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(WHOLE + WHOLE.replace(b"hello", b"world") + BROKEN + WHOLE)
        answer = await everything(reader)
        writer.close()
    assert re.findall(rb"hello|world|HTTP/1\.1 \d+", answer) == [b"HTTP/1.1 200", b"hello", b"HTTP/1.1 200", b"world"]


@pytest.mark.parametrize(
    "sent, answer",
    [
        (BROKEN + WHOLE, b"400"),
        (CHUNKED + b"5\r\nhello\r\nx\r\n" + WHOLE, b"400"),
        (WHOLE + CHUNKED + b"5\r\nhello\r\nx\r\n" + WHOLE, b"200"),
        (HEAD + b"X: " + b"a" * MAX_HEAD + b"\r\n\r\n", b"400"),
        (HEAD + MANY_LINES, b"400"),
        (b"\r\n" * MAX_HEAD, b"400"),
    ],
    ids=["head", "body", "body of the second", "long header", "many headers", "empty lines"],
)
async def test_what_cannot_be_read_is_answered_400_in_its_turn_and_nothing_after_it_is_read(
    sent: bytes, answer: bytes
) -> None:
    async with listening(echo) as listener:
        assert await statuses(listener, sent) == [answer]


@pytest.mark.parametrize("endless", [b"0\r\n" + MANY_LINES, b"5;" + b"x" * MAX_HEAD], ids=["trailers", "chunk's words"])
async def test_what_is_no_body_and_has_no_end_is_refused_as_a_long_header_is(endless: bytes) -> None:
    async with listening(echo) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(CHUNKED.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(endless)
        assert (await everything(reader)).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_a_field_after_the_body_is_no_field_of_the_header() -> None:
    async def names(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await request.body()
        await PlainTextResponse(" ".join(request.headers))(scope, receive, send)

    async with listening(names) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)
        close = CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        writer.write(close + b"5\r\nhello\r\n0\r\nAuthorization: canary\r\n\r\n")
        answer = await everything(reader)
        writer.close()
    assert b"host transfer-encoding connection" in answer
    assert b"authorization" not in answer


async def test_a_request_whose_answer_has_come_before_its_end_is_closed_when_it_goes_wrong() -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("no")(scope, receive, send)

    async with listening(early) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(CHUNKED)
        head = await reader.readuntil(b"no")
        writer.write(b"x\r\n")
        assert (head + await everything(reader)).count(b"HTTP/1.1 ") == 1
        writer.close()
