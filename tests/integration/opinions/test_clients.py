"""Second clients of our stand-in of APNs: what apns2 (Go) and aioapns, which others wrote, make of its answers."""

import json
import sys
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from sandbox.services import TOPIC, PushServices
from tests.integration.opinions.running import LIBRARIES, ROOT, run

APNS2 = ROOT / ".venv" / "bin" / "apns2"
PAYLOAD = {"aps": {"alert": {"title": "Deposit", "body": "1,234.56 EUR"}}}
GONE_SINCE = datetime(2026, 3, 4, 5, 6, 7, 890000, UTC)

Notification = dict[str, Any]
Client = Callable[[Sequence[Notification]], Awaitable[list[dict[str, Any]]]]


async def say(program: Sequence[str], asked: Sequence[Notification], **environment: str) -> list[dict[str, Any]]:
    return list(json.loads(await run(program, json.dumps(asked).encode(), **environment)))


def apns2_by_key(services: PushServices) -> Client:
    made = services.apns_credential
    credential = ["key", str(made.key_file), made.key_id, made.team_id]
    return lambda asked: say([str(APNS2), "each", services.apns.url, str(services.ca_file), *credential], asked)


def apns2_by_certificate(services: PushServices) -> Client:
    """Its reader of PKCS #12 knows only the digests of Apple's older exports: it gets the same as PEM."""
    made = services.apns_credential
    key, certificate, _ = pkcs12.load_key_and_certificates(
        made.certificate_file.read_bytes(), made.certificate_password.encode()
    )
    assert key is not None
    assert certificate is not None
    file = made.certificate_file.with_suffix(".pem")
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + text)
    credential = ["certificate", str(file)]
    return lambda asked: say([str(APNS2), "each", services.apns.url, str(services.ca_file), *credential], asked)


def aioapns(services: PushServices) -> Client:
    made, port = services.apns_credential, str(urlsplit(services.apns.url).port)
    program = [sys.executable, str(Path(__file__).with_name("aioapns_pushes.py")), port, str(services.ca_file)]
    program += [str(made.key_file), made.key_id, made.team_id, made.topic]
    return lambda asked: say(program, asked, PYTHONPATH=str(LIBRARIES))


CLIENTS: Mapping[str, Callable[[PushServices], Client]] = {
    "apns2, key": apns2_by_key,
    "apns2, certificate": apns2_by_certificate,
    "aioapns": aioapns,
}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, services: PushServices) -> Client:
    assert APNS2.exists(), f"apns2 is not built: run make {APNS2.relative_to(ROOT)}"
    assert LIBRARIES.exists(), f"aioapns is not installed: run make {LIBRARIES.relative_to(ROOT)}/.installed"
    return CLIENTS[request.param](services)


def notification(services: PushServices, number: int, **changes: object) -> Notification:
    handle = services.make_handle("apns", number)
    services.apns.register(handle)
    given = {"token": handle, "id": str(uuid.uuid4()), "topic": TOPIC, "type": "alert", "priority": 10}
    return {**given, "collapseId": "balance", "payload": PAYLOAD, **changes}


async def test_other_peoples_clients_get_hundreds_of_pushes_through(services: PushServices, client: Client) -> None:
    """One stream until the first token is known to be good, hundreds then; the first ones come all at once."""
    asked = [notification(services, number) for number in range(300)]
    said = await client(asked)
    assert Counter((each["status"], each["reason"]) for each in said) == {(200, ""): 300}
    assert [each["id"] for each in said] == [each["id"] for each in asked]
    taken = services.journal.accepted()
    assert sorted(entry.push_id for entry in taken) == sorted(each["id"] for each in asked)
    assert {(entry.headers["apns-topic"], entry.headers["apns-collapse-id"]) for entry in taken} == {(TOPIC, "balance")}
    assert [json.loads(entry.payload) for entry in taken] == [PAYLOAD] * 300


REFUSALS: Mapping[str, tuple[Notification, int, str]] = {  # no bad `apns-id`: aioapns knows an answer by its echo
    "no phone of Apple's": ({"token": "A0" * 32}, 400, "BadDeviceToken"),
    "a collapse id that is too long": ({"collapseId": "x" * 65}, 400, "BadCollapseId"),
    "a priority that there is not": ({"priority": 7}, 400, "BadPriority"),
    "a background push at once": ({"type": "background"}, 400, "BadPriority"),
    "a topic of another push type": ({"topic": f"{TOPIC}.voip"}, 400, "BadTopic"),
    "a topic of another team": ({"topic": "com.example.other"}, 400, "TopicDisallowed"),
    "a payload that is too large": ({"payload": {"aps": {"alert": "x" * 4096}}}, 413, "PayloadTooLarge"),
}


async def test_each_refusal_reaches_other_peoples_clients_and_the_next_push_goes_on(
    services: PushServices, client: Client
) -> None:
    asked = [notification(services, number, **changes) for number, (changes, _, _) in enumerate(REFUSALS.values())]
    asked.append(notification(services, len(asked)))
    gone = notification(services, len(asked))
    services.apns.unregister(gone["token"], since=GONE_SINCE)
    said = await client([*asked, gone])
    found = [(each["status"], each["reason"]) for each in said]
    assert found == [*((status, reason) for _, status, reason in REFUSALS.values()), (200, ""), (410, "Unregistered")]
    assert said[-1]["timestamp"] // 1000 == int(GONE_SINCE.timestamp())  # apns2 leaves the milliseconds out
