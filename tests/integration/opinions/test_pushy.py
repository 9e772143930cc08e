"""A second APNs: what pushy's mock server, which others wrote, says of the pushes of our senders."""

import os
import re
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from hub.notification import Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.apns.settings import ApnsSettings
from hub.platforms.apns.traits import ApnsTraits
from hub.platforms.base import Sender
from hub.push import SendResult
from hub.tls import Tls
from sandbox.credentials import Issued, pem
from sandbox.provider_certificate import ProviderCertificates
from sandbox.tls import Authority
from tests.fakes.pushes import Push, page_of, results_of
from tests.ports import free_ports

ROOT = Path(__file__).parents[3]
JARS = ROOT / ".venv" / "pushy"
TOPIC, OTHER_TOPIC = "com.example.pushbridge", "com.example.other"
PAYLOAD = b'{"aps":{"alert":{"title":"Deposit","body":"1,234.56 EUR"}}}'
SILENT = b'{"aps":{"content-available":1}}'
GONE_SINCE = datetime(2026, 3, 4, 5, 6, 7, 890000, UTC)
PHONE, FOREIGN_PHONE, DEAD_PHONE, CALLED_PHONE = (f"{number:064X}" for number in range(1, 5))
UNKNOWN_PHONE = "F" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One push as pushy has it; `verdict` is `accepted` or the reason of its refusal."""

    verdict: str
    fields: dict[str, str]
    payload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondApns:
    """A running mock of pushy's, and what its phones' provider has."""

    url: str
    tls: Tls
    issued: Issued = field(repr=False)
    certificate_file: Path
    journal: Path

    def by_token(self, **changes: object) -> ApnsSettings:
        given = {
            "key": SecretStr(pem(self.issued.apns_key).decode()),
            "key_id": self.issued.key_id,
            "team_id": self.issued.team_id,
            "topic": TOPIC,
        }
        return ApnsSettings.model_validate(given | {"endpoint": self.url, "tls": self.tls} | changes)

    def by_certificate(self, **changes: object) -> ApnsSettings:
        given = {"certificate": self.certificate_file, "certificate_password": SecretStr("secret")}
        return ApnsSettings.model_validate(given | {"endpoint": self.url, "tls": self.tls} | changes)

    def heard(self, push: Push) -> list[Heard]:
        """What came of a push, in order."""
        found = []
        for line in self.journal.read_text().splitlines()[1:]:
            verdict, *fields, payload = line.split("\t")
            said = dict(text.split(" ", 1) for text in fields)
            if said.get("apns-id") == push.id:
                reason = (
                    verdict.title().replace("_", "") if verdict.isupper() else verdict
                )  # BAD_TOPIC: Apple's BadTopic
                found.append(Heard(verdict=reason, fields=said, payload=payload))
        return found


@pytest.fixture(scope="module")
def pushy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondApns]:
    assert list(JARS.glob("pushy-*.jar")), f"pushy is not installed: run make {JARS.relative_to(ROOT)}/.installed"
    directory = tmp_path_factory.mktemp("pushy")
    authority, issued, (port,) = Authority(directory), Issued.made(), free_ports(1)
    certificates = ProviderCertificates(directory, bundle_id=TOPIC, password="secret")
    public = issued.apns_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (directory / "public.pem").write_bytes(public)
    files = [directory / name for name in ("server.pem", "apns-issuer.pem", "public.pem")]
    phones = [
        f"{PHONE}={TOPIC}",
        f"{FOREIGN_PHONE}={OTHER_TOPIC}",
        f"{CALLED_PHONE}={TOPIC}.voip",
        f"{DEAD_PHONE}={TOPIC}@{int(GONE_SINCE.timestamp() * 1000)}",
    ]
    program = ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}/*"]
    program += [str(Path(__file__).with_name("SecondApns.java")), str(port), *map(str, files)]
    program += [issued.team_id, issued.key_id, TOPIC, *phones]
    journal = directory / "journal"
    with journal.open("wb") as output, (directory / "errors").open("wb") as errors:
        process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=output, stderr=errors, env=os.environ)
    try:
        until = time.monotonic() + 60
        while not journal.read_text().startswith("ready\n"):
            said = (directory / "errors").read_text()
            assert process.poll() is None, said
            assert time.monotonic() < until, f"pushy's server does not start: {said}"
            time.sleep(0.05)
        yield SecondApns(
            url=f"https://127.0.0.1:{port}",
            tls=Tls(ca_file=authority.ca_file),
            issued=issued,
            certificate_file=certificates.certificate_file,
            journal=journal,
        )
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=20)


@pytest.fixture(params=["key", "certificate"])
def settings(request: pytest.FixtureRequest, pushy: SecondApns) -> ApnsSettings:
    return pushy.by_token() if request.param == "key" else pushy.by_certificate()


@asynccontextmanager
async def sender_of(settings: ApnsSettings) -> AsyncIterator[Sender]:
    sender = ApnsTraits().sender(settings)
    yield sender
    await sender.close()


async def say(settings: ApnsSettings, *pushes: Push) -> list[SendResult]:
    async with sender_of(settings) as sender:
        return results_of(await sender.send(page_of(pushes), deadline=60.0))


def a_push(phone: str = PHONE, payload: bytes = PAYLOAD, **changes: object) -> Push:
    return Push(id=str(uuid.uuid4()), push_channel=phone, payload=payload, **changes)  # type: ignore[arg-type]


async def test_pushy_takes_an_alert_and_reads_of_it_what_we_meant(pushy: SecondApns, settings: ApnsSettings) -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=6)
    push = a_push(expires_at=expires_at, priority=Priority.NORMAL, collapse_id="balance")
    (result,) = await say(settings, push)
    assert result.reaction is Reaction.DELIVERED
    (heard,) = pushy.heard(push)
    assert (heard.verdict, heard.payload.encode()) == ("accepted", PAYLOAD)
    assert (
        heard.fields
        | {
            ":path": f"/3/device/{PHONE}",
            "apns-topic": TOPIC,
            "apns-push-type": "alert",
            "apns-priority": "5",
            "apns-expiration": str(int(expires_at.timestamp())),
            "apns-collapse-id": "balance",
        }
        == heard.fields
    )


async def test_pushy_takes_a_silent_push_and_a_call(pushy: SecondApns, settings: ApnsSettings) -> None:
    silent = a_push(payload=SILENT)
    call = a_push(CALLED_PHONE, payload=b'{"call":7}', headers={"apns-push-type": "voip"})
    assert [result.reaction for result in await say(settings, silent, call)] == [Reaction.DELIVERED] * 2
    (heard,) = pushy.heard(silent)
    assert (heard.fields["apns-push-type"], heard.fields["apns-priority"]) == ("background", "5")
    (heard,) = pushy.heard(call)
    assert (heard.fields["apns-push-type"], heard.fields["apns-topic"]) == ("voip", f"{TOPIC}.voip")


async def test_a_page_of_hundreds_is_taken_once_each(pushy: SecondApns, settings: ApnsSettings) -> None:
    pushes = [a_push() for _ in range(500)]
    said = Counter((result.reaction, result.reason) for result in await say(settings, *pushes))
    assert said == {(Reaction.DELIVERED, ""): len(pushes)}
    ids = re.findall(r"^accepted\t.*\tapns-id (\S+)", pushy.journal.read_text(), re.MULTILINE)
    ours = {push.id for push in pushes}
    assert sorted(each for each in ids if each in ours) == sorted(ours)


@pytest.mark.parametrize(
    ("phone", "reason", "reaction", "outcome"),
    [
        (UNKNOWN_PHONE, "DeviceTokenNotForTopic", Reaction.GONE, OutcomeName.WRONG_CHANNEL),
        (FOREIGN_PHONE, "DeviceTokenNotForTopic", Reaction.GONE, OutcomeName.WRONG_CHANNEL),
        ("no1hexadecimal2token", "BadDeviceToken", Reaction.GONE, OutcomeName.BAD_CHANNEL),
        (DEAD_PHONE, "Unregistered", Reaction.GONE, OutcomeName.EXPIRED_CHANNEL),
    ],
)
async def test_a_phone_that_pushy_refuses_is_one_we_give_up(
    pushy: SecondApns, settings: ApnsSettings, phone: str, reason: str, reaction: Reaction, outcome: OutcomeName
) -> None:
    refused, taken = a_push(phone), a_push()
    result, other = await say(settings, refused, taken)
    assert (result.reaction, result.outcome, result.reason) == (reaction, outcome, reason)
    assert result.gone_since == (GONE_SINCE if phone == DEAD_PHONE else None)
    assert [heard.verdict for heard in pushy.heard(refused)] == [reason]
    assert other.reaction is Reaction.DELIVERED


@pytest.mark.parametrize("case", ["topic", "key", "key id", "team"])
async def test_a_credential_that_pushy_refuses_removes_no_phone(pushy: SecondApns, case: str) -> None:
    cases: dict[str, tuple[str, dict[str, object]]] = {
        "topic": (FOREIGN_PHONE, {"topic": OTHER_TOPIC}),
        "key": (PHONE, {"key": SecretStr(pem(Issued.made().apns_key).decode())}),
        "key id": (PHONE, {"key_id": "ABCDEFGHIJ"}),
        "team": (PHONE, {"team_id": "ABCDEFGHIJ"}),
    }
    phone, changes = cases[case]
    push = a_push(phone)
    (result,) = await say(pushy.by_token(**changes), push)
    assert (result.reaction, result.outcome) == (Reaction.CONFIG, OutcomeName.INVALID_CREDENTIALS)
    assert result.lane_wide
    assert {heard.verdict for heard in pushy.heard(push)} == {result.reason}
    assert (await say(pushy.by_token(), a_push()))[0].reaction is Reaction.DELIVERED
