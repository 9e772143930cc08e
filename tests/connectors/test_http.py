"""The HTTP source as its senders see it: requests through its route, answered by what `settle` says."""

import asyncio
import base64
import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import Any

import cramjam
import httpx
import pytest
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette

from connectors.base import ACK, NACK, Disposition, Message, Settlement
from connectors.connector import MAX_BODY
from connectors.errors import NotConnectedError
from connectors.http import HttpSettings, HttpSource
from connectors.size import Size
from hub.rate import Rate, RateLimiter

TOO_LARGE = "the unpacked body has more than 65536 bytes, which is the limit"
gzipped = partial(gzip.compress, mtime=0)  # all workers have to collect the same tests

NOW = datetime(2026, 3, 2, 20, 50, tzinfo=UTC)
ANSWER_REJECTED = {"outcome": "rejected", "reason": "decode", "detail": "not JSON at line 1"}
ANSWER_DEAD_LETTER = {"outcome": "dead_letter", "reason": "map", "detail": "no property accountId"}
REJECTED = Disposition(settlement=Settlement.REJECT, reason="decode", answer=ANSWER_REJECTED)
DEAD_LETTERED = Disposition(settlement=Settlement.ACK, reason="map", answer=ANSWER_DEAD_LETTER)
BATCH = "application/cloudevents-batch+json; charset=utf-8"
EVENT = {"specversion": "1.0", "id": "e1", "source": "/s", "type": "t"}


@asynccontextmanager
async def posted_to(
    max_body: int = MAX_BODY,
    admit: Callable[[int], float] = lambda count: 0.0,
    ahead: Callable[[], AbstractContextManager[None]] = nullcontext,
    **settings: Any,
) -> AsyncIterator[tuple[HttpSource, httpx.AsyncClient]]:
    source = HttpSource(
        "web", HttpSettings(path="/in", **settings), now=lambda: NOW, max_body=max_body, admit=admit, ahead=ahead
    )
    await source.connect()
    transport = httpx.ASGITransport(Starlette(routes=[source.route()]))
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
        yield source, client
    await source.close()


async def settle_each(source: HttpSource, answers: Sequence[Disposition]) -> list[Message]:
    """Receive as many messages as there are answers, and settle them so."""
    messages: list[Message] = []
    while len(messages) < len(answers):
        messages += await source.receive(len(answers) - len(messages))
    await source.settle(list(zip(messages, answers, strict=True)))
    return messages


async def exchange(
    source: HttpSource, request: Awaitable[httpx.Response], *answers: Disposition
) -> tuple[httpx.Response, list[Message]]:
    response, messages = await asyncio.gather(request, settle_each(source, answers))
    return response, messages


async def waiting(source: HttpSource, count: int) -> None:
    """Return when so many messages wait for their settlement."""
    while (await source.backlog()).messages != count:
        await asyncio.sleep(0)


async def test_a_request_is_a_message_and_its_body_is_untouched() -> None:
    async with posted_to() as (source, client):
        headers = {"X-Message-Id": "m1", "Content-Type": "text/plain", "X-Region": "EU", "Authorization": "Bearer no"}
        request = client.post("/in", content=b"\xffraw", headers={**headers, "Cookie": "a=b"})
        response, (message,) = await exchange(source, request, ACK)
    assert (response.status_code, response.json()) == (202, {"id": "m1", "outcome": "accepted"})
    assert (message.source, message.body, message.id) == ("web", b"\xffraw", "m1")
    assert (message.content_type, message.enqueued_at, message.position) == ("text/plain", NOW, None)
    assert message.properties == {"path": "/in", "content_type": "text/plain", "message_id": "m1"}
    assert message.headers["x-region"] == "EU"
    assert not {"authorization", "cookie"} & message.headers.keys()


