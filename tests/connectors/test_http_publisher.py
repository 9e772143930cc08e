"""Reports go to a URL signed and one by one; what one answer means for the others."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from connectors.base import OutMessage
from connectors.errors import AuthenticationError, NotConnectedError, PublishError, SourceError
from connectors.http.publisher import HttpPublisher
from connectors.http.settings import SinkUrl

SECRET = "0123456789abcdef"
MESSAGES = [
    OutMessage(id=f"m{number}", body=b"%d" % number, destination="", content_type="text/x") for number in range(20)
]

Request = tuple[dict[str, str], bytes]


@asynccontextmanager
async def receiver(answer: Callable[[Request], bytes | None]) -> AsyncIterator[tuple[int, list[Request]]]:
    """A server for one request a connection: its port, and what it got. `answer` None: it never answers."""
    requests: list[Request] = []
    hanging = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            request = ({**headers, ":path": head[0]}, await reader.readexactly(int(headers["content-length"])))
            requests.append(request)
            answered = answer(request)
            if answered is None:
                await hanging.wait()
            else:
                writer.write(answered)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        hanging.set()
        server.close()
        await server.wait_closed()


def status(code: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {code} X", "Connection: close", "Content-Length: 0", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


async def publish(port: int, messages: list[OutMessage], **changes: Any) -> None:
    settings = SinkUrl.model_validate({"url": f"http://127.0.0.1:{port}/hook?x=1", "secret": SECRET} | changes)
    publisher = HttpPublisher("crm", settings, clock=lambda: 1_800_000_000.9)
    await publisher.connect()
    try:
        await publisher.publish(messages)
    finally:
        await publisher.close()


async def test_a_message_is_posted_as_it_is_and_signed_by_each_secret() -> None:
    second = b"another secret that is random"
    async with receiver(lambda _: status(204)) as (port, requests):
        secrets = [SECRET, "whsec_" + base64.b64encode(second).decode()]
        await publish(port, MESSAGES[:1], secret=secrets)
    ((headers, body),) = requests
    assert (headers[":path"], body, headers["content-type"]) == ("POST /hook?x=1 HTTP/1.1", b"0", "text/x")
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("m0", "1800000000")
    signed = b"m0.1800000000.0"
    expected = [
        "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        for key in (SECRET.encode(), second)
    ]
    assert headers["webhook-signature"] == " ".join(expected)


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of Standard Webhooks, as its libraries test it."""
    settings = SinkUrl(url="https://x.example", secret=("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",))  # type: ignore[arg-type]
    message = OutMessage(id="msg_p5jXN8AQM9LWM0D4loKWxJek", body=b'{"test": 2432232314}', destination="")
    (signature,) = HttpPublisher("crm", settings)._signatures(message, "1614265330")
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_all_are_posted() -> None:
    async with receiver(lambda _: status(200)) as (port, requests):
        await publish(port, MESSAGES)
    assert sorted(body for _, body in requests) == sorted(message.body for message in MESSAGES)


async def test_one_that_is_refused_by_itself_fails_alone() -> None:
    async with receiver(lambda request: status(422 if request[1] == b"7" else 202)) as (port, requests):
        with pytest.raises(PublishError, match="1 of 20 not published: m7: HTTP 422") as caught:
            await publish(port, MESSAGES)
    assert caught.value.published == {message.id for message in MESSAGES} - {"m7"}
    assert len(requests) == 20


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (status(500), NotConnectedError, "answers HTTP 500"),
        (status(429, "Retry-After: 9"), NotConnectedError, "answers HTTP 429"),
        (status(404), NotConnectedError, "answers HTTP 404"),
        (status(302, "Location: http://127.0.0.1:1/"), NotConnectedError, "answers HTTP 302"),
        (status(401), AuthenticationError, "refuses us: HTTP 401"),
        (b"garbage\r\n\r\n", NotConnectedError, "127.0.0.1"),
        (b"", NotConnectedError, "127.0.0.1"),
        (None, NotConnectedError, "no answer within 0.3 s"),
    ],
)
async def test_a_receiver_that_takes_nothing_is_not_asked_for_each_message(
    answer: bytes | None, kind: type[SourceError], said: str
) -> None:
    async with receiver(lambda _: answer) as (port, requests):
        with pytest.raises(kind, match=said):
            await publish(port, MESSAGES, timeout=0.3)
        assert 1 <= len(requests) <= 16


async def test_an_answer_without_an_end_is_an_answer() -> None:
    async with receiver(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 1000) as (port, _):
        await publish(port, MESSAGES[:1])


async def test_a_receiver_that_is_not_there_is_named() -> None:
    async with receiver(lambda _: None) as (port, _):
        pass
    with pytest.raises(NotConnectedError, match=r"127\.0\.0\.1"):
        await publish(port, MESSAGES)
