"""What a push service refuses by its own documents is found before anything is sent; what depends on an event is not."""

from pathlib import Path

import pytest

from tests.bridge.examples import complaints
from tests.hub.platforms.keys import p256_key, pem_of

CONFIG = """
sources: { js: { http: { path: /in/js }, map: { id: "{{ data.id }}" } } }
hubs: { app: {} }
rules:
  - { name: r, push: { to: x, native: { @ } } }
"""
APNS = "apns: { payload: { aps: { alert: hi } }, headers: { @ } }"
SILENT = "apns: { payload: { aps: { content-available: 1 } }, headers: { @ } }"
PAYLOAD = "apns: { payload: @ }"
FCM = "fcm: { payload: { message: { @ } } }"
WEB = "webpush: { payload: { title: hi }, headers: { @ } }"
WEB_PAYLOAD = "webpush: { payload: @ }"
WNS = "wns: { payload: '<toast/>', headers: { @ } }"


def said(directory: Path, *texts: str) -> list[str]:
    """Complaints of a native payload; each text stands in the place that the one before left."""
    config = CONFIG
    for text in texts:
        config = config.replace("@", text)
    return complaints(directory, config)


@pytest.mark.parametrize(
    ("form", "text", "key", "message"),
    [
        (APNS, "apns-priority: 7", "apns.headers.apns-priority", "10 (at once), 5"),
        (APNS, "apns-push-type: foo", "apns.headers.apns-push-type", "known: alert"),
        (APNS, "apns-push-type: backgroud", "apns.headers.apns-push-type", "did you mean background?"),
        (SILENT, "apns-push-type: background, apns-priority: 10", "apns.headers.apns-priority", "priority 5"),
        (SILENT, "apns-priority: 10", "apns.headers.apns-priority", "priority 5"),
        (APNS, "apns-push-type: voip, apns-priority: 5", "apns.headers.apns-priority", "priority 10"),
        (APNS, "apns-push-type: background", "apns.payload.aps.alert", "shows nothing"),
        (APNS, "apns-expiration: 6h", "apns.headers.apns-expiration", "ttl: 6h"),
        (APNS, "apns-expiration: 300", "apns.headers.apns-expiration", "has expired"),
        (APNS, f"apns-collapse-id: {'x' * 65}", "apns.headers.apns-collapse-id", "65 bytes"),
        (APNS, f"apns-collapse-id: {'ä' * 33}", "apns.headers.apns-collapse-id", "66 bytes"),
        (APNS, "apns-topic: com.example.voip", "apns.headers.apns-topic", "apns-push-type: voip"),
        (APNS, "apns-push-type: voip, apns-topic: com.example", "apns.headers.apns-topic", "ends with .voip"),
        (APNS, "apns-expiry: 3", "apns.headers.apns-expiry", "did you mean apns-expiration?"),
        (APNS, "apns-id: x", "apns.headers.apns-id", "the hub sets it"),
        (APNS, "X-WNS-Type: wns/toast", "apns.headers.X-WNS-Type", "a header of wns"),
        (PAYLOAD, "{ alert: hi }", "apns.payload", "aps is missing"),
        (PAYLOAD, '\'{"alert": "hi"}\'', "apns.payload", "aps is missing"),
        (PAYLOAD, "{ aps: hi }", "apns.payload.aps", "expected an object"),
        (PAYLOAD, "{ aps: { content_available: 1 } }", "apns.payload.aps.content_available", "content-available?"),
        (PAYLOAD, "{ aps: { content-available: true } }", "apns.payload.aps.content-available", "number 1"),
        (PAYLOAD, '{ aps: { badge: "3" } }', "apns.payload.aps.badge", "without quotes"),
        (PAYLOAD, '{ aps: { badge: "{{ data.n }} new" } }', "apns.payload.aps.badge", "the placeholder alone"),
        (PAYLOAD, f"{{ aps: {{ alert: {'x' * 4100} }} }}", "apns.payload", "takes 4096"),
        (FCM, "token: x", "fcm.payload.message.token", "push.to"),
        (FCM, "topic: news", "fcm.payload.message.topic", "push.to"),
        (FCM, "condition: x", "fcm.payload.message.condition", "push.to"),
        (FCM, 'token: "{{ data.t }}"', "fcm.payload.message.token", "push.to"),
        (FCM, "data: { from: x }", "fcm.payload.message.data.from", "another name"),
        (FCM, "data: { message_type: x }", "fcm.payload.message.data.message_type", "another name"),
        (FCM, "data: { google.x: x }", "fcm.payload.message.data.google.x", "another name"),
        (FCM, "data: { gcm.x: x }", "fcm.payload.message.data.gcm.x", "another name"),
        (FCM, "data: { a: { b: c } }", "fcm.payload.message.data.a", "texts only"),
        (FCM, "data: { a: }", "fcm.payload.message.data.a", "is null"),
        (FCM, "android: { priority: urgent }", "fcm.payload.message.android.priority", "normal, high"),
        (FCM, "android: { ttl: 3600 }", "fcm.payload.message.android.ttl", '"3600s"'),
        (FCM, "android: { ttl: 6h }", "fcm.payload.message.android.ttl", "3600s"),
        (FCM, "android: { ttl: 3000000s }", "fcm.payload.message.android.ttl", "four weeks"),
        (FCM, "android: { data: { from: x } }", "fcm.payload.message.android.data.from", "another name"),
        (FCM, "notification: { sound: x }", "fcm.payload.message.notification.sound", "android.notification.sound"),
        (FCM, "notification: { titel: x }", "fcm.payload.message.notification.titel", "did you mean title?"),
        (FCM, "priority: high", "fcm.payload.message.priority", "push.priority"),
        (
            FCM,
            "android: { notification: { color: red } }",
            "fcm.payload.message.android.notification.color",
            "#ff8800",
        ),
        (FCM, f"data: {{ a: {'x' * 4100} }}", "fcm.payload.message", "takes 4096"),
        (FCM, "apns: { headers: { apns-priority: 7 } }", "fcm.payload.message.apns.headers.apns-priority", "10"),
        (FCM, "apns: { payload: { alert: x } }", "fcm.payload.message.apns.payload", "aps is missing"),
        (FCM, "webpush: { headers: { Urgency: soon } }", "fcm.payload.message.webpush.headers.Urgency", "very-low"),
        (WEB, "TTL: 6h", "webpush.headers.TTL", "push.ttl takes 6h too"),
        (WEB, "Urgency: soon", "webpush.headers.Urgency", "very-low, low, normal, high"),
        (WEB, f"Topic: {'x' * 33}", "webpush.headers.Topic", "push.collapse is made to fit"),
        (WEB, "Topic: a b", "webpush.headers.Topic", "up to 32"),
        (WEB, "apns-priority: 5", "webpush.headers.apns-priority", "a header of apns"),
        (WEB, "X-Foo: 5", "webpush.headers.X-Foo", "one of the headers TTL, Urgency, Topic"),
        (WEB_PAYLOAD, f"{{ title: {'x' * 4000} }}", "webpush.payload", "takes 3993"),
        (WEB_PAYLOAD, "{ notification: hi }", "webpush.payload.notification", "expected an object"),
        (WEB_PAYLOAD, "{ notification: { body: hi } }", "webpush.payload.notification", "title is missing"),
        (
            WEB_PAYLOAD,
            "{ web_push: 8031, notification: { title: t, navigate: 'https://x/' } }",
            "webpush.payload.web_push",
            "the number 8030",
        ),
        (
            WEB_PAYLOAD,
            "{ web_push: 8030, notification: { title: t } }",
            "webpush.payload.web_push",
            "navigate is missing",
        ),
        (
            WEB_PAYLOAD,
            "{ notification: { title: t, navigate: /x } }",
            "webpush.payload.notification.navigate",
            "https://HOST",
        ),
        (WNS, "X-WNS-Type: wns/badge", "wns.headers.X-WNS-Type", "wns/toast"),
        (WNS, "X-WNS-Type: toast", "wns.headers.X-WNS-Type", "write wns/toast"),
        (WNS, "X-WNS-Cache-Policy: none", "wns.headers.X-WNS-Cache-Policy", "no-cache"),
        (WNS, "X-WNS-Tag: order-1", "wns.headers.X-WNS-Tag", "16 letters"),
        (WNS, f"X-WNS-Group: {'g' * 17}", "wns.headers.X-WNS-Group", "16 letters"),
        (WNS, "X-WNS-TTL: 5m", "wns.headers.X-WNS-TTL", "seconds"),
        (WNS, "X-WNS-PRIORITY: 5", "wns.headers.X-WNS-PRIORITY", "1 (high) to 4"),
        (WNS, "apns-priority: 5", "wns.headers.apns-priority", "a header of apns"),
        ("wns: { payload: raw, headers: { @ } }", "X-WNS-Type: wns/toast", "wns.headers.X-WNS-Type", "wns/raw"),
        ("wns: { payload: '<toast>@</toast>' }", "x" * 5000, "wns.payload", "takes 5000"),
        ("fcm: { payload: { message: {} }, headers: { @ } }", "a: b", "fcm.headers", "message.android"),
    ],
)
def test_what_is_sure_to_be_refused_is_named_once(form: str, text: str, key: str, message: str, tmp_path: Path) -> None:
    (found,) = said(tmp_path, form, text)
    assert f": rules[0].push.native.{key}: " in found
    assert message in found


