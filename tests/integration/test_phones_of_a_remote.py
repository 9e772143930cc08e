"""Phones that register with their user's token at one daemon, and whose installations another daemon or service keeps."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from sandbox.exchange import Answer, Exchange
from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.fakes.provider import AUDIENCE, Provider
from tests.integration.central import Central
from tests.integration.daemon import HUB, START_TIMEOUT, Daemon, authorization, hubs
from tests.integration.played import PlayedServer
from tests.integration.test_phones import DOCS, TEMPLATES, World, shows

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]

AWAY = "away"
TOKEN = "only-for-these-tests"


def configuration(remote: Mapping[str, Any], provider: Provider) -> dict[str, Any]:
    registration = {
        "path": "/register",
        "auth": {"oidc": {"issuer": provider.issuer, "audience": AUDIENCE}},
        "tags": ["customer:{{ claims.customer_id }}"],
        "topics": {"offers": {}},
        "templates": {"apns": TEMPLATES["apns"], "fcm": '{"message":{"notification":{"title":"$(title)"}}}'},
    }
    push = {"hub": AWAY, "to": "customer:{{ data.customer }}", "with": {"title": "{{ data.title }}"}}
    return {
        "bridge": {"http": {"admin_token": TOKEN}},
        "sources": {
            "orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}", "type": "{{ data.kind }}"}}
        },
        "rules": [{"name": "news", "push": push}],
        "hubs": {AWAY: {"remote": remote, "registration": registration}},
    }


class Pair:
    """`world` is the daemon that phones know, `central` keeps them."""

    def __init__(self, world: World, central: Central) -> None:
        self.world = world
        self.central = central

    async def kept(self) -> dict[str, str]:
        """The push channels of the installations at the central, by id."""
        url = f"{self.central.url}/{HUB}/registrations"
        answer = await self.world.client.get(url, headers={"Authorization": authorization(url)})
        found = answer.raise_for_status().text
        return {
            part.partition("}")[0]: part.partition("</Tags>")[2].partition(">")[2].partition("<")[0]
            for part in found.split("$InstallationId:{")[1:]
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    directory = tmp_path_factory.mktemp("pair")
    for name in ("sandbox", "here"):
        (directory / name).mkdir()
    async with PushServices(directory / "sandbox") as services, Provider().serving() as provider:
        central = Central(directory / "central", hubs(services), ca_file=services.ca_file)
        context = ssl.create_default_context(cafile=str(services.ca_file))
        async with (
            central,
            Daemon(directory / "here", configuration(central.remote(), provider)) as here,
            httpx.AsyncClient(verify=context, timeout=START_TIMEOUT) as client,
        ):
            await asyncio.gather(central.daemon.start(), here.start())
            yield Pair(World(here, services, provider, client, here.hub_url), central)
            assert await here.terminate() == 0, here.errors()
            assert await central.daemon.terminate() == 0, central.daemon.errors()


def client_of_the_page() -> Any:
    """The class `Registration` that docs/registration.md shows."""
    (code,) = [part.partition("```")[0] for part in DOCS.read_text().split("```python\n")[1:]]
    names: dict[str, Any] = {}
    exec(compile(code, str(DOCS), "exec"), names)
    return names["Registration"]


async def test_an_id_that_is_gone_is_answered_410_and_the_retry_gets_one_under_which_pushes_come(pair: Pair) -> None:
    world, phone = pair.world, pair.world.phone("apns")
    new = world.services.add_phone(f"{phone.name}-again", "apns")

    def live() -> tuple[str, str]:
        with httpx.Client(timeout=START_TIMEOUT) as client:
            token = world.headers("joe")["Authorization"].removeprefix("Bearer ")
            registration = client_of_the_page()(client, f"{world.url}/{AWAY}/register", phone.name, lambda: token)
            first = registration.put("apns", phone.handle)["registrationId"]
            other = client.delete(f"{world.url}/{AWAY}/register/{first}", headers=world.headers("joe"))
            assert other.status_code == 204
            gone = client.put(
                f"{world.url}/{AWAY}/register/{first}", headers=world.headers("joe"),
                json={"phone": phone.name, "platform": "apns", "pushChannel": new.handle},
            )  # fmt: skip
            assert (gone.status_code, gone.json()["error"]) == (410, "gone")
            return first, registration.put("apns", new.handle)["registrationId"]

    first, second = await asyncio.to_thread(live)
    assert first != second
    assert await shows(new, await world.event("news", "joe"))
    assert phone.screen == []
    assert list((await pair.kept()).values()) == [new.handle], "the phone is kept once"


async def test_all_phones_are_written_again_in_bulk_after_the_central_has_lost_them(pair: Pair) -> None:
    world, central = pair.world, pair.central.daemon
    phones: list[VirtualPhone] = []
    for number in range(12):
        phones.append(world.phone())
        await world.sign_in(phones[-1], f"many-{number % 3}", hub=AWAY)
    before = await pair.kept()
    assert len(before) >= 12
    await central.kill()
    for file in central.database_file.parent.glob("pushbridge.db*"):
        file.unlink()
    await central.start()
    assert await pair.kept() == {}

    url = f"{world.daemon.url}/api/v1/hubs/{AWAY}/phones/rewrite"
    answer = await world.client.post(url, json={}, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["phones"] == len(before)
    async with asyncio.timeout(START_TIMEOUT):
        while await pair.kept() != before:
            await asyncio.sleep(0.1)
    for user in range(3):
        title = await world.event("news", f"many-{user}")
        for phone in phones[user::3]:
            assert await shows(phone, title)


class GoneHub(PlayedServer):
    """Serves installations under any id but those that are `gone`; keeps what it was asked."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.gone: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def serve(self, exchange: Exchange) -> None:
        id = exchange.path.partition("?")[0].rpartition("/")[2]
        self.asked.append((exchange.method, id))
        exchange.answer(Answer(status=410 if id in self.gone else 200))


