"""A certificate for APNs is renewed in its file: the daemon takes it up without a restart and without losing a push."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from sandbox.services import PushServices
from tests.integration.daemon import HUB, Daemon, authorization, hubs, register_phone

PATIENCE = 60.0
EXPIRY = f'pushbridge_pns_credential_expiry_timestamp_seconds{{credential="{HUB}",platform="apns"}}'


def renewed(services: PushServices, lifetime: timedelta) -> x509.Certificate:
    """Another certificate is in the file from now on."""
    services._certificates.renew(lifetime=lifetime)
    made = services.apns_credential
    content, password = made.certificate_file.read_bytes(), made.certificate_password.encode()
    certificate = pkcs12.load_key_and_certificates(content, password)[1]
    assert certificate is not None
    return certificate


def shown(services: PushServices) -> set[int]:
    """The serial numbers of the certificates on the connections that are open now."""
    found = (connection.certificate for connection in services.apns._server.connections)
    return {x509.load_der_x509_certificate(each).serial_number for each in found if each is not None}


async def send(daemon: Daemon, text: str) -> None:
    url = f"{daemon.hub_url}/{HUB}/messages"
    headers = {"Authorization": authorization(url), "ServiceBusNotification-Format": "template"}
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        answer = await client.post(url, params={"api-version": "2020-06"}, json={"text": text}, headers=headers)
    answer.raise_for_status()


async def until_taken(services: PushServices, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(services.journal.accepted()) < count:
            await asyncio.sleep(0.05)


@pytest.mark.processes
async def test_a_renewed_certificate_is_shown_from_then_on_and_no_push_is_lost(
    services: PushServices, tmp_path: Path
) -> None:
    made = services.apns_credential
    first = renewed(services, timedelta(days=2))
    config = {"hubs": hubs(services)}
    config["hubs"][HUB]["platforms"] = {
        "apns": {
            "certificate": str(made.certificate_file),
            "certificate_password": made.certificate_password,
            "endpoint": services.apns.url,
            "tls": {"ca_file": str(services.ca_file)},
        }
    }
    async with Daemon(tmp_path, config) as daemon:
        await daemon.start()
        await register_phone(daemon, services)
        await send(daemon, "0")
        await until_taken(services, 1)
        assert shown(services) == {first.serial_number}
        assert (await daemon.metrics())[EXPIRY] == first.not_valid_after_utc.timestamp()

        made.certificate_file.write_bytes(b"half of a file")  # changes nothing, and is named
        async with asyncio.timeout(PATIENCE):
            while (await daemon.metrics())["pushbridge_config_last_reload_successful"] != 0:
                await asyncio.sleep(0.1)
        await send(daemon, "1")
        await until_taken(services, 2)
        assert shown(services) == {first.serial_number}

        began, sent = datetime.now(UTC), 2
        second = renewed(services, timedelta(days=400))
        while second.serial_number not in shown(services):
            assert datetime.now(UTC) - began < timedelta(seconds=PATIENCE)
            await send(daemon, str(sent))
            sent += 1
            await asyncio.sleep(0.1)
        await send(daemon, str(sent))
        await until_taken(services, sent + 1)
        assert (await daemon.metrics())[EXPIRY] == second.not_valid_after_utc.timestamp()
        texts = [entry.payload for entry in services.journal.accepted()]
        assert sorted(texts) == sorted(b'{"aps": {"alert": "%d"}}' % number for number in range(sent + 1))
        assert await daemon.terminate() == 0
    assert any("the certificate cannot be read" in str(line) for line in daemon.log())
