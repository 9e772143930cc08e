"""What arrives on the phones besides an alert for all: silent pushes, which an app answers by a pull, from a rule and from
both APIs; and alerts in the language of the phone, with the name of who has it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from uvicorn import Config, Server

from sandbox.journal import Entry
from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.integration.daemon import HUB, Daemon, authorization, hubs
from tests.ports import free_ports

PATIENCE = 60.0
TOKEN = "only-for-these-tests"
PLATFORMS = ("apns", "fcmv1", "wns")
NATIVE = {
    "apns": {"payload": {"aps": {"content-available": 1}, "inbox": "{{ data.id }}"}},
    "fcm": {"payload": {"message": {"data": {"inbox": "{{ data.id }}"}}}},
    "wns": {"payload": "inbox {{ data.id }}", "headers": {"X-WNS-Type": "wns/raw"}},
}
SILENT = {
    "apns": ("apple", '{"aps": {"content-available": 1}, "inbox": "changed"}', {}),
    "fcmv1": ("fcmv1", '{"message": {"data": {"inbox": "changed"}}}', {}),
    "wns": ("windows", "inbox changed", {"X-WNS-Type": "wns/raw", "Content-Type": "application/octet-stream"}),
}
"""Format of the wire API, body and headers of one send."""

PERSONAL = {
    "apns": '{"aps": {"alert": {"title": "TITLE", "body": "$(text)"}}}',
    "fcmv1": '{"message": {"notification": {"title": "TITLE", "body": "$(text)"}}}',
    "wns": '<toast><visual><binding template="ToastText02"><text id="1">TITLE</text><text id="2">$(text)</text>'
    "</binding></visual></toast>",
}
WORDS = {"de": "Hallo", "fr": "Bonjour"}


class BackEnd:
    """What an app asks once a push has woken it: `asked` are the phones, by the id of the push that woke them."""

    def __init__(self) -> None:
        self.asked: dict[str, str] = {}

    async def inbox(self, request: Request) -> PlainTextResponse:
        device, push = request.query_params["device"], request.query_params["push"]
        self.asked[push] = device
        return PlainTextResponse(f"inbox of {device}")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its URL."""
        (port,) = free_ports(1)
        app = Starlette(routes=[Route("/inbox", self.inbox)])
        server = Server(Config(app, port=port, log_level="warning", lifespan="off"))
        task = asyncio.create_task(server.serve())
        try:
            async with asyncio.timeout(PATIENCE):
                while not server.started:
                    await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{port}/inbox"
        finally:
            server.should_exit = True
            await task


@dataclass
class World:
    services: PushServices
    daemon: Daemon
    client: httpx.AsyncClient
    phones: Mapping[str, VirtualPhone]

    async def register(self, phone: VirtualPhone, **more: Any) -> None:
        installation = {"installationId": phone.name, "platform": phone.platform, "pushChannel": phone.handle}
        await self.daemon.register({**installation, **more})

    def entry(self, platform: str) -> Entry:
        """The push of a phone, which had one."""
        (entry,) = self.services.journal.of_handle(self.phones[platform].handle)
        return entry


@asynccontextmanager
async def running(directory: Path, rule: Mapping[str, Any]) -> AsyncIterator[World]:
    (port,) = free_ports(1)
    async with PushServices(directory) as services:
        config = {
            "sources": {"desk": {"http": {"path": "/in/desk"}, "map": {"id": "{{ data.id }}"}}},
            "rules": [{"name": "inbox", "push": rule}],
            "hubs": {HUB: hubs(services)[HUB]},
            "bridge": {"http": {"listen": f"127.0.0.1:{port}", "admin_token": TOKEN}},
        }
        async with (
            Daemon(directory, config) as daemon,
            httpx.AsyncClient(verify=False, timeout=PATIENCE, headers={"Authorization": f"Bearer {TOKEN}"}) as client,
        ):
            daemon.url = f"http://127.0.0.1:{port}"
            await daemon.start()
            phones = {platform: services.add_phone(f"p-{platform}", platform) for platform in PLATFORMS}
            yield World(services, daemon, client, phones)


async def by_rule(world: World) -> None:
    (await world.client.post(f"{world.daemon.url}/in/desk", json={"id": "changed"})).raise_for_status()


