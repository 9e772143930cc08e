"""Web Push: what a push becomes on the wire, and what each answer of a push service means."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr, ValidationError

from hub.notification import Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.webpush.encryption import encrypted_with, point_of
from hub.platforms.webpush.payload import is_silent, message_of
from hub.platforms.webpush.sender import requests_for, verdict
from hub.platforms.webpush.settings import WebPushSettings
from hub.platforms.webpush.sizes import MAX_BODY, MAX_MESSAGE
from hub.platforms.webpush.vapid import LIFETIME, VapidKey, VapidTokens
from hub.push import SendResult
from sandbox.subscriptions import base64url, decrypted, keys_of
from tests.fakes.browsers import subscription
from tests.fakes.pushes import Push, page_of
from tests.fakes.requests import Request, requests_in
from tests.hub.platforms.keys import p256_key, pem_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PEM = pem_of(p256_key())
KEYS = keys_of("anna")
PAGE = "https://bank.example/inbox"


def channel(endpoint: str = "https://push.example/anna") -> str:
    return subscription(endpoint, p256dh=base64url(KEYS.p256dh), auth=base64url(KEYS.auth))


PUSH = Push(
    id="6f1c9a3e-1111-4222-8333-000000000001", push_channel=channel(), payload=b'{"title":"Deposit","body":"1 EUR"}'
)


def settings(**given: Any) -> WebPushSettings:
    return WebPushSettings(**{"key": SecretStr(PEM), "subject": "mailto:ops@bank.example", **given})


ROWS = [
    (200, {}, b"", "delivered", "Success"),
    (201, {"location": "https://push.example/m/1"}, b"", "delivered", "Success"),
    (202, {}, b"", "delivered", "Success"),
    (301, {"location": "http://169.254.169.254/"}, b"", "retry", "UnknownError"),
    (307, {"location": "https://elsewhere.example/"}, b"", "retry", "UnknownError"),
    (308, {}, b"", "retry", "UnknownError"),
    (400, {}, b"", "drop", "InvalidNotificationFormat"),
    (400, {}, b'{"reason":"VapidPkHashMismatch"}', "config", "WrongToken"),
    (401, {}, b"", "config", "InvalidCredentials"),
    (403, {}, b"", "config", "WrongToken"),
    (403, {}, b'{"reason":"BadJwtToken"}', "config", "InvalidCredentials"),
    (404, {}, b"", "gone", "BadChannel"),
    (404, {}, b'{"reason":"BadJwtToken"}', "gone", "BadChannel"),
    (405, {}, b"", "drop", "PnsInterfaceError"),
    (406, {}, b"", "throttled", "Throttled"),
    (408, {}, b"", "retry", "PnsUnavailable"),
    (410, {}, b"", "gone", "ExpiredChannel"),
    (413, {}, b"", "drop", "InvalidNotificationSize"),
    (418, {}, b"", "retry", "UnknownError"),
    (429, {"retry-after": "7"}, b"", "throttled", "Throttled"),
    (500, {}, b"", "retry", "PnsServerError"),
    (502, {}, b"", "retry", "PnsServerError"),
    (503, {"retry-after": "5"}, b"", "retry", "PnsUnavailable"),
    (504, {}, b"", "retry", "PnsServerError"),
    (507, {}, b'{"code":50701,"http":507,"error":"no active subscriber"}', "retry", "PnsUnavailable"),
]


@pytest.mark.parametrize(("status", "headers", "body", "reaction", "outcome"), ROWS)
def test_each_answer_has_its_verdict_which_is_about_one_channel_alone(
    status: int, headers: dict[str, str], body: bytes, reaction: str, outcome: str
) -> None:
    result = verdict(status, headers, body)
    assert (result.reaction, result.outcome) == (Reaction(reaction), OutcomeName(outcome))
    assert not result.lane_wide  # the host that says it may be anybody's
    is_delivered = result.reaction is Reaction.DELIVERED
    assert bool(result.reason) is not is_delivered
    assert result.pns_id == (headers.get("location", "") if is_delivered else "")
    assert result.retry_after == (float(headers["retry-after"]) if "retry-after" in headers else None)


def test_a_time_to_wait_may_be_a_date() -> None:
    waits = verdict(429, {"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}, b"").retry_after
    assert waits is not None
    assert waits > 10**9


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        (
            410,
            {},
            b'{"code":410,"errno":106,"message":"Request did not validate"}',
            "Request did not validate (errno 106)",
        ),
        (403, {}, b'{"reason":"BadJwtToken"}', "BadJwtToken"),
        (404, {}, b"push subscription has unsubscribed\n", "push subscription has unsubscribed"),
        (507, {}, b'{"code":50701,"error":"no subscriber"}', "no subscriber"),
        (400, {"x-wns-error-description": "Ttl value conflicts"}, b"", "Ttl value conflicts"),
        (400, {}, b"<html>\x00\x1b[31m" + b"x" * 9000, f"<html> [31m{'x' * 189}"),
        (400, {}, b"\xff\xfe", "\ufffd\ufffd"),
        (301, {}, b"moved", "HTTP 301: redirects are not followed"),
        (400, {}, b'{"reason":7}', "HTTP 400"),
        (400, {}, b"", "HTTP 400"),
    ],
)
def test_the_service_s_own_words_are_the_reason(status: int, headers: dict[str, str], body: bytes, reason: str) -> None:
    assert verdict(status, headers, body).reason == reason


def request(push: Push, **given: Any) -> Request | SendResult:
    (made,) = requests(push, **given)
    return made


def requests(*pushes: Push, **given: Any) -> list[Request | SendResult]:
    made = requests_for(page_of(pushes), settings(**given), authorization=lambda origin: f"vapid {origin}", now=NOW)
    return requests_in(made)


def sent(push: Push, **given: Any) -> tuple[dict[str, str], Any]:
    """The header fields and the message that the browser reads."""
    built = request(push, **given)
    assert isinstance(built, Request), built
    fields = dict(line.decode().split(": ", 1) for line in built.headers)
    return fields, orjson.loads(decrypted(built.body, KEYS))


def test_a_push_is_a_request_to_its_endpoint_that_only_its_browser_reads() -> None:
    built = request(PUSH)
    assert isinstance(built, Request)
    assert built.url == "https://push.example/anna"
    assert b"Deposit" not in built.body
    fields, message = sent(PUSH)
    assert fields == {
        "authorization": "vapid https://push.example",
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        "ttl": "2419200",
        "urgency": "high",
        "x-pushbridge-id": PUSH.id,
    }
    assert message["title"] == "Deposit"


def test_pushes_are_told_apart_by_origin_and_keep_their_places() -> None:
    hosts = ("a.example", "b.example:8443", "a.example")
    built = requests(*(replace(PUSH, push_channel=channel(f"https://{host}/x?y=1")) for host in hosts))
    urls = [each.url for each in built if isinstance(each, Request)]
    assert urls == [f"https://{host}/x?y=1" for host in hosts]
    said = [each.headers[0] for each in built if isinstance(each, Request)]
    assert said == [f"authorization: vapid https://{host}".encode() for host in hosts]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"priority": Priority.NORMAL}, {"urgency": "normal"}),
        ({"headers": {"Urgency": "very-low"}}, {"urgency": "very-low"}),
        ({"headers": {"Urgency": "soon"}}, {"urgency": "high"}),
        ({"expires_at": NOW + timedelta(hours=1)}, {"ttl": "3600"}),
        ({"expires_at": NOW - timedelta(hours=1)}, {"ttl": "0"}),
        ({"expires_at": NOW + timedelta(days=400)}, {"ttl": "2419200"}),
        ({"headers": {"TTL": "60"}, "expires_at": NOW + timedelta(hours=1)}, {"ttl": "60"}),
        ({"headers": {"ttl": "9" * 5000}}, {"ttl": "2419200"}),
        ({"headers": {"ttl": "-1"}}, {"ttl": "2419200"}),
        ({"collapse_key": "debit-7"}, {"topic": "debit-7"}),
        ({"headers": {"Topic": "mine"}, "collapse_key": "debit-7"}, {"topic": "mine"}),
    ],
)
def test_hints_become_headers_that_every_service_takes(changes: dict[str, Any], fields: dict[str, str]) -> None:
    made, _ = sent(replace(PUSH, **changes))
    assert {name: made[name] for name in fields} == fields


def test_a_collapse_key_that_is_no_topic_becomes_one() -> None:
    topics = {sent(replace(PUSH, collapse_key=key))[0]["topic"] for key in ("a b", "ä", "x" * 33, "x" * 34)}
    assert len(topics) == 4
    assert all(len(topic) == 32 and topic.isalnum() for topic in topics)


def test_a_repeated_push_replaces_itself_on_the_screen_and_is_no_topic() -> None:
    fields, message = sent(replace(PUSH, collapse_id="push-1"), navigate=PAGE)
    assert "topic" not in fields
    assert message["notification"]["tag"] == "push-1"


def test_the_service_behind_edge_is_told_to_keep_what_has_a_time_to_live() -> None:
    edge = replace(PUSH, push_channel=channel("https://wns2-par02p.notify.windows.com/w/?token=x"))
    assert sent(edge)[0]["x-wns-cache-policy"] == "cache"
    assert sent(replace(edge, headers={"ttl": "0"}))[0]["x-wns-cache-policy"] == "no-cache"
    odd = replace(PUSH, push_channel=channel("https://notify.windows.com.example/w"))
    assert "x-wns-cache-policy" not in sent(odd)[0]


@pytest.mark.parametrize(
    ("push", "outcome", "words"),
    [
        (replace(PUSH, payload=b"x" * (MAX_MESSAGE + 1)), "InvalidNotificationSize", "3993"),
        (replace(PUSH, headers={"authorization": "x"}), "InvalidNotificationFormat", "authorization"),
        (replace(PUSH, push_channel=subscription("https://e.example/", p256dh="p")), "BadChannel", "no usable keys"),
        (replace(PUSH, push_channel='{"endpoint":"ftp://e.example/"}'), "BadChannel", "no usable keys"),
        (replace(PUSH, push_channel="nothing"), "BadChannel", "no usable keys"),
    ],
)
def test_what_cannot_be_sent_is_refused_here_and_its_browser_stays(push: Push, outcome: str, words: str) -> None:
    result = request(push)
    assert isinstance(result, SendResult)
    assert (result.reaction, result.outcome) == (Reaction.DROP, OutcomeName(outcome))
    assert words in result.reason


def test_the_largest_message_fills_a_body_that_every_service_takes() -> None:
    built = request(replace(PUSH, payload=b"x" * MAX_MESSAGE))
    assert isinstance(built, Request)
    assert len(built.body) == MAX_BODY


@pytest.mark.parametrize(
    ("endpoint", "is_sent"),
    [
        ("https://ntfy.bank.example/upAbC?up=1", True),
        ("https://bank.example/upAbC?up=1", True),
        ("https://ntfy.sh/upAbC?up=1", True),
        ("https://evilntfy.sh/upAbC?up=1", False),
        ("https://ntfy.sh.example/upAbC?up=1", False),
        ("https://ntfy.sh:8443/upAbC?up=1", True),
    ],
)
def test_a_list_of_endpoints_keeps_all_others_out(endpoint: str, is_sent: bool) -> None:
    made = request(replace(PUSH, push_channel=channel(endpoint)), allowed_endpoints=("bank.example", "ntfy.sh"))
    assert isinstance(made, Request) is is_sent
    if isinstance(made, SendResult):
        assert "allowed_endpoints" in made.reason


# Declarative messages


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        (  # as back ends of Notification Hubs write it, which old service workers read at the top
            {"title": "T", "body": "B", "url": "/x"},
            {"web_push": 8030, "title": "T", "body": "B", "url": "/x",
             "notification": {"title": "T", "body": "B", "navigate": PAGE, "tag": "t"}},
        ),
        (
            {"notification": {"title": "T", "navigate": "https://x.example/"}},
            {"web_push": 8030, "notification": {"title": "T", "navigate": "https://x.example/", "tag": "t"}},
        ),
        (
            {"title": "T", "notification": {"data": {"id": 7}}},
            {"web_push": 8030, "title": "T",
             "notification": {"title": "T", "data": {"id": 7}, "navigate": PAGE, "tag": "t"}},
        ),
        (  # what is declarative stays what it is
            {"web_push": 8030, "notification": {"title": "T", "navigate": "https://x.example/", "tag": "own"}},
            {"web_push": 8030, "notification": {"title": "T", "navigate": "https://x.example/", "tag": "own"}},
        ),
        ({"sync": 12345678901234567890123}, {"sync": 12345678901234567890123}),
        ({"title": ""}, {"title": ""}),
        ({"title": 7}, {"title": 7}),
    ],
)  # fmt: skip
def test_a_message_is_declarative_and_what_was_there_stays(payload: Any, wanted: Any) -> None:
    made = message_of(json.dumps(payload).encode(), tag="t", navigate=PAGE)
    assert json.loads(made) == wanted


def test_without_a_page_to_go_to_a_message_is_left_to_the_service_worker() -> None:
    payload = b'{"title":"T","body":"B"}'
    assert message_of(payload, tag="t") == payload
    inner = orjson.loads(message_of(b'{"notification":{"title":"T"}}', tag="t"))
    assert inner == {"notification": {"title": "T", "tag": "t"}}
    assert message_of(payload, tag="t", navigate=PAGE, declarative=False) == payload


@pytest.mark.parametrize("payload", [b"", b"hello", b"[1]", b"{", b"\xff", b"[" * 3000])
def test_what_is_no_json_object_goes_as_it_is(payload: bytes) -> None:
    assert message_of(payload, tag="t", navigate=PAGE) == payload
    assert is_silent(payload)


def test_a_message_that_would_grow_too_large_goes_as_it_is() -> None:
    payload = orjson.dumps({"title": "T", "body": "x" * (MAX_MESSAGE - 30)})
    assert message_of(payload, tag="t", navigate=PAGE) == payload


# Encryption and VAPID


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_example_of_rfc_8291_is_encrypted_to_the_letter() -> None:
    key = ec.derive_private_key(int.from_bytes(raw("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")), ec.SECP256R1())
    point = raw("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")
    body = encrypted_with(
        key,
        raw("DGv6ra1nlYgDCS1FRnbzlw"),
        b"When I grow up, I want to be a watermelon",
        point_of(point),
        point,
        raw("BTBZMqHH6r4Tts7J_aSIgg"),
    )
    assert base64url(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A"
        "_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_no_two_bodies_share_a_key_or_a_salt() -> None:
    bodies = [each.body for each in requests(*[PUSH] * 20) if isinstance(each, Request)]
    assert len({body[:16] for body in bodies}) == len({body[21:86] for body in bodies}) == 20


def test_a_token_is_for_one_origin_and_signed_once_in_six_hours() -> None:
    now = [1_900_000_000.0]
    key = VapidKey(PEM)
    tokens = VapidTokens(key, subject="mailto:ops@bank.example", clock=lambda: now[0])
    first = tokens.authorization("https://push.example:8443")
    scheme, _, rest = first.partition(" ")
    fields = dict(part.split("=", 1) for part in rest.split(", "))
    assert (scheme, fields["k"]) == ("vapid", key.public)
    claims = jwt.decode(
        fields["t"], key.private.public_key(), ["ES256"], options={"verify_exp": False, "verify_aud": False}
    )
    assert claims == {
        "aud": "https://push.example:8443",
        "exp": int(now[0]) + LIFETIME,
        "sub": "mailto:ops@bank.example",
    }
    assert tokens.authorization("https://other.example") != first
    now[0] += 6 * 3600 - 1
    assert tokens.authorization("https://push.example:8443") == first
    now[0] += 1
    second = tokens.authorization("https://push.example:8443")
    assert second != first
    now[0] -= 3600  # a clock that is set back
    assert tokens.authorization("https://push.example:8443") != second
    now[0] += 10
    third = tokens.authorization("https://push.example:8443")
    tokens.forget("https://push.example:8443")
    now[0] += 1
    assert tokens.authorization("https://push.example:8443") != third


def test_tokens_are_kept_for_so_many_origins_and_no_more() -> None:
    tokens = VapidTokens(VapidKey(PEM), subject="mailto:ops@bank.example")
    for number in range(5000):
        tokens._lines[f"https://{number}.example"] = (0.0, "x")
    tokens._lines.popitem()
    before = len(tokens._lines)
    tokens.authorization("https://one.more.example")
    assert len(tokens._lines) == before


def test_a_key_is_pem_or_the_bytes_that_tools_print() -> None:
    key = p256_key()
    number = key.private_numbers().private_value.to_bytes(32)
    assert (
        VapidKey(pem_of(key)).public
        == VapidKey(base64url(number)).public
        == VapidKey(f" {base64url(number)}=\n").public
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"key": "nothing"}, "neither a key in PEM"),
        ({"key": base64url(b"x" * 31)}, "neither a key in PEM"),
        ({"key": base64url(b"\xff" * 32)}, "neither a key in PEM"),
        ({"key": base64url(b"\0" * 32)}, "neither a key in PEM"),
        ({"key": "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"}, "no private key in PEM"),
        ({"key": pem_of(ec.generate_private_key(ec.SECP384R1()))}, "P-256"),
        ({"subject": "ops@bank.example"}, "mailto:"),
        ({"subject": "mailto:"}, "mailto:"),
        ({"subject": "http://bank.example"}, "mailto:"),
        ({"allowed_endpoints": "https://ntfy.sh/"}, "expected a host"),
        ({"private_networks": ["10.0.0.0/33"]}, "private_networks"),
        ({"navigate": "/inbox"}, "address of a page"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_they_are_read(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as refusal:
        settings(**given)
    assert "BEGIN" not in str(refusal.value)
