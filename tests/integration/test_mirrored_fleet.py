"""Two daemons over one PostgreSQL that mirror one hub: one of them at a time, whichever is asked, and through a kill.

The remote is a third daemon, known by its wire API over TLS alone.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.brokers.postgres import PASSWORD, USER, Postgres
from tests.integration.central import Central
from tests.integration.daemon import HUB, Daemon, authorization, hubs
from tests.integration.moving import TOKEN, counted, registrations_at
from tests.integration.test_mirror import RULE, TEMPLATES, shown

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]

PATIENCE = 90.0
"""Seconds."""
UNTIL_TAKEN_OVER = 240.0
"""Seconds until the other daemon mirrors the hub after a kill: the one that was killed has it for a minute more."""
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
APNS = "apns"


@dataclass
class Fleet:
    central: Central
    daemons: list[Daemon]
    services: PushServices
    client: httpx.AsyncClient

    async def put(self, id: str, channel: str, *, at: int) -> None:
        """An installation, at one of the daemons."""
        url = f"{self.daemons[at].hub_url}/{HUB}/installations/{id}"
        document = {"installationId": id, "platform": APNS, "pushChannel": channel, "tags": ["team:none"]}
        answer = await self.client.put(url, json=document, headers={"Authorization": authorization(url)})
        answer.raise_for_status()

    async def delete(self, id: str, *, at: int) -> None:
        url = f"{self.daemons[at].hub_url}/{HUB}/installations/{id}"
        (await self.client.delete(url, headers={"Authorization": authorization(url)})).raise_for_status()

    async def phone(self, *, at: int) -> VirtualPhone:
        phone = self.services.add_phone(f"phone-{uuid4().hex[:8]}", APNS)
        await phone.register(
            self.client,
            self.daemons[at].hub_url,
            HUB,
            authorize=authorization,
            tags=["team:all"],
            templates={"news": {"body": TEMPLATES[APNS]}},
        )
        return phone

    async def send(self, title: str, *, by: int) -> None:
        event = {"id": uuid4().hex, "kind": "team", "to": "all", "title": title}
        answer = await self.client.post(f"{self.daemons[by].url}/in/orders", json=event)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text

    async def ask(self, at: int, method: str, path: str = "") -> dict[str, Any]:
        url = f"{self.daemons[at].url}/api/v1/hubs/{HUB}/mirror{path}"
        answer = await self.client.request(method, url, headers=HEADERS)
        assert answer.status_code == httpx.codes.OK, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def until(
        self, at: int, holds: Callable[[dict[str, Any]], bool], *, patience: float = PATIENCE
    ) -> dict[str, Any]:
        status: dict[str, Any] = {}
        try:
            async with asyncio.timeout(patience):
                while not holds(status := await self.ask(at, "GET")):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"not in time: {status}\n{self.daemons[at].errors()}")
        return status

    async def written(self, at: int, *, patience: float = PATIENCE) -> None:
        await self.until(at, lambda status: not status["waiting"], patience=patience)

    async def listed(self, at: int, *, patience: float = PATIENCE) -> dict[str, Any]:
        """The status once a list was taken that was asked for at this daemon."""
        wanted = datetime.now(UTC)
        await self.ask(at, "POST", "/list")

        def is_newer(status: dict[str, Any]) -> bool:
            began = status["list_began_at"]
            return began is not None and datetime.fromisoformat(began) >= wanted

        return await self.until(at, is_newer, patience=patience)

    async def lists(self) -> list[float]:
        """How many lists each daemon has taken since it began."""
        return [await self.lists_of(at) for at in range(len(self.daemons))]

    async def lists_of(self, at: int) -> float:
        return (await self.metrics(self.daemons[at]))[f'pushbridge_mirror_lists_total{{hub="{HUB}"}}']

    async def metrics(self, daemon: Daemon) -> dict[str, float]:
        answer = await self.client.get(f"{daemon.url}/metrics", headers=HEADERS)
        lines = (line for line in answer.raise_for_status().text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    async def pages_of_lists(self) -> float:
        """How many pages of a list the remote was asked for."""
        route = 'method="GET",route="/{hub}/registrations"'
        found = await self.central.daemon.metrics()
        return sum(
            value
            for name, value in found.items()
            if name.startswith("pushbridge_http_requests_total{") and all(part in name for part in route.split(","))
        )

    async def registries(self, at: int) -> tuple[Counter[tuple[object, ...]], Counter[tuple[object, ...]]]:
        """What the remote has, and what one of the daemons has."""
        here = counted(await registrations_at(self.daemons[at]))
        return counted(await registrations_at(self.central.settings)), here

    async def mirror(self, at: int, mirror: str) -> None:
        daemon = self.daemons[at]
        document = json.loads(daemon.config_file.read_text())
        document["hubs"][HUB]["mirror"] = mirror
        daemon.config_file.write_text(json.dumps(document))
        answer = await self.client.post(f"{daemon.url}/-/reload", headers=HEADERS)
        assert answer.status_code == httpx.codes.OK, answer.text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    directory = tmp_path_factory.mktemp("mirrored")
    database = postgres.create()
    for name in ("sandbox", "one", "two"):
        (directory / name).mkdir()
    (directory / "password").write_text(f"{PASSWORD}\n")
    async with PushServices(directory / "sandbox") as services:
        here = hubs(services)
        central = Central(directory / "central", here, ca_file=services.ca_file)
        url = f"postgresql://{USER}@127.0.0.1:{postgres.port}/{database}"
        config = {
            "bridge": {
                "http": {"admin_token": TOKEN},
                "store": {"url": url, "password_file": str(directory / "password")},
                "shutdown": {"delay": 0.0},
            },
            "sources": {
                "orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}", "type": "{{ data.kind }}"}}
            },
            "rules": [RULE],
            "hubs": {HUB: {**here[HUB], "remote": central.remote(), "mirror": "local", "list_every": "1h"}},
        }
        async with (
            central,
            Daemon(directory / "one", config) as one,
            Daemon(directory / "two", config) as two,
            httpx.AsyncClient(verify=False, timeout=PATIENCE) as client,
        ):
            await central.daemon.start()
            await one.start()
            await two.start()
            yield Fleet(central, [one, two], services, client)
            for daemon in (one, two, central.daemon):
                assert await daemon.terminate() == 0, daemon.errors()
    postgres.drop(database)


async def test_what_a_phone_puts_at_either_daemon_is_at_the_remote_as_it_was_put_last(fleet: Fleet) -> None:
    for number in range(12):
        await fleet.put("restless", f"{number:02X}" * 32, at=number % 2)

    async def restless(id: str) -> None:
        for number in range(6):
            await fleet.put(id, f"{ord(id[-1]):02X}{number:02X}" * 16, at=number % 2)
            if number == 3:
                await fleet.delete(id, at=0)

    names = [f"phone-{letter}" for letter in "abcdefghijklmnop"]
    await asyncio.gather(*map(restless, names))
    await fleet.written(0)
    there, here = await fleet.registries(0)
    assert there == here
    channels = {name: channel for _, channel, _, name in (each for each in there if len(each) == 4)}
    assert channels["restless"] == "0B" * 32
    assert {channels[name] for name in names} == {f"{ord(name[-1]):02X}05" * 16 for name in names}


async def test_the_remote_is_listed_by_one_daemon_and_once_whichever_is_asked(fleet: Fleet) -> None:
    await fleet.listed(0)
    before, pages = await fleet.lists(), await fleet.pages_of_lists()
    for at in (0, 1):
        await fleet.listed(at)
    after = await fleet.lists()
    assert sum(after) == sum(before) + 2
    assert min(after) == min(before) == 0, "the one that has not the hub lists nothing"
    assert await fleet.pages_of_lists() == pages + 2


async def test_both_daemons_judge_the_cut_over_alike_and_each_changes_sides_by_its_own_key(fleet: Fleet) -> None:
    phones = [await fleet.phone(at=number % 2) for number in range(4)]
    await fleet.written(1)
    await fleet.listed(1)
    for by in (0, 1):
        await fleet.send(f"sent by {by}", by=by)
    await shown(phones, "sent by 0", "sent by 1")
    await fleet.until(0, lambda status: status["compared"]["equal"] == 2)
    verdicts = [await fleet.ask(at, "GET") for at in (0, 1)]
    assert [(each["may_change"], each["against"], each["sends"]) for each in verdicts] == [(True, [], "remote")] * 2
    assert verdicts[0]["compared"] == verdicts[1]["compared"]

    for at in (0, 1):
        await fleet.mirror(at, "remote")
    verdicts = [await fleet.ask(at, "GET") for at in (0, 1)]
    assert [(each["against"], each["sends"]) for each in verdicts] == [([], "local")] * 2
    for by in (0, 1):
        await fleet.send(f"from here by {by}", by=by)
    await shown(phones, "sent by 0", "sent by 1", "from here by 0", "from here by 1")
    late = await fleet.phone(at=0)
    await fleet.written(0)
    for at in (0, 1):
        await fleet.mirror(at, "local")
    await fleet.send("home", by=0)
    await shown([late], "home")


@pytest.mark.timeout(600)
async def test_a_daemon_that_is_killed_while_it_mirrors_loses_and_doubles_nothing(fleet: Fleet) -> None:
    """The one that has the hub dies with devices half written; phones register, move and sign off at the other one."""
    before = await fleet.lists()
    killed = before.index(max(before))
    other = 1 - killed
    await asyncio.gather(*(fleet.put(f"many-{number}", f"{number:04X}" * 16, at=number % 2) for number in range(120)))
    await fleet.daemons[killed].kill()
    await asyncio.gather(*(fleet.put(f"many-{number}", f"AB{number:02X}" * 16, at=other) for number in range(60)))
    for number in range(5):
        await fleet.delete(f"many-{number}", at=other)
    phone = await fleet.phone(at=other)
    await fleet.written(other, patience=UNTIL_TAKEN_OVER)
    there, here = await fleet.registries(other)
    assert there == here
    assert sum(str(name).startswith("many-") for _, _, _, name in (each for each in there if len(each) == 4)) == 115
    assert (await fleet.lists_of(other)) == 1, "who takes the hub over lists it once"
    await fleet.send("after the kill", by=other)
    await shown([phone], "after the kill")

    await fleet.daemons[killed].start()
    await fleet.listed(killed)
    assert (await fleet.lists())[killed] == 0, "the other one has it now"
    await fleet.daemons[other].terminate()
    await fleet.put("late", "CD" * 32, at=killed)
    await fleet.written(killed)  # it was given back, and nobody waits for a minute
    there, here = await fleet.registries(killed)
    assert there == here
    await fleet.daemons[other].start()
