"""A second opinion: other people's libraries read what we encrypt, and our stand-in takes what they send."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import http_ece  # type: ignore[import-untyped]
import orjson
import pytest
import pywebpush  # type: ignore[import-untyped]
import requests
from cryptography.hazmat.primitives.asymmetric import ec

from hub.platforms.webpush.encryption import encrypted, point_of
from hub.platforms.webpush.sizes import MAX_MESSAGE
from sandbox.services import PushServices
from sandbox.subscriptions import keys_of, raw_point
from tests.hub.platforms.lanes import Lane


@pytest.mark.parametrize("message", [b"", b"x", b"\x02", b"\0\0", "Guthaben: 1’234 €".encode(), b"x" * MAX_MESSAGE])
def test_http_ece_reads_what_we_encrypt(message: bytes) -> None:
    browser, auth = ec.generate_private_key(ec.SECP256R1()), b"sixteen bytes..."
    raw = raw_point(browser.public_key())
    body = encrypted(message, point_of(raw), raw, auth)
    assert http_ece.decrypt(body, private_key=browser, auth_secret=auth, version="aes128gcm") == message


def by_pywebpush(services: PushServices, channel: str, **given: Any) -> requests.Response:
    """A push by the library that most back ends in Python use."""
    keys = json.loads(channel)
    session = requests.Session()
    session.verify = str(services.ca_file)
    session.trust_env = False
    answer = pywebpush.webpush(
        {"endpoint": keys["endpoint"], "keys": {"p256dh": keys["p256dh"], "auth": keys["auth"]}},
        data='{"title":"Deposit"}',
        vapid_private_key=str(services.webpush_credential.key_file),
        vapid_claims={"sub": "mailto:ops@bank.example"},
        requests_session=session,
        **given,
    )
    assert isinstance(answer, requests.Response)
    return answer


async def test_the_stand_in_takes_what_pywebpush_sends_and_reads_it(services: PushServices) -> None:
    channel = services.make_handle("browser", 1)
    services.webpush.register(channel)
    answer = await asyncio.to_thread(by_pywebpush, services, channel, ttl=60)
    assert answer.status_code == 201
    (entry,) = services.journal.accepted()
    assert (entry.handle, entry.payload, entry.headers["ttl"]) == (channel, b'{"title":"Deposit"}', "60")


async def test_the_stand_in_refuses_what_pywebpush_sends_to_a_dead_browser(services: PushServices) -> None:
    channel = services.make_handle("browser", 1)
    services.webpush.register(channel)
    services.webpush.unregister(channel)
    with pytest.raises(pywebpush.WebPushException, match="410"):
        await asyncio.to_thread(by_pywebpush, services, channel)


async def test_we_say_what_pywebpush_says_but_for_what_it_leaves_out(webpush: Lane) -> None:
    """The same headers for the same push, as both came to the same service."""
    services = webpush.services
    channel = webpush.push(1).push_channel
    await webpush.send([webpush.push(1)])
    await asyncio.to_thread(by_pywebpush, services, channel, ttl=2419200)
    ours, theirs = (entry.headers for entry in services.journal.accepted())
    both: list[Mapping[str, str]] = [
        {name: fields[name] for name in ("content-encoding", "ttl")} for fields in (ours, theirs)
    ]
    assert both[0] == both[1]
    assert orjson.loads(services.journal.accepted()[0].payload)["web_push"] == 8030
    assert keys_of("x").p256dh[0] == 4