async def by_wire_api(world: World) -> None:
    url = f"{world.daemon.hub_url}/{HUB}/messages"
    for format_name, body, headers in SILENT.values():
        sent = await world.client.post(
            url,
            params={"api-version": "2020-06"},
            content=body,
            headers={
                "Content-Type": "application/json",
                "Authorization": authorization(url),
                "ServiceBusNotification-Format": format_name,
                "ServiceBusNotification-Tags": "user:ann",
                **headers,
            },
        )
        assert sent.status_code == 201, sent.text


async def by_admin_api(world: World) -> None:
    for platform, (_, body, headers) in SILENT.items():
        payload = body if platform == "wns" else json.loads(body)
        own = {name: value for name, value in headers.items() if name.startswith("X-")}
        sent = await world.client.post(
            f"{world.daemon.url}/api/v1/hubs/{HUB}/notifications",
            json={"tags": "user:ann", "native": {"platform": platform, "payload": payload, "headers": own}},
        )
        assert sent.status_code == 201, sent.text


@pytest.mark.parametrize("send", [by_rule, by_wire_api, by_admin_api])
async def test_a_silent_push_shows_nothing_and_the_app_pulls(
    send: Callable[[World], Awaitable[None]], tmp_path: Path
) -> None:
    back_end = BackEnd()
    async with running(tmp_path, {"to": "user:ann", "native": NATIVE}) as world, back_end.serving() as url:
        for phone in world.phones.values():
            await world.register(phone, tags=["user:ann"])
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            pulls = [group.create_task(phone.pull(world.client, url)) for phone in world.phones.values()]
            await send(world)
            while not all(phone.pulled for phone in world.phones.values()):
                await asyncio.sleep(0.02)
            for task in pulls:
                task.cancel()
        assert {name: phone.pulled for name, phone in world.phones.items()} == {
            name: [f"inbox of {phone.name}".encode()] for name, phone in world.phones.items()
        }
        assert back_end.asked == {
            phone.received[0].push_id: phone.name for phone in world.phones.values() for _ in phone.received
        }
        assert [phone.screen for phone in world.phones.values()] == [[], [], []]
        apns, fcm, wns = (world.entry(platform) for platform in PLATFORMS)
        assert (apns.headers["apns-push-type"], apns.headers["apns-priority"]) == ("background", "5")
        assert "apns-collapse-id" not in apns.headers
        assert json.loads(apns.payload) == {"aps": {"content-available": 1}, "inbox": "changed"}
        message = json.loads(fcm.payload)["message"]
        assert message["data"] == {"inbox": "changed"}
        assert "notification" not in message
        assert "notification" not in message.get("android", {})
        assert (wns.headers["x-wns-type"], wns.headers["content-type"]) == ("wns/raw", "application/octet-stream")
        assert "x-wns-tag" not in wns.headers
        assert wns.payload == b"inbox changed"


async def test_each_phone_is_told_in_its_language_and_by_its_name(tmp_path: Path) -> None:
    rule = {"to": "user:{{ data.user }}", "with": {"text": "{{ data.text }}"}}
    async with running(tmp_path, rule) as world:
        phones = {
            language: [world.services.add_phone(f"{language}-{platform}", platform) for platform in PLATFORMS]
            for language in WORDS
        }
        for language, each in phones.items():
            for phone in each:
                await world.register(
                    phone,
                    tags=["user:ann", f"lang:{language}"],
                    pushVariables={"name": f'Ann <{language}> & "co"'},
                    templates={"alert": {"body": PERSONAL[phone.platform].replace("TITLE", _title(language))}},
                )
        event = {"id": "1", "user": "ann", "text": "5 < 6"}
        (await world.client.post(f"{world.daemon.url}/in/desk", json=event)).raise_for_status()
        async with asyncio.timeout(PATIENCE):
            while not all(phone.screen for phone in _all(phones)):
                await asyncio.sleep(0.02)
        for language, each in phones.items():
            for phone in each:
                (seen,) = phone.screen
                assert (seen.title, seen.body) == (f'{WORDS[language]} Ann <{language}> & "co"', "5 < 6")
        assert len({entry.handle for entry in world.services.journal}) == len(_all(phones))


def _title(language: str) -> str:
    """An expression for a greeting with a name."""
    return f"{{'{WORDS[language]} ' + $(name)}}"


def _all(phones: Mapping[str, Sequence[VirtualPhone]]) -> list[VirtualPhone]:
    return [phone for each in phones.values() for phone in each]
