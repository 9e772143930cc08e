"""Nights of a hub that moves: the remote hub that it mirrors has lost its devices."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from sandbox.services import PushServices
from tests.integration.central import Central
from tests.integration.daemon import HUB, Daemon, hubs
from tests.integration.nights import DEADLINE, Fault, Night, Scene
from tests.integration.test_drill import told
from tests.integration.test_operator import TEMPLATE, configuration, post

PHONES = 12


@asynccontextmanager
async def lost(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """Phones that registered there and were listed, and then the remote hub begins with an empty store."""
    new = directory / "new"
    new.mkdir()
    config = configuration(services)
    central = Central(directory / "old", hubs(services), ca_file=services.ca_file)
    config["hubs"][HUB] |= {"remote": central.remote(), "mirror": "local"}
    token = "of who is on duty tonight"
    config["bridge"] = {"http": {"admin_token": token}}  # who has the hub listed needs a role
    (new / "token").write_text(token)
    async with central, Daemon(new, config) as daemon:
        old = central.daemon
        await old.start()
        await daemon.start()
        for number in range(PHONES):
            phone = services.add_phone(f"phone-{number}", "apns")
            await old.register(
                {
                    "installationId": phone.name,
                    "platform": phone.platform,
                    "pushChannel": phone.handle,
                    "tags": ["team:all"],
                    "templates": {"text": {"body": TEMPLATE}},
                }
            )
        night = MirroredNight(daemon, services, directory)
        night.old = old
        await night.until_printed("PushbridgeMirrorNotListed", rf"last whole list +\S+, {2 * PHONES} registrations")
        await old.kill()
        for file in old.database_file.parent.glob("pushbridge.db*"):
            file.unlink()
        await old.start()
        yield night


class MirroredNight(Night):
    old: Daemon


async def reaches_none(night: Night) -> None:
    """A send by the remote hub, and a list that began after it: the difference is not one of phones that are newer."""
    assert isinstance(night, MirroredNight)
    sent = await post(night.daemon, "to whom it knows no more")
    assert sent.status_code == httpx.codes.ACCEPTED
    telemetry = 'route="/{hub}/messages/{id}"'
    async with asyncio.timeout(DEADLINE):
        while not any(
            value
            for name, value in (await night.old.metrics()).items()
            if name.startswith("pushbridge_http_requests_total{") and telemetry in name
        ):
            await asyncio.sleep(0.1)
    await listed(night)


async def listed(night: Night) -> None:
    assert "no daemon" not in await told(night.daemon, "mirror list")


SCENES: Mapping[str, Scene] = {"remote hub lost": lost}

FAULTS: Mapping[str, Fault] = {
    "PushbridgeMirrorDiffers": Fault(
        scene="remote hub lost", prints=r"sends of the last day +1 different", make=reaches_none
    ),
    "PushbridgeMirrorMissing": Fault(scene="remote hub lost", prints=rf"found by it +{PHONES} missing", make=listed),
}
