"""APNs by a certificate: what is read of it, what it may push to, and how it ends."""

import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from pydantic import SecretStr, ValidationError

from hub.outcome import OutcomeName, Reaction
from hub.platforms.apns.certificate import PushCertificate
from hub.platforms.apns.sender import ApnsCertificateSender
from hub.platforms.apns.settings import ApnsSettings
from hub.platforms.apns.traits import ApnsTraits
from hub.tls import Tls
from sandbox.provider_certificate import ProviderCertificates, made_certificate, made_issuer
from sandbox.services import TOPIC, PushServices
from tests.fakes.pushes import page_of
from tests.fakes.requests import Request, requests_in
from tests.hub.platforms.keys import p256_key, pem_of
from tests.hub.platforms.lanes import Lane
from tests.hub.platforms.test_apns import PUSH

PASSWORD = "secret"


def p12(topic: str = TOPIC, *, suffixes: Sequence[str] = ("", ".voip"), days: int = 365) -> bytes:
    return made_certificate(topic, *made_issuer(), password=PASSWORD, suffixes=suffixes, lifetime=timedelta(days=days))


def pem(content: bytes, *, password: str | None = None) -> bytes:
    key, certificate, _ = pkcs12.load_key_and_certificates(content, PASSWORD.encode())
    assert key is not None
    assert certificate is not None
    encryption: serialization.KeySerializationEncryption = (
        serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password.encode())
    )
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return certificate.public_bytes(serialization.Encoding.PEM) + text


def settings_of(services: PushServices, **changes: object) -> ApnsSettings:
    credential = services.apns_credential
    given = {
        "certificate": credential.certificate_file,
        "certificate_password": SecretStr(credential.certificate_password),
        "endpoint": credential.endpoint,
        "tls": Tls(ca_file=services.ca_file),
    }
    return ApnsSettings.model_validate(given | changes)


@pytest.fixture
async def lane(services: PushServices) -> AsyncIterator[Lane]:
    sender = ApnsTraits().sender(settings_of(services))
    yield Lane(services, sender)
    await sender.close()


def test_topics_and_end_stand_in_a_certificate_whatever_its_file_is() -> None:
    content = p12()
    for read in (
        PushCertificate.read(content, PASSWORD),
        PushCertificate.read(pem(content), None),
        PushCertificate.read(pem(content, password="other"), "other"),
    ):
        assert read.topics == (TOPIC, f"{TOPIC}.voip")
        assert timedelta(days=364) < read.expires_at - datetime.now(UTC) < timedelta(days=366)
        assert "PRIVATE" not in repr(read)
    many = ("", ".voip", ".complication")
    assert len(PushCertificate.read(p12("com.example." + "x" * 30, suffixes=many), PASSWORD).topics) == 3
    assert PushCertificate.read(p12(suffixes=()), PASSWORD).topics == (TOPIC,)


