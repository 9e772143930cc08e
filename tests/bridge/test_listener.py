"""Listeners: how they begin and end, and that nobody holds them up."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.admin.http1 import REQUEST_TIME
from bridge.admin.listener import Listener, ListenError, SwappableApp
from bridge.config.models.listeners import Listen

ANY_PORT = Listen("127.0.0.1", 0)
HELLO = PlainTextResponse("hello")


@asynccontextmanager
async def listening(
    app: ASGIApp, listen: Listen = ANY_PORT, *, request_time: float = REQUEST_TIME
) -> AsyncIterator[Listener]:
    listener = Listener(app, listen, request_time=request_time)
    await listener.open()
    try:
        yield listener
    finally:
        await listener.close()


def url(listener: Listener) -> str:
    return "http://{}:{}".format(*listener.address)


async def test_a_listener_takes_requests_once_open_and_says_where() -> None:
    async with listening(HELLO) as listener, httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:
        assert listener.address.port > 0
        assert (await client.get(url(listener))).status_code == 200


async def test_an_address_in_use_is_an_error_that_names_it_and_the_reason() -> None:
    async with listening(HELLO) as first:
        port = first.address.port
        second = Listener(HELLO, Listen("127.0.0.1", port))
        with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}: .*in use"):
            await second.open()
        await second.close()


async def test_an_address_of_another_machine_is_an_error_that_says_so() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:8080: .*assign"):
        await Listener(HELLO, Listen("192.0.2.1", 8080)).open()


async def test_closing_waits_for_nobody_who_keeps_a_connection_open() -> None:
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client, listening(HELLO) as listener:
        listener.config.timeout_graceful_shutdown = 3600
        await client.get(url(listener))  # and the connection stays


async def test_closing_waits_a_second_for_a_request_that_does_not_end() -> None:
    entered = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await asyncio.Event().wait()

    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:
        async with listening(endless) as listener:
            waiting = asyncio.create_task(client.get(url(listener)))
            await entered.wait()
            assert not listener.closing.is_set()
        assert listener.closing.is_set()
        assert (await waiting).status_code == 500


async def test_a_listener_leaves_the_signals_of_the_process_alone() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with listening(HELLO):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)


WHOLE = HEAD + b"Content-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("before", [b"", WHOLE])
@pytest.mark.parametrize("begun", [b"POST / HT", HEAD + b"X-Slow: 1", HEAD + b"Content-Length: 5\r\n\r\n", WHOLE[:-1]])
async def test_a_request_that_does_not_come_to_its_end_is_not_waited_for(before: bytes, begun: bytes) -> None:
    # The request before has to come to its end in time, on a busy machine too.
    async with listening(echo, request_time=0.5 if before else 0.1) as listener:
        listener.config.timeout_keep_alive = 3600
        reader, writer = await asyncio.open_connection(*listener.address)
        if before:
            writer.write(before)
            await reader.readuntil(b"hello")
        writer.write(begun)
        assert b"200 OK" not in await everything(reader)
        writer.close()


async def test_a_request_that_came_with_the_one_before_is_not_waited_for_either() -> None:
    async with listening(echo, request_time=0.5) as listener:
        listener.config.timeout_keep_alive = 3600
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(WHOLE + WHOLE[:-1])
        assert (await everything(reader)).count(b"200 OK") == 1
        writer.close()


async def test_a_connection_on_which_nothing_is_asked_is_not_kept() -> None:
    async with listening(echo, request_time=0.1) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)
        assert await everything(reader) == b""
        writer.close()


async def test_an_answer_may_take_longer_than_a_request() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await go_on.wait()
        await echo(scope, receive, send)

    async with listening(slow, request_time=1) as listener:
        asking, asked = await asyncio.open_connection(*listener.address)
        asked.write(WHOLE)
        await entered.wait()
        reader, writer = await asyncio.open_connection(*listener.address)
        await everything(reader)  # begun later, and given up by now
        go_on.set()
        await asking.readuntil(b"hello")
        writer.close()
        asked.close()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side closes or breaks the connection."""
    received = b""
    try:
        while part := await reader.read(65_536):
            received += part
    except ConnectionError:
        pass
    return received


async def test_a_defect_costs_its_request_and_is_told_without_the_text() -> None:
    told: list[tuple[str, Exception]] = []
    app = SwappableApp(crashed=lambda what, error: told.append((what, error)))
    error = ZeroDivisionError("canary")

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        raise error

    async with listening(app) as listener, httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:
        early = await client.get(url(listener))
        app.app = broken
        answer = await client.get(url(listener))
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"{url(listener)}/late")
    assert (early.status_code, early.text) == (503, "not ready\n")
    assert (answer.status_code, answer.text) == (500, "a defect of ours\n")
    assert told == [("a request of the method GET", error)] * 2
