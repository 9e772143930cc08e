"""FCM: what a push becomes on the wire, and what each answer of Google's means."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import InvalidRequestError
from hub.notification import Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.fcm.handle import targets_of
from hub.platforms.fcm.sender import requests_for, verdict
from hub.platforms.fcm.service_account import ServiceAccountAssertion
from hub.platforms.fcm.settings import ServiceAccount
from hub.platforms.fcm.traits import FcmTraits
from hub.push import PushPage, SendResult
from tests.fakes.pushes import Push, page_of
from tests.fakes.requests import Request, requests_in
from tests.hub.platforms.keys import p256_key, pem_of, rsa_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PUSH = Push(
    id="6f1c9a3e-1111-4222-8333-000000000001",
    push_channel="token:APA91b",
    payload=b'{"message":{"notification":{"title":"hello"}}}',
)
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"


def error(status: str, code: str = "", message: str = "", *details: dict[str, Any]) -> bytes:
    of_fcm = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
    return orjson.dumps({"error": {"status": status, "message": message, "details": [*of_fcm, *details]}})


def fields(*names: str) -> dict[str, Any]:
    return {"@type": BAD_REQUEST, "fieldViolations": [{"field": name, "description": "bad"} for name in names]}


def quota(subject: str) -> dict[str, Any]:
    return {"@type": QUOTA_FAILURE, "violations": [{"subject": subject, "description": "exceeded"}]}


ARGUMENT = "INVALID_ARGUMENT"
BAD_TOKEN = "The registration token is not a valid FCM registration token"
ROWS = [
    (400, error(ARGUMENT, ARGUMENT, BAD_TOKEN), "gone", "BadChannel", False),
    (400, error(ARGUMENT, "", "Invalid registration token", fields("message.token")), "gone", "BadChannel", False),
    (400, error(ARGUMENT, "", "bad", fields("message.android.ttl")), "drop", "InvalidNotificationFormat", False),
    (
        400,
        error(ARGUMENT, "", "x", fields("message.token", "message.data")),
        "drop",
        "InvalidNotificationFormat",
        False,
    ),
    (400, error(ARGUMENT, ARGUMENT, "Android message is too big"), "drop", "InvalidNotificationSize", False),
    (400, error(ARGUMENT, ARGUMENT, "package name does not match"), "gone", "WrongChannel", False),
    (400, error(ARGUMENT, ARGUMENT, "anything else"), "drop", "InvalidNotificationFormat", False),
    (401, error("UNAUTHENTICATED"), "config", "InvalidToken", True),
    (401, error("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), "config", "InvalidCredentials", False),
    (401, error("UNAUTHENTICATED", "APNS_AUTH_ERROR"), "config", "InvalidCredentials", False),
    (403, error("PERMISSION_DENIED", "SENDER_ID_MISMATCH"), "gone", "InvalidCredentials", False),
    (403, error("PERMISSION_DENIED"), "config", "InvalidCredentials", True),
    (404, error("NOT_FOUND", "UNREGISTERED"), "gone", "BadChannel", False),
    (404, error("NOT_FOUND"), "config", "InvalidCredentials", True),
    (404, b"<html>not here</html>", "config", "InvalidCredentials", True),
    (429, error("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), "throttled", "Throttled", True),
    (429, error("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "", quota("project:7")), "throttled", "Throttled", True),
    (429, error("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "", quota("device")), "throttled", "ChannelThrottled", False),
    (429, error("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "", quota("topic:a")), "throttled", "ChannelThrottled", False),
    (429, b"", "throttled", "Throttled", True),
    (500, error("INTERNAL", "INTERNAL"), "retry", "PnsServerError", False),
    (502, b"<html>", "retry", "PnsServerError", False),
    (503, error("UNAVAILABLE", "UNAVAILABLE"), "retry", "PnsUnavailable", False),
    (504, b"", "retry", "PnsServerError", False),
    (400, error("UNKNOWN", "UNSPECIFIED_ERROR"), "retry", "UnknownError", False),
    (418, b"", "retry", "UnknownError", False),
]


@pytest.mark.parametrize(("status", "body", "reaction", "outcome", "lane_wide"), ROWS)
def test_each_answer_of_googles_has_its_verdict(
    status: int, body: bytes, reaction: str, outcome: str, lane_wide: bool
) -> None:
    result = verdict(status, {}, body)
    assert (result.reaction, result.outcome) == (Reaction(reaction), OutcomeName(outcome))
    assert result.lane_wide is lane_wide
    assert result.reason


def test_what_a_wrong_project_of_ours_would_bring_too_is_doubtful() -> None:
    for status, body, reaction, *_ in ROWS:
        assert verdict(status, {}, body).suspect == (reaction == "gone" and b"UNREGISTERED" not in body)


def test_a_message_that_google_took_is_delivered_with_nothing_else_to_say() -> None:
    assert verdict(200, {}, b'{"name":"projects/p/messages/1"}').is_plain


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "7"}, 7.0),
        (429, {}, 60.0),
        (429, {"retry-after": "0"}, 0.0),
        (500, {}, 10.0),
        (503, {}, None),
        (503, {"retry-after": "30"}, 30.0),
    ],
)
def test_the_time_to_wait_is_googles_or_what_google_asks_for_in_general(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    assert verdict(status, headers, b"").retry_after == seconds


WORDS = st.sampled_from(["error", "message", "status", "details", "errorCode", "@type", FCM_ERROR, "fieldViolations"])
JSON = st.recursive(
    st.none() | st.booleans() | WORDS, lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner), max_leaves=20
)


@pytest.mark.slow
@given(st.binary(max_size=100) | JSON.map(orjson.dumps) | JSON.map(lambda value: orjson.dumps({"error": value})))
def test_any_body_has_a_verdict(body: bytes) -> None:
    for status in (200, 400, 404, 429):
        assert verdict(status, {}, body).reaction in Reaction


@pytest.mark.parametrize(
    "details", [None, 7, True, "x", [None], [{"fieldViolations": 7}], [{"violations": [1]}], {"a": 1}]
)
def test_details_of_another_shape_are_passed_over(details: object) -> None:
    assert verdict(429, {}, orjson.dumps({"error": {"details": details}})).outcome is OutcomeName.THROTTLED
    assert verdict(400, {}, orjson.dumps({"error": {"details": details}})).reaction is Reaction.DROP


def requests(*pushes: Push) -> list[Request | SendResult]:
    return requests_in(requests_for(page_of(pushes), origin="https://fcm", path="/send", token="ya29", now=NOW))


@pytest.mark.parametrize(
    "own", ['{"fid":"x"}', '"quoted"', "back\\slash", "größer", "fid:id", "a\nb", "", "line\u2028"]
)
def test_push_channels_of_a_page_are_told_as_those_of_single_pushes(own: str) -> None:
    channels = ["APA91b:a-b_c.d", own, "APA91b"]
    ((group, _),) = page_of([PUSH]).groups
    page = PushPage(channels, ["a", "b", "c"], [(group, 3)])
    together = requests_in(requests_for(page, origin="https://fcm", path="/send", token="ya29", now=NOW))
    singly = [request_for(replace(PUSH, push_channel=each)) for each in channels]
    assert [each.body for each in together if isinstance(each, Request)] == [
        each.body for each in singly if isinstance(each, Request)
    ]
    messages = [orjson.loads(each.body)["message"] for each in together if isinstance(each, Request)]
    assert [each.get("token", each.get("fid")) for each in messages] == [targets_of(each)[0].value for each in channels]


def request_for(push: Push) -> Request | SendResult:
    (request,) = requests(push)
    return request


def body_of(push: Push) -> Any:
    request = request_for(push)
    assert isinstance(request, Request), request
    return orjson.loads(request.body)


@pytest.mark.parametrize(
    ("push", "android"),
    [
        (PUSH, {"priority": "high"}),
        (replace(PUSH, priority=Priority.NORMAL), {"priority": "normal"}),
        (
            replace(PUSH, expires_at=NOW + timedelta(seconds=90), collapse_key="k"),
            {"priority": "high", "ttl": "90s", "collapse_key": "k", "notification": {"tag": "k"}},
        ),
        (replace(PUSH, expires_at=NOW - timedelta(seconds=1)), {"priority": "high", "ttl": "0s"}),
        (replace(PUSH, expires_at=NOW + timedelta(days=400)), {"priority": "high", "ttl": "2419200s"}),
        (
            replace(
                PUSH,
                payload=b'{"message":{"android":{"priority":"normal","ttl":"5s","collapseKey":"a"}}}',
                expires_at=NOW + timedelta(seconds=90),
                collapse_key="k",
            ),
            {"priority": "normal", "ttl": "5s", "collapseKey": "a"},
        ),
    ],
)
def test_priority_time_to_live_and_collapse_key_are_android_s_unless_given(push: Push, android: Any) -> None:
    assert body_of(push)["message"]["android"] == android


@given(st.text(min_size=1))
def test_any_token_is_put_in_as_data(token: str) -> None:
    try:
        token.encode()
    except UnicodeEncodeError:
        return
    message = body_of(replace(PUSH, push_channel=token))["message"]
    assert message == {"token": token, "notification": {"title": "hello"}, "android": {"priority": "high"}}


@pytest.mark.parametrize("payload", [b'{"message":{}}', b'{"validate_only":true,"message":{}}'])
def test_the_payload_s_other_members_stay(payload: bytes) -> None:
    body = body_of(replace(PUSH, payload=payload))
    assert body.pop("message")["token"] == PUSH.push_channel
    assert body == {name: value for name, value in orjson.loads(payload).items() if name != "message"}


@pytest.mark.parametrize(
    ("payload", "outcome", "words"),
    [
        (b"", "InvalidNotificationFormat", "message"),
        (b"[]", "InvalidNotificationFormat", "message"),
        (b'{"notification":{}}', "InvalidNotificationFormat", "message"),
        (b'{"message":7}', "InvalidNotificationFormat", "message"),
        (b'{"message":{"token":"t"}}', "InvalidNotificationFormat", "message.token"),
        (b'{"message":{"topic":"t"}}', "InvalidNotificationFormat", "message.topic"),
        (b'{"message":{"condition":"t"}}', "InvalidNotificationFormat", "message.condition"),
        (b'{"message":{"fid":"t"}}', "InvalidNotificationFormat", "message.fid"),
        (b'{"message":{"\\u0074oken":"t"}}', "InvalidNotificationFormat", "message.token"),
        (b'{"message":{"android":[]}}', "InvalidNotificationFormat", "android"),
        (orjson.dumps({"message": {"data": {"k": "x" * 4096}}}), "InvalidNotificationSize", "4096"),
    ],
)
def test_a_payload_that_google_or_we_refuse_is_not_sent(payload: bytes, outcome: str, words: str) -> None:
    refusal = request_for(replace(PUSH, payload=payload))
    assert isinstance(refusal, SendResult)
    assert (refusal.reaction, refusal.outcome) == (Reaction.DROP, OutcomeName(outcome))
    assert words in refusal.reason


def test_keys_and_values_up_to_the_limit_are_sent() -> None:
    android = len("priorityhigh")
    payload = orjson.dumps({"message": {"data": {"k": "x" * (4096 - android - 1)}}})
    assert isinstance(request_for(replace(PUSH, payload=payload)), Request)


def test_a_request_carries_token_and_push_id() -> None:
    request = request_for(PUSH)
    assert isinstance(request, Request)
    assert request.url == "https://fcm/send"
    assert request.headers == [
        b"authorization: Bearer ya29",
        b"content-type: application/json",
        b"x-pushbridge-id: 6f1c9a3e-1111-4222-8333-000000000001",
    ]


def test_what_pushes_do_not_share_is_not_carried_from_one_to_the_next() -> None:
    pushes = [
        PUSH,
        replace(PUSH, push_channel="b"),
        replace(PUSH, payload=b'{"message":{"data":{}}}'),
        replace(PUSH, priority=Priority.NORMAL),
        replace(PUSH, expires_at=NOW),
        replace(PUSH, collapse_key="k"),
        replace(PUSH, collapse_id="i"),
        replace(PUSH, payload=b"{}"),
        PUSH,
    ]
    assert requests(*pushes) == [request_for(push) for push in pushes]


def test_settings_come_from_the_key_file() -> None:
    account = {"project_id": "p", "client_email": "e", "private_key": "PRIVATE", "token_uri": "https://t", "type": "x"}
    settings = ServiceAccount.from_json(orjson.dumps(account).decode())
    assert (settings.project_id, settings.client_email, settings.token_uri) == ("p", "e", "https://t")
    assert "PRIVATE" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "no JSON"), ("[]", "lacks project_id, client_email, private_key"), ('{"project_id":"p"}', "client_email")],
)
def test_a_key_file_that_is_none_is_refused_with_what_to_do(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ServiceAccount.from_json(text)


def test_an_assertion_is_signed_for_an_hour() -> None:
    assertion = ServiceAccountAssertion(
        client_email="e",
        private_key=pem_of(rsa_key()),
        private_key_id="kid",
        audience="https://t",
        scope="s",
        clock=lambda: 1000.9,
    ).form()["assertion"]
    claims = jwt.decode(
        assertion,
        rsa_key().public_key(),
        algorithms=["RS256"],
        audience="https://t",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims == {"iss": "e", "scope": "s", "aud": "https://t", "iat": 1000, "exp": 4600}
    assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "kid": "kid", "typ": "JWT"}


@pytest.mark.parametrize(("pem", "words"), [("", "no PEM"), (pem_of(p256_key()), "no RSA")])
def test_an_unusable_private_key_is_refused_with_what_to_do(pem: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ServiceAccountAssertion(client_email="e", private_key=pem, private_key_id="k", audience="a", scope="s")


FID = "cAbC-dEf_gHiJkLmNoPqRs"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("token:APA91b", "token:APA91b"),
        (f"fid:{FID}", f"fid:{FID}"),
        (f'{{"token": "t", "fid": "{FID}"}}', f'{{"fid":"{FID}","token":"t"}}'),
    ],
)
def test_a_push_channel_is_a_token_or_an_installation_id_or_both(text: str, stored: str) -> None:
    assert FcmTraits().push_channel(text) == stored


@pytest.mark.parametrize(
    "text", ["fid:short", "fid:", "{", f'{{"fid": "{FID}"}}', f'{{"fid": "{FID}", "token": ""}}', ""]
)
def test_a_push_channel_that_names_nobody_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="pushChannel"):
        FcmTraits().push_channel(text)


def test_a_message_names_its_phone_by_the_kind_of_the_push_channel() -> None:
    bodies = [
        body_of(replace(PUSH, push_channel=channel))["message"]
        for channel in ("t", f"fid:{FID}", f'{{"fid":"{FID}","token":"t"}}')
    ]
    assert [(body.get("fid"), body.get("token")) for body in bodies] == [(None, "t"), (FID, None), (FID, None)]


def test_what_is_for_other_platforms_passes_as_it_is() -> None:
    message = {
        "apns": {
            "headers": {"apns-priority": "10"},
            "payload": {"aps": {"event": "update"}},
            "live_activity_token": "ab",
        },
        "webpush": {"headers": {"TTL": "60"}, "notification": {"title": "t"}},
    }
    body = body_of(replace(PUSH, payload=orjson.dumps({"message": message})))["message"]
    assert {name: body[name] for name in message} == message
