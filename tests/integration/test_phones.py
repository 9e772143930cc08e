"""Phones of a daemon that runs, with stand-ins of the push services and a provider of tokens: from sign-in to sign-off.

The hub `app` is kept by the daemon. The hub `away` is remote: it is `app` over the REST API, as a central one would be.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.fakes.provider import AUDIENCE, Provider
from tests.integration.daemon import HUB, KEY, KEY_NAME, START_TIMEOUT, Daemon, hubs
from tests.ports import free_ports

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCS = Path(__file__).parents[2] / "docs" / "registration.md"
TOPICS = {"debits": {"levels": [100, 500, 1000]}, "offers": {}}
TEMPLATES = {
    "apns": '{"aps":{"alert":{"title":"$(title)"}}}',
    "fcm": {
        "body": '{"message":{"notification":{"title":"$(title)"}}}',
        "locales": {"de": """{"message":{"notification":{"title":"{'Neu: ' + $(title) + ' ' + $(name)}"}}}"""},
    },
}


@dataclass
class World:
    daemon: Daemon
    services: PushServices
    provider: Provider
    client: httpx.AsyncClient
    url: str

    def phone(self, platform: str = "fcmv1") -> VirtualPhone:
        return self.services.add_phone(f"phone-{uuid4().hex}", platform)

    def headers(self, user: str) -> dict[str, str]:
        token = self.provider.token(user, customer_id=f"of-{user}", given_name=user.title())
        return {"Authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, user: str, body: Any = None, hub: str = HUB) -> httpx.Response:
        return await self.client.request(
            method, f"{self.url}/{hub}/register{path}", json=body, headers=self.headers(user)
        )

    async def sign_in(self, phone: VirtualPhone, user: str, *, hub: str = HUB, **more: Any) -> dict[str, Any]:
        body = {"phone": phone.name, "platform": phone.platform, "pushChannel": phone.handle, **more}
        answer = await self.call("POST", "", user, body, hub)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def event(self, kind: str, user: str, **data: Any) -> str:
        """Post an event; its title, once its notification has ended."""
        title = uuid4().hex[:8]
        event = {"id": title, "kind": kind, "customer": f"of-{user}", "title": title, **data}
        answer = await self.client.post(f"{self.daemon.url}/in/orders", json=event)
        assert answer.status_code == 202, answer.text
        async with asyncio.timeout(START_TIMEOUT):
            while answer.json()["outcome"] == "accepted":
                with self.daemon.database() as database:
                    query = "SELECT count(*) FROM notification WHERE event_id = ? AND ended_at IS NOT NULL"
                    if database.execute(query, [title]).fetchone() == (1,):
                        break
                await asyncio.sleep(0.02)
        return title


async def shows(phone: VirtualPhone, title: str) -> bool:
    """Whether a push is there, or comes soon: what a remote hub was handed is delivered behind its answer."""
    for _ in range(250):
        if any(title in shown.title for shown in phone.screen):
            return True
        await asyncio.sleep(0.02)
    return False


def configuration(services: PushServices, provider: Provider, *, port: int, certificate: str) -> dict[str, Any]:
    registration = {
        "path": "/register",
        "auth": {"oidc": {"issuer": provider.issuer, "audience": AUDIENCE}},
        "tags": ["customer:{{ claims.customer_id }}"],
        "push_variables": {"name": "{{ claims.given_name }}"},
        "topics": TOPICS,
        "templates": TEMPLATES,
    }
    central = f"Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName={KEY_NAME};SharedAccessKey={KEY}"
    remote = {"connection_string": central, "hub": HUB, "tls": {"ca_file": str(services.ca_file)}}

    def rule(name: str, hub: str, to: str, **push: Any) -> dict[str, Any]:
        return {
            "name": name,
            "match": {"type": name},
            "push": {"hub": hub, "to": to, "with": {"title": "{{ data.title }}"}, **push},
        }

    mine = "customer:{{ data.customer }}"
    return {
        "sources": {
            "orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}", "type": "{{ data.kind }}"}}
        },
        "rules": [
            rule("news", HUB, mine),
            rule("debit", HUB, f"{mine} && topic:debits", level="{{ data.amount }}"),
            rule("offer", HUB, f"{mine} && topic:offers"),
            rule("news-away", "away", mine),
            rule("debit-away", "away", f"{mine} && topic:debits", level="{{ data.amount }}"),
        ],
        "hubs": {
            HUB: {**hubs(services)[HUB], "default": True, "registration": registration},
            "away": {"remote": remote, "registration": registration},
        },
        "hub_api": {"listen": f"127.0.0.1:{port}", "tls": {"cert": certificate, "key": certificate}},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    sandbox, directory = tmp_path_factory.mktemp("sandbox"), tmp_path_factory.mktemp("daemon")
    (port,) = free_ports(1)
    async with PushServices(sandbox) as services, Provider().serving() as provider:
        config = configuration(services, provider, port=port, certificate=str(sandbox / "server.pem"))
        context = ssl.create_default_context(cafile=str(services.ca_file))
        async with (
            Daemon(directory, config) as daemon,
            httpx.AsyncClient(verify=context, timeout=START_TIMEOUT) as client,
        ):
            await daemon.start()
            yield World(daemon, services, provider, client, f"https://127.0.0.1:{port}")
            assert await daemon.terminate() == 0, daemon.errors()


@pytest.mark.parametrize("hub", [HUB, "away"])
async def test_a_phone_registers_hears_chooses_a_level_and_signs_off(world: World, hub: str) -> None:
    user, kind = f"ann-{hub}", "" if hub == HUB else "-away"
    phone = world.phone("apns")
    id_ = (await world.sign_in(phone, user, hub=hub, topics={"debits": 500}))["registrationId"]
    assert await shows(phone, await world.event(f"news{kind}", user))
    small = await world.event(f"debit{kind}", user, amount=499.99)
    assert await shows(phone, await world.event(f"debit{kind}", user, amount=500))
    assert (await world.call("PUT", f"/{id_}/topics/debits", user, {"level": 100}, hub)).status_code == 200
    assert await shows(phone, await world.event(f"debit{kind}", user, amount=150))
    assert (await world.call("DELETE", f"/{id_}", user, hub=hub)).status_code == 204
    unheard = [small, *[await world.event(f"{name}{kind}", user, amount=5000) for name in ("news", "debit")]]
    back = await world.sign_in(phone, user, hub=hub)
    assert back["topics"] == {"debits": {"level": 100}}
    assert await shows(phone, await world.event(f"debit{kind}", user, amount=100))
    assert not any(shown.title in unheard for shown in phone.screen)


async def test_a_second_user_of_a_phone_hears_nothing_of_the_first(world: World) -> None:
    phone = world.phone()
    await world.sign_in(phone, "eve", topics={"offers": True})
    assert (await world.sign_in(phone, "bob"))["topics"] == {}
    unheard = [await world.event(kind, "eve") for kind in ("news", "offer")]
    unheard.append(await world.event("offer", "bob"))
    assert await shows(phone, await world.event("news", "bob"))
    assert not any(shown.title in unheard for shown in phone.screen)


async def test_a_phone_gets_the_template_of_its_language_with_its_user_s_name(world: World) -> None:
    german, other = world.phone(), world.phone()
    await world.sign_in(german, "kim", locale="de-AT")
    await world.sign_in(other, "kim", locale="fr")
    title = await world.event("news", "kim")
    assert await shows(german, title)
    assert await shows(other, title)
    assert ([each.title for each in german.screen], [each.title for each in other.screen]) == (
        [f"Neu: {title} Kim"],
        [title],
    )


async def test_a_phone_that_asks_for_another_customer_s_tag_is_refused_counted_and_logged(world: World) -> None:
    phone = world.phone()
    body = {"phone": phone.name, "platform": "fcm", "pushChannel": phone.handle, "tags": ["customer:of-boss"]}
    refused = await world.call("POST", "", "mallory", body)
    assert (refused.status_code, refused.json()["error"]) == (403, "forbidden_tag")
    metrics = await world.daemon.metrics()
    labels = 'hub="app",operation="register",outcome="forbidden_tag"'
    assert metrics[f"pushbridge_phone_requests_total{{{labels}}}"] == 1
    (line,) = [line for line in world.daemon.log() if line["event"] == "phone refused"]
    assert (line["hub"], line["outcome"]) == (HUB, "forbidden_tag")
    assert not [name for name in ("boss", "mallory") if name in str(line)]


async def test_the_example_of_the_page_runs_as_it_stands(world: World, tmp_path: Path) -> None:
    (script,) = [part.partition("```")[0] for part in DOCS.read_text().split("```bash\n")[1:]]
    token = world.headers("lea")["Authorization"].removeprefix("Bearer ")
    environ = {
        "URL": f"{world.url}/{HUB}/register",
        "TOKEN": token,
        "CA": str(world.services.ca_file),
        "HANDLE": world.phone().handle,
        "PATH": os.environ["PATH"],
    }
    pipe, both = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    process = await asyncio.create_subprocess_exec(
        "bash", "-eu", "-c", script, cwd=tmp_path, env=environ, stdout=pipe, stderr=both
    )
    output, _ = await process.communicate()
    assert (process.returncode, output) == (0, b"")
    assert '"topics":{"debits":{"level":500},"offers":{}}' in (tmp_path / "levels.json").read_text()
    assert '"topics":{"debits":{"level":500}}' in (tmp_path / "shown.json").read_text()
    overview = await world.call("GET", "", "lea")
    assert overview.json()["phones"] == []


async def test_the_client_of_the_page_gets_a_new_id_where_its_own_is_gone(world: World) -> None:
    (code,) = [part.partition("```")[0] for part in DOCS.read_text().split("```python\n")[1:]]
    names: dict[str, Any] = {}
    exec(compile(code, str(DOCS), "exec"), names)
    phone = world.phone("apns")

    def live() -> None:
        context = ssl.create_default_context(cafile=str(world.services.ca_file))
        with httpx.Client(verify=context, timeout=START_TIMEOUT) as client:
            token = world.headers("joe")["Authorization"].removeprefix("Bearer ")
            app = names["Registration"](client, f"{world.url}/{HUB}/register", phone.name, lambda: token)
            app.put("apns", phone.handle)
            app.subscribe("debits", 100)
            lost = app.registration_id
            app.sign_off()
            app.registration_id = lost
            assert app.put("apns", phone.handle)["topics"] == {"debits": {"level": 100}}
            assert app.registration_id != lost

    await asyncio.to_thread(live)
    assert await shows(phone, await world.event("debit", "joe", amount=100))
