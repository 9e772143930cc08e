"""What a phone, or a program that plays one, may try at the registration service."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from bridge.admin.listener import Listener
from bridge.config.models.listeners import Listen
from hub.phone import PhoneOperation, PhoneOutcome
from tests.hub.examples import HUB
from tests.hub.registration.calling import DAY, PATH, PHONE, Calling, registration

OTHER_PHONE = "11111111-2222-3333-4444-555555555555"


async def error_of(calling: Calling, body: Any, *, user: str = "mallory") -> tuple[int, str | None]:
    answer = await calling.call("POST", "", user, body)
    return answer.status_code, answer.json().get("error")


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": ["customer:of-ann"]},
        {"tags": ["customer:of-mallory", "vip"]},
        {"tags": ["$UserId:{ann}"]},
        {"tags": ["CUSTOMER:OF-MALLORY\u200b"]},
        {"tags": ["cuſtomer:of-ann"]},
        {"tags": [["customer:of-mallory"]]},
        {"userId": "ann"},
        {"userId": ["mallory"]},
        {"topics": {"debits:100": True}},
        {"topics": {"../customer:of-ann": True}},
        {"topics": {"ｏffers": True}},
        {"topics": {"offers\u202e": True}},
    ],
)
async def test_a_phone_that_asks_for_what_its_token_does_not_give_is_refused_and_counted(
    calling: Calling, changes: dict[str, Any]
) -> None:
    assert await error_of(calling, registration(**changes)) == (403, "forbidden_tag")
    assert [each.outcome for each in calling.observer.answers_to_phones] == [PhoneOutcome.FORBIDDEN_TAG]
    assert "ann" not in calling.observer.answers_to_phones[0].detail
    assert await calling.store.phone(HUB, PHONE) is None


async def test_a_phone_may_repeat_what_its_token_gives(calling: Calling) -> None:
    await calling.sign_in("ann", tags=["Customer:of-ann"], userId="ANN")
    assert await calling.tags() == ["customer:of-ann"]


@pytest.mark.parametrize(
    "changes",
    [
        {"phone": "short"},
        {"phone": "x" * 101},
        {"phone": "phone/../of/somebody"},
        {"phone": "phone-of-somebödy"},
        {"phone": None},
        {"platform": "fax"},
        {"platform": 7},
        {"pushChannel": ""},
        {"platform": "apns", "pushChannel": "channel:JDfquBaMnD3b/eDuGUbWjg=="},
        {"pushChannel": {"endpoint": "x"}},
        {"locale": "de && vip"},
        {"timeZone": "x" * 65},
        {"pushVariables": {"a b": "x"}},
        {"pushVariables": {"a": "x\ny"}},
        {"pushVariables": {"a": 7}},
        {"pushVariables": {f"v{number}": "x" for number in range(21)}},
        {"topics": ["offers"]},
        {"topics": {"debits": "500"}},
        {"topics": {"debits": {"level": 500, "tag": "vip"}}},
        {"topics": {"debits": {"level": -1}}},
        {"topics": {"debits": {"level": 1e300}}},
        {"tags": "customer:of-mallory"},
        {"templates": {"x": {"body": "{}"}}},
    ],
)
async def test_what_is_malformed_is_refused_and_nothing_of_it_is_kept(
    calling: Calling, changes: dict[str, Any]
) -> None:
    document = registration() | changes
    assert await error_of(calling, {name: value for name, value in document.items() if value is not None}) == (
        400,
        "invalid",
    )
    assert await calling.store.phones_of(HUB, "mallory") == []


@pytest.mark.parametrize(
    "topics", [{"debits": True}, {"debits": 501}, {"offers": 5}, {"weather": True}, {"Offers": True}]
)
async def test_topics_and_levels_that_are_not_offered_are_refused(calling: Calling, topics: dict[str, Any]) -> None:
    assert await error_of(calling, registration(topics=topics)) == (404, "unknown_topic")
    assert await calling.store.phone(HUB, PHONE) is None


async def test_a_token_cannot_set_what_the_hub_says_of_the_user(calling: Calling) -> None:
    await calling.sign_in("ann", pushVariables={"name": "the bank", "colour": "red"})
    installation = await calling.hub.get_installation(HUB, f"phone:{PHONE}")
    assert installation.push_variables == {"name": "ann", "colour": "red"}
    await calling.sign_in("ann", pushVariables={"NAME": "the bank", "Name": "your bank", "colour": "blue"})
    installation = await calling.hub.get_installation(HUB, f"phone:{PHONE}")
    assert installation.push_variables == {"name": "ann", "colour": "blue"}, "templates know them without case"


async def test_ten_thousand_topics_and_deep_json_are_refused_in_no_time(calling: Calling) -> None:
    bodies = [
        registration(topics={f"t{number}": True for number in range(10_000)}),
        registration(topics={f"t{number}": True for number in range(500)}),
    ]
    started = time.process_time()
    assert [await error_of(calling, body) for body in bodies] == [(413, "invalid"), (404, "unknown_topic")]
    for raw in (b"[" * 16_000, b'{"phone":' * 1700, b"\xff\xfe", b"{}", b"null", b'{"phone": NaN}'):
        answer = await calling.client.post("", content=raw, headers=calling.headers("ann"))
        assert answer.status_code == 400
    assert time.process_time() - started < 20


@pytest.mark.parametrize("escaped", ["%2F", "%2f", "%25", "%00", "%2e%2e", "%E2%80%AE"])
async def test_a_path_with_escapes_names_nothing(calling: Calling, escaped: str) -> None:
    id_ = (await calling.sign_in("ann"))["registrationId"]
    before = len(calling.outcomes)
    for path in (f"/{id_}{escaped}topics/offers", f"/{id_}/topics/{escaped}", f"/{escaped}{id_}"):
        answer = await calling.client.put(path, headers=calling.headers("ann"))
        assert answer.status_code == 404, path
    assert len(calling.outcomes) == before


async def test_another_user_s_registration_id_opens_nothing(calling: Calling) -> None:
    id_ = (await calling.sign_in("ann", topics={"offers": True}))["registrationId"]
    for method, path, body in [
        ("GET", "", None),
        ("PUT", "/topics/offers", None),
        ("DELETE", "/topics/offers", None),
        ("DELETE", "", None),
    ]:
        answer = await calling.call(method, f"/{id_}{path}", "mallory", body)
        assert (answer.status_code, answer.json()["error"]) == (403, "forbidden_phone"), method
        assert "ann" not in answer.text
    put = await calling.call("PUT", f"/{id_}", "mallory", registration(phone=OTHER_PHONE))
    assert put.status_code == 410
    assert await calling.pushed("customer:of-ann && topic:offers") == ["handle-1"]
    assert (await calling.call("GET", "", "mallory")).json()["phones"] == []


async def test_the_id_of_another_user_s_phone_signs_nobody_off(calling: Calling) -> None:
    ann = await calling.sign_in("ann", topics={"offers": True})
    for stranger in ({}, {"replaces": "x" * 32}, {"platform": "apns", "pushChannel": "ab" * 32}):
        stolen = registration(**{"pushChannel": "handle-of-mallory", **stranger})
        assert await error_of(calling, stolen) == (403, "forbidden_phone"), stranger
    assert await calling.pushed("customer:of-ann && topic:offers") == ["handle-1"]
    assert (await calling.call("GET", f"/{ann['registrationId']}", "ann")).json() == ann
    assert (await calling.call("GET", "", "mallory")).json()["phones"] == []


@pytest.mark.parametrize(
    "shown",
    [
        {"pushChannel": "handle-1"},
        {"pushChannel": "handle-2", "replaces": "ann's"},
        {"phone": OTHER_PHONE, "pushChannel": "handle-1", "replaces": "ann's"},
        {"phone": OTHER_PHONE, "pushChannel": "handle-1"},
    ],
    ids=["its channel", "its last registration id", "another id, and its last registration id", "another id"],
)
async def test_a_shared_phone_is_handed_over_by_what_only_that_phone_has(
    calling: Calling, shown: dict[str, str]
) -> None:
    ann = await calling.sign_in("ann", topics={"offers": True})
    if "replaces" in shown:
        shown = {**shown, "replaces": ann["registrationId"]}
    taken = await calling.sign_in("bob", **shown)
    assert taken["topics"] == {}
    assert calling.outcomes[-1] == (PhoneOperation.REGISTER, PhoneOutcome.TOOK_OVER)
    assert await calling.pushed("customer:of-ann || topic:offers || $UserId:{ann}") == []
    assert await calling.pushed("customer:of-bob") == [shown["pushChannel"]]


async def test_a_phone_whose_user_signed_off_or_whose_time_is_over_is_anybody_s(calling: Calling) -> None:
    ann = await calling.sign_in("ann")
    await calling.call("DELETE", f"/{ann['registrationId']}", "ann")
    await calling.sign_in("bob", pushChannel="handle-2")
    calling.clock.advance(91 * DAY)
    await calling.sign_in("ann", pushChannel="handle-3")
    assert PhoneOutcome.TOOK_OVER not in [outcome for _, outcome in calling.outcomes]


async def test_who_knows_the_push_channels_of_others_can_sign_off_few_of_them(calling: Calling) -> None:
    channels = [f"handle-{number}" for number in range(6)]
    for channel in channels:
        await calling.sign_in(f"user-of-{channel}", phone=f"the-phone-of-{channel}", pushChannel=channel)
    answers = [await error_of(calling, registration(pushChannel=channel)) for channel in channels]
    assert answers == [(200, None)] * 3 + [(429, "throttled")] * 3
    assert await calling.pushed("everyone") == ["handle-2", "handle-3", "handle-4", "handle-5"]
    id_ = (await calling.call("GET", "", "mallory")).json()["phones"][0]["registrationId"]
    moved = await calling.call("PUT", f"/{id_}", "mallory", registration(pushChannel="handle-5"))
    assert (moved.status_code, int(moved.headers["Retry-After"]) > 60) == (429, True)
    calling.clock.advance(3600)
    assert await error_of(calling, registration(pushChannel="handle-5")) == (200, None)


@pytest.mark.parametrize("claims", [{"aud": "another-app"}, {"iss": "https://evil.example"}, {"exp": 1}])
async def test_a_token_of_another_audience_issuer_or_time_registers_nothing(
    calling: Calling, claims: dict[str, Any]
) -> None:
    answer = await calling.client.post("", json=registration(), headers=calling.headers("ann", **claims))
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert await calling.store.phone(HUB, PHONE) is None


async def test_an_address_that_tries_tokens_is_put_off_and_a_good_token_from_there_is_heard(calling: Calling) -> None:
    statuses = [
        (await calling.client.get("", headers={"Authorization": f"Bearer a.b.{number}"})).status_code
        for number in range(25)
    ]
    assert statuses == [401] * 20 + [429] * 5
    await calling.sign_in("ann")
    last = await calling.client.get("", headers={})
    assert (last.status_code, int(last.headers["Retry-After"]) > 0) == (429, True)
    calling.clock.advance(60)
    assert (await calling.client.get("")).status_code == 401


async def test_a_user_who_was_refused_too_often_waits_and_others_do_not(calling: Calling) -> None:
    body = registration(tags=["customer:of-ann"])
    assert [(await error_of(calling, body))[0] for _ in range(22)] == [403] * 20 + [429] * 2
    assert (await error_of(calling, registration()))[1] == "throttled"
    await calling.sign_in("ann")
    calling.clock.advance(60)
    await calling.sign_in("mallory")


@asynccontextmanager
async def served(calling: Calling, *, request_time: float) -> AsyncIterator[tuple[str, int]]:
    """The application behind a real listener."""
    listener = Listener(calling.app, Listen("127.0.0.1", 0), request_time=request_time)
    await listener.open()
    try:
        yield "127.0.0.1", listener.address.port
    finally:
        await listener.close()


async def test_a_body_of_100_megabytes_is_refused_and_not_kept_in_memory(calling: Calling) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * 1024 * 1024

    async with (
        served(calling, request_time=30.0) as (host, port),
        httpx.AsyncClient(verify=False, timeout=60) as client,
    ):
        url = f"http://{host}:{port}/{HUB}{PATH}"
        try:
            answer = await client.post(url, content=body(), headers=calling.headers("ann"))
        except httpx.TransportError:  # the connection was closed while the body was still sent
            assert sent < 100
        else:
            assert answer.status_code == 413
        assert (await client.get(url, headers=calling.headers("ann"))).status_code == 200
    assert calling.outcomes[0][1] is PhoneOutcome.INVALID


async def test_a_body_that_is_dripped_in_ends_with_its_connection(calling: Calling) -> None:
    async with served(calling, request_time=0.3) as address:
        reader, writer = await asyncio.open_connection(*address)
        head = f"POST /{HUB}{PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n"
        authorization = calling.headers("ann")["Authorization"]
        writer.write(f"{head}Authorization: {authorization}\r\n\r\n{{".encode())
        await writer.drain()
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()
    assert calling.outcomes == []