@pytest.mark.parametrize(
    "headers, id",
    [
        ({"Idempotency-Key": "k"}, "k"),
        ({"X-Message-Id": "m"}, "m"),
        ({"ce-id": "c", "Idempotency-Key": "k"}, "c"),
        ({}, None),
    ],
)
async def test_the_id_is_the_one_the_sender_set(headers: dict[str, str], id: str | None) -> None:
    async with posted_to() as (source, client):
        response, (message,) = await exchange(source, client.post("/in", content=b"x", headers=headers), ACK)
    assert message.id == id
    assert response.json().get("id") == id


@pytest.mark.parametrize("header", ["ce-id", "idempotency-key", "x-message-id"])
async def test_an_id_that_is_too_long_is_refused_with_its_length(header: str) -> None:
    async with posted_to() as (_, client):
        response = await client.post("/in", content=b"x", headers={header: "k" * 1025})
    assert response.status_code == 400
    assert response.json() == {"detail": "an id of 1025 characters is too long, 1024 are allowed"}


async def test_a_page_is_refused_before_its_credentials_are_looked_at() -> None:
    """A browser sends those it has kept with what any page posts."""
    auth = {"basic": {"username": "u", "password": "p"}}
    async with posted_to(auth=auth) as (_, client):
        response = await client.post("/in", content=b"x", auth=("u", "p"), headers={"origin": "https://evil.example"})
    assert response.status_code == 403


@pytest.mark.parametrize(
    "answer, status, content",
    [
        (ACK, 202, {"outcome": "accepted"}),
        (REJECTED, 400, ANSWER_REJECTED),
        (DEAD_LETTERED, 202, ANSWER_DEAD_LETTER),
        (NACK, 503, {"outcome": "again"}),
    ],
)
async def test_a_request_is_answered_by_how_its_message_was_settled(
    answer: Disposition, status: int, content: dict[str, str]
) -> None:
    async with posted_to() as (source, client):
        response, _ = await exchange(source, client.post("/in", content=b"x"), answer)
    assert (response.status_code, response.json()) == (status, content)
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize(
    "answers, status",
    [
        ([ACK, ACK], 202),
        ([ACK, DEAD_LETTERED], 202),
        ([DEAD_LETTERED, DEAD_LETTERED], 202),
        ([ACK, NACK], 503),
        ([DEAD_LETTERED, NACK], 503),
        ([], 202),
    ],
)
async def test_a_batch_is_one_answer_with_a_result_for_each_event(answers: list[Disposition], status: int) -> None:
    events = [EVENT | {"id": f"e{n}", "data": {"n": n}} for n in range(len(answers))]
    async with posted_to(format="cloudevents") as (source, client):
        request = client.post("/in", json=events, headers={"Content-Type": BATCH})
        response, messages = await exchange(source, request, *answers)
    outcomes = [{ACK.reason: "accepted"}.get(answer.reason, "dead_letter") for answer in answers]
    outcomes = ["again" if answer is NACK else told for answer, told in zip(answers, outcomes, strict=True)]
    assert response.status_code == status
    assert [(result["id"], result["outcome"]) for result in response.json()["results"]] == [
        (f"e{n}", told) for n, told in enumerate(outcomes)
    ]
    assert not any(message.is_alone for message in messages)
    assert [json.loads(message.body) for message in messages] == events
    assert {message.content_type for message in messages} <= {"application/cloudevents+json"}


async def test_a_batch_may_be_received_in_several_goes() -> None:
    async with posted_to(format="cloudevents") as (source, client):
        request = asyncio.create_task(client.post("/in", json=[EVENT] * 3, headers={"Content-Type": BATCH}))
        await waiting(source, 3)
        first, rest = await source.receive(1), await source.receive(10)
        assert (len(first), len(rest)) == (1, 2)
        await source.settle([(message, ACK) for message in rest])
        await asyncio.sleep(0)
        assert not request.done()
        await source.settle([(first[0], ACK)])
        assert (await request).status_code == 202


