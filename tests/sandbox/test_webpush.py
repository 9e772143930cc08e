"""The stand-in for browsers' push services: who sends, what it says of the message, and whether the browser can read it."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hub.platforms.webpush.encryption import encrypted, point_of
from sandbox.display import shown
from sandbox.services import PushServices
from sandbox.subscriptions import base64url, keys_of, raw_point
from tests.sandbox.conftest import MovableClock

Send = Callable[..., Any]
MESSAGE = b'{"title":"Deposit","body":"1 EUR"}'


def vapid(services: PushServices, key: Any = None, **changes: Any) -> str:
    """The value of `authorization`; a claim that is None is left out."""
    credential = services.webpush_credential
    key = key or load_pem_private_key(credential.key_file.read_bytes(), None)
    claims = {"aud": services.webpush.url, "exp": int(time.time()) + 3600, "sub": credential.subject, **changes}
    token = jwt.encode({name: claim for name, claim in claims.items() if claim is not None}, key, "ES256")
    return f"vapid t={token}, k={base64url(raw_point(key.public_key()))}"


def body_for(channel: str, message: bytes = MESSAGE) -> bytes:
    keys = keys_of(json.loads(channel)["endpoint"].rpartition("/")[2])
    return encrypted(message, point_of(keys.p256dh), keys.p256dh, keys.auth)


@pytest.fixture
def channel(services: PushServices) -> str:
    handle = services.make_handle("browser", 1)
    services.webpush.register(handle)
    return handle


@pytest.fixture
def send(services: PushServices, http: httpx.AsyncClient, channel: str) -> Send:
    async def post(
        *, path: str = "", method: str = "POST", body: bytes | None = None, **headers: Any
    ) -> httpx.Response:
        fields = {
            "authorization": vapid(services),
            "ttl": "60",
            "content-encoding": "aes128gcm",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return await http.request(
            method,
            path or json.loads(channel)["endpoint"],
            content=body_for(channel) if body is None else body,
            headers={name: value for name, value in fields.items() if value is not None},
        )

    return post


async def test_a_message_is_taken_read_and_shown(services: PushServices, send: Send, channel: str) -> None:
    answer = await send(x_pushbridge_id="p1", topic="debits", urgency="high", ttl="99999999")
    assert (answer.status_code, answer.headers["ttl"]) == (201, "2592000")
    assert answer.headers["location"] == f"{services.webpush.url}/message/p1"
    (entry,) = services.journal.accepted()
    assert (entry.service, entry.handle, entry.push_id, entry.payload) == ("browser", channel, "p1", MESSAGE)
    assert "authorization" not in entry.headers
    on_screen = shown(entry)
    assert (on_screen.title, on_screen.body, on_screen.hidden) == ("Deposit", "1 EUR", "")


async def test_a_message_without_a_body_is_a_knock_at_the_door(services: PushServices, send: Send) -> None:
    assert (await send(body=b"", content_encoding=None)).status_code == 201
    (entry,) = services.journal.accepted()
    assert (entry.payload, shown(entry).wakes) == (b"", True)


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"authorization": None}, 401, "no Authorization"),
        ({"authorization": "Bearer x"}, 401, "not vapid"),
        ({"authorization": "vapid t=x"}, 401, "not vapid"),
        ({"authorization": "vapid t=x, k=y"}, 401, "not signed"),
        ({"ttl": None}, 400, "TTL"),
        ({"ttl": "soon"}, 400, "TTL"),
        ({"ttl": "-1"}, 400, "TTL"),
        ({"urgency": "yes"}, 400, "Urgency"),
        ({"topic": "x" * 33}, 400, "Topic"),
        ({"topic": "a b"}, 400, "Topic"),
        ({"content_encoding": None}, 400, "aes128gcm"),
        ({"content_encoding": "aesgcm"}, 400, "aes128gcm"),
        ({"body": b"x" * 4097}, 413, "4096"),
        ({"body": b"x"}, 400, "no header"),
        ({"body": b"x" * 16 + b"\0\0\x10\0\x41" + b"\x04" * 70}, 400, "one record"),
        ({"body": b"x" * 16 + b"\0\0\x10\0\x41" + b"\x04" + b"x" * 100}, 400, "no point"),
        ({"method": "GET"}, 405, "POST"),
        ({"path": "/push/nobody-has-this-one"}, 404, "unknown"),
        ({"path": "/"}, 404, "unknown"),
    ],
)
async def test_what_a_service_refuses(
    services: PushServices, send: Send, headers: dict[str, Any], status: int, words: str
) -> None:
    if "path" in headers:
        headers = headers | {"path": services.webpush.url + headers["path"]}
    answer = await send(**headers)
    assert answer.status_code == status
    assert (answer.json()["code"], words in answer.json()["message"]) == (status, True)
    assert not services.journal.accepted()


@pytest.mark.parametrize(
    ("claims", "status", "words"),
    [
        ({"aud": "https://push.example"}, 403, "aud"),
        ({"aud": None}, 403, "aud"),
        ({"exp": None}, 403, "exp"),
        ({"exp": 10**18}, 403, "exp"),
        ({"exp": 1}, 401, "expired"),
        ({"exp": int(time.time()) + 90_000}, 403, "24 hours"),
        ({"sub": None}, 403, "sub"),
        ({"sub": "ops@bank.example"}, 403, "sub"),
    ],
)
async def test_a_token_that_says_something_else_is_refused(
    services: PushServices, send: Send, claims: dict[str, Any], status: int, words: str
) -> None:
    answer = await send(authorization=vapid(services, **claims))
    assert (answer.status_code, words in answer.json()["message"]) == (status, True)


async def test_a_key_that_the_browser_did_not_subscribe_with_is_refused(services: PushServices, send: Send) -> None:
    answer = await send(authorization=vapid(services, ec.generate_private_key(ec.SECP256R1())))
    assert (answer.status_code, "another key" in answer.json()["message"]) == (403, True)


async def test_a_signature_of_another_key_is_refused(services: PushServices, send: Send) -> None:
    forged = vapid(services, ec.generate_private_key(ec.SECP256R1())).rpartition("k=")[0]
    answer = await send(authorization=f"{forged}k={services.webpush_credential.public_key}")
    assert (answer.status_code, "not signed" in answer.json()["message"]) == (401, True)


async def test_a_message_for_another_browser_or_a_changed_one_cannot_be_read(
    services: PushServices, send: Send
) -> None:
    other = body_for(services.make_handle("browser", 2))
    changed = bytearray(body_for(services.make_handle("browser", 1)))
    changed[-1] ^= 1
    for body in (other, bytes(changed)):
        answer = await send(body=body)
        assert (answer.status_code, "another subscription" in answer.json()["message"]) == (400, True)


async def test_a_browser_that_has_unsubscribed_is_gone(services: PushServices, send: Send, channel: str) -> None:
    services.webpush.unregister(channel)
    answer = await send()
    assert (answer.status_code, answer.json()["errno"]) == (410, 106)


async def test_faults_are_answered_as_the_service_says_errors(services: PushServices, send: Send) -> None:
    services.webpush.faults.answer(429, "slow down", retry_after=9, times=1)
    answer = await send()
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["message"]) == (429, "9", "slow down")
    assert (await send()).status_code == 201


async def test_a_token_expires_by_the_service_s_clock(services: PushServices, send: Send, clock: MovableClock) -> None:
    token = vapid(services, exp=int(clock.now.timestamp()) + 60)
    assert (await send(authorization=token)).status_code == 201
    clock.advance(seconds=61)
    assert (await send(authorization=token)).status_code == 401


@pytest.mark.parametrize(
    ("payload", "title", "hidden"),
    [
        (b'{"web_push":8030,"notification":{"title":"A","body":"B","navigate":"https://x.example"}}', "A", ""),
        (b'{"title":"A"}', "A", ""),
        (b'{"sync":1}', "", "silent: no title"),
        (b"hello", "", "silent: no title"),
        (b"[" * 100_000, "", "silent: no title"),
        (b'{"title":["x"]}', "", "silent: no title"),
    ],
)
async def test_a_browser_shows_what_has_a_title(
    services: PushServices, channel: str, payload: bytes, title: str, hidden: str
) -> None:
    entry = services.journal.record(
        service="browser", push_id="p", handle=channel, status=201, reason="", payload=payload, headers={}
    )
    assert (shown(entry).title, shown(entry).hidden) == (title, hidden)
