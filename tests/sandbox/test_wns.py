"""The WNS stand-in over HTTP/1.1: access tokens, channels, headers, and what becomes of a notification."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from sandbox.journal import Journal
from sandbox.services import PushServices
from sandbox.tls import Authority
from sandbox.wns import Wns
from tests.sandbox.clients import PATIENCE
from tests.sandbox.conftest import MovableClock

TOAST = b'<toast><visual><binding template="ToastGeneric"><text>hello</text></binding></visual></toast>'


def token_form(services: PushServices) -> dict[str, str]:
    credential = services.wns_credential
    return {
        "grant_type": "client_credentials",
        "client_id": credential.client_id,
        "client_secret": credential.client_secret,
        "scope": "https://wns.windows.com/.default",
    }


@pytest.fixture
async def bearer(services: PushServices, http: httpx.AsyncClient) -> str:
    answer = await http.post(services.wns.token_url, data=token_form(services))
    return f"Bearer {answer.json()['access_token']}"


@pytest.fixture
def headers(bearer: str) -> dict[str, str]:
    return {
        "Authorization": bearer,
        "Content-Type": "text/xml",
        "X-WNS-Type": "wns/toast",
        "X-WNS-RequestForStatus": "true",
    }


@pytest.fixture
def channel(services: PushServices) -> str:
    handle = services.make_handle("wns", 1)
    services.wns.register(handle)
    return handle


async def test_a_token_is_given_to_the_app(services: PushServices, http: httpx.AsyncClient) -> None:
    answer = await http.post(services.wns.token_url, data=token_form(services))
    assert answer.status_code == 200
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", "86399")


async def test_a_token_is_given_to_a_store_identity_too(services: PushServices, http: httpx.AsyncClient) -> None:
    form = token_form(services) | {"scope": "notify.windows.com"}
    answer = await http.post(f"{services.wns.url}/accesstoken.srf", data=form)
    assert (answer.status_code, answer.json()["expires_in"]) == (200, 86399)


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_id": "nobody"}, 400, "unauthorized_client"),
        ({"client_secret": "guess"}, 401, "invalid_client"),
        ({"client_secret": "gueß"}, 401, "invalid_client"),
        ({"scope": "notify.windows.com"}, 400, "invalid_scope"),
    ],
)
async def test_a_wrong_token_request_is_refused(
    services: PushServices, http: httpx.AsyncClient, changes: dict[str, str], status: int, error: str
) -> None:
    answer = await http.post(services.wns.token_url, data=token_form(services) | changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_a_good_notification_is_received(
    services: PushServices, http: httpx.AsyncClient, headers: dict[str, str], channel: str
) -> None:
    answer = await http.post(channel, content=TOAST, headers={**headers, "X-Pushbridge-Id": "push-1", "MS-CV": "cv"})
    assert answer.status_code == 200
    assert answer.http_version == "HTTP/1.1"
    assert answer.headers["X-WNS-Status"] == "received"
    assert answer.headers["X-WNS-DeviceConnectionStatus"] == "connected"
    assert len(answer.headers["X-WNS-Msg-ID"]) == 16
    assert answer.headers["MS-CV"] == "cv"
    [entry] = services.journal
    assert (entry.handle, entry.push_id, entry.accepted) == (channel, "push-1", True)


async def test_the_status_comes_only_when_asked_for(
    http: httpx.AsyncClient, headers: dict[str, str], channel: str
) -> None:
    del headers["X-WNS-RequestForStatus"]
    answer = await http.post(channel, content=TOAST, headers=headers)
    assert (answer.status_code, "X-WNS-Status" in answer.headers) == (200, False)


async def test_what_is_no_xml_is_taken_all_the_same(
    http: httpx.AsyncClient, headers: dict[str, str], channel: str
) -> None:
    assert (await http.post(channel, content=b"<toast", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"X-WNS-Type": "wns/popup"},
        {"X-WNS-Type": ""},
        {"Content-Type": "application/json"},
        {"X-WNS-Type": "wns/raw"},
        {"X-WNS-Cache-Policy": "maybe"},
        {"X-WNS-RequestForStatus": "yes"},
        {"X-WNS-Tag": "seventeen-letters"},
        {"X-WNS-Tag": "a b"},
        {"X-WNS-Group": "x" * 17},
        {"X-WNS-TTL": "soon"},
        {"X-WNS-PRIORITY": "5"},
        {"X-WNS-SuppressPopup": "1"},
    ],
)
async def test_a_header_with_a_wrong_value_is_refused(
    services: PushServices, http: httpx.AsyncClient, headers: dict[str, str], channel: str, changes: dict[str, str]
) -> None:
    answer = await http.post(channel, content=TOAST, headers=headers | changes)
    assert answer.status_code == 400
    assert answer.headers["X-WNS-Error-Description"]
    assert not services.journal.accepted()


async def test_every_header_with_a_right_value_is_taken(
    http: httpx.AsyncClient, headers: dict[str, str], channel: str
) -> None:
    headers |= {
        "X-WNS-Cache-Policy": "no-cache",
        "X-WNS-Tag": "Tag1",
        "X-WNS-Group": "group",
        "X-WNS-TTL": "60",
        "X-WNS-PRIORITY": "1",
        "X-WNS-SuppressPopup": "false",
        "Content-Type": "text/xml; charset=utf-8",
    }
    answer = await http.post(channel, content=TOAST, headers=headers)
    assert (answer.status_code, answer.headers["X-WNS-Status"]) == (200, "received")


@pytest.mark.parametrize(("size", "status"), [(0, 400), (5000, 200), (5001, 413), (200_000, 413)])
async def test_a_notification_has_to_have_the_right_size(
    http: httpx.AsyncClient, headers: dict[str, str], channel: str, size: int, status: int
) -> None:
    assert (await http.post(channel, content=b"x" * size, headers=headers)).status_code == status


async def test_a_chunked_body_is_refused_and_ends_the_connection(
    services: PushServices, http: httpx.AsyncClient, headers: dict[str, str], channel: str
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield TOAST

    answer = await http.post(channel, content=chunks(), headers=headers)
    assert (answer.status_code, answer.headers["connection"]) == (400, "close")
    assert [(entry.status, entry.handle) for entry in services.journal] == [(400, channel)]


async def test_only_post_is_a_method(http: httpx.AsyncClient, headers: dict[str, str], channel: str) -> None:
    assert (await http.get(channel, headers=headers)).status_code == 405


@pytest.mark.parametrize("authorization", ["", "Bearer nonsense"])
async def test_an_unknown_bearer_is_refused(
    http: httpx.AsyncClient, headers: dict[str, str], channel: str, authorization: str
) -> None:
    headers["Authorization"] = authorization
    assert (await http.post(channel, content=TOAST, headers=headers)).status_code == 401


async def test_a_bearer_is_good_for_a_day(
    http: httpx.AsyncClient, headers: dict[str, str], channel: str, clock: MovableClock
) -> None:
    clock.advance(seconds=86398)
    assert (await http.post(channel, content=TOAST, headers=headers)).status_code == 200
    clock.advance(seconds=1)
    assert (await http.post(channel, content=TOAST, headers=headers)).status_code == 401


async def test_channels_can_be_unknown_or_expired(
    services: PushServices, http: httpx.AsyncClient, headers: dict[str, str], channel: str
) -> None:
    assert (await http.post(channel + "x", content=TOAST, headers=headers)).status_code == 404
    services.wns.unregister(channel)
    assert (await http.post(channel, content=TOAST, headers=headers)).status_code == 410
    services.wns.accept_unknown = True
    assert (await http.post(channel + "x", content=TOAST, headers=headers)).status_code == 200


async def test_a_token_is_bound_to_the_channels_of_its_app(tmp_path_factory: pytest.TempPathFactory) -> None:
    authority = Authority(tmp_path_factory.mktemp("ca"))
    wns = Wns(
        journal=Journal(),
        context=authority.server_context(Wns.versions),
        tenant="contoso",
        apps={"first": "secret", "second": "secret"},
    )
    await wns.start()
    wns.register(f"{wns.url}/?token=1", app="second")
    headers = {"Content-Type": "text/xml", "X-WNS-Type": "wns/toast"}
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    statuses = []
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=60) as http:
        for app in ("first", "second"):
            form = {"grant_type": "client_credentials", "client_id": app, "client_secret": "secret"}
            form["scope"] = "https://wns.windows.com/.default"
            token = (await http.post(wns.token_url, data=form)).json()["access_token"]
            headers["Authorization"] = f"Bearer {token}"
            statuses.append((await http.post(f"{wns.url}/?token=1", content=TOAST, headers=headers)).status_code)
    await wns.stop()
    assert statuses == [403, 200]


@pytest.mark.parametrize(
    ("changes", "content", "status"),
    [
        ({}, TOAST, "dropped"),
        ({"X-WNS-Type": "wns/tile"}, b"<tile/>", "received"),
        ({"X-WNS-Type": "wns/tile", "X-WNS-Cache-Policy": "no-cache"}, b"<tile/>", "dropped"),
        ({"X-WNS-Type": "wns/raw", "Content-Type": "application/octet-stream"}, b"x", "dropped"),
        (
            {"X-WNS-Type": "wns/raw", "Content-Type": "application/octet-stream", "X-WNS-Cache-Policy": "cache"},
            b"x",
            "received",
        ),
    ],
)
async def test_only_what_may_be_cached_waits_for_a_device_that_is_away(
    services: PushServices,
    http: httpx.AsyncClient,
    headers: dict[str, str],
    channel: str,
    changes: dict[str, str],
    content: bytes,
    status: str,
) -> None:
    services.wns.set_device(channel, "disconnected")
    answer = await http.post(channel, content=content, headers=headers | changes)
    assert answer.status_code == 200
    assert (answer.headers["X-WNS-Status"], answer.headers["X-WNS-DeviceConnectionStatus"]) == (status, "disconnected")
    assert bool(services.journal.accepted()) == (status == "received")


async def test_a_desktop_drops_what_wants_no_popup(
    http: httpx.AsyncClient, headers: dict[str, str], channel: str
) -> None:
    answer = await http.post(channel, content=TOAST, headers=headers | {"X-WNS-SuppressPopup": "true"})
    assert (answer.headers["X-WNS-Status"], answer.headers["X-WNS-DeviceConnectionStatus"]) == ("dropped", "connected")


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (406, "throttled", {"X-WNS-CONTINUE-AFTER": "7", "X-WNS-Error-Description": "throttled"}),
        (200, "channelthrottled", {"X-WNS-CONTINUE-AFTER": "7", "X-WNS-Status": "channelthrottled"}),
        (503, "busy", {"Retry-After": "7"}),
    ],
)
async def test_faults_speak_as_wns_does(
    services: PushServices,
    http: httpx.AsyncClient,
    headers: dict[str, str],
    channel: str,
    status: int,
    reason: str,
    expected: dict[str, str],
) -> None:
    services.wns.faults.answer(status, reason, retry_after=7)
    answer = await http.post(channel, content=TOAST, headers=headers)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in expected} == expected
    assert not services.journal.accepted()


async def test_a_connection_can_end_after_some_requests(
    services: PushServices, http: httpx.AsyncClient, headers: dict[str, str], channel: str
) -> None:
    services.wns.faults.goaway_after(3)  # the token request was one of them
    for _ in range(2):
        await http.post(channel, content=TOAST, headers=headers)
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post(channel, content=TOAST, headers=headers)
    assert (await http.post(channel, content=TOAST, headers=headers)).status_code == 200
    assert len(services.journal) == 3


async def test_going_away_lets_the_answer_under_way_through(
    services: PushServices, http: httpx.AsyncClient, headers: dict[str, str], channel: str
) -> None:
    services.wns.faults.hold()
    posting = asyncio.create_task(http.post(channel, content=TOAST, headers=headers))
    await services.journal.wait_for()
    services.wns.goaway()
    services.wns.faults.release()
    answer = await posting
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (HEAD + b"expect: 100-continue\r\ncontent-length: 5\r\n\r\n", b"HTTP/1.1 417 Expectation Failed"),
        (HEAD + b"content-length: many\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"content-length: " + b"9" * 5000 + b"\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"no colon\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"POST / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET /\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.0\r\nhost: x\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\nhost: x\n\n", b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"x: a\r\n b\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"transfer-encoding: gzip\r\n\r\n", b"HTTP/1.1 501 Not Implemented"),
        (HEAD + b"x: " + b"y" * 20_000, b"HTTP/1.1 431 Request Header Fields Too Large"),
        (HEAD + b"content-length: 0\r\n\r\n" + HEAD, b"HTTP/1.1 401 Unauthorized"),
    ],
    ids=[
        *("expect", "length", "digits", "colon", "host", "request line", "version", "line feeds", "folded header"),
        *("unknown coding", "long head", "pipelining"),
    ],
)
async def test_bad_http_is_answered_once_and_ends_the_connection(
    services: PushServices, sent: bytes, answer: bytes
) -> None:
    context = ssl.create_default_context(cafile=str(services.ca_file))
    reader, writer = await asyncio.open_connection("127.0.0.1", services.wns.port, ssl=context)
    writer.write(sent)
    async with asyncio.timeout(PATIENCE):
        received = await reader.read()
    writer.transport.abort()
    assert received.startswith(answer + b"\r\n")
    assert received.count(b"HTTP/1.1") == 1


async def test_a_body_may_come_in_pieces(services: PushServices, headers: dict[str, str], channel: str) -> None:
    context = ssl.create_default_context(cafile=str(services.ca_file))
    reader, writer = await asyncio.open_connection("127.0.0.1", services.wns.port, ssl=context)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = [
        f"POST {channel.removeprefix(services.wns.url)} HTTP/1.1",
        "Host: x",
        f"Content-Length: {len(TOAST)}",
        *lines,
    ]
    for byte in "\r\n".join([*head, "", ""]).encode() + TOAST:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.transport.abort()
    assert next(iter(services.journal)).payload == TOAST