@pytest.mark.parametrize(
    "body",
    [b"[{", b'{"id": "no array"}', b'[{"id": "e"},]', b"[{}", b"[{}]]", b"[{} {}]", b'[\xff"x"]', b"", b"[" * 100_000],
    ids=["broken", "no array", "comma at the end", "no end", "two ends", "no comma", "no UTF-8", "nothing", "deep"],
)
async def test_a_batch_that_cannot_be_taken_apart_is_one_message_with_its_bytes(body: bytes) -> None:
    async with posted_to(format="cloudevents") as (source, client):
        request = client.post("/in", content=body, headers={"Content-Type": BATCH})
        response, (message,) = await exchange(source, request, REJECTED)
    assert (message.body, message.content_type) == (body, BATCH)
    assert response.status_code == 400


async def test_the_events_of_a_batch_keep_their_bytes() -> None:
    events = [
        b'{"id": "e1", "data": {"customer": 12345678901234567890123, "amount": 720.10, "rate": 1e400}}',
        b'{"id":"e2","id":"e3",\n "text":"\\u00e4\xc3\xa4", "pair": "\\ud83d\\ude00"}',
        b'{"id": "\\ud800"}',
        b'{"id": ' + b"7" * 5000 + b"}",
        b'"no event"',
        b"NaN",
    ]
    body = b"\xef\xbb\xbf [" + b"\n, ".join(events) + b" ]\n"
    async with posted_to(format="cloudevents") as (source, client):
        request = client.post("/in", content=body, headers={"Content-Type": BATCH})
        response, messages = await exchange(source, request, *[ACK] * len(events))
    assert [message.body for message in messages] == events
    assert [message.id for message in messages] == ["e1", "e3", None, None, None, None]
    assert len(response.json()["results"]) == len(events)


async def test_a_batch_of_too_many_events_is_refused() -> None:
    async with posted_to(format="cloudevents") as (_, client):
        content = b"[" + b"0," * 5000 + b"0]"
        response = await client.post("/in", content=content, headers={"Content-Type": BATCH})
    assert response.status_code == 413


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Content-Type": "application/cloudevents+json"}, 202),
        ({"Content-Type": "Application/CloudEvents+JSON; charset=utf-8"}, 202),
        ({"Content-Type": "application/json", "ce-specversion": "1.0"}, 202),
        ({"ce-id": "1"}, 202),
        ({"Content-Type": "application/json; charset=utf-8", "aeg-event-type": "Notification"}, 202),
        ({"Content-Type": "application/cloudevents+avro", "ce-specversion": "1.0"}, 415),
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Type": "text/plain", "aeg-event-type": "Notification"}, 415),
        ({}, 415),
        ({"Content-Type": "application/cloudevents+json", "Content-Encoding": "lz4"}, 415),
    ],
)
async def test_a_cloudevents_source_takes_only_requests_that_carry_an_event(
    headers: dict[str, str], status: int
) -> None:
    async with posted_to(format="cloudevents") as (source, client):
        request = client.post("/in", content=b"{}", headers=headers)
        response, _ = await exchange(source, request, *[ACK] * (status == 202))
    assert response.status_code == status


async def test_the_headers_of_a_binary_event_go_with_the_message() -> None:
    async with posted_to(format="cloudevents") as (source, client):
        headers = {"ce-specversion": "1.0", "CE-Id": "e1", "ce-type": "t", "Content-Type": "application/xml"}
        _, (message,) = await exchange(source, client.post("/in", content=b"<a/>", headers=headers), ACK)
    assert (message.id, message.body, message.content_type) == ("e1", b"<a/>", "application/xml")
    assert (message.headers["ce-id"], message.headers["ce-type"]) == ("e1", "t")


async def test_of_headers_that_are_sent_twice_the_first_one_counts() -> None:
    async with posted_to(format="cloudevents") as (source, client):
        sent = [("ce-specversion", "1.0"), ("ce-id", "e1"), ("ce-id", "e2"), ("ce-type", "t"), ("ce-source", "/s")]
        _, (message,) = await exchange(source, client.post("/in", content=b"x", headers=sent), ACK)
    assert (message.id, message.headers["ce-id"]) == ("e1", "e1")