@pytest.mark.parametrize(
    "native",
    [
        'apns: { payload: { aps: {} }, headers: { apns-priority: "{{ data.p }}", apns-expiration: "{{ data.e }}" } }',
        "apns: { payload: { aps: { alert: hi } }, headers: { apns-priority: 5, apns-expiration: 0, apns-collapse-id: a } }",
        'apns: { payload: { caller: "{{ data.c }}" }, headers: { apns-push-type: voip } }',
        'apns: { payload: { caller: x }, headers: { apns-push-type: "{{ data.t }}" } }',
        "apns: { payload: { aps: { content-available: 1, badge: 3 } }, headers: { apns-push-type: background } }",
        'apns: { payload: { aps: { badge: "{{ data.n }}" }, app: { any: [1] } } }',
        "apns: { payload: { aps: {} }, headers: { apns-push-type: location, apns-topic: com.example.location-query } }",
        'fcm: { payload: { message: { data: { n: "{{ data.n }}", b: true, i: 5, f: 1.50 } } } }',
        "fcm: { payload: { message: { android: { priority: HIGH, ttl: 3.5s, notification: { channelId: c } } } } }",
        'fcm: { payload: { message: { android: { ttl: "{{ data.s }}s", priority: "{{ data.p }}" } } } }',
        """fcm: { payload: '{"message": {"notification": {"title": "x"}, "fcmOptions": {"analyticsLabel": "a"}}}' }""",
        "webpush: { payload: { title: hi, body: '{{ data.t }}' }, headers: { ttl: 60, URGENCY: low, Topic: a-1_B } }",
        "webpush: { payload: { notification: '{{ data.n }}' }, headers: { TTL: '{{ data.t }}' } }",
        "webpush: { payload: { web_push: 8030, notification: { title: t, navigate: '{{ data.url }}' } } }",
        "webpush: { payload: { sync: 1 } }",
        "wns: { payload: '<toast/>', headers: { X-WNS-Type: wns/toast, X-WNS-Tag: a1, X-WNS-TTL: 60, X-WNS-PRIORITY: 1 } }",
        "wns: { payload: '<?xml version=\"1.0\"?><!-- c --><badge/>', headers: { x-wns-type: wns/badge } }",
        "wns: { payload: '<toast/>', headers: { X-WNS-Type: wns/raw, X-WNS-Cache-Policy: no-cache } }",
    ],
)
def test_what_a_service_takes_is_clean(native: str, tmp_path: Path) -> None:
    assert said(tmp_path, native) == []


