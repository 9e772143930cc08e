"""Moving from another hub with both at work: mirrored, cut over, and back, by one key each.

Another daemon plays the Azure Notification Hub, known by its wire API over TLS alone. Phones are virtual, and each says
what it showed: no title may be missing, and none may be there twice.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.integration.central import Central
from tests.integration.daemon import HUB, Daemon, authorization, hubs
from tests.integration.moving import TOKEN, Moving, counted, scripts
from tests.ports import free_ports

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]

PATIENCE = 75.0
"""Seconds; on a busy machine the numbers of a send may be final only when they are asked for after 31 s, or after 63 s."""
TEMPLATES = {
    "apns": '{"aps": {"alert": {"title": "$(title)"}}}',
    "fcmv1": '{"message": {"notification": {"title": "$(title)"}}}',
    "wns": '<toast><visual><binding template="ToastText02"><text id="1">$(title)</text></binding></visual></toast>',
}
RULE = {
    "name": "team",
    "match": {"type": "team"},
    "push": {"to": "team:{{ data.to }}", "with": {"title": "{{ data.title }}"}},
}


@dataclass
class World:
    """`moving.old` is the hub that phones come from, `moving.new` the one that mirrors it."""

    moving: Moving
    services: PushServices
    sent: list[str] = field(default_factory=list)

    async def phone(self, *, at: str = "") -> VirtualPhone:
        """One of a new name, registered at the old hub, or at the URL of another."""
        platform = list(TEMPLATES)[len(self.sent) % len(TEMPLATES)]
        phone = self.services.add_phone(f"{platform}-{uuid4().hex[:8]}", platform)
        await phone.register(
            self.moving.client,
            at or self.moving.remote.endpoint,
            HUB,
            authorize=authorization,
            tags=["team:all"],
            templates={"news": {"body": TEMPLATES[platform]}},
        )
        return phone

    async def single(self, channel: str, *, id: str = "") -> str:
        """A single registration at the new hub, made or put again under its id there; that id."""
        url = f"{self.moving.new.hub_url}/{HUB}/registrations{f'/{id}' if id else ''}"
        body = (
            '<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">'
            "<AppleTemplateRegistrationDescription"
            ' xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"><Tags>team:all</Tags>'
            f"<DeviceToken>{channel}</DeviceToken><BodyTemplate><![CDATA[{TEMPLATES['apns']}]]></BodyTemplate>"
            "</AppleTemplateRegistrationDescription></content></entry>"
        )
        headers = {"Authorization": authorization(url), "Content-Type": "application/atom+xml"}
        answer = await self.moving.client.request("PUT" if id else "POST", url, content=body, headers=headers)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.text.partition("<RegistrationId>")[2].partition("<")[0]

    async def send(self, title: str) -> None:
        event = {"id": uuid4().hex, "kind": "team", "to": "all", "title": title}
        answer = await self.moving.client.post(f"{self.moving.new.url}/in/orders", json=event)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        self.sent.append(title)

    async def listed(self) -> dict[str, int]:
        """Have the old hub listed; how many devices had each answer, without those that had none."""
        wanted = datetime.now(UTC)
        await self.api("POST", "/list")
        async with asyncio.timeout(PATIENCE):
            while (began := (status := await self.status())["list_began_at"]) is None or (
                datetime.fromisoformat(began) < wanted
            ):
                await asyncio.sleep(0.05)
        return {name: count for name, count in status["listed"].items() if count}

    async def status(self) -> dict[str, Any]:
        return await self.api("GET", "")

    async def api(self, method: str, path: str) -> dict[str, Any]:
        url = f"{self.moving.new.url}/api/v1/hubs/{HUB}/mirror{path}"
        answer = await self.moving.client.request(method, url, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == httpx.codes.OK, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def written(self) -> None:
        """Return when nothing waits to be written at the old hub."""
        async with asyncio.timeout(PATIENCE):
            while (await self.status())["waiting"]:
                await asyncio.sleep(0.05)

    async def registries(self) -> tuple[Counter[tuple[object, ...]], Counter[tuple[object, ...]]]:
        """What is registered at the old hub, and at the new one."""
        return counted(await self.moving.listed(self.moving.old)), counted(await self.moving.listed(self.moving.new))

    async def mirror(self, mirror: str) -> None:
        """Change the one key, and have it read."""
        self.write_key(mirror)
        answer = await self.moving.client.post(
            f"{self.moving.new.url}/-/reload", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        assert answer.status_code == httpx.codes.OK, answer.text

    def write_key(self, mirror: str) -> None:
        file = self.moving.new.config_file
        document = json.loads(file.read_text())
        document["hubs"][HUB]["mirror"] = mirror
        file.write_text(json.dumps(document))

    async def asked_for_numbers(self) -> float:
        """How often the old hub was asked for the telemetry of a message: who is registered here is counted before."""
        route = 'route="/{hub}/messages/{id}"'
        return sum(
            value
            for name, value in (await self.moving.old.metrics()).items()
            if name.startswith("pushbridge_http_requests_total{") and route in name
        )

    async def compared(self, **counts: int) -> None:
        """Wait until so many sends were compared since the start of the process, by outcome."""
        names = {f'pushbridge_mirror_sends_total{{hub="{HUB}",outcome="{name}"}}': n for name, n in counts.items()}

        def holds(found: dict[str, float]) -> bool:
            return all(found[name] == count for name, count in names.items())

        await self.until(holds)

    async def metrics(self) -> dict[str, float]:
        answer = await self.moving.client.get(
            f"{self.moving.new.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        lines = (line for line in answer.raise_for_status().text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    async def until(self, holds: Callable[[dict[str, float]], bool]) -> None:
        found: dict[str, float] = {}
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds(found := await self.metrics()):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            mirror = {name: value for name, value in found.items() if "mirror" in name or "remote" in name}
            pytest.fail(f"not in time: {mirror}\n{self.moving.new.errors()}")

    def log(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.moving.new.log() if line["event"] == event]


async def shown(phones: list[VirtualPhone], *titles: str) -> None:
    """Return when each phone shows these; fail where one shows another, or one twice."""

    def screens() -> list[list[str]]:
        return [sorted(each.title for each in phone.screen) for phone in phones]

    try:
        async with asyncio.timeout(PATIENCE):
            while any(len(screen) < len(titles) for screen in screens()):
                await asyncio.sleep(0.01)
    except TimeoutError:
        pass
    assert screens() == [sorted(titles)] * len(phones)


def notifications(daemon: Daemon) -> int:
    with daemon.database() as database:
        (count,) = database.execute("SELECT count(*) FROM notification").fetchone()
    return int(count)


@pytest_asyncio.fixture(loop_scope="module")
async def world(tmp_path: Path) -> AsyncIterator[World]:
    for name in ("sandbox", "new"):
        (tmp_path / name).mkdir()
    (admin,) = free_ports(1)
    async with PushServices(tmp_path / "sandbox") as services:
        here = hubs(services)
        old = Central(tmp_path / "old", here, ca_file=services.ca_file)
        new = {
            "bridge": {"http": {"listen": f"127.0.0.1:{admin}", "admin_token": TOKEN}},
            "sources": {
                "orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}", "type": "{{ data.kind }}"}}
            },
            "rules": [RULE],
            "hubs": {HUB: {**here[HUB], "remote": old.remote(), "mirror": "local"}},
        }
        async with (
            old,
            Daemon(tmp_path / "new", new) as new_daemon,
            httpx.AsyncClient(verify=False, timeout=PATIENCE) as client,
        ):
            new_daemon.url = f"http://127.0.0.1:{admin}"
            await asyncio.gather(old.daemon.start(), new_daemon.start())
            yield World(Moving(tmp_path, old.daemon, new_daemon, old.settings, client), services)
            assert await new_daemon.terminate() == 0, new_daemon.errors()
            assert await old.daemon.terminate() == 0, old.daemon.errors()


async def test_a_mirrored_hub_sends_by_its_remote_and_a_difference_that_is_only_newer_is_none(world: World) -> None:
    phones = [await world.phone() for _ in range(4)]
    await world.listed()
    await world.send("one")
    await shown(phones, "one")
    await world.compared(equal=1, newer=0, different=0, unknown=0, passed_over=0)

    asked = await world.asked_for_numbers()
    assert asked, "the first send was compared"
    late = await world.phone()
    await world.send("two")
    await shown(phones, "one", "two")
    await shown([late], "two")
    async with asyncio.timeout(PATIENCE):
        while await world.asked_for_numbers() == asked:
            await asyncio.sleep(0.05)
    assert await world.listed() == {"added": 1}
    await world.compared(equal=1, newer=1, different=0)
    (line,) = world.log("the remote hub reached newer registrations")
    assert (line["hub"], line["rule"]) == (HUB, "team")
    assert sum(line["remote"].values()) == sum(line["here"].values()) + 1 == 5

    await world.send("three")
    await shown(phones, "one", "two", "three")
    await world.compared(equal=2, newer=1, different=0)
    metrics = await world.metrics()
    assert metrics[f'pushbridge_mirror_pushes_total{{hub="{HUB}",kind="here"}}'] == 4 + 4 + 5
    assert metrics[f'pushbridge_mirror_pushes_total{{hub="{HUB}",kind="remote"}}'] == 4 + 5 + 5
    assert (await world.status())["against"] == []


async def test_what_registers_here_is_written_at_the_remote_and_gets_its_pushes_from_there(world: World) -> None:
    phone = await world.phone(at=world.moving.new.hub_url)
    await world.written()
    await world.send("one")
    await shown([phone], "one")
    assert notifications(world.moving.old) == 1
    before, after = await world.registries()
    assert before == after
    assert await world.listed() == {}, "what was written there is not taken for a change"

    url = f"{world.moving.new.hub_url}/{HUB}/messages"
    headers = {"Authorization": authorization(url), "ServiceBusNotification-Format": "template"}
    answer = await world.moving.client.post(url, json={"title": "twice"}, headers=headers)
    assert answer.status_code == httpx.codes.FORBIDDEN, "sends are the remote's until the cut-over"
    assert "mirrors another one" in answer.text


async def test_cut_over_and_way_back_are_a_key_each_and_no_phone_misses_a_push_or_gets_two(world: World) -> None:
    phones = [await world.phone() for _ in range(6)]
    await world.listed()
    titles: list[str] = []

    async def go_on(count: int, name: str) -> None:
        for number in range(count):
            titles.append(f"{name} {number}")
            await world.send(titles[-1])

    async with asyncio.TaskGroup() as group:
        group.create_task(go_on(30, "over"))
        group.create_task(world.mirror("remote"))
        joining = group.create_task(world.phone())
    await shown(phones, *titles)
    assert joining.result() is not None

    before = notifications(world.moving.old)
    newcomer = await world.phone(at=world.moving.new.hub_url)
    await world.send("after")
    titles.append("after")
    await shown(phones, *titles)
    await shown([newcomer], "after")
    assert notifications(world.moving.old) == before, "the other hub stands by"

    await world.moving.new.kill()
    await world.moving.new.start()
    await world.send("after a kill")
    titles.append("after a kill")
    await shown(phones, *titles)
    await shown([newcomer], "after", "after a kill")

    async with asyncio.TaskGroup() as group:
        group.create_task(go_on(30, "back"))
        group.create_task(world.mirror("local"))
    await shown(phones, *titles)
    before = notifications(world.moving.old)
    await world.send("home")
    titles.append("home")
    await shown(phones, *titles)
    assert notifications(world.moving.old) == before + 1


async def test_a_mirroring_daemon_that_is_killed_sends_what_it_had_taken(world: World) -> None:
    phones = [await world.phone() for _ in range(3)]
    await world.listed()
    titles = [f"kept {number}" for number in range(40)]
    for title in titles[:20]:
        await world.send(title)
    await world.moving.new.kill()
    await world.moving.new.start()
    for title in titles[20:]:
        await world.send(title)
    await shown(phones, *titles)
    await world.until(lambda found: found[f'pushbridge_mirror_sends_total{{hub="{HUB}",outcome="equal"}}'] >= 20)
    assert world.log("the remote hub reached others than would have been reached here") == []


async def test_phones_that_register_at_either_side_all_along_are_at_both_in_the_end(world: World) -> None:
    """Before, during and after the cut-over and the way back, with kills of either daemon in between."""
    old, new = world.moving.old, world.moving.new
    names: list[str] = []

    async def register(count: int, *, at: str) -> None:
        for _ in range(count):
            names.append(f"phone-{len(names)}")
            document = {"installationId": names[-1], "platform": "apns", "pushChannel": names[-1].encode().hex()}
            await world.moving.put(document, at=at)

    there = world.moving.remote.endpoint
    await register(5, at=there)
    await register(5, at=new.hub_url)
    await new.kill()
    await new.start()
    for mirror in ("remote", "local"):
        await asyncio.gather(world.mirror(mirror), register(5, at=there))
        await register(5, at=new.hub_url)
        await old.kill()
        await register(5, at=new.hub_url)  # the remote is down, and no phone's answer waits for it
        await new.kill()
        await asyncio.gather(old.start(), new.start())
    await world.moving.delete(names[0])
    await world.listed()
    await world.written()
    await world.listed()
    before, after = await world.registries()
    assert before == after
    assert before["apns", "native"] == len(names) - 1


async def test_a_remote_that_was_lost_takes_no_phone_away_and_gets_all_of_them_again(world: World) -> None:
    old = world.moving.old
    phones = [await world.phone() for _ in range(11)]
    single = await world.single("AA" * 32)
    await world.written()
    await world.listed()
    before, after = await world.registries()
    assert before == after

    await old.kill()
    for file in old.database_file.parent.glob("pushbridge.db*"):
        file.unlink()
    await old.start()
    found = await world.listed()
    assert found in ({"missing": 11}, {"missing": 12}), "the single one was written there less than half a minute ago"
    assert any("pushbridge mirror rewrite" in reason for reason in (await world.status())["against"])
    assert (await world.registries())[1] == after

    assert (await world.api("POST", "/rewrite"))["devices"] == 12
    await world.written()
    assert (await world.listed()).get("missing", 0) == 0
    there, here = await world.registries()
    assert there == here == after
    await world.send("again")
    await shown(phones, "again")
    assert await world.single("BB" * 32, id=single) == single, "a phone keeps its id here"


async def test_an_id_that_died_at_the_remote_is_another_one_there_for_a_phone_that_comes_again(world: World) -> None:
    phone = world.services.add_phone("single", "apns")
    id = await world.single(phone.handle)
    await world.written()
    (first,) = await world.moving.listed(world.moving.old)
    world.services.by_platform["apns"].unregister(phone.handle)
    await world.send("to a dead handle")
    async with asyncio.timeout(PATIENCE):
        while await world.moving.listed(world.moving.old):
            await asyncio.sleep(0.05)

    await world.single("CC" * 32, id=id)
    await world.written()
    (second,) = await world.moving.listed(world.moving.old)
    assert second.push_channel == "CC" * 32
    assert second.registration_id != first.registration_id, "the remote answered 410 for the first"


async def test_the_commands_of_the_page_list_and_judge_and_read_the_key_again(world: World, tmp_path: Path) -> None:
    look, change = scripts("Comparing before the cut-over")
    phone = await world.phone()
    code, output = await world.moving.shell(look, tmp_path)
    assert code == 4, output
    assert "the remote hub is being listed" in output
    assert "against it: no send of the last day was compared and found the same" in output

    await world.listed()
    await world.send("one")
    await shown([phone], "one")
    await world.compared(equal=1)
    async with asyncio.timeout(PATIENCE):
        while (await world.status())["against"]:
            await asyncio.sleep(0.05)
    code, output = await world.moving.shell(look, tmp_path)
    assert (code, "may be cut over (mirror: remote)" in output) == (0, True), output

    for mirror, may in (("remote", "be taken back (mirror: local)"), ("local", "be cut over (mirror: remote)")):
        world.write_key(mirror)
        code, output = await world.moving.shell(change, tmp_path)
        assert (code, f"may {may}" in output) == (0, True), output

    code, output, errors = await world.moving.run()
    assert (code, "mirrors its remote, and lists it by itself" in errors) == (5, True), (code, output, errors)