async def test_an_event_grid_delivery_is_taken_apart() -> None:
    async with posted_to(format="cloudevents") as (source, client):
        request = client.post("/in", json=[{"id": "a"}, {"id": "b"}], headers={"aeg-event-type": "Notification"})
        response, messages = await exchange(source, request, ACK, ACK)
    assert [result["id"] for result in response.json()["results"]] == ["a", "b"]
    assert [(json.loads(m.body), m.content_type) for m in messages] == [
        ({"id": "a"}, "application/json"),
        ({"id": "b"}, "application/json"),
    ]


VALIDATION = [
    {
        "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
        "topic": "/subscriptions/s",
        "subject": "",
        "data": {"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6", "validationUrl": "https://example.com/v"},
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-03-02T22:12:19.4556811Z",
        "metadataVersion": "1",
        "dataVersion": "1",
    }
]


@pytest.mark.parametrize(
    "handshake, body, status, content",
    [
        ({"allow_origins": ["*"]}, VALIDATION, 200, {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}),
        (None, VALIDATION, 403, {"detail": "no handshake is offered"}),
        ({"allow_origins": ["*"]}, [], 400, None),
        ({"allow_origins": ["*"]}, [{"data": {"validationCode": 5}}], 400, None),
        ({"allow_origins": ["*"]}, {"data": 1}, 400, None),
    ],
)
async def test_event_grid_gets_its_validation_code_back_where_a_handshake_is_offered(
    handshake: Any, body: Any, status: int, content: Any
) -> None:
    async with posted_to(format="cloudevents", handshake=handshake) as (source, client):
        response = await client.post("/in", json=body, headers={"aeg-event-type": "SubscriptionValidation"})
        assert (await source.backlog()).messages == 0
    assert response.status_code == status
    assert content is None or response.json() == content


@pytest.mark.parametrize(
    "handshake, origin, status, allowed",
    [
        ({"allow_origins": ["eventgrid.azure.net"], "rate": 120}, "EventGrid.azure.net", 200, "120"),
        ({"allow_origins": ["*"]}, "anybody.example.com", 200, "*"),
        ({"allow_origins": ["eventgrid.azure.net"]}, "eventgrid.azure.net.evil.example", 403, None),
        ({"allow_origins": ["eventgrid.azure.net"]}, None, 403, None),
        (None, "eventgrid.azure.net", 405, None),
    ],
)
async def test_consent_to_deliveries_is_given_to_allowed_origins_only(
    handshake: Any, origin: str | None, status: int, allowed: str | None
) -> None:
    headers = {"WebHook-Request-Rate": "100"} | ({} if origin is None else {"WebHook-Request-Origin": origin})
    async with posted_to(handshake=handshake, auth={"bearer": "s3cret"}) as (_, client):
        response = await client.options("/in", headers=headers)
    assert response.status_code == status
    assert response.headers["allow"] == "POST"
    assert response.headers.get("webhook-allowed-rate") == allowed
    assert response.headers.get("webhook-allowed-origin") == (origin if allowed else None)


BASIC = "Basic " + base64.b64encode("erp:pä:ss".encode()).decode()