CALLS = """
windows: {{ night: {{ times: "22:00-07:00", tz: device }} }}
sources: {{ js: {{ http: {{ path: /in/js }}, map: {{ id: "{{{{ data.id }}}}" }} }} }}
hubs:
  app: {{ default: true, platforms: {{ apns: {apns} }} }}
  app.voip: {{ platforms: {{ apns: {apns} }} }}
  bell: {{ platforms: {{ apns: {{ push_type: voip, {keys} }} }} }}
rules:
  - {{ name: r, push: {{ to: x, hub: {hub}, native: {{ apns: {{ payload: {payload} }} }} }}{more} }}
"""


def of_rule(directory: Path, hub: str, payload: str, more: str = "") -> list[str]:
    """Complaints of a rule that pushes to iPhones through one of the hubs; `more` are keys of the rule."""
    key = pem_of(p256_key()).replace("\n", "\\n")
    keys = f'key: "{key}", key_id: ABC123DEFG, team_id: DEF123GHIJ, topic: com.example.app'
    config = CALLS.format(apns=f"{{ {keys} }}", keys=keys, hub=hub, payload=payload, more=more)
    return [each for each in complaints(directory, config) if "rules[0]" in each]


@pytest.mark.parametrize(
    ("hub", "payload", "message"),
    [
        ("app.voip", "{ caller: x }", ""),
        ("bell", "{ caller: x }", ""),
        ("app", "{ caller: x }", "aps is missing"),
        ("app.voip", "{ caller: " + "x" * 5120 + " }", "5120"),
    ],
)
def test_a_hub_of_calls_takes_what_a_call_is(hub: str, payload: str, message: str, tmp_path: Path) -> None:
    found = of_rule(tmp_path, hub, payload)
    assert [message in each for each in found] == ([True] if message else [])


@pytest.mark.parametrize(("hub", "count"), [("app", 0), ("app.voip", 1), ("bell", 1)])
def test_a_hub_of_calls_cannot_be_silent_in_the_night(hub: str, count: int, tmp_path: Path) -> None:
    quiet = ", quiet_hours: { window: night, on_quiet: silent }"
    found = of_rule(tmp_path, hub, "{ aps: { alert: hi } }", quiet)
    assert ["cannot be without a sound: native.apns" in each for each in found] == [True] * count


@pytest.mark.parametrize(
    ("live", "messages"),
    [
        ("{ update: { a: 1 } }", []),
        ("{ start: { a: 1 }, aps: { attributes-type: A, attributes: { b: 1 }, alert: { title: t } } }", []),
        ("{ start: { a: 1 } }", ["needs alert", "needs attributes,", "needs attributes-type"]),
        ("{ update: { a: 1 }, aps: { staleDate: 9 } }", ["did you mean stale-date?"]),
    ],
)
def test_a_live_activity_that_the_phone_would_ignore_is_named(live: str, messages: list[str], tmp_path: Path) -> None:
    config = CONFIG.replace("native: { @ }", f"live_activity: {live}")
    found = [each for each in complaints(tmp_path, config) if "rules[0]" in each]
    assert [message in each for message, each in zip(messages, sorted(found), strict=True)] == [True] * len(messages)
