"""WNS: what a push becomes on the wire, and what each answer of Microsoft's means."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from hub.notification import Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.channel_uris import is_allowed
from hub.platforms.wns.sender import requests_for, verdict
from hub.platforms.wns.settings import WnsSettings
from hub.push import SendResult
from tests.fakes.pushes import Push, page_of
from tests.fakes.requests import Request, requests_in

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOSTS = (".notify.windows.com",)
CHANNEL = "https://db5.notify.windows.com/?token=AwYAAAB%2f"
PUSH = Push(id="6f1c9a3e-1111-4222-8333-000000000001", push_channel=CHANNEL, payload=b"<toast><visual/></toast>")
RECEIVED = {"x-wns-status": "received", "x-wns-deviceconnectionstatus": "connected", "x-wns-msg-id": "1F"}

ROWS = [
    (200, RECEIVED, "delivered", "Success", False),
    (200, {}, "delivered", "Success", False),
    (200, {**RECEIVED, "x-wns-deviceconnectionstatus": "disconnected"}, "delivered", "Success", False),
    (200, {"x-wns-status": "channelthrottled"}, "throttled", "ChannelThrottled", False),
    (200, {"x-wns-status": "ChannelThrottled"}, "throttled", "ChannelThrottled", False),
    (
        200,
        {"x-wns-status": "dropped", "x-wns-deviceconnectionstatus": "disconnected"},
        "drop",
        "ChannelDisconnected",
        False,
    ),
    (200, {"x-wns-status": "dropped", "x-wns-deviceconnectionstatus": "connected"}, "drop", "Dropped", False),
    (200, {"x-wns-status": "dropped"}, "drop", "Dropped", False),
    (400, {}, "drop", "InvalidNotificationFormat", False),
    (401, {}, "config", "InvalidToken", True),
    (403, {}, "config", "WrongToken", False),
    (404, {}, "gone", "BadChannel", False),
    (405, {}, "drop", "PnsInterfaceError", False),
    (406, {}, "throttled", "Throttled", True),
    (410, {}, "gone", "ExpiredChannel", False),
    (412, {}, "drop", "ChannelDisconnected", False),
    (413, {}, "drop", "InvalidNotificationSize", False),
    (500, {}, "retry", "PnsServerError", False),
    (503, {}, "retry", "PnsUnavailable", False),
    (418, {}, "retry", "UnknownError", False),
]


@pytest.mark.parametrize(("status", "headers", "reaction", "outcome", "lane_wide"), ROWS)
def test_each_answer_of_microsofts_has_its_verdict(
    status: int, headers: dict[str, str], reaction: str, outcome: str, lane_wide: bool
) -> None:
    result = verdict(status, headers, b"")
    assert (result.reaction, result.outcome) == (Reaction(reaction), OutcomeName(outcome))
    assert result.lane_wide is lane_wide
    assert bool(result.reason) is (result.reaction is not Reaction.DELIVERED)
    assert result.pns_id == headers.get("x-wns-msg-id", "")


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (406, {"x-wns-continue-after": "90"}, 90.0),
        (406, {}, None),
        (503, {"retry-after": "5"}, 5.0),
        (200, {"x-wns-status": "channelthrottled", "x-wns-continue-after": "30"}, 30.0),
        (200, {"x-wns-status": "channelthrottled"}, 600.0),
        (200, {}, None),
    ],
)
def test_the_time_to_wait_is_what_wns_says_or_ten_minutes_for_a_channel(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    assert verdict(status, headers, b"").retry_after == seconds


def test_the_service_s_own_words_are_the_reason() -> None:
    assert verdict(400, {"x-wns-error-description": "bad tag"}, b"").reason == "bad tag"


def request(push: Push) -> Request | SendResult:
    (made,) = requests(push)
    return made


def requests(*pushes: Push) -> list[Request | SendResult]:
    return requests_in(requests_for(page_of(pushes), token="EgAa", allowed_hosts=HOSTS, now=NOW))


def fields_of(push: Push) -> dict[str, str]:
    built = request(push)
    assert isinstance(built, Request), built
    return dict(line.decode().split(": ", 1) for line in built.headers)


@pytest.mark.parametrize(
    ("payload", "kind", "content_type"),
    [
        (b"<toast/>", "wns/toast", "text/xml"),
        (b'<?xml version="1.0" encoding="utf-8"?>\n<tile><visual/></tile>', "wns/tile", "text/xml"),
        (b"\xef\xbb\xbf<!-- <toast> --><badge value='1'/>", "wns/badge", "text/xml"),
        (b"<toaster/>", "wns/raw", "application/octet-stream"),
        (b'{"a":"<toast>"}', "wns/raw", "application/octet-stream"),
        (b"", "wns/raw", "application/octet-stream"),
    ],
)
def test_the_type_is_the_root_of_the_xml_or_raw(payload: bytes, kind: str, content_type: str) -> None:
    fields = fields_of(replace(PUSH, payload=payload))
    assert (fields["x-wns-type"], fields["content-type"]) == (kind, content_type)


@pytest.mark.parametrize(
    ("push", "expected"),
    [
        (PUSH, {"x-wns-priority": "1"}),
        (replace(PUSH, priority=Priority.NORMAL), {"x-wns-priority": "2"}),
        (replace(PUSH, expires_at=NOW + timedelta(seconds=60)), {"x-wns-ttl": "60"}),
        (replace(PUSH, expires_at=NOW - timedelta(seconds=60)), {"x-wns-ttl": "0"}),
        (replace(PUSH, collapse_key="Score1"), {"x-wns-tag": "Score1"}),
        (replace(PUSH, headers={"X-WNS-Type": "wns/raw"}), {"content-type": "application/octet-stream"}),
        (replace(PUSH, headers={"X-WNS-Type": "WNS/RAW"}), {"content-type": "application/octet-stream"}),
        (replace(PUSH, headers={"X-WNS-RequestForStatus": "false"}), {"x-wns-requestforstatus": "true"}),
        (
            replace(PUSH, headers={"X-WNS-TTL": "9", "X-WNS-Tag": "own"}, expires_at=NOW, collapse_key="k"),
            {"x-wns-ttl": "9", "x-wns-tag": "own"},
        ),
    ],
)
def test_headers_are_derived_unless_given(push: Push, expected: dict[str, str]) -> None:
    fields = fields_of(push)
    assert {name: fields.get(name) for name in expected} == expected


def test_every_request_carries_token_and_push_id_and_asks_for_the_status() -> None:
    fields = fields_of(PUSH)
    assert fields["authorization"] == "Bearer EgAa"
    assert fields["x-pushbridge-id"] == PUSH.id
    assert fields["x-wns-requestforstatus"] == "true"


@pytest.mark.parametrize(
    ("channel", "allowed"),
    [
        (CHANNEL, True),
        ("https://DB5.Notify.Windows.com/?token=a", True),
        ("https://db5.notify.windows.com:443/?token=a", True),
        ("https://db5.notify.windows.com", True),
        ("http://db5.notify.windows.com/?token=a", False),
        ("https://notify.windows.com/?token=a", False),
        ("https://evilnotify.windows.com/", False),
        ("https://db5.notify.windows.com.evil.example/", False),
        ("https://evil.example/.notify.windows.com", False),
        ("https://evil.example?.notify.windows.com", False),
        ("https://evil.example#.notify.windows.com", False),
        ("https://db5.notify.windows.com@evil.example/", False),
        ("https://user:secret@db5.notify.windows.com/", False),
        ("https://evil.example\\@db5.notify.windows.com/", False),
        ("https://evil.example\\.notify.windows.com/", False),
        ("https://db5.notify.windows.com/\r\nx: y", False),
        ("https://db5.notify.windows.com/ x", False),
        (" https://db5.notify.windows.com/", False),
        ("https://[::1]/.notify.windows.com", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_only_an_https_channel_at_an_allowed_host_gets_our_token(channel: str, allowed: bool) -> None:
    assert is_allowed(channel, HOSTS) is allowed


def test_a_host_without_a_dot_in_front_stands_for_itself_only() -> None:
    assert is_allowed("https://127.0.0.1:8443/?token=a", ("127.0.0.1",))
    assert not is_allowed("https://x127.0.0.1/?token=a", ("127.0.0.1",))


@given(st.text())
def test_a_channel_with_anything_but_visible_ascii_is_never_allowed(text: str) -> None:
    channel = f"https://a.notify.windows.com/{text}"
    assert not is_allowed(channel, HOSTS) or (channel.isascii() and channel.isprintable() and " " not in channel)


@pytest.mark.parametrize(
    ("push", "outcome"),
    [
        (replace(PUSH, push_channel="https://evil.example/"), "BadChannel"),
        (replace(PUSH, payload=b"<toast/>" + b" " * 5000), "InvalidNotificationSize"),
        (replace(PUSH, headers={"X-WNS-Match": "a\r\nb: c"}), "InvalidNotificationFormat"),
        (replace(PUSH, headers={"Authorization": "x"}), "InvalidNotificationFormat"),
    ],
)
def test_a_push_that_may_not_go_out_is_dropped_and_its_channel_lives_on(push: Push, outcome: str) -> None:
    refusal = request(push)
    assert isinstance(refusal, SendResult)
    assert (refusal.reaction, refusal.outcome) == (Reaction.DROP, OutcomeName(outcome))


def test_the_secret_stays_out_of_sight() -> None:
    assert "hush" not in repr(WnsSettings(tenant="t", client_id="c", client_secret=SecretStr("hush")))