@pytest.mark.parametrize(
    "auth, url, authorization, status",
    [
        ({"bearer": "s3cret"}, "/in", "Bearer s3cret", 202),
        ({"bearer": "s3cret"}, "/in", "bearer  s3cret", 202),
        ({"bearer": "s3cret"}, "/in?access_token=s3cret", None, 202),
        ({"bearer": "s3cret"}, "/in?access_token=s3cre", None, 401),
        ({"bearer": "s3cret"}, "/in?access_token=s3cret", "Bearer wrong", 401),
        ({"bearer": "s3cret"}, "/in", "Bearer s3cret2", 401),
        ({"bearer": "s3cret"}, "/in", "Basic s3cret", 401),
        ({"bearer": "s3cret"}, "/in", None, 401),
        ({"bearer": "s3cret"}, "/in", "", 401),
        ({"basic": {"username": "erp", "password": "pä:ss"}}, "/in", BASIC, 202),
        ({"basic": {"username": "erp", "password": "other"}}, "/in", BASIC, 401),
        ({"basic": {"username": "erp", "password": "pä:ss"}}, "/in", BASIC.replace("Basic", "Bearer"), 401),
        ({"basic": {"username": "erp", "password": "pä:ss"}}, "/in?access_token=x", None, 401),
    ],
)
async def test_only_senders_with_the_credentials_are_let_in(
    auth: Any, url: str, authorization: str | None, status: int
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with posted_to(auth=auth) as (source, client):
        request = client.post(url, content=b"x", headers=headers)
        response, _ = await exchange(source, request, *[ACK] * (status == 202))
    assert response.status_code == status
    if status == 401:
        assert response.headers["www-authenticate"].split()[0].lower() in auth


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(method: str) -> None:
    async with posted_to() as (_, client):
        response = await client.request(method, "/in")
    assert response.status_code == 405
    assert {"POST", "OPTIONS"} <= set(response.headers["allow"].split(", "))


async def test_a_body_may_be_as_large_as_the_limit_and_no_larger() -> None:
    async with posted_to(max_body=1024) as (source, client):
        fits, _ = await exchange(source, client.post("/in", content=b"x" * 1024), ACK)
        over = await client.post("/in", content=b"x" * 1025)
    assert (fits.status_code, over.status_code) == (202, 413)


async def test_a_body_of_undeclared_length_is_not_read_beyond_the_limit() -> None:
    source = HttpSource("web", HttpSettings.model_validate({"path": "/in"}), max_body=100)
    await source.connect()
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 60
        return {"type": "http.request", "body": b"x" * 60, "more_body": True}

    assert await status_of(source, receive) == 413
    assert read == 120


async def test_a_sender_that_goes_away_while_it_sends_leaves_nothing_behind() -> None:
    source = HttpSource("web", HttpSettings.model_validate({"path": "/in", "receive": {"max_in_flight": 1}}))
    await source.connect()

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    for _ in range(2):
        await status_of(source, receive)
    assert (await source.backlog()).messages == 0


async def status_of(source: HttpSource, receive: Callable[[], Awaitable[dict[str, Any]]]) -> int:
    """The status of a request whose body comes from `receive`, as an ASGI server would call it."""
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/in", "root_path": "", "headers": [], "query_string": b""}
    await source.route().app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


async def test_more_requests_than_may_be_in_flight_are_sent_away_for_a_while() -> None:
    async with posted_to(receive={"max_in_flight": 2}) as (source, client):
        requests = [asyncio.create_task(client.post("/in", content=b"x")) for _ in range(2)]
        await waiting(source, 2)
        over = await client.post("/in", content=b"x")
        assert (over.status_code, over.headers["retry-after"]) == (503, "5")
        await settle_each(source, [ACK, ACK])
        assert [(await request).status_code for request in requests] == [202, 202]
        again, _ = await exchange(source, client.post("/in", content=b"x"), ACK)
    assert again.status_code == 202


async def test_a_request_that_nobody_settles_in_time_is_taken_back() -> None:
    async with posted_to(answer_timeout="10ms") as (source, client):
        response = await client.post("/in", content=b"never received")
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert (await source.backlog()).messages == 0

        messages: Sequence[Message] = []
        while not messages:  # those 10 ms may pass before anything has come
            request = asyncio.create_task(client.post("/in", content=b"received"))
            messages = await source.receive(10)
        (message,) = messages
        assert message.body == b"received"
        assert (await request).status_code == 503
        await source.settle([(message, ACK)])


async def test_closing_sends_away_whoever_waits_and_whoever_comes() -> None:
    async with posted_to() as (source, client):
        requests = [asyncio.create_task(client.post("/in", content=b"x")) for _ in range(2)]
        await waiting(source, 2)
        (received,) = await source.receive(1)
        await source.close()
        await source.close()
        assert [(await request).status_code for request in requests] == [503, 503]
        assert (await client.post("/in", content=b"x")).status_code == 503
        with pytest.raises(NotConnectedError):
            await source.receive(1)

        await source.connect()
        await source.settle([(received, ACK)])
        response, messages = await exchange(source, client.post("/in", content=b"new"), ACK)
        assert (response.status_code, [message.body for message in messages]) == (202, [b"new"])


async def test_closing_wakes_a_receive_that_waits() -> None:
    async with posted_to() as (source, _):
        receiving = asyncio.create_task(source.receive(1))
        await asyncio.sleep(0)
        await source.close()
        with pytest.raises(NotConnectedError):
            await receiving


async def test_a_cancelled_receive_loses_nothing() -> None:
    async with posted_to() as (source, client):
        receiving = asyncio.create_task(source.receive(1))
        await asyncio.sleep(0)
        request = asyncio.create_task(client.post("/in", content=b"x"))
        await waiting(source, 1)
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
        await settle_each(source, [ACK])
        assert (await request).status_code == 202


def settings_error(**settings: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        HttpSettings.model_validate({"path": "/in", **settings})
    return str(raised.value)


@pytest.mark.parametrize(
    "settings, complaint",
    [
        ({"path": "in"}, "path"),
        ({"path": "/in/{id}"}, "path"),
        ({"auth": {}}, "write one of bearer, basic, hmac and oidc"),
        (
            {"auth": {"bearer": "a", "basic": {"username": "u", "password": "p"}}},
            "write one of bearer, basic, hmac and oidc",
        ),
        ({"auth": {"bearer": ""}}, "auth.bearer"),
        ({"auth": {"basic": {"username": "a:b", "password": "p"}}}, "auth.basic.username"),
        ({"receive": {"max_in_flight": 0}}, "receive.max_in_flight"),
        ({"handshake": {"allow_origins": []}}, "handshake.allow_origins"),
        ({"allow_origins": ["app.example.com"]}, "not an origin"),
        ({"allow_origins": ["https://app.example.com/page"]}, "not an origin"),
        ({"allow_origins": ["*"]}, "not an origin"),
        ({"answer_timeout": "soon"}, "not a duration"),
        ({"fromat": "plain"}, "fromat"),
    ],
)
def test_a_setting_that_cannot_be_is_named(settings: dict[str, Any], complaint: str) -> None:
    assert complaint in settings_error(**settings)


def test_secrets_are_not_shown() -> None:
    settings = HttpSettings.model_validate({"path": "/in", "auth": {"bearer": "canary"}})
    assert "canary" not in f"{settings!r} {settings} {settings.model_dump_json()}"
    wrong = {"basic": {"username": "u", "password": "canary", "x": 1}}
    assert "canary" not in settings_error(auth=wrong)


@pytest.mark.parametrize(
    "text, size", [("512B", 512), ("64KiB", 65536), ("1MiB", 1048576), ("5MB", 5000000), ("1 GiB", 1 << 30), (7, 7)]
)
def test_sizes_are_bytes_or_text_with_a_unit(text: str | int, size: int) -> None:
    assert TypeAdapter(Size).validate_python(text) == size


@pytest.mark.parametrize("trouble", ["the store fails", "there is no room"])
async def test_while_nothing_can_be_kept_a_request_is_told_at_once_to_come_again(trouble: str) -> None:
    fails = False
    source = HttpSource(
        "web",
        HttpSettings(path="/in"),
        store_fails=lambda: fails and trouble == "the store fails",
        has_room=lambda: not (fails and trouble == "there is no room"),
    )
    await source.connect()
    transport = httpx.ASGITransport(Starlette(routes=[source.route()]))
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
        waiting_post = asyncio.create_task(client.post("/in", content=b"x"))
        (message,) = await source.receive(1)
        assert not message.is_lost()
        fails = True
        started = time.monotonic()
        answers = [await waiting_post, await client.post("/in", content=b"y")]
        assert time.monotonic() - started < 15, "it waits 25 s for the store"
        assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "5")] * 2
        assert message.is_lost(), "its sender comes again"
        fails = False
        again = asyncio.create_task(client.post("/in", content=b"x"))
        (message,) = await source.receive(1)
        await source.settle([(message, ACK)])
        assert (await again).status_code == 202


