"""The services together: credentials, phones, start and stop."""

import asyncio
import json
import re
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from sandbox.errors import RegistrationError
from sandbox.phones import VirtualPhone
from sandbox.sas import shared_access_signature
from sandbox.services import PushServices
from tests.sandbox.clients import PATIENCE, Http2Client, provider_token
from tests.sandbox.conftest import MovableClock


async def test_credentials_are_files_that_only_their_owner_reads(services: PushServices, tmp_path: Path) -> None:
    apns, fcm = services.apns_credential, services.fcm_credential
    account = json.loads(fcm.service_account_file.read_text())
    assert apns.key_file.name == f"AuthKey_{apns.key_id}.p8"
    assert apns.key_file.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert (account["project_id"], account["token_uri"]) == (fcm.project_id, f"{fcm.endpoint}/token")
    secrets = (apns.key_file, fcm.service_account_file, tmp_path / "server.pem")
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    assert services.wns_credential.client_secret not in repr(services.wns_credential)


async def test_the_certificate_is_good_for_loopback_and_for_nothing_else(services: PushServices) -> None:
    context = ssl.create_default_context(cafile=str(services.ca_file))
    for name in ("127.0.0.1", "localhost"):
        _, writer = await asyncio.open_connection("127.0.0.1", services.wns.port, ssl=context, server_hostname=name)
        writer.transport.abort()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", services.wns.port, ssl=context, server_hostname="example.com")


def test_handles_are_well_formed_and_differ(tmp_path: Path) -> None:
    services = PushServices(tmp_path)
    forms = {
        "apns": r"[0-9A-F]{64}",
        "fcmv1": r"[0-9a-f]{22}:APA91b[0-9a-f]{128}",
        "wns": r"https://127\.0\.0\.1:\d+/\?.+",
    }
    for platform, form in forms.items():
        handles = {services.make_handle(platform, number) for number in range(1000)}
        assert len(handles) == 1000
        assert all(re.fullmatch(form, handle) for handle in handles)
    with pytest.raises(ValueError, match="no push service is called 'gcm'"):
        services.make_handle("gcm", 1)


async def test_a_port_that_is_taken_leaves_nothing_running(services: PushServices, tmp_path: Path) -> None:
    another = PushServices(tmp_path, ports={"wns": services.apns.port})
    with pytest.raises(OSError, match="address already in use"):
        await another.__aenter__()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", another.apns.port)


async def test_a_service_comes_back_on_its_port(services: PushServices) -> None:
    port = services.apns.port
    await services.apns.stop()
    await services.apns.start(port)
    assert services.apns.port == port


async def test_stopping_breaks_off_what_is_under_way_at_once(tmp_path: Path, clock: MovableClock) -> None:
    before = asyncio.all_tasks()
    async with PushServices(tmp_path, accept_unknown=True, clock=clock) as services:
        services.apns.faults.hold()
        credential = services.apns_credential
        headers = {"authorization": f"bearer {provider_token(credential, clock.now)}", "apns-topic": credential.topic}
        client = await Http2Client.connect(services.apns.port, services.ca_file)
        client.open(f"/3/device/{services.make_handle('apns', 1)}", headers, b"{}")
        await services.journal.wait_for()
        assert services.apns.connections == 1
        started = time.monotonic()
    assert time.monotonic() - started < PATIENCE / 2  # what is held would be held for ever
    async with client, asyncio.timeout(PATIENCE):
        await client.closed.wait()
    assert asyncio.all_tasks() == before


async def test_a_phone_shows_what_its_service_took_for_it(services: PushServices, clock: MovableClock) -> None:
    mine, other = services.add_phone("Alice's phone", "apns"), services.add_phone("Bob's phone", "apns")
    credential = services.apns_credential
    headers = {"authorization": f"bearer {provider_token(credential, clock.now)}", "apns-topic": credential.topic}
    async with await Http2Client.connect(services.apns.port, services.ca_file) as client:
        for body in (b'{"aps":{"alert":"hello"}}', b'{"aps":{}}', b""):
            await client.post(f"/3/device/{mine.handle}", headers, body)
    assert [one.body for one in mine.screen] == ["hello"]
    assert [one.hidden for one in mine.received] == ["", "silent: no alert"]
    assert other.received == []


async def test_a_phone_registers_itself_over_the_wire() -> None:
    seen: list[httpx.Request] = []

    def hub(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    phone = VirtualPhone(name="alice 1", platform="wns", handle="https://127.0.0.1/?token=x")
    async with httpx.AsyncClient(transport=httpx.MockTransport(hub)) as client:
        await phone.register(
            client,
            "https://127.0.0.1:8443",
            "main",
            authorize=lambda url: f"token for {url}",
            user_id="alice",
            tags=["customer:1"],
            templates={"greet": {"body": "<toast/>"}},
        )
    [request] = seen
    assert (request.method, str(request.url)) == (
        "PUT",
        "https://127.0.0.1:8443/main/installations/alice%201?api-version=2020-06",
    )
    assert request.headers["authorization"] == "token for https://127.0.0.1:8443/main/installations/alice%201"
    assert json.loads(request.content) == {
        "installationId": "alice 1",
        "platform": "wns",
        "pushChannel": phone.handle,
        "userId": "alice",
        "tags": ["customer:1"],
        "templates": {"greet": {"body": "<toast/>"}},
    }


async def test_a_hub_that_refuses_a_phone_is_quoted() -> None:
    def hub(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, text="The token has an invalid signature.")

    phone = VirtualPhone(name="alice", platform="apns", handle="AB")
    async with httpx.AsyncClient(transport=httpx.MockTransport(hub)) as client:
        with pytest.raises(RegistrationError, match=r"401 .*alice: The token has an invalid signature") as caught:
            await phone.register(client, "https://127.0.0.1", "main", authorize=lambda url: "")
    assert caught.value.status == 401


def test_a_shared_access_signature_signs_the_encoded_uri_and_the_expiry(clock: MovableClock) -> None:
    token = shared_access_signature("https://Host:1/Hub/", key_name="Listen", key="k=+/", expires_at=clock.now)
    scheme, _, rest = token.partition(" ")
    fields = dict(part.split("=", 1) for part in rest.split("&"))
    assert scheme == "SharedAccessSignature"
    assert (fields["sr"], fields["skn"]) == ("https%3A%2F%2Fhost%3A1%2Fhub%2F", "Listen")
    assert fields["se"] == str(int(clock.now.timestamp()))
    assert len(unquote(fields["sig"])) == 44
    known = shared_access_signature("https://h/", key_name="n", key="key", expires_at=datetime.fromtimestamp(1e9, UTC))
    assert known.split("&")[1] == "sig=S3NqtAjPpvIE9aNzDvGwTeVVGTpJqRSBnUlbJbSkODI%3D"  # computed with openssl dgst


async def test_stopping_twice_is_fine(services: PushServices) -> None:
    await services.apns.stop()
    await services.apns.stop()
    assert services.apns.connections == 0
