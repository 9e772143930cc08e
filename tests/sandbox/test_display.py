"""What a screen shows of a payload, platform by platform."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.display import Shown, on_screen, shown
from sandbox.journal import Entry


def screen(service: str, payload: bytes, kind: str = "wns/toast", push_type: str = "alert") -> Shown:
    headers = {"x-wns-type": kind} if service == "wns" else {"apns-push-type": push_type} if service == "apns" else {}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    return shown(
        Entry(seq=1, at=at, service=service, push_id="p", handle="h", status=200, payload=payload, headers=headers)
    )


def toast(inner: str, template: str = "ToastGeneric") -> bytes:
    return f'<toast><visual><binding template="{template}">{inner}</binding></visual></toast>'.encode()


@pytest.mark.parametrize(
    ("service", "payload", "title", "subtitle", "body"),
    [
        ("apns", b'{"aps":{"alert":"hello"}}', "", "", "hello"),
        ("apns", b'{"aps":{"alert":{"title":"t","subtitle":"s","body":"b"}}}', "t", "s", "b"),
        ("apns", b'{"aps":{"alert":{"title-loc-key":"T","loc-key":"B"}}}', "T", "", "B"),
        ("fcmv1", b'{"message":{"token":"x","notification":{"title":"t","body":"b"}}}', "t", "", "b"),
        (
            "fcmv1",
            b'{"message":{"notification":{"title":"t","body":"b"},"android":{"notification":{"body":"a"}}}}',
            "t",
            "",
            "a",
        ),
        ("wns", toast("<text>t</text><text>b</text><text>c</text>"), "t", "", "b\nc"),
        ("fcmv1", b'{"message":{"notification":{"title":null,"body":"b"},"android":null}}', "", "", "b"),
        ("wns", toast("<text>t</text>"), "t", "", ""),
        ("xiaomi", b'{"title":"t","description":"b","pass_through":"0"}', "t", "", "b"),
        ("huawei", b'{"message":{"notification":{"title":"t","body":"b"},"token":["x"]}}', "t", "", "b"),
        ("baidu", b'{"title":"t","description":"b"}', "t", "", "b"),
        (
            "mpns",
            b'<wp:Notification xmlns:wp="WPNotification"><wp:Toast><wp:Text1>t</wp:Text1><wp:Text2>b</wp:Text2>'
            b"</wp:Toast></wp:Notification>",
            "t",
            "",
            "b",
        ),
        ("wns", toast("<text>b</text>", template="ToastText01"), "", "", "b"),
        ("wns", toast("<text>1 &lt; 2 &amp; 3</text>"), "1 < 2 & 3", "", ""),
    ],
)
def test_a_notification_is_shown_with_its_texts(
    service: str, payload: bytes, title: str, subtitle: str, body: str
) -> None:
    seen = screen(service, payload)
    assert (seen.title, seen.subtitle, seen.body, seen.hidden) == (title, subtitle, body, "")
    assert (seen.raw, seen.push_id) == (payload, "p")


@pytest.mark.parametrize(
    ("service", "payload", "why"),
    [
        ("apns", b'{"aps":{"content-available":1}}', "silent"),
        ("adm", b'{"data":{"a":"b"}}', "silent"),
        ("xiaomi", b'{"payload":"p","pass_through":"1"}', "silent"),
        ("baidu", b'{"a":"b"}', "silent"),
        ("mpns", b"<root/>", "no toast"),
        ("mpns", b"<root", "malformed"),
        ("apns", b'{"aps":{"alert":""}}', "silent"),
        ("apns", b'{"aps":{"alert":{"badge":1}}}', "no text"),
        ("apns", b'{"aps":{"alert":{"body":5}}}', "no text"),
        ("apns", b'{"aps":', "malformed JSON"),
        ("apns", b'{"alert":"x"}', "no object 'aps'"),
        ("apns", b"[" * 4096, "malformed JSON"),
        ("apns", b"[]", "no object 'aps'"),
        ("fcmv1", b'{"message":{"data":{"a":"b"}}}', "data only"),
        ("wns", b"<toast>", "malformed XML"),
        ("wns", b"<toast/>", "no text"),
        ("wns", b"<tile><visual><binding><text>x</text></binding></visual></tile>", "no text"),
        ("wns", b'<!DOCTYPE toast [<!ENTITY x "y">]>' + toast("<text>&x;</text>"), "document type"),
        ("wns", toast("<text>&x;</text>"), "malformed XML"),
    ],
)
def test_what_is_not_shown_says_why(service: str, payload: bytes, why: str) -> None:
    seen = screen(service, payload)
    assert why in seen.hidden
    assert (seen.title, seen.body) == ("", "")


@pytest.mark.parametrize(
    ("service", "payload", "kind", "wakes"),
    [
        ("apns", b'{"aps":{"content-available":1}}', "background", True),
        ("apns", b'{"aps":{"content-available":1}}', "alert", False),
        ("apns", b'{"aps":{"content-available":0}}', "background", False),
        ("apns", b'{"aps":{"content-available":1,"alert":"x"}}', "background", False),
        ("fcmv1", b'{"message":{"data":{"a":"b"}}}', "", True),
        ("fcmv1", b'{"message":{"notification":{"title":"t"},"data":{"a":"b"}}}', "", False),
        ("wns", b"anything", "wns/raw", True),
        ("wns", b"<badge value='1'/>", "wns/badge", False),
    ],
)
def test_a_silent_push_wakes_the_app(service: str, payload: bytes, kind: str, wakes: bool) -> None:
    assert screen(service, payload, kind, kind).wakes is wakes


@pytest.mark.parametrize("kind", ["wns/tile", "wns/badge", "wns/raw"])
def test_only_a_toast_is_a_notification(kind: str) -> None:
    assert screen("wns", toast("<text>x</text>"), kind).hidden == f"{kind} is no toast"


def pushed(service: str, title: str, **identity: str) -> Entry:
    """A push with a title; `identity` are the headers or, on Android, the fields it is known by."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    payload = toast(f"<text>{title}</text>")
    headers = {name.replace("_", "-"): value for name, value in identity.items()}
    if service == "apns":
        payload = json.dumps({"aps": {"alert": title}} if title else {"aps": {"content-available": 1}}).encode()
    elif service == "fcmv1":
        android = {"notification": identity} if "tag" in identity else identity
        payload = json.dumps({"message": {"notification": {"title": title}, "android": android}}).encode()
    else:
        headers = {"x-wns-type": "wns/toast", **headers}
    return Entry(seq=1, at=at, service=service, push_id="p", handle="h", status=200, payload=payload, headers=headers)