@pytest.mark.parametrize(
    "coding, body",
    [
        ("gzip", gzipped(b'{"a": 1}')),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("gzip, gzip", gzipped(gzipped(b'{"a": 1}'))),
        ("identity", b'{"a": 1}'),
        ("br", bytes(cramjam.brotli.compress(b'{"a": 1}'))),
        ("zstd", bytes(cramjam.zstd.compress(b'{"a": 1}'))),
        ("zstd", bytes(cramjam.zstd.compress(b'{"a"')) + bytes(cramjam.zstd.compress(b": 1}"))),
        ("gzip, zstd", bytes(cramjam.zstd.compress(gzipped(b'{"a": 1}')))),
    ],
)
async def test_a_compressed_body_is_unpacked(coding: str, body: bytes) -> None:
    async with posted_to() as (source, client):
        request = client.post("/in", content=body, headers={"Content-Encoding": coding})
        response, (message,) = await exchange(source, request, ACK)
    assert (response.status_code, message.body) == (202, b'{"a": 1}')
    assert "content-encoding" not in message.headers


async def test_a_compressed_batch_is_unpacked_before_it_is_taken_apart() -> None:
    async with posted_to(format="cloudevents") as (source, client):
        content = gzipped(json.dumps([EVENT, EVENT | {"id": "e2"}]).encode())
        request = client.post("/in", content=content, headers={"Content-Type": BATCH, "Content-Encoding": "gzip"})
        _, messages = await exchange(source, request, ACK, ACK)
    assert [message.id for message in messages] == ["e1", "e2"]


