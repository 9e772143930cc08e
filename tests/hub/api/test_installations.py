"""Installations over the wire: statuses, bodies and headers that the SDKs insist on."""

import json
from typing import Any

import httpx
import pytest

from hub.api.app import create_app
from hub.errors import CapacityError, StoreError
from hub.notification import Platform
from tests.fakes.hub_service import FakeHubService
from tests.hub.api.conftest import HUBS, NOW
from tests.hub.api.signing import token

DOCUMENT = {"installationId": "i1", "platform": "apns", "pushChannel": "aabb", "tags": ["t1"], "userId": "u1"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
async def test_a_body_may_begin_with_a_byte_order_mark(
    client: httpx.AsyncClient, service: FakeHubService, encoding: str
) -> None:
    body = json.dumps(DOCUMENT | {"userId": "u2"}).encode(encoding)
    assert (await client.put("/h1/installations/i1", content=body)).status_code == 200
    assert service.installations["h1", "i1"].user_id == "u2"
    broken = await client.put("/h1/installations/i1", content=body[:3] if encoding == "utf-16" else body[:-1])
    assert broken.status_code == 400


async def test_an_installation_is_put_read_and_deleted(client: httpx.AsyncClient, service: FakeHubService) -> None:
    put = await client.put("/h1/installations/i1", json=DOCUMENT)
    assert (put.status_code, put.content) == (200, b"")
    assert put.headers["content-type"] == "application/xml; charset=utf-8"
    assert put.headers["content-location"] == "https://ns.example/h1/installations/i1?api-version=2020-06"
    assert service.installations["h1", "i1"].platform is Platform.APNS

    got = await client.get("/h1/installations/i1")
    assert got.status_code == 200
    assert got.headers["content-type"] == "application/json; charset=utf-8"
    assert got.json() == {
        "installationId": "i1",
        "pushChannel": "AABB",
        "pushChannelExpired": False,
        "platform": "apns",
        "expirationTime": "9999-12-31T23:59:59.9999999Z",
        "userId": "u1",
        "tags": ["t1"],
    }

    assert (await client.delete("/h1/installations/i1")).status_code == 204
    missing = await client.get("/h1/installations/i1")
    assert missing.status_code == 404
    assert "<Code>404</Code><Detail>Installation not found.TrackingId:" in missing.text
    assert (await client.delete("/h1/installations/i1")).status_code == 204


@pytest.mark.parametrize(
    ("path", "id"),
    [
        ("/H1/Installations/i1/", "i1"),
        ("/h1/INSTALLATIONS/i1", "i1"),
        ("/h1/installations/i%7Bd%7D%201%3F%23", "i{d} 1?#"),
        ("/h1/installations/a/b", "a/b"),
        ("/h1/installations/a%2Fb", "a/b"),
        ("/h1/installations/50%2525", "50%25"),
    ],
)
async def test_an_id_is_read_however_the_sdks_spell_the_path(
    client: httpx.AsyncClient, service: FakeHubService, path: str, id: str
) -> None:
    response = await client.put(path, json={"platform": "APNS", "pushChannel": "AABB"})
    assert response.status_code == 200
    assert list(service.installations) == [("h1", id)]
    assert (await client.get(path)).json()["installationId"] == id


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "The body is no JSON"),
        (b"[]", "has to be a JSON object"),
        (b"{}", "platform is missing"),
        (b'{"platform":"nope","pushChannel":"a"}', "unknown platform &apos;nope&apos;; supported are apns"),
        (b'{"platform":"apns","pushChannel":"aa","tags":["bad tag!"]}', "bad tag!"),
        (
            b'{"platform":"apns","pushChannel":"aa","templates":{"g":{"body":"{\\"\\u0001\\":\\"$5\\"}"}}}',
            "templates.g",
        ),
    ],
)
async def test_a_document_that_cannot_be_used_is_a_400_with_the_reason(
    client: httpx.AsyncClient, body: bytes, detail: str
) -> None:
    response = await client.put("/h1/installations/i1", content=body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/xml; charset=utf-8"
    assert response.text.startswith("<Error><Code>400</Code><Detail>")
    assert detail in response.text


@pytest.mark.parametrize(
    ("policy", "method", "path", "status"),
    [
        ("listen", "PUT", "/h1/installations/i1", 200),
        ("manage", "PUT", "/h1/installations/i1", 200),
        ("send", "PUT", "/h1/installations/i1", 403),
        ("send", "GET", "/h1/installations/i1", 403),
        ("send", "DELETE", "/h1/installations/i1", 403),
        ("root", "PUT", "/h1/installations/i1", 200),
        ("nobody", "PUT", "/h1/installations/i1", 401),
        ("root", "GET", "/nohub/installations/i1", 404),
        ("full", "GET", "/nohub/installations/i1", 401),
    ],
)
async def test_each_operation_needs_its_right(
    client: httpx.AsyncClient, policy: str, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path, json=DOCUMENT, headers={"Authorization": token(policy)})
    assert response.status_code == status
    assert "retry-after" not in response.headers
    if status == 403:
        assert "lacks the right Listen" in response.text
    if status == 404:
        assert "No service is hosted at the specified address.TrackingId" in response.text


@pytest.mark.parametrize("policy, status", [("listen", 403), ("full", 200)])
async def test_a_key_that_apps_carry_registers_no_broadcast_channel(
    client: httpx.AsyncClient, service: FakeHubService, policy: str, status: int
) -> None:
    """Its pushes reach the phones of all who look on, and its template would be the app's."""
    signed = {"Authorization": token(policy)}
    broadcast = {"platform": "apns", "pushChannel": "channel:JDfquBaMnD3b/eDuGUbWjg=="}
    put = await client.put("/h1/installations/i1", json=broadcast, headers=signed)
    assert put.status_code == status, put.text
    await client.put("/h1/installations/i2", json={**broadcast, "pushChannel": "AABB"}, headers=signed)
    change = [{"op": "replace", "path": "/pushChannel", "value": broadcast["pushChannel"]}]
    patched = await client.patch("/h1/installations/i2", json=change, headers=signed)
    assert patched.status_code == status, patched.text
    entry = (
        '<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml"><AppleRegistrationDescription '
        'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"><DeviceToken>'
        f"{broadcast['pushChannel']}</DeviceToken></AppleRegistrationDescription></content></entry>"
    )
    atom = {"Content-Type": "application/atom+xml;type=entry;charset=utf-8"}
    created = await client.post("/h1/registrations", content=entry, headers=signed | atom)
    assert created.status_code == status, created.text


async def test_every_answer_has_the_headers_that_support_asks_for(client: httpx.AsyncClient) -> None:
    ok = await client.put("/h1/installations/i1", json=DOCUMENT, headers={"TrackingId": "my-own-id"})
    assert ok.headers["trackingid"] == "my-own-id"
    assert ok.headers["x-ms-correlation-request-id"]
    refused = await client.get("/h1/installations/i1", headers={"Authorization": "", "TrackingId": "my-own-id"})
    assert refused.status_code == 401
    assert refused.text == (
        "<Error><Code>401</Code><Detail>MissingToken: The request has no Authorization header"
        ".TrackingId:my-own-id_G0,TimeStamp:1/31/2030 4:05:06 PM</Detail></Error>"
    )
    odd = await client.get("/h1/installations/i2", headers={"TrackingId": "<b>"})
    assert odd.headers["trackingid"] != "<b>"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/h1/nothing", 404),
        ("POST", "/h1/installations/i", 405),
        ("POST", "/h1/registrations/1-1-1", 405),
        ("PUT", "/h1/registrations", 405),
        ("PUT", "/h1/messages/$batch", 405),
    ],
)
async def test_a_route_that_is_not_there_is_told_in_xml(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert f"<Code>{status}</Code>" in response.text


@pytest.mark.parametrize(
    ("failure", "status", "retry_after"),
    [
        (CapacityError("the queue is full", retry_after=0.2), 429, "1"),
        (StoreError("/secret/path: disk full"), 503, "5"),
    ],
)
async def test_trouble_of_ours_says_when_to_come_again(
    client: httpx.AsyncClient, service: FakeHubService, failure: Any, status: int, retry_after: str
) -> None:
    service.failure = failure
    response = await client.put("/h1/installations/i1", json=DOCUMENT)
    assert (response.status_code, response.headers["retry-after"]) == (status, retry_after)
    assert "secret" not in response.text


async def test_a_body_over_64_kb_is_a_413(client: httpx.AsyncClient) -> None:
    fitting = DOCUMENT | {"padding": "x" * (64 * 1024 - 200)}
    assert (await client.put("/h1/installations/i1", json=fitting)).status_code == 200
    response = await client.put("/h1/installations/i1", json=DOCUMENT | {"padding": "x" * 5_000_000})
    assert response.status_code == 413
    assert "<Code>413</Code>" in response.text


async def test_a_mistake_of_ours_is_told_without_its_text(service: FakeHubService) -> None:
    service.failure = RuntimeError("secret")
    transport = httpx.ASGITransport(create_app(service, HUBS, clock=lambda: NOW), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://ns.example") as client:
        response = await client.get("/h1/installations/i1", headers={"Authorization": token("full")})
    assert (response.status_code, response.headers["content-type"]) == (500, "application/xml; charset=utf-8")
    assert "<Detail>Internal error.TrackingId:" in response.text
    assert response.headers["trackingid"] in response.text
