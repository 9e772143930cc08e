"""Pushes made soundless by each push service that has a word for it."""

from typing import Any

import orjson
import pytest

from hub.notification import Platform
from hub.platforms.table import services, traits_of

APNS, FCM, WNS, WEB = map(Platform, ("apns", "fcmv1", "wns", "browser"))
TOAST = b'<toast><visual><binding template="ToastGeneric"><text>hi</text></binding></visual></toast>'


def made(platform: Platform, payload: Any, **headers: str) -> tuple[dict[str, str], Any]:
    """Headers and payload of a JSON payload made soundless."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    soundless = traits_of(platform).soundless(fields, orjson.dumps(payload))
    assert soundless is not None
    return dict(soundless.headers), orjson.loads(soundless.payload)


@pytest.mark.parametrize(
    ("aps", "soundless"),
    [
        ({"alert": "hi", "sound": "x.caf"}, {"alert": "hi", "interruption-level": "passive"}),
        (
            {"alert": "hi", "sound": {"critical": 1, "name": "x"}, "interruption-level": "critical"},
            {"alert": "hi", "interruption-level": "passive"},
        ),
        ({"badge": 3}, {"badge": 3, "interruption-level": "passive"}),
        ({"content-available": 1}, {"content-available": 1}),
        (
            {"event": "update", "content-state": {}, "alert": {"title": "t", "sound": "x"}},
            {"event": "update", "content-state": {}, "alert": {"title": "t"}, "interruption-level": "passive"},
        ),
    ],
)
def test_apple_is_told_no_sound_and_a_passive_interruption(aps: dict[str, Any], soundless: dict[str, Any]) -> None:
    assert made(APNS, {"aps": aps, "own": 1})[1] == {"aps": soundless, "own": 1}


@pytest.mark.parametrize("kind", ["voip", "pushtotalk"])
def test_a_call_cannot_be_soundless(kind: str) -> None:
    assert traits_of(APNS).soundless({"apns-push-type": kind}, b'{"aps":{}}') is None


def test_an_android_phone_is_told_a_low_priority_and_no_sound() -> None:
    message = {
        "notification": {"title": "t"},
        "android": {
            "priority": "HIGH",
            "ttl": "60s",
            "notification": {"sound": "x", "channelId": "c", "defaultSound": True},
        },
        "apns": {"payload": {"aps": {"alert": "t", "sound": "x"}}},
    }
    _, payload = made(FCM, {"message": message})
    assert payload["message"]["android"] == {
        "priority": "NORMAL",
        "ttl": "60s",
        "notification": {
            "channelId": "c",
            "notification_priority": "PRIORITY_LOW",
            "default_sound": False,
            "default_vibrate_timings": False,
        },
    }
    assert payload["message"]["apns"]["payload"]["aps"] == {"alert": "t", "interruption-level": "passive"}


def test_a_data_message_of_android_wakes_no_phone_and_shows_nothing_of_its_own() -> None:
    _, payload = made(FCM, {"message": {"data": {"a": "1"}}})
    assert payload == {"message": {"data": {"a": "1"}, "android": {"priority": "NORMAL"}}}


def test_a_toast_goes_to_the_notification_centre_alone() -> None:
    soundless = traits_of(WNS).soundless({"X-WNS-Type": "wns/toast", "x-wns-suppresspopup": "false"}, TOAST)
    assert soundless == ({"X-WNS-Type": "wns/toast", "X-WNS-SuppressPopup": "true"}, TOAST)
    assert traits_of(WNS).soundless({"X-WNS-Type": "wns/badge"}, b"<badge/>") == (
        {"X-WNS-Type": "wns/badge"},
        b"<badge/>",
    )


@pytest.mark.parametrize(
    ("payload", "soundless"),
    [
        ({"notification": {"title": "t", "vibrate": [1]}}, {"notification": {"title": "t", "silent": True}}),
        ({"title": "t", "x": 1}, {"title": "t", "x": 1, "silent": True}),
        ({"kind": "sync"}, {"kind": "sync"}),
    ],
)
def test_a_browser_is_told_silent_where_something_is_shown(payload: dict[str, Any], soundless: dict[str, Any]) -> None:
    headers, seen = made(WEB, payload, urgency="high")
    assert (seen, headers) == (soundless, {"Urgency": "low"})


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"no JSON", b'{"aps": 1}', b'{"message": []}', b'{"message":{"android":1}}']
)
@pytest.mark.parametrize("traits", [each for each in services() if each.can_be_soundless], ids=lambda each: each.name)
def test_any_payload_comes_out_as_it_was_or_as_json(payload: bytes, traits: Any) -> None:
    soundless = traits.soundless({}, payload)
    assert soundless is not None
    if soundless.payload != payload:
        orjson.loads(soundless.payload)


def test_a_service_without_a_word_for_it_says_so() -> None:
    for each in services():
        assert each.can_be_soundless is (each.soundless({}, b"{}") is not None)