@pytest.mark.parametrize(
    "coding, body, status, detail",
    [
        ("lz4", b"x", 415, "content encoding lz4 is not supported: send gzip, deflate, br, zstd, or none"),
        ("br", bytes(cramjam.brotli.compress(b" " * 65_537)), 413, TOO_LARGE),
        ("zstd", bytes(cramjam.zstd.compress(b" " * 65_537)), 413, TOO_LARGE),
        ("zstd", bytes(cramjam.zstd.compress(b" " * 40_000)) * 2, 413, TOO_LARGE),
        ("zstd, zstd", bytes(cramjam.zstd.compress(cramjam.zstd.compress(b" " * 10**6))), 413, TOO_LARGE),
        ("gzip", gzipped(b" " * 100_000), 413, TOO_LARGE),
    ],
)
async def test_a_compressed_body_that_is_not_taken_is_refused_by_name(
    coding: str, body: bytes, status: int, detail: str
) -> None:
    async with posted_to(max_body=65_536) as (_, client):
        response = await client.post("/in", content=body, headers={"Content-Encoding": coding})
    assert (response.status_code, response.json()) == (status, {"detail": detail})
    assert response.headers.get("accept-encoding") == ("gzip, deflate, br, zstd" if status == 415 else None)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"no gzip"),
        ("br", b"no brotli"),
        ("zstd", b"no zstd"),
        ("br", bytes(cramjam.brotli.compress(b"x" * 999))[:-2]),
        ("zstd", bytes(cramjam.zstd.compress(b"x" * 999))[:-2]),
    ],
)
async def test_a_damaged_body_is_a_message_with_its_bytes(coding: str, body: bytes) -> None:
    async with posted_to() as (source, client):
        request = client.post("/in", content=body, headers={"Content-Encoding": coding})
        response, (message,) = await exchange(source, request, REJECTED)
    assert (response.status_code, message.body, message.headers["content-encoding"]) == (400, body, coding)


