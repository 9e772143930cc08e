"""A sink is told of the phones that have not opened a push in time: the recipe as it stands, and through a kill."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import yaml

from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.brokers.postgres import PASSWORD, USER, Postgres
from tests.integration.daemon import HUB, Daemon, authorization, hubs
from tests.integration.hook import Hook

RECIPE = Path(__file__).parents[2] / "docs" / "cookbook" / "debit-sms" / "bridge.yaml"
BODY = '{"message": {"notification": {"title": "$(title)"}}}'
PATIENCE = 60.0


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    async with Hook(tmp_path / "hook") as hook:
        yield hook


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[PushServices]:
    async with PushServices(tmp_path) as services:
        yield services


def recipe(services: PushServices, hook: Hook, *, after: str) -> dict[str, Any]:
    """The recipe with stand-ins for what is outside, and a shorter time."""
    config: dict[str, Any] = yaml.safe_load(RECIPE.read_text())
    del config["sources"]["core-banking"]["http"]["auth"]
    config["sinks"]["sms-gateway"]["http"] = hook.settings
    config["hubs"] = {HUB: {**hubs(services)[HUB], "reports": config["hubs"]["acme"]["reports"]}}
    config["rules"][0]["unless_opened"]["after"] = after
    return config


async def register(daemon: Daemon, services: PushServices, name: str, customer: str) -> VirtualPhone:
    phone = services.add_phone(name, "fcmv1")
    await daemon.register(
        {
            "installationId": name,
            "platform": "fcmv1",
            "pushChannel": phone.handle,
            "userId": customer,
            "tags": [f"customer:{customer}"],
            "templates": {"t": {"body": BODY}},
        }
    )
    return phone


async def debit(daemon: Daemon, posting: str, customer: str) -> None:
    event = {"postingId": posting, "kind": "debit", "customer": customer, "amount": 250, "merchant": "Garage Meier"}
    async with httpx.AsyncClient(verify=False) as client:
        (await client.post(f"{daemon.url}/in/core-banking", json=event)).raise_for_status()


async def opens(daemon: Daemon, phone: VirtualPhone) -> None:
    """The app of a phone says that its user opened the last push."""
    payload = orjson.loads(phone.received[-1].raw)
    body = {
        "installationId": phone.name,
        "reports": [{"push": payload["message"]["data"]["pushId"], "event": "opened"}],
    }
    url = f"{daemon.hub_url}/{HUB}/reports"
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(verify=False) as client:
        outcome = ""
        while outcome != "accepted":  # no phone is so fast as to report before the push is recorded, but these
            answer = await client.post(url, json=body, headers={"Authorization": authorization(url)})
            outcome = answer.json()["reports"][0]["outcome"]


def has_received(phone: VirtualPhone) -> bool:
    return bool(phone.received)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.02)


async def test_the_customer_who_has_not_opened_a_debit_gets_an_sms_and_the_one_who_has_gets_none(
    tmp_path: Path, services: PushServices, hook: Hook
) -> None:
    async with Daemon(tmp_path, recipe(services, hook, after="3s")) as daemon:
        await daemon.start()
        ann, bob, old = [await register(daemon, services, name, name) for name in ("ann", "bob", "old")]
        services.fcm.unregister(old.handle)
        for customer in ("ann", "bob", "old", "nobody"):
            await debit(daemon, f"p-{customer}", customer)
        await until(lambda: len(ann.received) == len(bob.received) == 1)
        await opens(daemon, ann)
        await until(lambda: len(hook.told) == 3)
        told = {each["eventId"]: each for each in hook.of_type("push.unopened")}
        assert told.keys() == {"p-bob", "p-old", "p-nobody"}
        late, failed, unknown = told["p-bob"], told["p-old"], told["p-nobody"]
        assert (late["outcome"], late["installationId"], late["userId"]) == ("not_opened", "bob", "bob")
        assert (failed["outcome"], failed["failure"], failed["installationId"]) == ("failed", "BadChannel", "old")
        assert (unknown["outcome"], unknown["why"]) == ("no_phone", "no_tag")
        assert [each["data"]["eventId"] for each in hook.told][-1] == "p-bob", (
            "those that nobody will open come at once"
        )
        metrics = await daemon.metrics()
        counted = {
            outcome: metrics[f'pushbridge_follow_ups_total{{hub="{HUB}",outcome="{outcome}"}}']
            for outcome in ("opened", "not_opened", "failed", "no_phone")
        }
        assert set(counted.values()) == {1}, counted
        async with httpx.AsyncClient(verify=False) as client:
            trace = (await client.get(f"{daemon.url}/api/v1/events/p-ann/trace")).raise_for_status().json()
        (looked,) = trace["notifications"][0]["follow_ups"]
        assert (looked["told"], looked["opened"], looked["due"]) == (0, 1, None)


async def test_a_kill_between_the_end_of_a_push_and_its_time_costs_no_report(
    tmp_path: Path, services: PushServices, hook: Hook
) -> None:
    count = 30
    async with Daemon(tmp_path, recipe(services, hook, after="4s"), preloaded=True) as daemon:
        await daemon.start()
        phones = [await register(daemon, services, f"c{number}", f"c{number}") for number in range(count)]
        for number in range(count):
            await debit(daemon, f"p-{number}", f"c{number}")
        with daemon.database() as database:
            ended = "SELECT count(*) FROM notification WHERE ended_at IS NOT NULL"
            await until(lambda: database.execute(ended).fetchone() == (count,))
        for phone in phones[:10]:
            await opens(daemon, phone)
        assert hook.told == []
        await daemon.kill()
        with daemon.database() as database:
            assert database.execute("SELECT count(*) FROM follow_up WHERE due IS NOT NULL").fetchone() == (count,)
        await daemon.start()
        await until(lambda: len({each["eventId"] for each in hook.of_type("push.unopened")}) == 20)
        await daemon.kill()  # right behind the reports
        await daemon.start()
        async with asyncio.timeout(PATIENCE):
            while (await daemon.metrics())["pushbridge_waiting_follow_ups"]:
                await asyncio.sleep(0.05)
        told = {each["id"]: each["data"] for each in hook.told}
        assert {each["eventId"] for each in told.values()} == {f"p-{number}" for number in range(10, count)}
        assert len(told) == 20


OWNED = """
SELECT owner, count(*) FROM follow_up JOIN queue ON queue.queue = follow_up.queue WHERE due IS NOT NULL GROUP BY owner
"""


@pytest.mark.timeout(300)
async def test_of_two_daemons_one_is_killed_and_the_other_tells_of_each_phone_once(
    tmp_path: Path, services: PushServices, hook: Hook, postgres: Postgres
) -> None:
    """What the killed one owns is due while it is dead; it is killed again right behind the reports."""
    count, opened, name = 20, 5, postgres.create()
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    store = {
        "url": f"postgresql://{USER}@127.0.0.1:{postgres.port}/{name}",
        "password_file": str(tmp_path / "password"),
    }
    config = {"bridge": {"store": store}, **recipe(services, hook, after="20s")}
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    async with (
        Daemon(folders[0], config, preloaded=True) as first,
        Daemon(folders[1], config, preloaded=True) as second,
    ):
        for daemon in (first, second):
            await daemon.start()
        await until_async(lambda: sorted(owners(postgres, name).values()) == [32, 32])
        phones = [await register(first, services, f"c{number}", f"c{number}") for number in range(count)]
        for number in range(count):
            await debit((first, second)[number % 2], f"p-{number}", f"c{number}")
        for phone in phones[:opened]:
            await until(partial(has_received, phone))
            await opens(second, phone)
        await until_async(lambda: postgres.run("SELECT count(*) FROM follow_up", database=name) == [(count,)])
        theirs = [waits for owner, waits in waiting(postgres, name).items() if f" {second.pid} " in owner]
        assert theirs, "the one that is killed owns some that are not due yet"
        await second.kill()
        await until(lambda: bool(hook.told))
        await until_async(lambda: not waiting(postgres, name))
        await first.kill()  # right behind the reports
        await first.start()
        await second.start()
        await until(lambda: len({each["eventId"] for each in hook.of_type("push.unopened")}) == count - opened)
        await until_async(lambda: postgres.run("SELECT count(*) FROM sink", database=name) == [(0,)])
        told = {each["id"]: each["data"] for each in hook.told}
        assert {each["eventId"] for each in told.values()} == {f"p-{number}" for number in range(opened, count)}
        assert len(told) == count - opened, "one that comes again has its first id"
    postgres.drop(name)


def owners(postgres: Postgres, database: str) -> dict[str, int]:
    """How many queues each daemon owns."""
    return dict(postgres.run("SELECT owner, count(*) FROM queue GROUP BY owner", database=database))


def waiting(postgres: Postgres, database: str) -> dict[str, int]:
    """How many follow-ups wait with each daemon."""
    return dict(postgres.run(OWNED, database=database))


async def until_async(holds: Callable[[], bool]) -> None:
    """As `until`, where the answer is the database's."""
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.1)
