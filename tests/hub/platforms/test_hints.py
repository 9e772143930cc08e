"""No hint costs a push: each row is refused by its service, or by us, unless the hint is made to fit."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.delivery.remote import request_for as remote_request
from hub.delivery.remote_settings import RemoteSettings
from hub.notification import EVERYONE, NativeContent, Notification, Platform
from hub.outcome import Reaction
from hub.platforms.fcm.hints import fcm_key
from hub.platforms.fcm.sender import requests_for as fcm_requests
from hub.platforms.hints import MAX_COLLAPSE_ID, collapse_id, fit_headers
from hub.platforms.table import services
from hub.platforms.wns.hints import wns_tag
from hub.platforms.wns.sender import requests_for as wns_requests
from tests.fakes.pushes import Push, page_of
from tests.fakes.requests import Request, requests_in
from tests.hub.platforms.lanes import Lane

LONG = "order-" + "7" * 68
"""The 74 bytes of the report."""

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FAR = datetime(9999, 12, 31, tzinfo=UTC)
ALERT = b'{"aps":{"alert":"hello"}}'
SILENT = b'{"aps":{"content-available":1}}'
SHOWN = b'{"message":{"notification":{"title":"hello"}}}'
TOAST = b'<toast><visual><binding template="ToastText01"><text id="1">hello</text></binding></visual></toast>'
PUSH = Push(id="01234567-89ab-cdef-0123-000000000001", push_channel="x", payload=b"", collapse_id="0123-1")


def fcm_request(push: Push) -> Request:
    (made,) = requests_in(fcm_requests(page_of([push]), origin="https://fcm", path="/send", token="t", now=NOW))
    assert isinstance(made, Request)
    return made


def wns_request(push: Push) -> Request:
    (made,) = requests_in(wns_requests(page_of([push]), token="t", allowed_hosts=["h"], now=NOW))
    assert isinstance(made, Request)
    return made


def android(fields: Mapping[str, Any], **message: Any) -> bytes:
    return orjson.dumps({"message": {"notification": {"title": "hello"}, **message, "android": fields}})


KEYS = [
    LONG,
    "k" * 65,
    "ä" * 33,
    "größe",
    "a\r\nauthorization: x",
    "a\x00b",
    "\x7f",
    " a",
    "a ",
    " ",
    "\t",
    "",
    "order 7",
    "日本" * 40,
    "x" * 5000,
    "\ud800",
    "🙂",
]


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS, ids=ascii)
async def test_a_collapse_key_of_any_text_reaches_every_phone(lanes: list[Lane], key: str) -> None:
    """The sandbox refuses what the services document: 64 bytes for Apple, 16 letters and digits for Windows."""
    for lane in lanes:
        (result,) = await lane.send([replace(lane.push(1), collapse_key=key)])
        assert (lane.sender.platform, result.reaction, result.reason) == (
            lane.sender.platform,
            Reaction.DELIVERED,
            "",
        )


APNS_HINTS = [
    ({"apns-collapse-id": LONG}, ALERT),
    ({"apns-collapse-id": "größe"}, ALERT),
    ({"apns-collapse-id": "a\nb"}, ALERT),
    ({"apns-priority": "7"}, ALERT),
    ({"apns-priority": "high"}, ALERT),
    ({"apns-priority": "10"}, SILENT),
    ({"apns-expiration": "-5"}, ALERT),
    ({"apns-expiration": "tomorrow"}, ALERT),
    ({"apns-expiration": "²"}, ALERT),
    ({"apns-expiration": "9" * 5000}, ALERT),
    ({"apns-expiration": "2030-01-01T00:00:00Z"}, ALERT),
    ({"apns-expiration": " "}, ALERT),
]
FCM_HINTS = [
    (android({"ttl": "3000000s"}),),
    (android({"ttl": "-1s"}),),
    (android({"ttl": 3600}),),
    (android({"ttl": "1h"}),),
    (android({"ttl": None}),),
    (android({"priority": "urgent"}),),
    (android({"priority": 5}),),
    (android({"collapse_key": 7}),),
    (android({"collapseKey": ["a"]}),),
    (android({"notification": {"tag": 7}}),),
    (android({"notification": {"tag": ""}}),),
    (android({"notification": None}),),
    (orjson.dumps({"message": {"notification": {"title": "x"}, "android": None}}),),
    (orjson.dumps({"message": {"notification": {"title": "x" * 4091}}}),),
    (orjson.dumps({"message": {"notification": {"title": "x" * 4080}}}),),
    (orjson.dumps({"message": {"data": {"k": "x" * 4095}}}),),
]
WNS_HINTS = [
    ({"X-WNS-Tag": LONG},),
    ({"X-WNS-Tag": "a-b"},),
    ({"X-WNS-Group": "all the orders of today"},),
    ({"X-WNS-Tag": "a\r\nb: c"},),
    ({"X-WNS-TTL": "-1"},),
    ({"X-WNS-TTL": "1h"},),
    ({"X-WNS-TTL": "9" * 5000},),
    ({"X-WNS-Priority": "high"},),
    ({"X-WNS-Priority": "5"},),
    ({"X-WNS-Cache-Policy": "yes"},),
    ({"X-WNS-SuppressPopup": "no"},),
    ({"MS-CV": "a\nb"},),
]


@pytest.mark.parametrize(("headers", "payload"), APNS_HINTS, ids=ascii)
async def test_a_header_that_only_hints_costs_no_iphone_its_push(
    apns: Lane, headers: Mapping[str, str], payload: bytes
) -> None:
    (result,) = await apns.send([replace(apns.push(1), headers=headers, payload=payload, expires_at=FAR)])
    assert (result.reaction, result.reason) == (Reaction.DELIVERED, "")


@pytest.mark.parametrize(("payload",), FCM_HINTS, ids=lambda payload: payload.decode()[:60])
async def test_a_field_that_only_hints_costs_no_android_its_push(fcm: Lane, payload: bytes) -> None:
    push = replace(fcm.push(1), payload=payload, collapse_key="k" * 60, expires_at=FAR)
    (result,) = await fcm.send([push])
    assert (result.reaction, result.reason) == (Reaction.DELIVERED, "")


@pytest.mark.parametrize(("headers",), WNS_HINTS, ids=ascii)
async def test_a_header_that_only_hints_costs_no_pc_its_push(wns: Lane, headers: Mapping[str, str]) -> None:
    push = replace(wns.push(1), headers=headers, payload=TOAST, expires_at=FAR)
    (result,) = await wns.send([push])
    assert (result.reaction, result.reason) == (Reaction.DELIVERED, "")


def test_a_time_to_live_beyond_what_fits_is_the_longest() -> None:
    fcm = fcm_request(replace(PUSH, payload=SHOWN, expires_at=FAR))
    wns = wns_request(replace(PUSH, push_channel="https://h/", payload=TOAST, expires_at=FAR))
    assert orjson.loads(fcm.body)["message"]["android"]["ttl"] == "2419200s"
    assert b"x-wns-ttl: 2592000" in wns.headers


@pytest.mark.slow
@given(st.text(), st.text())
def test_the_same_key_gives_the_same_id_and_another_key_another(one: str, other: str) -> None:
    for fit, limit in ((collapse_id, MAX_COLLAPSE_ID), (fcm_key, MAX_COLLAPSE_ID), (wns_tag, 16)):
        first, second = fit(one), fit(other)
        assert fit(one) == first
        if first is not None:
            assert len(first.encode()) <= limit
            assert (first == second) is (one == other)
        else:
            assert not one.strip()


@pytest.mark.parametrize(
    ("key", "apns", "fcm", "wns"),
    [
        ("Score1", "Score1", "Score1", "Score1"),
        ("debit-p-1", "debit-p-1", "debit-p-1", None),
        ("größe", None, "größe", None),
        ("k" * 64, "k" * 64, "k" * 64, None),
        ("k" * 65, None, None, None),
    ],
)
def test_a_key_that_fits_is_sent_as_it_is(key: str, apns: str | None, fcm: str | None, wns: str | None) -> None:
    """None stands for a hash."""
    for fitted, expected in ((collapse_id(key), apns), (fcm_key(key), fcm), (wns_tag(key), wns)):
        assert fitted is not None
        assert fitted == expected if expected else fitted != key


@given(st.dictionaries(st.sampled_from(["apns-priority", "apns-expiration", "x-wns-ttl", "x-wns-tag"]), st.text()))
def test_what_is_left_of_any_hint_is_plain(fields: dict[str, str]) -> None:
    hints = {name: fit for service in services() for name, fit in service.hints.items()}
    for value in fit_headers(fields, hints).values():
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip() != ""


# What a push is replaced by


def tag_of(payload: bytes, **changes: Any) -> Any:
    request = fcm_request(replace(PUSH, payload=payload, **changes))
    return (orjson.loads(request.body)["message"].get("android", {}).get("notification") or {}).get("tag")


FCM_TAGS = [
    (SHOWN, {}, "0123-1"),
    (SHOWN, {"collapse_key": "k"}, "k"),
    (android({"notification": {"body": "b"}}), {}, "0123-1"),
    (android({"notification": {"tag": "own"}}), {}, "own"),
    (android({"notification": {"tag": "own"}}), {"collapse_key": "k"}, "own"),
    (android({"notification": {"icon": "i"}}, apns={"payload": {"aps": {}}}, webpush={"data": {}}), {}, "0123-1"),
    (b'{"message":{"android":{"notification":{"title":"t"}}}}', {}, "0123-1"),
    (b'{"message":{"data":{"a":"b"}}}', {}, None),
    (b'{"message":{"data":{"a":"b"}}}', {"collapse_key": "k"}, None),
    (b'{"message":{"apns":{"payload":{"aps":{"alert":"x"}}}}}', {}, None),
    (b'{"message":{"notification":{},"data":{"a":"b"}}}', {}, None),
    (SHOWN, {"collapse_id": ""}, None),
]


@pytest.mark.parametrize(("payload", "changes", "tag"), FCM_TAGS)
def test_what_android_shows_has_a_tag_and_data_alone_stays_data(
    payload: bytes, changes: Mapping[str, Any], tag: str | None
) -> None:
    assert tag_of(payload, **changes) == tag


def test_a_tag_leaves_the_rest_of_the_message_as_it_was() -> None:
    payload = android(
        {"notification": {"icon": "i", "sound": "s"}, "data": {"a": "b"}},
        apns={"headers": {"apns-collapse-id": "own"}, "payload": {"aps": {"alert": "x"}}},
        webpush={"notification": {"tag": "own"}},
        data={"c": "d"},
    )
    request = fcm_request(replace(PUSH, payload=payload))
    message = orjson.loads(request.body)["message"]
    assert message.pop("token") == "x"
    assert message["android"].pop("priority") == "high"
    assert message["android"]["notification"].pop("tag") == "0123-1"
    assert message == orjson.loads(payload)["message"]


WNS_TAGS = [
    (TOAST, {}, {"x-wns-tag": wns_tag("0123-1"), "x-wns-group": "pushbridge"}),
    (TOAST, {"collapse_key": "Score1"}, {"x-wns-tag": "Score1", "x-wns-group": "pushbridge"}),
    (TOAST, {"headers": {"X-WNS-Tag": "own"}}, {"x-wns-tag": "own"}),
    (
        TOAST,
        {"headers": {"X-WNS-Group": "own"}, "collapse_key": "k"},
        {"x-wns-tag": "k", "x-wns-group": "own"},
    ),
    (b"<tile/>", {}, {}),
    (b"<tile/>", {"collapse_key": "k"}, {"x-wns-tag": "k"}),
    (b"<badge/>", {"collapse_key": "k"}, {}),
    (b"raw", {"collapse_key": "k"}, {}),
    (TOAST, {"headers": {"X-WNS-Type": "wns/raw"}}, {}),
]


@pytest.mark.parametrize(("payload", "changes", "expected"), WNS_TAGS)
def test_a_toast_has_a_tag_and_a_group_and_what_is_no_toast_has_none(
    payload: bytes, changes: Mapping[str, Any], expected: Mapping[str, str]
) -> None:
    request = wns_request(replace(PUSH, push_channel="https://h/", payload=payload, **changes))
    fields = dict(line.decode().split(": ", 1) for line in request.headers)
    assert {name: value for name, value in fields.items() if name in ("x-wns-tag", "x-wns-group")} == expected


APNS_IDS = [
    (ALERT, {}, "0123-1"),
    (ALERT, {"collapse_key": "k"}, "k"),
    (ALERT, {"collapse_key": " "}, "0123-1"),
    (ALERT, {"headers": {"apns-collapse-id": "own"}, "collapse_key": "k"}, "own"),
    (ALERT, {"headers": {"apns-collapse-id": ""}}, "0123-1"),
    (SILENT, {}, None),
    (SILENT, {"collapse_key": "k"}, "k"),
    *(
        (ALERT, {"headers": {"apns-push-type": kind}}, None)
        for kind in ("background", "voip", "liveactivity", "location", "pushtotalk", "widgets", "complication", "mdm")
    ),
]


@pytest.mark.parametrize(("payload", "changes", "expected"), APNS_IDS)
async def test_an_alert_has_a_collapse_id_and_what_shows_none_does_not(
    apns: Lane, payload: bytes, changes: Mapping[str, Any], expected: str | None
) -> None:
    push = replace(apns.push(1), payload=payload, collapse_id="0123-1", **changes)
    await apns.send([push])
    (entry,) = apns.services.journal.of_push(push.id)
    assert entry.headers.get("apns-collapse-id") == expected


def test_hints_of_a_remote_hub_are_made_to_fit_too() -> None:
    content = NativeContent(
        platform=Platform.APNS, payload=ALERT, headers={"apns-collapse-id": LONG, "apns-priority": "7"}
    )
    sent = Notification(id="0" * 32, hub="app", audience=EVERYONE, content=content)
    settings = RemoteSettings(endpoint="https://h", hub="app", key_name="n", key="k")
    (request,) = requests_in([remote_request(sent, settings, authorization="a")])
    assert isinstance(request, Request)
    names = [line.split(b":")[0] for line in request.headers]
    assert f"apns-collapse-id: {collapse_id(LONG)}".encode() in request.headers
    assert b"apns-priority" not in names