async def test_a_body_of_exactly_the_limit_is_unpacked() -> None:
    async with posted_to(max_body=65_536) as (source, client):
        for coding, compress in (("br", cramjam.brotli.compress), ("zstd", cramjam.zstd.compress)):
            content = bytes(compress(b" " * 65_536))
            request = client.post("/in", content=content, headers={"Content-Encoding": coding})
            response, (message,) = await exchange(source, request, ACK)
            assert (response.status_code, len(message.body)) == (202, 65_536)


@pytest.mark.parametrize(
    "bad",
    [
        b'{"id": 1,}',
        b'{"text": "\xff"}',
        b'{"text": "]}{", }',
        b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"{'a': 1}",
    ],
    ids=["comma", "no UTF-8", "brackets in text", "deep", "quotes"],
)
async def test_one_bad_event_of_a_batch_costs_only_itself(bad: bytes) -> None:
    first, last = json.dumps(EVENT).encode(), json.dumps(EVENT | {"id": "e2"}).encode()
    async with posted_to(format="cloudevents") as (source, client):
        request = client.post("/in", content=b"[%s,%s, %s]" % (first, bad, last), headers={"Content-Type": BATCH})
        response, messages = await exchange(source, request, ACK, DEAD_LETTERED, ACK)
    assert [message.body for message in messages] == [first, bad, last]
    assert response.status_code == 202


async def test_a_request_is_ahead_of_others_until_it_is_settled() -> None:
    under_way = 0

    @contextmanager
    def ahead() -> Iterator[None]:
        nonlocal under_way
        under_way += 1
        yield
        under_way -= 1

    async with posted_to(ahead=ahead) as (source, client):
        request = asyncio.ensure_future(client.post("/in", content=b"{}"))
        (message,) = await source.receive(1)
        assert under_way == 1
        await source.settle([(message, ACK)])
        assert (await request).status_code == 202
        assert under_way == 0


async def test_what_is_over_the_rate_is_told_when_to_come_again_and_nothing_of_it_is_taken() -> None:
    now = 0.0
    limiter = RateLimiter(Rate(per_second=0.5, burst=2), clock=lambda: now)
    async with posted_to(admit=limiter.admit) as (source, client):
        for _ in range(2):
            answer, _ = await exchange(source, client.post("/in", content=b"{}"), ACK)
            assert answer.status_code == 202
        refused = await client.post("/in", content=b"{}")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
        assert "rate" in refused.json()["detail"]
        assert (await source.backlog()).messages == 0
        now = 2.0
        answer, _ = await exchange(source, client.post("/in", content=b"{}"), ACK)
        assert answer.status_code == 202


async def test_a_batch_passes_whole_and_the_next_request_waits_for_its_events() -> None:
    limiter = RateLimiter(Rate(per_second=1, burst=1), clock=lambda: 0.0)
    async with posted_to(admit=limiter.admit, format="cloudevents") as (source, client):
        batch = json.dumps([EVENT | {"id": f"e{number}"} for number in range(5)])
        answer, _ = await exchange(
            source, client.post("/in", content=batch, headers={"content-type": BATCH}), *[ACK] * 5
        )
        assert (answer.status_code, len(answer.json()["results"])) == (202, 5)
        refused = await client.post("/in", content=batch, headers={"content-type": BATCH})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")


async def test_requests_that_are_read_side_by_side_do_not_pass_on_one_token() -> None:
    limiter = RateLimiter(Rate(per_second=1, burst=1), clock=lambda: 0.0)
    async with posted_to(admit=limiter.admit) as (source, client):

        async def slow() -> AsyncIterator[bytes]:
            yield b"{"
            await both.wait()
            yield b"}"

        both = asyncio.Barrier(2)
        posts = [asyncio.create_task(client.post("/in", content=slow())) for _ in range(2)]
        await waiting(source, 1)
        await settle_each(source, [ACK])
        assert sorted(answer.status_code for answer in await asyncio.gather(*posts)) == [202, 429]