@pytest.mark.parametrize(
    ("content", "password", "words"),
    [
        (p12(), "wrong", "its password is another"),
        (p12(), None, "has a password: certificate_password"),
        (b"nothing", None, "no PKCS #12"),
        (pem(p12(), password="x"), None, "an encrypted key needs certificate_password"),
        (b"-----BEGIN nothing", None, "certificate and its private key in PEM"),
        (pem_of(p256_key()).encode() + pem(p12()), None, "not that of"),
    ],
    ids=["wrong password", "no password", "no file of this kind", "encrypted key", "no certificate", "another key"],
)
def test_a_file_that_is_no_certificate_says_what_to_do(content: bytes, password: str | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PushCertificate.read(content, password)


def test_what_openssl_reads_of_a_certificate_is_encrypted_and_gone_at_once() -> None:
    read: list[tuple[str, bytes]] = []

    class Context(ssl.SSLContext):
        def load_cert_chain(self, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
            read.append((certfile, Path(certfile).read_bytes()))
            super().load_cert_chain(certfile, keyfile, password)

    PushCertificate.read(p12(), PASSWORD).show(Context(ssl.PROTOCOL_TLS_CLIENT))
    ((file, content),) = read
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in content
    assert not Path(file).exists()


def test_settings_are_a_key_or_a_certificate(services: PushServices, tmp_path: Path) -> None:
    file = tmp_path / "c.p12"
    file.write_bytes(p12())
    own = {"certificate": file, "certificate_password": PASSWORD}
    assert ApnsSettings.model_validate(own).read_certificate().topics[0] == TOPIC
    key = {"key": pem_of(p256_key()), "key_id": "ABC123DEFG", "team_id": "DEF123GHIJ"}
    for given, words in (
        ({}, "4 validation errors"),
        (key, "topic\n.*Field required"),
        ({**key, "topic": "t", "key_id": None}, "key_id\n.*Field required"),
        ({**own, "team_id": "DEF123GHIJ"}, "team_id and certificate: Apple knows a provider by one of both"),
        ({**own, "topic": "com.other"}, f"is not for the topic 'com.other'; it is for {TOPIC}"),
        ({**own, "certificate_password": "x"}, "its password is another"),
    ):
        with pytest.raises(ValidationError, match=words):
            ApnsSettings.model_validate(given)


async def test_a_certificate_pushes_without_a_token_to_the_topics_in_it(lane: Lane) -> None:
    pushes = lane.pushes(200)
    pushes[3] = replace(pushes[3], headers={"apns-push-type": "voip"})
    pushes[5] = replace(pushes[5], headers={"apns-push-type": "location"})
    results = await lane.send(pushes)
    assert [position for position, one in enumerate(results) if one.reaction is not Reaction.DELIVERED] == [5]
    assert (results[5].reaction, results[5].outcome, results[5].lane_wide) == (
        Reaction.DROP,
        OutcomeName.INVALID_CREDENTIALS,
        False,
    )
    topics = {entry.push_id: entry.headers["apns-topic"] for entry in lane.services.journal}
    assert (topics[pushes[0].id], topics[pushes[3].id]) == (TOPIC, f"{TOPIC}.voip")
    assert "authorization" not in next(iter(lane.services.journal)).headers
    assert lane.service.connections == 1


async def test_a_dead_token_is_gone_by_a_certificate_too(lane: Lane) -> None:
    push = lane.push(1)
    lane.service.unregister(push.push_channel)
    assert (await lane.send([push]))[0].reaction is Reaction.GONE


async def test_a_certificate_of_another_issuer_reaches_nobody(services: PushServices, tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    foreign = ProviderCertificates(tmp_path / "foreign", bundle_id=TOPIC, password=PASSWORD)
    sender = ApnsCertificateSender(
        settings_of(services, certificate=foreign.certificate_file, certificate_password=PASSWORD)
    )
    results = await (lane := Lane(services, sender)).send(lane.pushes(2))
    assert {(one.reaction, one.outcome) for one in results} == {(Reaction.RETRY, OutcomeName.PNS_UNREACHABLE)}
    await sender.close()
    assert not len(services.journal)


async def test_a_certificate_that_ends_while_it_is_in_use_stops_the_lane_and_says_so(services: PushServices) -> None:
    now = datetime.now(UTC).timestamp()
    sender = ApnsCertificateSender(settings_of(services), clock=lambda: now)
    lane = Lane(services, sender)
    assert (await lane.send(lane.pushes(1)))[0].reaction is Reaction.DELIVERED
    now += 366 * 86_400
    (result,) = await lane.send(lane.pushes(1))
    assert (result.reaction, result.outcome, result.reason, result.lane_wide) == (
        Reaction.CONFIG,
        OutcomeName.INVALID_CREDENTIALS,
        "the certificate has expired",
        True,
    )
    await sender.close()
    assert len(services.journal) == 1


async def test_a_certificate_for_devices_that_are_managed_pushes_as_mdm(tmp_path: Path) -> None:
    topic = "com.apple.mgmt.External.6f1c9a3e"
    file = tmp_path / "mdm.p12"
    file.write_bytes(p12(topic, suffixes=()))
    sender = ApnsCertificateSender(ApnsSettings(certificate=file, certificate_password=SecretStr(PASSWORD)))
    (request,) = requests_in(sender.requests(page_of([replace(PUSH, payload=b'{"mdm":"magic"}')]), token=""))
    assert isinstance(request, Request)
    lines = dict(line.decode().split(": ", 1) for line in request.headers)
    assert (lines["apns-push-type"], lines["apns-topic"]) == ("mdm", topic)
    await sender.close()


def test_when_a_certificate_ends_is_known_of_the_settings(services: PushServices) -> None:
    ends = ApnsTraits().expires_at(settings_of(services))
    assert ends is not None
    assert timedelta(days=364) < ends - datetime.now(UTC) < timedelta(days=366)