SCREENS = [
    ("apns", [("a", {}), ("b", {})], ["a", "b"]),
    ("apns", [("a", {"apns_collapse_id": "1"}), ("b", {"apns_collapse_id": "1"})], ["b"]),
    ("apns", [("a", {"apns_collapse_id": "1"}), ("b", {"apns_collapse_id": "2"})], ["a", "b"]),
    ("apns", [("a", {"apns_collapse_id": "1"}), ("", {"apns_collapse_id": "1"})], ["a"]),
    ("apns", [(title, {"apns_collapse_id": id_}) for title, id_ in ("a1", "b2", "c1")], ["b", "c"]),
    ("fcmv1", [("a", {}), ("b", {})], ["a", "b"]),
    ("fcmv1", [("a", {"tag": "1"}), ("b", {"tag": "1"})], ["b"]),
    ("fcmv1", [("a", {"tag": "1"}), ("b", {"tag": "2"})], ["a", "b"]),
    ("fcmv1", [("a", {"collapse_key": "1"}), ("b", {"collapse_key": "1"})], ["a", "b"]),
    ("wns", [("a", {}), ("b", {})], ["a", "b"]),
    ("wns", [("a", {"x_wns_tag": "1"}), ("b", {"x_wns_tag": "1"})], ["b"]),
    ("wns", [("a", {"x_wns_tag": "1", "x_wns_group": "g"}), ("b", {"x_wns_tag": "1", "x_wns_group": "h"})], ["a", "b"]),
    ("wns", [("a", {"x_wns_group": "g"}), ("b", {"x_wns_group": "g"})], ["a", "b"]),
]


@pytest.mark.parametrize(("service", "pushes", "seen"), SCREENS)
def test_a_notification_replaces_the_one_it_is_known_by(
    service: str, pushes: list[tuple[str, dict[str, str]]], seen: list[str]
) -> None:
    received = [shown(pushed(service, title, **identity)) for title, identity in pushes]
    assert [one.title or one.body for one in on_screen(received)] == seen


@given(service=st.sampled_from(["apns", "wns"]), payload=st.binary() | st.text().map(str.encode))
def test_any_payload_is_shown_or_hidden_with_a_reason(service: str, payload: bytes) -> None:
    seen = screen(service, payload)
    assert bool(seen.hidden) != bool(seen.title or seen.subtitle or seen.body)


def activity(event: str, score: int = 0, **aps: Any) -> Shown:
    given = {"timestamp": 1, "event": event, "content-state": {"home": score, "away": 0}, **aps}
    return screen("apns", json.dumps({"aps": given}).encode(), push_type="liveactivity")


STARTED: dict[str, Any] = {"attributes-type": "Match", "attributes": {"id": 7}, "alert": {"title": "It begins"}}


def test_a_live_activity_shows_its_newest_state_also_when_it_has_ended() -> None:
    first, second = activity("start", 0, **STARTED), activity("update", 1)
    assert [(one.title, one.body) for one in on_screen([first, second])] == [("Live Activity", "home: 1, away: 0")]
    assert [one.body for one in on_screen([first, second, activity("end", 2)])] == ["home: 2, away: 0"]
    late = [activity("update", 1, timestamp=9), activity("update", 0, timestamp=8)]
    assert [one.body for one in on_screen(late)] == ["home: 1, away: 0"]


@pytest.mark.parametrize(
    ("event", "aps", "why"),
    [
        ("update", {"content-state": None}, "no Live Activity"),
        ("update", {"timestamp": None}, "no Live Activity: it has no timestamp"),
        ("start", {}, "no Live Activity: a start needs attributes-type, attributes, alert"),
        ("start", {**STARTED, "alert": ""}, "no Live Activity: a start needs alert"),
    ],
)
def test_what_starts_or_updates_no_live_activity_says_why(event: str, aps: dict[str, Any], why: str) -> None:
    assert activity(event, **aps).hidden == why
