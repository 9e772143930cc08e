"""A notification becomes one request of the Notification Hubs REST API, and each answer one verdict."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.api.access import AccessPolicy, Right
from hub.api.sas import signed_token
from hub.api.wire.content import native_content, template_content
from hub.delivery.remote import RemoteHub, request_for, signature, verdict
from hub.delivery.remote_settings import RemoteSettings
from hub.notification import NativeContent, Notification, Platform, TemplateContent
from hub.outcome import OutcomeName, Reaction
from hub.platforms.wns.hints import wns_tag
from hub.push import SendResult
from tests.fakes.clock import START, FakeClock
from tests.fakes.pushes import results_of
from tests.fakes.requests import Request, requests_in
from tests.hub.examples import notification

KEY = "canary+/="
SETTINGS = RemoteSettings(endpoint="https://ns.example:8443", hub="app", key_name="Send", key=KEY)
STRING = f"Endpoint=sb://ns.example:8443/;SharedAccessKeyName=Send;SharedAccessKey={KEY}"
APNS, FCM, WNS = Platform.APNS, Platform.FCM, Platform.WNS
TOAST = b'<toast><visual><binding template="ToastText01"/></visual></toast>'


# Connection strings


@pytest.mark.parametrize(
    "text, changes",
    [
        (STRING, {}),
        (f"  {STRING};\n", {}),
        (f"SharedAccessKey={KEY}; SharedAccessKeyName=Send ;Endpoint=sb://ns.example:8443", {}),
        (STRING.replace("Endpoint", "endpoint").replace("SharedAccessKey=", "sharedaccesskey="), {}),
        (STRING.replace("sb://", "https://"), {}),
        (STRING.replace(":8443", ""), {"endpoint": "https://ns.example"}),
        (STRING.replace("ns.example", "[::1]"), {"endpoint": "https://[::1]:8443"}),
        (f"{STRING};EntityPath=theirs", {"hub": "theirs"}),
    ],
)
def test_a_connection_string_is_read_as_the_sdks_do(text: str, changes: dict[str, str]) -> None:
    parts: dict[str, Any] = {"endpoint": "https://ns.example:8443", "hub": "app", **changes}
    assert RemoteSettings.from_connection_string(text, hub="app") == RemoteSettings(**parts, key_name="Send", key=KEY)


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("", "no Endpoint and no SharedAccessKeyName and no SharedAccessKey"),
        (STRING.replace(KEY, ""), "no SharedAccessKey"),
        (STRING.partition(";")[2], "no Endpoint"),
        (f"{STRING};canary", "a part of the connection string has no `=`"),
        *(
            (f"Endpoint={endpoint};SharedAccessKeyName=canary;SharedAccessKey={KEY}", "Endpoint has to be sb://HOST/")
            for endpoint in (
                "ns.example",
                "http://ns.example/",
                "amqps://ns.example/",
                "sb:///",
                "sb://ns.example/app",
                "sb://ns.example/?canary",
                "sb://canary@ns.example/",
                "sb://ns.example:99999/",
                "sb://ns.example:port/",
                "sb://ns example/",
            )
        ),
    ],
)
def test_a_wrong_connection_string_is_refused_without_showing_it(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        RemoteSettings.from_connection_string(text, hub="app")
    assert "canary" not in str(caught.value)


@given(st.text())
def test_any_text_is_settings_or_a_value_error(text: str) -> None:
    for endpoint in (text, f"sb://{text}/"):
        try:
            settings = RemoteSettings.from_connection_string(f"Endpoint={endpoint};{STRING.partition(';')[2]}", hub="a")
        except ValueError:
            continue
        assert urlsplit(settings.endpoint).hostname
        assert settings.endpoint.isprintable()


def test_settings_do_not_show_their_key() -> None:
    assert "canary" not in repr(SETTINGS)


# Requests


def request(of: Notification, settings: RemoteSettings = SETTINGS) -> tuple[str, dict[str, str], bytes]:
    """URL, headers and body of the request that has to be possible."""
    (made,) = requests_in([request_for(of, settings, authorization="SharedAccessSignature …")])
    assert isinstance(made, Request)
    headers = dict(line.decode().split(": ", 1) for line in made.headers)
    assert len(headers) == len(made.headers)
    return made.url, headers, made.body


def native(platform: Platform, payload: bytes, **headers: str) -> Notification:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return notification(content=NativeContent(platform=platform, payload=payload, headers=fields))


def test_a_template_notification_is_its_properties_for_a_tag_expression() -> None:
    greeting = notification("a && (b || !c)", content=TemplateContent(properties={"title": 'Žofie "x"', "n": "5"}))
    url, headers, body = request(greeting)
    assert url == "https://ns.example:8443/app/messages?api-version=2020-06"
    assert headers == {
        "authorization": "SharedAccessSignature …",
        "idempotency-key": greeting.id,
        "servicebusnotification-tags": str(greeting.audience),
        "servicebusnotification-format": "template",
        "content-type": "application/json;charset=utf-8",
    }
    assert orjson.loads(body) == {"title": 'Žofie "x"', "n": "5"}
    assert template_content(body) == greeting.content


def test_only_a_broadcast_names_no_tags() -> None:
    _, everyone, _ = request(notification())
    _, some, _ = request(notification("everyone"))
    assert "servicebusnotification-tags" not in everyone
    assert some["servicebusnotification-tags"] == "everyone"


def test_a_user_whose_name_is_not_ascii_is_found() -> None:
    _, headers, _ = request(notification("$UserId:{Žofie}"))
    assert headers["servicebusnotification-tags"] == "$UserId:{Žofie}"


def test_the_end_of_its_life_is_told_in_utc() -> None:
    expires_at = datetime(2027, 1, 15, 8, 0, 30, 5, tzinfo=UTC)
    _, headers, _ = request(notification(expires_at=expires_at))
    assert headers["servicebusnotification-apns-expiry"] == "2027-01-15T08:00:30Z"


JSON = "application/json;charset=utf-8"


@pytest.mark.parametrize(
    "given, expected",
    [
        (
            native(APNS, b'{"aps": {}}', apns_priority="5", **{"Apns-Push-Type": "background"}),
            {"format": "apple", "type": JSON, "apns-priority": "5", "apns-push-type": "background"},
        ),
        (native(FCM, b'{"message": {}}'), {"format": "fcmv1", "type": JSON}),
        (native(WNS, TOAST), {"format": "windows", "type": "application/xml", "x-wns-type": "wns/toast"}),
        (
            native(WNS, b"<badge/>", **{"X-WNS-TTL": "60"}),
            {"format": "windows", "type": "application/xml", "x-wns-type": "wns/badge", "x-wns-ttl": "60"},
        ),
        (native(WNS, b"text"), {"format": "windows", "type": "application/octet-stream", "x-wns-type": "wns/raw"}),
        (
            native(WNS, b"<own/>", **{"X-WNS-Type": "WNS/Raw"}),
            {"format": "windows", "type": "application/octet-stream", "x-wns-type": "WNS/Raw"},
        ),
    ],
)
def test_a_native_payload_goes_as_it_is_with_what_its_platform_needs(
    given: Notification, expected: dict[str, str]
) -> None:
    content = given.content
    assert isinstance(content, NativeContent)
    _, headers, body = request(given)
    common = {"authorization", "idempotency-key"}
    renamed = {"servicebusnotification-format": "format", "content-type": "type"}
    assert {renamed.get(name, name): value for name, value in headers.items() if name not in common} == expected
    assert body == content.payload
    taken = native_content(content.platform, headers, body)  # by the hub API of a central pushbridge
    assert isinstance(taken, NativeContent)
    assert taken.platform is content.platform


@pytest.mark.parametrize(
    "given, header, value",
    [
        (native(APNS, b'{"aps": {"alert": "hi"}}'), "apns-collapse-id", "order 7"),
        (native(APNS, b'{"aps": {"alert": "hi"}}', apns_collapse_id="own"), "apns-collapse-id", "own"),
        (native(APNS, b'{"aps": {"content-available": 1}}'), "apns-collapse-id", None),
        (native(WNS, TOAST), "x-wns-tag", wns_tag("order 7")),
        (native(WNS, b"<badge/>"), "x-wns-tag", None),
        (native(WNS, b"text"), "x-wns-tag", None),
        (native(FCM, b'{"message": {}}'), "", None),
    ],
)
def test_a_native_payload_that_is_shown_takes_its_collapse_key_along(
    given: Notification, header: str, value: str | None
) -> None:
    _, headers, _ = request(replace(given, collapse_key="order 7"))
    assert headers.get(header) == value


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "x"},
        {"Idempotency-Key": "x"},
        {"apns-topic": "a\r\nb: c"},
        {"ServiceBusNotification-Tags": "x"},
    ],
)
def test_a_payload_cannot_bring_headers_that_are_not_its_own(headers: dict[str, str]) -> None:
    (refused,) = requests_in([request_for(native(APNS, b"{}", **headers), SETTINGS, authorization="")])
    assert isinstance(refused, SendResult)
    assert (refused.reaction, refused.outcome) == (Reaction.DROP, OutcomeName.INVALID_NOTIFICATION_FORMAT)


def test_a_hub_may_have_a_name_with_a_space() -> None:
    settings = RemoteSettings(endpoint="https://ns.example", hub="my app", key_name="Send", key=KEY)
    url, _, _ = request(notification(), settings)
    assert urlsplit(url).path == "/my%20app/messages"


# Signatures


@pytest.mark.parametrize("hub", ["app", "App", "my app", "käse", "a+b", "a&b"])
@pytest.mark.parametrize("key_name", ["Send", "Full Key", "a+b&c=d"])
@pytest.mark.parametrize("endpoint", ["https://ns.example", "https://NS.example:8443"])
def test_the_hub_api_accepts_the_signature(endpoint: str, key_name: str, hub: str) -> None:
    policy = AccessPolicy(name=key_name, rights=frozenset([Right.SEND]), keys=[KEY])
    settings = RemoteSettings(endpoint=endpoint, hub=hub, key_name=key_name, key=KEY)
    url, _, _ = request(notification(), settings)
    accepted = signed_token(signature(settings, int(START) + 60), policies=[policy])
    assert accepted.policy_for(hosts=["ns.example"], path=unquote(urlsplit(url).path), now=START) is policy


async def test_a_signature_serves_for_an_hour_and_is_renewed_before_it_ends() -> None:
    clock = FakeClock()
    hub = RemoteHub(SETTINGS, clock=clock)
    ends = []
    for wait in (0, 1, 3298, 1, 1):
        clock.advance(wait)
        token = hub._authorization()
        ends.append(int(token.partition("&se=")[2].partition("&")[0]) - START)
    await hub.close()
    assert ends == [3600, 3600, 3600, 3600, 6901]


# Verdicts

DELIVERED = (Reaction.DELIVERED, OutcomeName.SUCCESS)
CONFIG = (Reaction.CONFIG, OutcomeName.INVALID_CREDENTIALS)
THROTTLED = (Reaction.THROTTLED, OutcomeName.THROTTLED)
UNAVAILABLE = (Reaction.RETRY, OutcomeName.PNS_UNAVAILABLE)
SERVER_ERROR = (Reaction.RETRY, OutcomeName.PNS_SERVER_ERROR)
INTERFACE_ERROR = (Reaction.DROP, OutcomeName.PNS_INTERFACE_ERROR)


@pytest.mark.parametrize(
    "status, headers, expected, wait, everybody",
    [
        (200, {}, DELIVERED, None, False),
        (201, {}, DELIVERED, None, False),
        (202, {}, DELIVERED, None, False),
        (204, {}, CONFIG, None, True),
        (302, {}, CONFIG, None, True),
        (400, {}, (Reaction.DROP, OutcomeName.INVALID_NOTIFICATION_FORMAT), None, False),
        (401, {}, CONFIG, None, True),
        (403, {}, CONFIG, None, True),
        (403, {"retry-after": "7"}, THROTTLED, 7.0, True),
        (404, {}, CONFIG, None, True),
        (405, {}, INTERFACE_ERROR, None, False),
        (408, {}, UNAVAILABLE, None, False),
        (410, {}, CONFIG, None, True),
        (413, {}, (Reaction.DROP, OutcomeName.INVALID_NOTIFICATION_SIZE), None, False),
        (422, {}, INTERFACE_ERROR, None, False),
        (429, {}, THROTTLED, None, True),
        (429, {"retry-after": "60"}, THROTTLED, 60.0, True),
        (500, {}, SERVER_ERROR, None, False),
        (502, {}, SERVER_ERROR, None, False),
        (503, {"retry-after": "5"}, UNAVAILABLE, 5.0, False),
        (503, {"retry-after": "soon"}, UNAVAILABLE, None, False),
        (504, {}, SERVER_ERROR, None, False),
    ],
)
def test_each_answer_has_its_verdict(
    status: int, headers: dict[str, str], expected: tuple[Any, Any], wait: float | None, everybody: bool
) -> None:
    result = verdict(status, headers, b"")
    assert (result.reaction, result.outcome) == expected
    assert (result.retry_after, result.lane_wide) == (wait, everybody)
    assert result.reason == ("" if result.reaction is Reaction.DELIVERED else f"HTTP {status}")


@pytest.mark.parametrize(
    "body, reason",
    [
        (
            b"<Error><Code>401</Code><Detail>InvalidSignature: The token has an invalid signature.TrackingId:1_G2,"
            b"TimeStamp:1/31/2025 4:05:06 PM</Detail></Error>",
            "HTTP 401: InvalidSignature: The token has an invalid signature",
        ),
        (b"<Error><Detail>a &lt;b&gt;\n c</Detail></Error>", "HTTP 401: a <b> c"),
        (b"<Error><Detail>.TrackingId:1</Detail></Error>", "HTTP 401"),
        (b"<html><body>Unauthorized</body></html>", "HTTP 401"),
        (b"<Detail>" + b"x" * 60_000 + b"</Detail>", "HTTP 401: " + "x" * 200),
        (b"\xff\x00<Detail>", "HTTP 401"),
    ],
)
def test_the_reason_has_the_words_of_the_service_and_no_more(body: bytes, reason: str) -> None:
    assert verdict(401, {}, body).reason == reason


@given(st.integers(100, 599), st.binary())
def test_every_answer_has_a_verdict(status: int, body: bytes) -> None:
    result = verdict(status, {}, body)
    assert (result.reaction is Reaction.DELIVERED) == (status in (200, 201, 202))
    assert len(result.reason) < 250


async def test_no_answer_is_tried_again() -> None:
    hub = RemoteHub(RemoteSettings(endpoint="https://127.0.0.1:1", hub="app", key_name="Send", key=KEY))
    bad = native(APNS, b"{}", Authorization="x")
    first, second, third = results_of(await hub.send([notification(), bad, notification()], deadline=5))
    await hub.close()
    assert (first.reaction, first.outcome) == (Reaction.RETRY, OutcomeName.PNS_UNREACHABLE)
    assert second.reaction is Reaction.DROP
    assert third.reaction is Reaction.RETRY
    assert "127.0.0.1" in first.reason


def test_the_trace_goes_with_the_send() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    _, headers, _ = request(replace(notification(), trace=trace, tracestate="rojo=1"))
    assert (headers["traceparent"], headers["tracestate"]) == (trace, "rojo=1")
    _, headers, _ = request(replace(notification(), trace=trace))
    assert "tracestate" not in headers
    _, headers, _ = request(notification())
    assert "traceparent" not in headers


def test_a_remote_hub_is_told_that_a_send_is_sensitive() -> None:
    _, headers, _ = request(replace(notification(), sensitive=True))
    assert headers["pushbridge-sensitive"] == "true"
    _, headers, _ = request(notification())
    assert "pushbridge-sensitive" not in headers
