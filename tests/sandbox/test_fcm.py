"""The FCM stand-in: access tokens, the schema of a message, and the errors with their details."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest

from sandbox.fcm import SCOPE
from sandbox.services import PushServices
from tests.sandbox.clients import Http2Client
from tests.sandbox.conftest import MovableClock

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def assertion(
    services: PushServices, clock: MovableClock, *, header: dict[str, Any] | None = None, **changes: Any
) -> str:
    account = json.loads(services.fcm_credential.service_account_file.read_text())
    now = int(clock.now.timestamp())
    claims = {
        "iss": account["client_email"],
        "scope": SCOPE,
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3600,
    }
    headers = {"kid": account["private_key_id"], **(header or {})}
    return jwt.encode(claims | changes, account["private_key"], algorithm="RS256", headers=headers)


async def ask(services: PushServices, http: httpx.AsyncClient, text: str, grant: str = GRANT) -> httpx.Response:
    return await http.post(services.fcm.token_url, data={"grant_type": grant, "assertion": text})


@pytest.fixture
async def bearer(services: PushServices, http: httpx.AsyncClient, clock: MovableClock) -> str:
    answer = await ask(services, http, assertion(services, clock))
    return f"Bearer {answer.json()['access_token']}"


@pytest.fixture
async def client(services: PushServices) -> AsyncIterator[Http2Client]:
    async with await Http2Client.connect(services.fcm.port, services.ca_file) as connected:
        yield connected


@pytest.fixture
def token(services: PushServices) -> str:
    handle = services.make_handle("fcmv1", 1)
    services.fcm.register(handle)
    return handle


async def send(
    services: PushServices, client: Http2Client, bearer: str, document: object, **headers: str
) -> tuple[int, dict[str, Any]]:
    path = f"/v1/projects/{services.fcm_credential.project_id}/messages:send"
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    fields = {"authorization": bearer, "content-type": "application/json", **headers}
    response = await client.post(path, fields, body)
    return response.status, response.json


async def test_an_access_token_is_given_for_a_good_assertion(
    services: PushServices, http: httpx.AsyncClient, clock: MovableClock
) -> None:
    answer = await ask(services, http, assertion(services, clock))
    assert answer.status_code == 200
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 3599)
    assert services.fcm.tokens.issued == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"iss": "somebody@else"}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({"aud": "https://oauth2.example/token"}, "invalid_grant"),
        ({"exp": 4_000_000_000}, "invalid_grant"),
        ({"iat": 1_000_000_000, "exp": 1_000_003_600}, "invalid_grant"),
        ({"iat": 4_000_000_000, "exp": 4_000_003_600}, "invalid_grant"),
        ({"iat": "now"}, "invalid_grant"),
        ({"header": {"kid": "another"}}, "invalid_grant"),
    ],
)
async def test_a_wrong_assertion_is_refused(
    services: PushServices, http: httpx.AsyncClient, clock: MovableClock, changes: dict[str, Any], error: str
) -> None:
    answer = await ask(services, http, assertion(services, clock, **changes))
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["error_description"]


async def test_a_token_request_has_to_be_a_form_with_the_right_grant(
    services: PushServices, http: httpx.AsyncClient, clock: MovableClock
) -> None:
    text = assertion(services, clock)
    assert (await ask(services, http, text, grant="password")).json()["error"] == "unsupported_grant_type"
    assert (await ask(services, http, "nonsense")).json()["error"] == "invalid_grant"
    answer = await http.post(services.fcm.token_url, json={"grant_type": GRANT, "assertion": text})
    assert answer.json()["error"] == "invalid_request"


async def test_the_token_endpoint_has_faults_of_its_own(
    services: PushServices, http: httpx.AsyncClient, clock: MovableClock
) -> None:
    services.fcm.token_faults.answer(503, "backend_error", retry_after=3, times=1)
    first, second = [await ask(services, http, assertion(services, clock)) for _ in range(2)]
    assert (first.status_code, first.headers["retry-after"], second.status_code) == (503, "3", 200)


async def test_a_good_message_is_taken_over_http2_and_over_http1(
    services: PushServices, client: Http2Client, http: httpx.AsyncClient, bearer: str, token: str
) -> None:
    document = {"message": {"token": token, "notification": {"title": "a", "body": "b"}}}
    status, answer = await send(services, client, bearer, document, **{"x-pushbridge-id": "push-1"})
    assert status == 200
    assert answer["name"].startswith("projects/pushbridge-sandbox/messages/")
    url = f"{services.fcm.url}/v1/projects/{services.fcm_credential.project_id}/messages:send"
    assert (await http.post(url, json=document, headers={"Authorization": bearer})).status_code == 200
    assert [(entry.handle, entry.push_id, entry.accepted) for entry in services.journal] == [
        (token, "push-1", True),
        (token, "", True),
    ]


@pytest.mark.parametrize("authorization", ["", "Bearer nonsense", "Basic nonsense"])
async def test_an_unknown_bearer_is_unauthenticated(
    services: PushServices, client: Http2Client, token: str, authorization: str
) -> None:
    status, answer = await send(services, client, authorization, {"message": {"token": token}})
    assert (status, answer["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert "details" not in answer["error"]


async def test_a_message_that_is_not_called_json_is_refused(
    services: PushServices, client: Http2Client, bearer: str, token: str
) -> None:
    named = {"content-type": "application/x-www-form-urlencoded"}  # what curl says unless told otherwise
    status, answer = await send(services, client, bearer, {"message": {"token": token}}, **named)
    assert (status, answer["error"]["details"][0]["@type"]) == (400, BAD_REQUEST)
    named = {"content-type": "Application/JSON; charset=utf-8"}
    assert (await send(services, client, bearer, {"message": {"token": token}}, **named))[0] == 200


async def test_a_bearer_expires_and_can_be_revoked(
    services: PushServices,
    client: Http2Client,
    http: httpx.AsyncClient,
    bearer: str,
    token: str,
    clock: MovableClock,
) -> None:
    document = {"message": {"token": token}}
    assert (await send(services, client, bearer, document))[0] == 200
    clock.advance(seconds=3599)
    assert (await send(services, client, bearer, document))[0] == 401
    renewed = "Bearer " + (await ask(services, http, assertion(services, clock))).json()["access_token"]
    assert (await send(services, client, renewed, document))[0] == 200
    services.fcm.tokens.revoke_all()
    assert (await send(services, client, renewed, document))[0] == 401


async def test_a_wrong_project_is_not_found_and_blames_no_token(client: Http2Client, bearer: str) -> None:
    response = await client.post("/v1/projects/other/messages:send", {"authorization": bearer}, b"{}")
    assert (response.status, response.json["error"]) == (
        404,
        {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"},
    )


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({}, "message"),
        ({"token": "T", "topic": "news"}, "message"),
        ({"token": 7}, "message.token"),
        ({"topic": "/topics/news"}, "message.topic"),
        ({"token": "T", "colour": "red"}, "message"),
        ({"token": "T", "data": {"count": 5}}, "message.data[0].value"),
        ({"token": "T", "data": {"from": "x"}}, "message.data"),
        ({"token": "T", "data": {"message_type": "x"}}, "message.data"),
        ({"token": "T", "data": {"google.x": "x"}}, "message.data"),
        ({"token": "T", "android": {"data": {"gcm": "x"}}}, "message.android.data"),
        ({"token": "T", "notification": {"title": ["x"]}}, "message.notification.title"),
        ({"token": "T", "notification": "x"}, "message.notification"),
        ({"token": "T", "notification": {"sound": "x"}}, "message.notification"),
        ({"token": "T", "android": {"ttl": "60"}}, "message.android.ttl"),
        ({"token": "T", "android": {"ttl": "2419201s"}}, "message.android.ttl"),
        ({"token": "T", "android": {"priority": "urgent"}}, "message.android.priority"),
        ({"token": "T", "android": {"notification": {"color": "red"}}}, "message.android.notification.color"),
        ({"token": "T", "android": {"notification": {"sticky": "yes"}}}, "message.android.notification.sticky"),
        (
            {"token": "T", "android": {"notification": {"notification_count": 1.5}}},
            "message.android.notification.notification_count",
        ),
        (
            {"token": "T", "android": {"notification": {"body_loc_args": "x"}}},
            "message.android.notification.body_loc_args",
        ),
        ({"token": "T", "apns": {"headers": {"apns-priority": 5}}}, "message.apns.headers[0].value"),
        ({"token": "T", "apns": {"payload": "x"}}, "message.apns.payload"),
        ({"token": "T", "webpush": {"fcm_options": {"link": "http://x"}}}, "message.webpush.fcm_options.link"),
        ({"token": "T", "fcm_options": {"analytics_label": "a b"}}, "message.fcm_options.analytics_label"),
    ],
)
async def test_a_message_against_the_schema_is_refused_by_field(
    services: PushServices, client: Http2Client, bearer: str, message: dict[str, Any], field: str
) -> None:
    services.fcm.accept_unknown = True
    status, answer = await send(services, client, bearer, {"message": message})
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    [detail] = answer["error"]["details"]
    assert detail["@type"] == BAD_REQUEST
    assert [violation["field"] for violation in detail["fieldViolations"]] == [field]


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b'{"message": null}', b'{"token": "x"}'])
async def test_what_is_no_request_is_refused(
    services: PushServices, client: Http2Client, bearer: str, document: bytes
) -> None:
    status, answer = await send(services, client, bearer, document)
    assert (status, answer["error"]["details"][0]["@type"]) == (400, BAD_REQUEST)


async def test_a_message_with_every_sort_of_field_is_taken_in_both_spellings(
    services: PushServices, client: Http2Client, bearer: str, token: str
) -> None:
    message = {
        "token": token,
        "topic": None,
        "data": {"a": "b"},
        "notification": {"title": "a", "body": "b", "image": "https://example.com/x.png"},
        "android": {
            "collapse_key": "k",
            "priority": "high",
            "ttl": "3.5s",
            "notification": {
                "color": "#00ff7F",
                "sticky": True,
                "notification_count": 3,
                "bodyLocArgs": ["x"],
                "notificationPriority": "PRIORITY_HIGH",
                "visibility": "PUBLIC",
                "lightSettings": {"color": {"red": 0.5}, "lightOnDuration": "1s", "light_off_duration": "1s"},
            },
            "directBootOk": True,
        },
        "apns": {"headers": {"apns-priority": "5"}, "payload": {"aps": {"badge": 1}}, "fcmOptions": {"image": "x"}},
        "webpush": {"headers": {"TTL": "5"}, "notification": {"x": 1}, "fcm_options": {"link": "https://example.com"}},
        "fcmOptions": {"analyticsLabel": "label"},
    }
    assert (await send(services, client, bearer, {"message": message, "validate_only": False}))[0] == 200


async def test_validating_only_delivers_nothing(
    services: PushServices, client: Http2Client, bearer: str, token: str
) -> None:
    document = {"message": {"token": token}, "validateOnly": True}
    assert await send(services, client, bearer, document) == (
        200,
        {"name": "projects/pushbridge-sandbox/messages/fake_message_id"},
    )
    assert len(services.journal) == 0


@pytest.mark.parametrize(
    ("target", "size", "status"),
    [("token", 4096, 200), ("token", 4097, 400), ("topic", 2048, 200), ("topic", 2049, 400)],
)
async def test_keys_and_values_count_for_the_size(
    services: PushServices, client: Http2Client, bearer: str, token: str, target: str, size: int, status: int
) -> None:
    message = {target: token if target == "token" else "news", "data": {"key": "x" * (size - 3)}}
    got, answer = await send(services, client, bearer, {"message": message})
    assert got == status
    if status == 400:
        assert "too big" in answer["error"]["message"]
        assert answer["error"]["details"] == [{"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"}]


async def test_each_sort_of_wrong_token_has_its_error(services: PushServices, client: Http2Client, bearer: str) -> None:
    unknown, gone, foreign = (services.make_handle("fcmv1", number) for number in range(3))
    services.fcm.unregister(gone)
    services.fcm.register_elsewhere(foreign)
    found = []
    for handle in (unknown, "short", "", gone, foreign):
        status, answer = await send(services, client, bearer, {"message": {"token": handle}})
        found.append((status, answer["error"]["status"], answer["error"]["details"][0]["errorCode"]))
    assert found == [
        (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        (404, "NOT_FOUND", "UNREGISTERED"),
        (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    ]


async def test_the_quota_is_for_a_minute(
    services: PushServices, client: Http2Client, bearer: str, token: str, clock: MovableClock
) -> None:
    services.fcm.quota_per_minute = 2
    document = {"message": {"token": token}}
    assert [(await send(services, client, bearer, document))[0] for _ in range(3)] == [200, 200, 429]
    services.fcm.quota_retry_after = 30
    path = f"/v1/projects/{services.fcm_credential.project_id}/messages:send"
    response = await client.post(path, {"authorization": bearer}, json.dumps(document).encode())
    assert response.headers["retry-after"] == "30"
    error: Any = response.json["error"]
    assert error["status"] == "RESOURCE_EXHAUSTED"
    assert [detail["@type"].rpartition(".")[2] for detail in error["details"]] == ["FcmError", "QuotaFailure"]
    clock.advance(minutes=1)
    assert (await send(services, client, bearer, document))[0] == 200


@pytest.mark.parametrize(
    ("status", "reason", "name"), [(500, "INTERNAL", "INTERNAL"), (503, "UNAVAILABLE", "UNAVAILABLE")]
)
async def test_faults_speak_as_fcm_does(
    services: PushServices, client: Http2Client, bearer: str, token: str, status: int, reason: str, name: str
) -> None:
    services.fcm.faults.answer(status, reason)
    assert await send(services, client, bearer, {"message": {"token": token}}) == (
        status,
        {
            "error": {
                "code": status,
                "message": reason,
                "status": name,
                "details": [{"@type": FCM_ERROR, "errorCode": reason}],
            }
        },
    )


async def test_a_connection_has_a_hundred_streams(
    services: PushServices, client: Http2Client, bearer: str, token: str
) -> None:
    services.fcm.faults.hold()
    path = f"/v1/projects/{services.fcm_credential.project_id}/messages:send"
    body = json.dumps({"message": {"token": token}}).encode()
    held = [client.open(path, {"authorization": bearer}, body) for _ in range(101)]
    assert (await held[100]).reset == 7
    services.fcm.faults.release()
    assert {(await response).status for response in held[:100]} == {200}


async def test_a_client_that_negotiates_nothing_gets_http1(services: PushServices, token: str) -> None:
    context = ssl.create_default_context(cafile=str(services.ca_file))
    reader, writer = await asyncio.open_connection("127.0.0.1", services.fcm.port, ssl=context)
    writer.write(b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    writer.transport.abort()