async def test_a_remote_that_says_gone_gets_the_phone_under_a_new_id_and_the_phone_keeps_its_own(
    tmp_path: Path,
) -> None:
    (tmp_path / "here").mkdir()
    async with GoneHub(tmp_path) as remote, Provider().serving() as provider, httpx.AsyncClient() as client:
        string = f"Endpoint=sb://127.0.0.1:{remote.port}/;SharedAccessKeyName=Full;SharedAccessKey=key"
        settings = {"connection_string": string, "hub": HUB, "tls": {"ca_file": str(remote.ca_file)}}
        async with Daemon(tmp_path / "here", configuration(settings, provider)) as here:
            await here.start()
            token = provider.token("ann", customer_id="of-ann", given_name="Ann")
            url, headers = f"{here.hub_url}/{AWAY}/register", {"Authorization": f"Bearer {token}"}
            body = {"phone": "phone-number-0001", "platform": "apns", "pushChannel": "AA" * 32}
            first = await client.post(url, json=body, headers=headers, timeout=START_TIMEOUT)
            assert first.status_code == 200, first.text
            ((_, old),) = remote.asked
            remote.gone.add(old)
            body["pushChannel"] = "BB" * 32
            id = first.json()["registrationId"]
            again = await client.put(f"{url}/{id}", json=body, headers=headers, timeout=START_TIMEOUT)
            assert (again.status_code, again.json()["registrationId"]) == (200, id)
            assert [method for method, _ in remote.asked] == ["PUT"] * 3
            assert remote.asked[1][1] == old != remote.asked[2][1]
            assert (await client.delete(f"{url}/{id}", headers=headers, timeout=START_TIMEOUT)).status_code == 204
            assert remote.asked[-1] == ("DELETE", remote.asked[2][1])
            assert await here.terminate() == 0, here.errors()
