"""ADM, Xiaomi, Huawei, Baidu and MPNS: what a push becomes on the wire, and what each answer means."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson
import pytest
from pydantic import SecretStr

from hub.notification import Platform, Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.adm import sender as adm
from hub.platforms.baidu import sender as baidu
from hub.platforms.baidu.settings import BaiduSettings
from hub.platforms.huawei import sender as huawei
from hub.platforms.mpns import sender as mpns
from hub.platforms.table import services, traits_of
from hub.platforms.xiaomi import sender as xiaomi
from hub.platforms.xiaomi.settings import XiaomiSettings
from hub.push import PushPage, SendResult
from hub.requests import Requests
from tests.fakes.pushes import Push, page_of
from tests.fakes.requests import Request, requests_in
from tests.hub.platforms.lanes import PAYLOADS

NOW = datetime(2030, 1, 1, tzinfo=UTC)
XIAOMI = XiaomiSettings(app_secret=SecretStr("s"), package_name="com.example.app")
BAIDU = BaiduSettings(api_key="key", secret_key=SecretStr("secret"))
MADE: dict[str, Callable[..., Requests]] = {
    "adm": lambda page: adm.requests_for(page, origin="https://adm.example", token="t", now=NOW),
    "xiaomi": lambda page: xiaomi.requests_for(page, XIAOMI, token="s", now=NOW),
    "huawei": lambda page: huawei.requests_for(
        page, origin="https://h.example", path="/v1/1/messages:send", token="t", now=NOW
    ),
    "baidu": lambda page: baidu.requests_for(page, BAIDU, secret="secret", now=int(NOW.timestamp())),
    "mpns": lambda page: mpns.requests_for(page, allowed_hosts=("sample.notify.live.net",)),
}
VERDICTS = {
    "adm": adm.verdict,
    "xiaomi": xiaomi.verdict,
    "huawei": huawei.verdict,
    "baidu": baidu.verdict,
    "mpns": mpns.verdict,
}


def push(name: str, payload: object = None, **fields: Any) -> Push:
    platform = Platform(name)
    channel = traits_of(platform).sample_push_channel("phone-1")
    body = PAYLOADS[platform] if payload is None else payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return Push(id="6f1c9a3e-1111-4222-8333-000000000001", push_channel=channel, payload=body, **fields)


def request(name: str, one: Push) -> Request:
    (made,) = requests_in(MADE[name](page_of([one])))
    assert isinstance(made, Request), made
    return made


def refusal(name: str, one: Push) -> SendResult:
    (made,) = requests_in(MADE[name](page_of([one])))
    assert isinstance(made, SendResult), made
    return made


def form(made: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(made.body.decode(), keep_blank_values=True).items()}


def fields_of(made: Request) -> dict[str, str]:
    return dict(line.decode().split(": ", 1) for line in made.headers)


ROWS = [
    ("adm", 200, {"registrationID": "other"}, "delivered", "RefreshToken", False),
    ("adm", 400, {"reason": "InvalidRegistrationId"}, "gone", "BadChannel", False),
    ("adm", 400, {"reason": "Unregistered"}, "gone", "ExpiredChannel", False),
    *[
        ("adm", 400, {"reason": reason}, "drop", "InvalidNotificationFormat", False)
        for reason in ("InvalidData", "InvalidConsolidationKey", "InvalidExpiration", "InvalidChecksum", "InvalidType")
    ],
    ("adm", 401, {"reason": "AccessTokenExpired"}, "config", "InvalidToken", True),
    ("adm", 413, {"reason": "MessageTooLarge"}, "drop", "InvalidNotificationSize", False),
    ("adm", 429, {"reason": "MaxRateExceeded"}, "throttled", "Throttled", True),
    ("adm", 500, {}, "retry", "PnsServerError", False),
    ("adm", 503, {}, "retry", "PnsUnavailable", False),
    ("adm", 302, {}, "retry", "UnknownError", False),
    ("xiaomi", 200, {"code": 0, "data": {"id": "x"}}, "delivered", "Success", False),
    *[
        ("xiaomi", 200, {"code": code}, "retry", "PnsServerError", False)
        for code in (10001, 10002, 10003, 10009, 10010, 10011, 22102)
    ],
    *[
        ("xiaomi", 200, {"code": code}, "drop", "InvalidNotificationFormat", False)
        for code in (10008, 10016, 10017, 10020, 10021, 22100, 22103)
    ],
    ("xiaomi", 200, {"code": 10018}, "drop", "InvalidNotificationSize", False),
    *[
        ("xiaomi", 200, {"code": code}, "throttled", "Throttled", True)
        for code in (10022, 10023, 10024, 10027, 10028, 22101)
    ],
    *[
        ("xiaomi", 200, {"code": code}, "config", "InvalidCredentials", True)
        for code in (10004, 10005, 10006, 10012, 10014, 10026, *range(22000, 22009), 22021, 22022, 21301)
    ],
    *[("xiaomi", 200, {"code": code}, "gone", "BadChannel", False) for code in (10013, 10029, 20301)],
    ("xiaomi", 200, {"code": 99999}, "retry", "UnknownError", False),
    ("xiaomi", 503, {}, "retry", "PnsUnavailable", False),
    ("huawei", 200, {"code": "80000000", "requestId": "r"}, "delivered", "Success", False),
    ("huawei", 200, {"code": "80100000", "msg": '{"illegal_tokens":["t"]}'}, "gone", "BadChannel", False),
    ("huawei", 400, {"code": "80300007"}, "gone", "BadChannel", False),
    *[
        ("huawei", 400, {"code": code}, "drop", "InvalidNotificationFormat", False)
        for code in ("80100001", "80100003", "80100004", "80100013", "80100016", "80100018", "80300010")
    ],
    ("huawei", 400, {"code": "80100017"}, "throttled", "Throttled", True),
    *[("huawei", 401, {"code": code}, "config", "InvalidToken", True) for code in ("80200001", "80200003", "80200005")],
    *[
        ("huawei", 400, {"code": code}, "config", "InvalidCredentials", True)
        for code in ("80300002", "80300011", "80300013", "80600003")
    ],
    ("huawei", 400, {"code": "80300008"}, "drop", "InvalidNotificationSize", False),
    ("huawei", 500, {"code": "81000001"}, "retry", "PnsServerError", False),
    ("huawei", 502, {}, "retry", "PnsServerError", False),
    ("huawei", 401, {}, "config", "InvalidToken", True),
    ("huawei", 404, {}, "config", "InvalidCredentials", True),
    ("huawei", 503, {}, "throttled", "Throttled", True),
    ("huawei", 200, {"code": "12345"}, "retry", "UnknownError", False),
    ("baidu", 200, {"request_id": 1, "response_params": {}}, "delivered", "Success", False),
    ("baidu", 400, {"request_id": 1, "error_code": 30608}, "gone", "BadChannel", False),
    ("baidu", 400, {"error_code": 30602}, "drop", "InvalidNotificationFormat", False),
    ("baidu", 403, {"error_code": 30603}, "config", "InvalidCredentials", True),
    ("baidu", 403, {"error_code": 30604}, "throttled", "Throttled", True),
    ("baidu", 404, {"error_code": 30605}, "retry", "UnknownError", False),
    ("baidu", 500, {"error_code": 30600}, "retry", "PnsServerError", False),
    ("baidu", 405, {"error_code": 30601}, "drop", "PnsInterfaceError", False),
    ("baidu", 403, {"error_code": 30607}, "config", "InvalidCredentials", True),
]


@pytest.mark.parametrize(("name", "status", "body", "reaction", "outcome", "lane_wide"), ROWS)
def test_each_answer_has_its_verdict(
    name: str, status: int, body: object, reaction: str, outcome: str, lane_wide: bool
) -> None:
    result = VERDICTS[name](status, {}, orjson.dumps(body))
    assert (result.reaction, result.outcome) == (Reaction(reaction), OutcomeName(outcome))
    assert result.lane_wide is lane_wide
    assert bool(result.reason) is (result.reaction is not Reaction.DELIVERED)


MPNS_ROWS = [
    (200, "Received", "delivered", "Success", None),
    (200, "", "delivered", "Success", None),
    (200, "QueueFull", "throttled", "Dropped", 60.0),
    (200, "Suppressed", "drop", "Dropped", None),
    (400, "", "drop", "InvalidNotificationFormat", None),
    (401, "", "config", "InvalidCredentials", None),
    (404, "Dropped", "gone", "BadChannel", None),
    (405, "", "drop", "PnsInterfaceError", None),
    (406, "", "throttled", "Throttled", 3600.0),
    (412, "", "throttled", "ChannelDisconnected", 3600.0),
    (503, "", "retry", "PnsUnavailable", 60.0),
]


@pytest.mark.parametrize(("status", "said", "reaction", "outcome", "wait"), MPNS_ROWS)
def test_each_answer_of_mpns_has_its_verdict(
    status: int, said: str, reaction: str, outcome: str, wait: float | None
) -> None:
    result = mpns.verdict(status, {"x-notificationstatus": said}, b"")
    assert (result.reaction.value, result.outcome.value, result.retry_after) == (reaction, outcome, wait)
    assert not result.lane_wide


@pytest.mark.parametrize("name", ["xiaomi", "huawei", "baidu"])
@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"[]", b'{"ok":true}', b"\xff\xfe"])
def test_a_page_that_another_server_answers_with_is_no_delivery(name: str, body: bytes) -> None:
    result = VERDICTS[name](200, {}, body)
    assert (result.reaction, result.outcome) == (Reaction.RETRY, OutcomeName.PNS_INTERFACE_ERROR)


def test_adm_gets_key_and_expiry_in_the_body_unless_they_are_given() -> None:
    one = push("adm", collapse_key="k" * 70, expires_at=NOW + timedelta(hours=1))
    body = orjson.loads(request("adm", one).body)
    assert (body["expiresAfter"], len(body["consolidationKey"])) == (3600, 32)
    given = push("adm", {"data": {}, "consolidationKey": "c", "expiresAfter": 70}, collapse_key="k", expires_at=NOW)
    assert orjson.loads(request("adm", given).body) == {"data": {}, "consolidationKey": "c", "expiresAfter": 70}
    soon = push("adm", expires_at=NOW + timedelta(seconds=1))
    assert orjson.loads(request("adm", soon).body)["expiresAfter"] == 60
    assert request("adm", replace(one, push_channel="a/b?c")).url.endswith(
        "/messaging/registrations/a%2Fb%3Fc/messages"
    )


@pytest.mark.parametrize("own", ["a/b?c", "a b", "größer", "~-._", "", "a\u2028b", "50%"])
@pytest.mark.parametrize("name", ["adm", "xiaomi"])
def test_push_channels_of_a_page_are_escaped_as_those_of_single_pushes(name: str, own: str) -> None:
    ((group, _),) = page_of([push(name)]).groups
    for channels in ([own, own], ["plain", own], ["plain", "simple"]):
        page = PushPage(channels, ["a", "b"], [(group, 2)])
        together = [(each.url, each.body) for each in requests_in(MADE[name](page)) if isinstance(each, Request)]
        singly = [request(name, replace(push(name), push_channel=each)) for each in channels]
        assert together == [(each.url, each.body) for each in singly]
        told = [
            form(each)["registration_id"] if name == "xiaomi" else unquote(each.url.split("/")[-2]) for each in singly
        ]
        assert told == channels


@pytest.mark.parametrize(
    ("name", "payload", "outcome"),
    [
        ("adm", {"data": {"a": 1}}, "InvalidNotificationFormat"),
        ("adm", {"title": "x"}, "InvalidNotificationFormat"),
        ("adm", {"data": {}, "registration_ids": []}, "InvalidNotificationFormat"),
        ("adm", {"data": {"a": "x" * 6140}}, "InvalidNotificationSize"),
        ("xiaomi", {"title": "x"}, "InvalidNotificationFormat"),
        ("xiaomi", {"pass_through": 1}, "InvalidNotificationFormat"),
        ("xiaomi", {"title": "x", "description": "y", "topic": "all"}, "InvalidNotificationFormat"),
        ("xiaomi", {"title": "x", "description": ["y"]}, "InvalidNotificationFormat"),
        ("xiaomi", {"title": "x", "description": "y" * 4096}, "InvalidNotificationSize"),
        ("huawei", {"message": {"token": ["x"]}}, "InvalidNotificationFormat"),
        ("huawei", {"notification": {}}, "InvalidNotificationFormat"),
        ("huawei", {"message": {"android": [1]}}, "InvalidNotificationFormat"),
        ("huawei", {"message": {"data": "x" * 4096}}, "InvalidNotificationSize"),
        ("baidu", b"text", "InvalidNotificationFormat"),
        ("baidu", {"title": "x" * 4096}, "InvalidNotificationSize"),
        ("mpns", b"<a/>" + b" " * 3069, "InvalidNotificationSize"),
    ],
)
def test_what_a_service_would_refuse_is_not_sent(name: str, payload: object, outcome: str) -> None:
    result = refusal(name, push(name, payload))
    assert (result.reaction, result.outcome.value) == (Reaction.DROP, outcome)


def test_xiaomi_gets_a_form_with_what_it_can_map() -> None:
    payload = {"title": "ä & b", "description": "y", "extra": {"channel_id": "c", "n": 1}}
    made = request("xiaomi", push("xiaomi", payload, collapse_key="k", expires_at=NOW + timedelta(days=30)))
    fields = form(made)
    assert fields.pop("notify_id").isdigit()
    assert fields == {
        "title": "ä & b",
        "description": "y",
        "extra.channel_id": "c",
        "extra.n": "1",
        "pass_through": "0",
        "restricted_package_name": "com.example.app",
        "time_to_live": "1209600000",
        "registration_id": "sample-phone-1",
    }
    assert fields_of(made)["authorization"] == "key=s"
    silent = push("xiaomi", {"pass_through": True, "payload": "p"}, collapse_key="k")
    assert "notify_id" not in form(request("xiaomi", silent))


def test_huawei_gets_hints_for_android_and_one_token() -> None:
    body = orjson.loads(
        request("huawei", push("huawei", priority=Priority.NORMAL, expires_at=NOW + timedelta(seconds=9))).body
    )
    assert body == {
        "message": {
            "notification": {"title": "Deposit", "body": "1,234.56 EUR"},
            "android": {"urgency": "NORMAL", "ttl": "9s", "notification": {"click_action": {"type": 3}}},
            "token": ["sample-phone-1"],
        }
    }
    given = {"message": {"data": {"a": 1}, "android": {"urgency": "HIGH", "ttl": "1s"}}, "validate_only": True}
    body = orjson.loads(request("huawei", push("huawei", given, collapse_key="k", expires_at=NOW)).body)
    assert body == {
        "message": {"data": '{"a":1}', "android": {"urgency": "HIGH", "ttl": "1s"}, "token": ["sample-phone-1"]},
        "validate_only": True,
    }
    shown = orjson.loads(request("huawei", push("huawei", collapse_key="k")).body)
    assert shown["message"]["android"]["notification"]["tag"] == "k"


def test_baidu_gets_a_signed_form_for_the_channel_of_the_push_channel() -> None:
    made = request("baidu", replace(push("baidu", {"title": "a~b*c d"}), push_channel="12-345"))
    fields = form(made)
    assert (fields["channel_id"], fields["msg_type"], fields["device_type"]) == ("345", "1", "3")
    # MD5 of what PHP's urlencode makes of `POST`, the address, the sorted parameters and the secret.
    unsigned = {name: value for name, value in fields.items() if name != "sign"}
    assert fields["sign"] == baidu.signature(
        "https://api.tuisong.baidu.com/rest/3.0/push/single_device", unsigned, "secret"
    )
    assert fields_of(made)["user-agent"].startswith("BCCS_SDK/3.0")
    message = push("baidu", {"title": "a"}, headers={"X-Baidu-Message-Type": "0"})
    assert form(request("baidu", message))["msg_type"] == "0"


def test_the_signature_of_baidu_is_as_php_makes_it() -> None:
    """The text that is hashed, escaped: POSThttp%3A%2F%2Fh%2Fpa%3D1+%7E%2Ak."""
    assert baidu.signature("http://h/p", {"a": "1 ~*"}, "k") == "1f11e7f2de42df541355715ec156b3b0"


def test_mpns_gets_target_and_class_by_what_the_notification_holds() -> None:
    toast = fields_of(request("mpns", push("mpns")))
    assert (toast["x-windowsphone-target"], toast["x-notificationclass"]) == ("toast", "2")
    later = fields_of(request("mpns", push("mpns", priority=Priority.NORMAL)))
    assert later["x-notificationclass"] == "12"
    raw = fields_of(request("mpns", push("mpns", b"<root/>", headers={"X-NotificationClass": "23"})))
    assert (raw.get("x-windowsphone-target"), raw["x-notificationclass"]) == (None, "23")
    http = replace(push("mpns"), push_channel="http://sample.notify.live.net/phone")
    assert request("mpns", http).url == "https://sample.notify.live.net/phone"
    assert refusal("mpns", replace(http, push_channel="https://evil.example/x")).outcome is OutcomeName.BAD_CHANNEL


def test_services_that_their_vendors_gave_up_say_so() -> None:
    assert {each.name for each in services() if each.retired} == {"baidu", "mpns"}
