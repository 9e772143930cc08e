"""Phones whose app is gone, from the push service's word to the operator's undo: told, kept for 30 days, and braked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.journal import utc_now
from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.integration.daemon import HUB, START_TIMEOUT, Daemon, hubs
from tests.integration.hook import Hook
from tests.integration.settable_clock import HostTime
from tests.integration.test_drill import told

pytestmark = pytest.mark.processes

DAY = timedelta(days=1)
TOKEN = "only-for-these-tests"
TEMPLATES = {
    "apns": '{"aps": {"alert": "$(text)"}}',
    "fcmv1": '{"message": {"notification": {"title": "$(text)"}}}',
    "browser": '{"title": "$(text)"}',
}
MANY = 1_600
"""More than the thousand answers from which on a share of dead push channels counts."""


class World:
    """A daemon with an HTTP source and a sink for its hub, the push services, and the phones of one team."""

    def __init__(self, daemon: Daemon, services: PushServices, hook: Hook, time: HostTime) -> None:
        self.daemon, self.services, self.hook, self.time = daemon, services, hook, time

    async def phones(self, platforms: Mapping[str, str]) -> list[VirtualPhone]:
        """Phones by name, each of a platform."""
        phones = [self.services.add_phone(name, platform) for name, platform in platforms.items()]
        await self.daemon.register(
            *(
                {
                    "installationId": phone.name,
                    "platform": phone.platform,
                    "pushChannel": phone.handle,
                    "tags": ["team:all"],
                    "templates": {"text": {"body": TEMPLATES[phone.platform]}},
                }
                for phone in phones
            )
        )
        return phones

    async def send(self, id: str) -> None:
        """An event for the whole team; its notification says the event's id."""
        async with httpx.AsyncClient(timeout=START_TIMEOUT) as client:
            (await client.post(f"{self.daemon.url}/in/orders", json={"id": id})).raise_for_status()

    async def ended(self, id: str) -> dict[str, Any]:
        """What the hub's sink was told of the notification of an event, as soon as it was."""
        found: list[dict[str, Any]] = []

        def has_ended() -> bool:
            found[:] = [one for one in self.hook.of_type("") if one.get("eventId") == id]
            return bool(found)

        await until(has_ended)
        return found[0]

    def removed(self) -> list[dict[str, Any]]:
        return self.hook.of_type("device.removed")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(START_TIMEOUT):
        while not holds():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[World]:
    time = HostTime(directory)
    (directory / "sandbox").mkdir()
    async with PushServices(directory / "sandbox", clock=time) as services, Hook(directory / "hook") as hook:
        (directory / "token").write_text(TOKEN)
        config = {
            "bridge": {"http": {"admin_token": TOKEN}},
            "sources": {"orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}"}}},
            "sinks": {"crm": {"http": hook.settings}},
            "rules": [
                {
                    "name": "order",
                    "push": {"to": "team:all", "with": {"text": "{{ data.id }}"}},
                    "report_to": ["crm"],
                }
            ],
            "hubs": {HUB: {**hubs(services)[HUB], "report_to": ["crm"]}},
        }
        async with Daemon(directory, config, module="tests.integration.settable_clock") as daemon:
            await daemon.start()
            yield World(daemon, services, hook, time)


def shown(phone: VirtualPhone) -> Sequence[str]:
    return [push.title or push.body for push in phone.received]


