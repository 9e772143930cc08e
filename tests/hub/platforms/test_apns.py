"""APNs: what a push becomes on the wire, and what each answer of Apple's means."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from hub.notification import Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.apns.sender import REASONS, headers_for, requests_for, verdict
from hub.platforms.apns.settings import ApnsSettings
from hub.push import SendResult
from tests.fakes.pushes import Push, page_of
from tests.fakes.requests import Request, requests_in
from tests.hub.platforms.keys import p256_key, pem_of

TOKEN = "0A" * 32
PUSH = Push(id="6f1c9a3e-1111-4222-8333-000000000001", push_channel=TOKEN, payload=b'{"aps":{"alert":"hello"}}')
SILENT = b'{"aps":{"content-available":1},"id":7}'

ROWS = [
    (400, "BadCollapseId", "drop", "InvalidNotificationFormat", False),
    (400, "BadDeviceToken", "gone", "BadChannel", False),
    (400, "BadExpirationDate", "drop", "InvalidNotificationFormat", False),
    (400, "BadMessageId", "drop", "InvalidNotificationFormat", False),
    (400, "BadPriority", "drop", "InvalidNotificationFormat", False),
    (400, "BadTopic", "config", "InvalidCredentials", True),
    (400, "DeviceTokenNotForTopic", "gone", "WrongChannel", False),
    (400, "DuplicateHeaders", "drop", "InvalidNotificationFormat", False),
    (400, "IdleTimeout", "retry", "PnsUnreachable", False),
    (400, "InvalidPushType", "drop", "InvalidNotificationFormat", False),
    (400, "MissingDeviceToken", "drop", "BadChannel", False),
    (400, "MissingTopic", "config", "InvalidCredentials", True),
    (400, "PayloadEmpty", "drop", "InvalidNotificationFormat", False),
    (400, "TopicDisallowed", "config", "InvalidCredentials", True),
    (403, "BadCertificate", "config", "InvalidCredentials", True),
    (403, "BadCertificateEnvironment", "config", "InvalidCredentials", True),
    (403, "ExpiredProviderToken", "config", "InvalidToken", True),
    (403, "InvalidProviderToken", "config", "InvalidCredentials", True),
    (403, "MissingProviderToken", "config", "InvalidCredentials", True),
    (403, "UnrelatedKeyIdInToken", "config", "WrongToken", True),
    (403, "BadEnvironmentKeyIdInToken", "config", "WrongToken", True),
    (403, "Forbidden", "config", "InvalidCredentials", True),
    (404, "BadPath", "drop", "PnsInterfaceError", False),
    (405, "MethodNotAllowed", "drop", "PnsInterfaceError", False),
    (410, "Unregistered", "gone", "ExpiredChannel", False),
    (410, "ExpiredToken", "gone", "ExpiredChannel", False),
    (413, "PayloadTooLarge", "drop", "InvalidNotificationSize", False),
    (429, "TooManyRequests", "throttled", "ChannelThrottled", False),
    (429, "TooManyProviderTokenUpdates", "throttled", "Throttled", True),
    (500, "InternalServerError", "retry", "PnsServerError", False),
    (503, "ServiceUnavailable", "retry", "PnsUnavailable", False),
    (503, "Shutdown", "retry", "PnsUnavailable", False),
    (418, "SomethingNew", "retry", "UnknownError", False),
]


@pytest.mark.parametrize(("status", "reason", "reaction", "outcome", "lane_wide"), ROWS)
def test_each_reason_of_apples_has_its_verdict(
    status: int, reason: str, reaction: str, outcome: str, lane_wide: bool
) -> None:
    result = verdict(status, {}, orjson.dumps({"reason": reason}))
    assert result.reaction is Reaction(reaction)
    assert result.outcome is OutcomeName(outcome)
    assert (result.reason, result.lane_wide, result.timed_out) == (reason, lane_wide, False)


@pytest.mark.parametrize(
    ("status", "reaction", "outcome"),
    [
        (403, "config", "InvalidCredentials"),
        (410, "gone", "ExpiredChannel"),
        (413, "drop", "InvalidNotificationSize"),
        (429, "throttled", "ChannelThrottled"),
        (500, "retry", "PnsServerError"),
        (503, "retry", "PnsUnavailable"),
        (400, "retry", "UnknownError"),
        (302, "retry", "UnknownError"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"reason":""}'])
def test_an_answer_without_a_reason_is_judged_by_its_status(
    status: int, reaction: str, outcome: str, body: bytes
) -> None:
    result = verdict(status, {}, body)
    assert (result.reaction, result.outcome) == (Reaction(reaction), OutcomeName(outcome))
    assert result.reason == f"HTTP {status}"


def test_what_a_wrong_topic_or_environment_of_ours_would_bring_too_is_doubtful() -> None:
    suspect = {reason for reason in REASONS if verdict(400, {}, orjson.dumps({"reason": reason})).suspect}
    assert suspect == {"BadDeviceToken", "DeviceTokenNotForTopic"}


def test_a_push_that_apple_took_is_delivered() -> None:
    result = verdict(200, {}, b"")
    assert (result.reaction, result.outcome, result.reason) == (Reaction.DELIVERED, OutcomeName.SUCCESS, "")


def test_a_dead_token_says_since_when() -> None:
    result = verdict(410, {}, b'{"reason":"Unregistered","timestamp":1700000000123}')
    assert result.gone_since == datetime(2023, 11, 14, 22, 13, 20, 123000, UTC)


@given(
    st.binary(max_size=50)
    | st.fixed_dictionaries(
        {"reason": st.sampled_from(["Unregistered", "", None, 7, ["x"]])},
        optional={"timestamp": st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.booleans()},
    ).map(orjson.dumps)
)
def test_any_body_has_a_verdict(body: bytes) -> None:
    for status in (200, 400, 410):
        assert verdict(status, {}, body).reaction in Reaction


@pytest.mark.parametrize(
    ("headers", "reason", "seconds"),
    [
        ({"retry-after": "17"}, "TooManyRequests", 17.0),
        ({}, "TooManyRequests", 60.0),
        ({}, "ServiceUnavailable", None),
        ({"retry-after": "900"}, "ServiceUnavailable", 900.0),
        ({"retry-after": "soon"}, "ServiceUnavailable", None),
    ],
)
def test_the_time_to_wait_is_apples_or_a_minute_for_a_device_that_gets_too_much(
    headers: Mapping[str, str], reason: str, seconds: float | None
) -> None:
    assert verdict(429, headers, orjson.dumps({"reason": reason})).retry_after == seconds


def requests(*pushes: Push) -> list[Request | SendResult]:
    return requests_in(requests_for(page_of(pushes), origin="https://apns", topic="t", token="jwt"))


def lines_of(push: Push) -> dict[str, str]:
    headers = headers_for(push.group, topic="com.example.app")
    assert not isinstance(headers, SendResult), headers
    lines, key = headers
    own = {"apns-collapse-id": key} if key else {}
    return dict(line.decode().split(": ", 1) for line in lines) | own


@pytest.mark.parametrize(
    ("push", "expected"),
    [
        (PUSH, {"apns-push-type": "alert", "apns-topic": "com.example.app"}),
        (
            replace(PUSH, priority=Priority.NORMAL),
            {"apns-push-type": "alert", "apns-topic": "com.example.app", "apns-priority": "5"},
        ),
        (
            replace(PUSH, payload=SILENT),
            {"apns-push-type": "background", "apns-topic": "com.example.app", "apns-priority": "5"},
        ),
        (
            replace(PUSH, payload=b'{"aps":{"content-available":1,"alert":"x"}}'),
            {"apns-push-type": "alert", "apns-topic": "com.example.app"},
        ),
        (
            replace(PUSH, expires_at=datetime(2030, 1, 1, tzinfo=UTC), collapse_key="score"),
            {
                "apns-push-type": "alert",
                "apns-topic": "com.example.app",
                "apns-expiration": "1893456000",
                "apns-collapse-id": "score",
            },
        ),
        (
            replace(PUSH, headers={"Apns-Push-Type": "voip"}),
            {"apns-push-type": "voip", "apns-topic": "com.example.app.voip"},
        ),
        (
            replace(PUSH, headers={"apns-push-type": "liveactivity", "apns-topic": "own"}),
            {"apns-push-type": "liveactivity", "apns-topic": "own"},
        ),
        (
            replace(
                PUSH,
                headers={"apns-priority": "10", "apns-expiration": "0", "apns-collapse-id": "a", "apns-id": "x"},
                priority=Priority.NORMAL,
                expires_at=datetime(2030, 1, 1, tzinfo=UTC),
                collapse_key="b",
            ),
            {
                "apns-push-type": "alert",
                "apns-topic": "com.example.app",
                "apns-priority": "10",
                "apns-expiration": "0",
                "apns-collapse-id": "a",
            },
        ),
    ],
)
def test_headers_are_derived_unless_given(push: Push, expected: dict[str, str]) -> None:
    assert lines_of(push) == expected


@pytest.mark.parametrize(
    ("push", "outcome", "words"),
    [
        (replace(PUSH, payload=b" " * 4097), OutcomeName.INVALID_NOTIFICATION_SIZE, "4096"),
        (
            replace(PUSH, payload=b" " * 5121, headers={"apns-push-type": "voip"}),
            OutcomeName.INVALID_NOTIFICATION_SIZE,
            "5120",
        ),
        (replace(PUSH, payload=b""), OutcomeName.INVALID_NOTIFICATION_FORMAT, "PayloadEmpty"),
        (
            replace(PUSH, headers={"apns-topic": "a\r\napns-id: b"}),
            OutcomeName.INVALID_NOTIFICATION_FORMAT,
            "control character",
        ),
        (replace(PUSH, headers={"authorization": "x"}), OutcomeName.INVALID_NOTIFICATION_FORMAT, "authorization"),
        (replace(PUSH, push_channel="../../4/broadcasts"), OutcomeName.BAD_CHANNEL, "BadDeviceToken"),
        (replace(PUSH, push_channel=""), OutcomeName.BAD_CHANNEL, "BadDeviceToken"),
        (replace(PUSH, push_channel="AB\r\n"), OutcomeName.BAD_CHANNEL, "BadDeviceToken"),
    ],
)
def test_a_push_that_apple_would_refuse_is_not_sent(push: Push, outcome: OutcomeName, words: str) -> None:
    sent, refusal = requests(PUSH, push)
    assert isinstance(sent, Request)
    assert isinstance(refusal, SendResult)
    assert (refusal.reaction, refusal.outcome) == (Reaction.DROP, outcome)
    assert words in refusal.reason


def test_the_limits_themselves_are_allowed() -> None:
    assert isinstance(headers_for(replace(PUSH, payload=b" " * 4096, collapse_key="k" * 64).group, topic="t"), tuple)
    voip = replace(PUSH, payload=b" " * 5120, headers={"apns-push-type": "voip"})
    assert isinstance(headers_for(voip.group, topic="t"), tuple)


def test_a_request_carries_token_id_and_payload() -> None:
    (request,) = requests(PUSH)
    assert request == Request(
        f"https://apns/3/device/{TOKEN}",
        [
            b"authorization: bearer jwt",
            b"content-type: application/json",
            b"apns-push-type: alert",
            b"apns-topic: t",
            b"apns-id: 6f1c9a3e-1111-4222-8333-000000000001",
        ],
        PUSH.payload,
    )


def test_what_pushes_do_not_share_is_not_carried_from_one_to_the_next() -> None:
    pushes = [
        PUSH,
        replace(PUSH, payload=SILENT),
        replace(PUSH, headers={"apns-topic": "u"}),
        replace(PUSH, priority=Priority.NORMAL),
        replace(PUSH, expires_at=datetime(2030, 1, 1, tzinfo=UTC)),
        replace(PUSH, collapse_key="k"),
        replace(PUSH, collapse_id="i"),
        replace(PUSH, payload=b" " * 5000),
        PUSH,
    ]
    assert requests(*pushes) == [each for push in pushes for each in requests(push)]


def test_the_key_stays_out_of_sight() -> None:
    settings = ApnsSettings(key=SecretStr(pem_of(p256_key())), key_id="K" * 10, team_id="T" * 10, topic="t")
    assert "PRIVATE" not in repr(settings)