async def test_a_sink_is_told_of_a_removed_device_with_the_word_of_its_push_service(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        words = {"apns": "Unregistered", "fcmv1": "UNREGISTERED", "browser": "the browser has unsubscribed"}
        phones = await world.phones({platform: platform for platform in words})
        for phone in phones:
            world.services.by_platform[phone.platform].unregister(phone.handle)
        await world.send("e-1")
        await until(lambda: len(world.removed()) == len(words))
        for removed in world.removed():
            platform = removed["platform"]
            assert removed["installationIds"] == [platform]
            assert removed["hub"] == HUB
            assert words[platform] in removed["reason"]


async def test_a_phone_that_registered_after_apple_last_knew_it_dead_stays(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        (phone,) = await world.phones({"ann": "apns"})
        world.services.apns.unregister(phone.handle, since=utc_now() - timedelta(hours=1))
        await world.send("e-1")
        assert (await world.ended("e-1"))["outcomes"] == {"apns": {"ExpiredChannel": 1}}
        world.services.apns.register(phone.handle)
        await world.send("e-2")
        assert (await world.ended("e-2"))["outcomes"] == {"apns": {"Success": 1}}
        assert world.removed() == []


@pytest.mark.slow
async def test_a_removed_device_comes_back_until_thirty_days_have_passed_and_then_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        anna, bob = await world.phones({"anna": "fcmv1", "bob": "apns"})
        world.services.fcm.unregister(anna.handle)
        await world.send("e-1")
        assert (await world.ended("e-1"))["outcomes"] == {"fcmv1": {"BadChannel": 1}, "apns": {"Success": 1}}
        await until(lambda: len(world.removed()) == 1)
        world.services.fcm.register(anna.handle)  # the app is there again, and says nothing of it to the hub
        await world.send("e-2")
        assert (await world.ended("e-2"))["outcomes"] == {"apns": {"Success": 1}}, "a removed device gets no push"

        await later(world, 29 * DAY)
        assert "0 registrations" in await told(world.daemon, "devices restore --since 1h --hub app")
        said = await told(world.daemon, "devices restore --since 30d --hub app")
        assert "2 registrations of the hub app live again" in said
        await world.send("e-3")
        assert (await world.ended("e-3"))["outcomes"] == {"fcmv1": {"Success": 1}, "apns": {"Success": 1}}
        assert shown(anna) == ["e-3"]

        world.services.fcm.unregister(anna.handle)
        await world.send("e-4")
        await until(lambda: len(world.removed()) == 2)
        await later(world, 29 * DAY + 31 * DAY)
        async with asyncio.timeout(START_TIMEOUT):
            while "anna" in await told(world.daemon, "devices list --hub app"):
                await asyncio.sleep(0.1)
        said = await told(world.daemon, "devices restore --since 60d --hub app")
        assert "0 registrations of the hub app live again" in said
        world.services.fcm.register(anna.handle)
        await world.send("e-5")
        assert (await world.ended("e-5"))["outcomes"] == {"apns": {"Success": 1}}
        assert shown(bob) == [f"e-{number}" for number in range(1, 6)]


async def later(world: World, offset: timedelta) -> None:
    """Stop the daemon, and start it when so much time has passed since the test began."""
    assert await world.daemon.terminate() == 0
    world.time.set(offset)
    await world.daemon.start()


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_above_a_fifth_of_a_thousand_dead_answers_no_device_is_removed_and_all_come_back(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        phones = await world.phones({f"p{number}": "fcmv1" for number in range(MANY)})
        world.services.fcm.faults.answer(404, "UNREGISTERED", share=0.5)
        await world.send("e-1")
        first = (await world.ended("e-1"))["outcomes"]["fcmv1"]
        dead = first["BadChannel"]
        assert dead > MANY * 0.2
        await world.send("e-2")
        second = await world.ended("e-2")
        await until(lambda: len(world.removed()) >= MANY - sum(second["outcomes"]["fcmv1"].values()))
        assert (await world.daemon.metrics())[
            f'pushbridge_device_removal_braked{{credential="{HUB}",platform="fcmv1"}}'
        ] == 1
        assert second["outcomes"]["fcmv1"]["BadChannel"] > 0, "dead ones are counted as what they are"
        removed = len(world.removed())
        assert removed < dead + second["outcomes"]["fcmv1"]["BadChannel"], "the brake came on"
        await world.send("e-3")
        assert sum((await world.ended("e-3"))["outcomes"]["fcmv1"].values()) == MANY - removed, "none more is removed"

        world.services.fcm.faults.clear()
        said = await told(world.daemon, "devices restore --since 1h --hub app")
        assert f"{2 * removed} registrations of the hub app live again" in said.replace(",", ""), (
            "native and by template"
        )
        await world.send("e-4")
        assert (await world.ended("e-4"))["outcomes"] == {"fcmv1": {"Success": MANY}}
        assert all("e-4" in shown(phone) for phone in phones)
