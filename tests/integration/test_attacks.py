"""Attacks over real connections against a daemon of its own: docs/security.md says what holds against each."""

import asyncio
import contextlib
import json
import re
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from sandbox.sas import shared_access_signature
from sandbox.services import PushServices
from tests.integration.daemon import HUB, START_TIMEOUT, Daemon, hubs

pytestmark = pytest.mark.asyncio(loop_scope="module")

APNS_TEMPLATE = '{"aps": {"alert": "$(title)"}}'
ALLOWED_PAGE = "https://app.example.com"


def configuration(services: PushServices) -> dict[str, Any]:
    hub = {"default": True, **hubs(services)[HUB]}
    hub["access_policies"] = [
        {"name": "Listen", "rights": ["Listen"], "key": "listen-key"},
        {"name": "Send", "rights": ["Send"], "key": "send-key"},
    ]
    return {
        "sources": {
            "cloud": {"http": {"path": "/in/cloud", "format": "cloudevents"}},
            "plain": {"http": {"path": "/in/plain", "allow_origins": [ALLOWED_PAGE]}, "map": {"id": "{{ data.id }}"}},
        },
        "rules": [
            {"name": "to-user", "push": {"to": {"user": "{{ data.user }}"}, "with": {"title": "{{ data.title }}"}}},
        ],
        "hubs": {HUB: hub, "app-bank": {"access_policies": [{"name": "Listen", "rights": ["Listen"], "key": "other"}]}},
        "delivery": {"retry": {"backoff": {"base": "500ms", "cap": "1s"}}},
        "hub_api": {"connections": {"header_timeout": "1s"}},
    }


@dataclass
class World:
    """The daemon with the stand-ins of the push services, and a client."""

    daemon: Daemon
    services: PushServices
    client: httpx.AsyncClient

    def handle(self) -> str:
        return self.services.add_phone(f"phone-{uuid4().hex[:8]}", "apns").handle

    async def put(self, id: str, *, path: str | None = None, hub: str = HUB, **members: Any) -> httpx.Response:
        """Register with a Listen key, as any phone can."""
        url = f"{self.daemon.hub_url}/{hub}/installations/{quote(id, safe='') if path is None else path}"
        document = {"installationId": id, "platform": "apns", **members}
        return await self.client.put(
            url, content=json.dumps(document), headers=signed(url, "Listen", "listen-key"), params=VERSION
        )

    async def delete(self, id: str) -> None:
        url = f"{self.daemon.hub_url}/{HUB}/installations/{id}"
        answer = await self.client.delete(url, headers=signed(url, "Listen", "listen-key"), params=VERSION)
        assert answer.status_code == 204

    async def send(
        self, tags: str, *, format: str = "template", body: bytes = b'{"title": "secret"}'
    ) -> httpx.Response:
        """Send with a Send key, as a backend does."""
        url = f"{self.daemon.hub_url}/{HUB}/messages"
        headers = [(name.encode(), value.encode()) for name, value in signed(url, "Send", "send-key").items()]
        headers += [
            (b"ServiceBusNotification-Format", format.encode()),
            (b"ServiceBusNotification-Tags", tags.encode()),
        ]
        return await self.client.post(url, content=body, headers=headers, params=VERSION)

    async def ended(self, sent: httpx.Response) -> str:
        """The state of a notification, once it has ended."""
        assert sent.status_code == 201, sent.text
        url = sent.headers["location"].partition("?")[0].replace("https:", "http:")
        async with asyncio.timeout(START_TIMEOUT):
            while True:
                text = (await self.client.get(url, headers=signed(url, "Send", "send-key"), params=VERSION)).text
                state = text.partition("<State>")[2].partition("<")[0]
                if state in ("Completed", "NoTargetFound", "Abandoned"):
                    return state
                await asyncio.sleep(0.02)

    def reached(self, handle: str) -> int:
        """How many pushes the service took for a handle."""
        return sum(entry.accepted for entry in self.services.journal.of_handle(handle))


VERSION = {"api-version": "2020-06"}


def signed(url: str, name: str, key: str) -> dict[str, str]:
    expires_at = datetime.now(UTC) + timedelta(minutes=30)
    return {"Authorization": shared_access_signature(url, key_name=name, key=key, expires_at=expires_at)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("attacked")
    async with (
        PushServices(directory) as services,
        Daemon(directory, configuration(services)) as daemon,
        httpx.AsyncClient(verify=False, timeout=START_TIMEOUT) as client,
    ):
        await daemon.start()
        yield World(daemon, services, client)
        assert await daemon.terminate() == 0, daemon.errors()
        assert [line for line in daemon.log() if line["event"] == "defect"] == []


# A1: what is meant for one phone or user


THIEVES: dict[str, dict[str, Any]] = {
    "a tag": {"tags": ["$InstallationId:{V}"]},
    "a tag in other letters": {"tags": ["$INSTALLATIONID:{V}"]},
    "a tag with space around": {"tags": [" $InstallationId:{V} "]},
    "a template's tag": {"templates": {"t": {"body": APNS_TEMPLATE, "tags": ["$InstallationId:{V}"]}}},
    "a template's tag of a user": {"templates": {"t": {"body": APNS_TEMPLATE, "tags": ["$UserId:{U}"]}}},
    "a template's tag of another user": {
        "userId": "thief",
        "templates": {"t": {"body": APNS_TEMPLATE, "tags": ["$UserId:{U}"]}},
    },
    "a tag of another user": {"userId": "thief", "tags": ["$UserId:{U}"]},
    "a template's name": {"templates": {"$InstallationId:{V}": {"body": APNS_TEMPLATE}}},
    "a template's name in other letters": {"templates": {"$installationid:{V}": {"body": APNS_TEMPLATE}}},
    "a template's name of a user": {"templates": {"$UserId:{U}": {"body": APNS_TEMPLATE}}},
    "a template's name with a space before": {"templates": {" $UserId:{U}": {"body": APNS_TEMPLATE}}},
    "a template's name that repeats its tag": {
        "templates": {"$UserId:{U}": {"body": APNS_TEMPLATE, "tags": ["$UserId:{U}"]}}
    },
    "a template's name of the index's own": {"templates": {"%native:apns": {"body": APNS_TEMPLATE}}},
    "a template's name of another platform's index": {"templates": {"%template:fcmv1": {"body": APNS_TEMPLATE}}},
    "a folded kind": {"tags": ["$UſerId:{U}"]},
    "a folded kind of an installation": {"templates": {"t": {"body": APNS_TEMPLATE, "tags": ["$İnstallationId:{V}"]}}},
    "a secondary tile": {"secondaryTiles": {"t": {"pushChannel": "AABB", "tags": ["$InstallationId:{V}"]}}},
    "a user id with the end of a tag": {"userId": "x} || $UserId:{U"},
}  # fmt: skip


@pytest.mark.parametrize("members", THIEVES.values(), ids=THIEVES)
async def test_no_phone_takes_what_is_meant_for_another_phone_or_user(world: World, members: dict[str, Any]) -> None:
    name = uuid4().hex[:8]
    victim, thief = world.handle(), world.handle()
    templates = {"t": {"body": APNS_TEMPLATE}}
    put = await world.put(f"victim-{name}", pushChannel=victim, userId=f"boss-{name}", templates=templates)
    assert put.status_code == 200, put.text
    text = json.dumps(members).replace("{V}", f"{{victim-{name}}}").replace("{U", f"{{boss-{name}")
    attack = await world.put(f"thief-{name}", pushChannel=thief, **json.loads(text))
    assert attack.status_code == 400
    for tags in (f"$InstallationId:{{victim-{name}}}", f"$UserId:{{boss-{name}}}"):
        assert await world.ended(await world.send(tags)) == "Completed"
    assert (world.reached(victim), world.reached(thief)) == (2, 0)


async def test_a_phone_may_list_the_tag_of_its_own_user(world: World) -> None:
    name, phone = uuid4().hex[:8], world.handle()
    template = {"body": APNS_TEMPLATE, "tags": [f"$UserId:{{Ann-{name}}}"]}
    put = await world.put(
        name, pushChannel=phone, userId=f"ann-{name}", tags=[f"$UserId:{{ann-{name}}}"], templates={"t": template}
    )
    assert put.status_code == 200, put.text
    assert await world.ended(await world.send(f"$UserId:{{ANN-{name}}}")) == "Completed"
    assert world.reached(phone) == 1


LIKE_VICTIMS = {
    "in capitals": ("viktim", "VIKTIM", 400),
    "with the Kelvin sign": ("viktim", "vi\u212atim", 200),
    "with a long s": ("secret", "ſecret", 200),
    "with a sharp s": ("strasse", "straße", 200),
    "with a dot above": ("image", "İmage", 200),
    "full width": ("victim", "ｖｉｃｔｉｍ", 200),
    "decomposed": ("é", "e\u0301", 200),
    "with a space behind": ("victim", "victim ", 200),
    "with a zero width space": ("victim", "victim\u200b", 200),
    "with a NUL": ("victim", "victim\0", 200),
    "with a slash": ("victim", "victim/x", 200),
    "percent-encoded twice": ("a b", "a%20b", 200),
    "with the end of a tag": ("victim", "victim}", 200),
    "with an expression": ("victim", "x} || $InstallationId:{victim", 200),
}


@pytest.mark.parametrize("victim, thief, status", LIKE_VICTIMS.values(), ids=LIKE_VICTIMS)
async def test_ids_that_look_alike_are_two_phones(world: World, victim: str, thief: str, status: int) -> None:
    name = uuid4().hex[:8]
    mine, theirs = world.handle(), world.handle()
    templates = {"t": {"body": APNS_TEMPLATE}}
    assert (await world.put(f"{name}-{victim}", pushChannel=mine, templates=templates)).status_code == 200
    attack = await world.put(f"{name}-{thief}", pushChannel=theirs, templates=templates)
    assert attack.status_code == status, attack.text
    sent = await world.send(f"$InstallationId:{{{name}-{victim}}}")
    if sent.status_code == 201:  # else no tag can name the victim's id, and no phone is reached
        await world.ended(sent)
    assert (world.reached(mine), world.reached(theirs)) == (sent.status_code == 201, 0)


BAD_IDS = {
    "empty": ("", "", "empty"),
    "too long": ("x" * 257, None, "257 characters"),
    "far too long": ("x" * 10_000, None, "10000 characters"),
    "not UTF-8": ("\ufffd", "%FF", "not UTF-8"),
    "another one in the document": ("i1", "i2", "not the id in the path"),
}


@pytest.mark.parametrize("id, path, complaint", BAD_IDS.values(), ids=BAD_IDS)
async def test_an_id_that_cannot_be_is_refused(world: World, id: str, path: str | None, complaint: str) -> None:
    answer = await world.put(id, path="/" if path == "" else path, pushChannel=world.handle())
    assert answer.status_code == 400
    assert complaint in answer.text


async def test_a_handle_that_another_user_had_is_the_new_user_s_alone(world: World) -> None:
    name, phone = uuid4().hex[:8], world.handle()
    templates = {"t": {"body": APNS_TEMPLATE}}
    for user in ("ann", "bob"):
        await world.put(f"{user}-{name}", pushChannel=phone, userId=f"{user}-{name}", templates=templates)
    assert await world.ended(await world.send(f"$UserId:{{ann-{name}}}")) == "NoTargetFound"
    assert world.reached(phone) == 0
    assert await world.ended(await world.send(f"$UserId:{{bob-{name}}}")) == "Completed"
    assert world.reached(phone) == 1


SPELLINGS: dict[str, Callable[[str], str]] = {
    "scheme in capitals": lambda channel: channel.replace("https:", "HTTPS:"),
    "a fragment": lambda channel: f"{channel}#other",
    "no slash": lambda channel: channel.replace("/?", "?"),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
async def test_a_channel_spelled_in_another_way_is_the_same_phone(world: World, spell: Callable[[str], str]) -> None:
    name = uuid4().hex[:8]
    phone = world.services.add_phone(f"phone-{name}", "wns").handle
    body = "<toast><visual><binding template='ToastText01'><text>$(title)</text></binding></visual></toast>"
    for user, channel in (("ann", spell(phone)), ("bob", phone)):
        more: dict[str, Any] = {"userId": f"{user}-{name}", "templates": {"t": {"body": body}}}
        put = await world.put(f"{user}-{name}", platform="wns", pushChannel=channel, **more)
        assert put.status_code == 200, put.text
    assert await world.ended(await world.send(f"$UserId:{{ann-{name}}}")) == "NoTargetFound"
    assert world.reached(phone) == 0
    assert await world.ended(await world.send(f"$UserId:{{bob-{name}}}")) == "Completed"
    assert world.reached(phone) == 1


@pytest.mark.parametrize("change", ["signed off", "another user", "another user's installation", "another group"])
async def test_a_retry_does_not_reach_a_phone_that_is_somebody_else_s_by_then(world: World, change: str) -> None:
    name, phone = uuid4().hex[:8], world.handle()
    templates = {"t": {"body": APNS_TEMPLATE}}
    await world.put(name, pushChannel=phone, userId=f"ann-{name}", tags=[f"g:{name}"], templates=templates)
    world.services.apns.faults.answer(503, "ServiceUnavailable", times=1, handle=phone)
    sent = await world.send(f"g:{name}" if change == "another group" else f"$UserId:{{ann-{name}}}")
    await world.services.journal.wait_for(lambda entry: entry.handle == phone)
    match change:
        case "signed off":
            await world.delete(name)
        case "another user":
            await world.put(name, pushChannel=phone, userId=f"bob-{name}", templates=templates)
        case "another user's installation":
            await world.put(f"other-{name}", pushChannel=phone, userId=f"bob-{name}", templates=templates)
        case _:
            await world.put(name, pushChannel=phone, userId=f"ann-{name}", tags=["g:other"], templates=templates)
    await world.ended(sent)
    assert world.reached(phone) == 0


async def test_a_sign_off_does_not_call_back_the_one_push_that_is_on_its_way(world: World) -> None:
    name, phone = uuid4().hex[:8], world.handle()
    await world.put(name, pushChannel=phone, templates={"t": {"body": APNS_TEMPLATE}})
    world.services.apns.faults.hold()
    try:
        sent = await world.send(f"$InstallationId:{{{name}}}")
        async with asyncio.timeout(START_TIMEOUT):
            while not world.services.apns.faults.held:
                await asyncio.sleep(0.01)
        await world.delete(name)
        after = await world.send(f"$InstallationId:{{{name}}}")
    finally:
        world.services.apns.faults.release()
    assert await world.ended(after) == "NoTargetFound"
    await world.ended(sent)
    assert world.reached(phone) == 1


async def test_a_token_of_one_hub_opens_no_other_whose_name_begins_alike(world: World) -> None:
    url = f"{world.daemon.hub_url}/{HUB}-bank/installations/i"
    for resource_url, name, key in (
        (f"{world.daemon.hub_url}/{HUB}", "Listen", "other"),
        (url, "Listen", "listen-key"),
    ):
        answer = await world.client.get(url, headers=signed(resource_url, name, key))
        assert answer.status_code == 401


# A4: tag expressions


@pytest.mark.parametrize(
    "tags, column",
    [
        ("$UſerId:{x}", 1),
        ("a || $İnstallationId:{x}", 6),
        ("$InstallatıonId:{x}", 1),
        ("＄UserId:{x}", 1),
        ("a | b", 3),
    ],
)
async def test_a_confusing_tag_expression_is_refused_with_its_column(world: World, tags: str, column: int) -> None:
    answer = await world.send(tags)
    assert answer.status_code == 400
    assert f"column {column}:" in answer.text


# A6: identity


async def test_events_whose_source_and_id_join_to_one_text_are_two_events(world: World) -> None:
    user, phone = uuid4().hex, world.handle()
    await world.put(user, pushChannel=phone, userId=user, templates={"t": {"body": APNS_TEMPLATE}})
    for source, id in (("a\0b", f"c{user}"), ("a", f"b\0c{user}"), ("a\1\2b", f"c{user}"), ("a", f"b\1\2c{user}")):
        event = {"specversion": "1.0", "type": "t", "source": source, "id": id, "data": {"user": user, "title": id}}
        answer = await world.client.post(
            f"{world.daemon.url}/in/cloud",
            content=json.dumps(event),
            headers={"content-type": "application/cloudevents+json"},
        )
        assert answer.status_code == 202
    await world.services.journal.wait_for(lambda entry: entry.handle == phone, count=4)
    assert world.reached(phone) == 4


# Bounds


@pytest.mark.parametrize("attribute", ["id", "source", "type", "subject"])
async def test_an_attribute_of_65_536_characters_costs_its_event_alone(world: World, attribute: str) -> None:
    event = {"specversion": "1.0", "type": "t", "source": "/s", "id": uuid4().hex, "data": {"user": "u", "title": "t"}}
    answers = [
        await world.client.post(
            f"{world.daemon.url}/in/cloud",
            content=json.dumps(event | changes),
            headers={"content-type": "application/cloudevents+json"},
        )
        for changes in ({attribute: "x" * 65_536}, {})
    ]
    assert [answer.status_code for answer in answers] == [400, 202]
    assert f"the {attribute} of 65536 characters is too long, 1024 are allowed" in answers[0].text


@pytest.mark.parametrize(
    "members, length",
    [
        ({"userId": "x" * 60_000}, 60_000),
        ({"tags": ["x" * 60_000]}, 60_000),
        ({"templates": {"x" * 60_000: {"body": APNS_TEMPLATE}}}, 60_000),
        ({"templates": {"t": {"body": APNS_TEMPLATE, "tags": ["x" * 121]}}}, 121),
    ],
)
async def test_a_name_that_is_too_long_is_refused_with_its_length(
    world: World, members: dict[str, Any], length: int
) -> None:
    answer = await world.put("i", pushChannel=world.handle(), **members)
    assert answer.status_code == 400
    assert f"{length} characters" in answer.text
    assert len(answer.text) < 1000


async def test_an_id_in_a_header_that_is_too_long_is_refused_at_the_door(world: World) -> None:
    headers = {"idempotency-key": "x" * 10_000}
    answer = await world.client.post(f"{world.daemon.url}/in/plain", content=b"{}", headers=headers)
    assert answer.status_code == 400
    assert "10000 characters" in answer.text


# A9: requests that two readers read in two ways

HEAD = b"POST /in/plain HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
AMBIGUOUS = {
    "both": HEAD + b"Content-Length: 6\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "both, the other way round": HEAD + CHUNKED + b"Content-Length: 6\r\n\r\n0\r\n\r\n",
    "both, of length 0": HEAD + CHUNKED + b"Content-Length: 0\r\n\r\n0\r\n\r\n",
    "both, one folded": HEAD + b"Content-Length: 6\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: 6\r\n\r\n",
    "the same length twice": HEAD + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "two lengths in one": HEAD + b"Content-Length: 0, 6\r\n\r\n",
    "a length with a sign": HEAD + b"Content-Length: +0\r\n\r\n",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a length in hex": HEAD + b"Content-Length: 0x0\r\n\r\n",
    "a length with an underscore": HEAD + b"Content-Length: 1_0\r\n\r\n",
    "an empty length": HEAD + b"Content-Length: \r\n\r\n",
    "a space before the colon": HEAD + b"Content-Length : 0\r\n\r\n",
    "identity": HEAD + b"Transfer-Encoding: identity\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice, in two headers": HEAD + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n",
    "another coding before": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding with a vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n",
    "a chunk's size with a sign": HEAD + CHUNKED + b"\r\n+0\r\n\r\n",
    "a chunk's size with 0x": HEAD + CHUNKED + b"\r\n0x0\r\n\r\n",
    "a chunk's size that is too long": HEAD + CHUNKED + b"\r\n1" + b"0" * 40 + b"\r\n\r\n",
    "a line without CR": HEAD.replace(b"\r", b"") + b"\n",
    "a folded line": HEAD + b"X: a\r\n b\r\n\r\n",
    "another server's path": HEAD.replace(b"/in", b"http://other/in") + b"\r\n",
    "a chunk that goes on": HEAD + CHUNKED + b"\r\n1\r\nxx\r\n0\r\n\r\n",
    "a bare CR in a header": HEAD + b"X: a\rContent-Length: 6\r\n\r\n",
    "a NUL in a header": HEAD + b"X: a\0b\r\n\r\n",
    "two hosts": HEAD + b"Host: other\r\n\r\n",
    "no host": b"POST /in/plain HTTP/1.1\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\nHost: localhost\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": HEAD.replace(b"1.1", b"9.9") + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("listener", ["admin", "hub API"])
@pytest.mark.parametrize("request_bytes", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_an_ambiguous_request_is_answered_400_and_its_connection_closed(
    world: World, listener: str, request_bytes: bytes
) -> None:
    answer = await exchange(world.daemon.url if listener == "admin" else world.daemon.hub_url, request_bytes + SMUGGLED)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"400"]
    assert b"connection: close" in answer.lower()


UNAMBIGUOUS = {
    "a length": HEAD + b"Content-Length: 9\r\n\r\n" + b'{"id": 1}',
    "chunks": HEAD + CHUNKED + b"\r\n9\r\n" + b'{"id": 1}' + b"\r\n0\r\n\r\n",
    "an upgrade without a body": b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "an upgrade and chunks": HEAD
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    + CHUNKED
    + b'\r\n9\r\n{"id": 1}\r\n0\r\n\r\n',
    "an upgrade that is not taken": HEAD + b'Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 9\r\n\r\n{"id": 1}',
}


@pytest.mark.parametrize("request_bytes", UNAMBIGUOUS.values(), ids=UNAMBIGUOUS)
async def test_what_can_be_read_in_one_way_is_taken_and_the_next_request_too(
    world: World, request_bytes: bytes
) -> None:
    last = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await exchange(world.daemon.url, request_bytes + last)
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", answer)
    assert statuses == [b"200" if request_bytes.startswith(b"GET") else b"202", b"200"]


async def exchange(url: str, sent: bytes) -> bytes:
    """What comes back until the other side closes, which it has to."""
    parts = httpx.URL(url)
    reader, writer = await asyncio.open_connection(parts.host, parts.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(START_TIMEOUT):
            received = b""
            with contextlib.suppress(ConnectionError):
                while part := await reader.read(65_536):
                    received += part
            return received
    finally:
        writer.close()


# A10: web pages

PAGES: dict[str, tuple[dict[str, str], int]] = {
    "a program": ({}, 400),
    "a page that is allowed": ({"origin": ALLOWED_PAGE}, 400),
    "in capitals": ({"origin": "HTTPS://APP.EXAMPLE.COM"}, 400),
    "any page": ({"origin": "https://evil.example"}, 403),
    "a page whose name begins alike": ({"origin": f"{ALLOWED_PAGE}.evil.example"}, 403),
    "the page over http": ({"origin": "http://app.example.com"}, 403),
    "a sandboxed page": ({"origin": "null"}, 403),
    "an empty origin": ({"origin": ""}, 403),
    "a page of a name that was bound to us": ({"origin": "http://rebound.example", "host": "rebound.example"}, 403),
    "no origin, but the browser says so": ({"sec-fetch-site": "cross-site"}, 403),
    "of the same site": ({"sec-fetch-site": "same-site"}, 403),
}  # fmt: skip


@pytest.mark.parametrize("headers, status", PAGES.values(), ids=PAGES)
async def test_no_web_page_posts_unless_it_is_allowed(world: World, headers: dict[str, str], status: int) -> None:
    answer = await world.client.post(
        f"{world.daemon.url}/in/plain", content=b"no event", headers={"content-type": "text/plain", **headers}
    )
    assert answer.status_code == status
    assert ("access-control-allow-origin" in answer.headers) == (status == 400 and "origin" in headers)


@pytest.mark.parametrize("origin, status", [(ALLOWED_PAGE, 204), ("https://evil.example", 403)])
async def test_a_browser_is_told_which_page_may_post(world: World, origin: str, status: int) -> None:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    answer = await world.client.options(f"{world.daemon.url}/in/plain", headers=headers)
    assert answer.status_code == status
    assert answer.headers.get("access-control-allow-origin") == (origin if status == 204 else None)


# Documents that are hard to read

HARD = {
    "deep": (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", 400),
    "deeper": (b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400),
    "NaN": (b'{"a": NaN}', 400),
    "a lone surrogate": (b'{"a": "\\ud800"}', 400),
    "compressed": (b"\x1f\x8b\x08\x00" + b"\0" * 100, 400),
    "a name twice": (b'{"a": 1, "a": 2}', 201),
}


@pytest.mark.parametrize("body, status", HARD.values(), ids=HARD)
async def test_a_body_that_is_hard_to_read_is_answered_as_what_it_is(world: World, body: bytes, status: int) -> None:
    assert (await world.send("nobody", body=body)).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        '<!DOCTYPE t [<!ENTITY e SYSTEM "file:///etc/passwd">]><toast><visual>&e;</visual></toast>',
        '<!DOCTYPE t [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><toast>&b;</toast>',
        "<toast>&e;</toast>",
        '<toast xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd" parse="text"/>',
    ],
)
async def test_xml_with_entities_is_no_template_and_no_notification(world: World, body: str) -> None:
    put = await world.put(
        "w", platform="wns", pushChannel="https://x.notify.windows.com/", templates={"t": {"body": body}}
    )
    assert put.status_code == 400
    assert (await world.send("nobody", format="windows", body=body.encode())).status_code == 400


# Templates that come to more than any service takes


def _large(number: int) -> dict[str, Any]:
    """A template of its own for each phone, so that each is filled by itself."""
    return {"t": {"body": json.dumps({"aps": {"alert": f"{number}"}, "more": ["$(title)"] * 450})}}


async def test_templates_that_grow_a_large_value_hold_nothing_and_others_are_reached(world: World) -> None:
    tag, honest = f"t-{uuid4().hex[:8]}", world.handle()
    for number in range(40):
        put = await world.put(f"{tag}-{number}", pushChannel=world.handle(), tags=[tag], templates=_large(number))
        assert put.status_code == 200, put.text
    small = {"t": {"body": '{"aps": {"alert": "$(title, 20)"}}'}}
    await world.put(f"{tag}-honest", pushChannel=honest, tags=[tag], templates=small)
    before = await world.daemon.metrics()
    assert await world.ended(await world.send(tag, body=json.dumps({"title": "x" * 60_000}).encode())) == "Completed"
    after = await world.daemon.metrics()
    assert world.reached(honest) == 1
    assert after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"] < 3
    assert after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"] < 100_000_000


async def test_while_push_services_are_so_slow_that_nothing_has_room_a_sender_is_told_at_once(tmp_path: Path) -> None:
    async with PushServices(tmp_path) as services, httpx.AsyncClient(verify=False, timeout=START_TIMEOUT) as client:
        config = {**configuration(services), "bridge": {"store": {"max_pending": 3}}}
        async with Daemon(tmp_path, config) as daemon:
            await daemon.start()
            world = World(daemon, services, client)
            await world.put("p", pushChannel=world.handle(), userId="ann", templates={"t": {"body": APNS_TEMPLATE}})
            services.apns.faults.hold()

            async def post() -> httpx.Response:
                event = {"id": uuid4().hex, "user": "ann", "title": "t"}
                return await client.post(f"{daemon.url}/in/plain", json=event)

            began = time.monotonic()
            while (refused := await post()).status_code == 202:
                pass
            assert time.monotonic() - began < 20, "it was 25 s for each request"
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert refused.json() == {"detail": "too many notifications wait for push services; send it again"}
            services.apns.faults.release()
            async with asyncio.timeout(START_TIMEOUT):
                while (await post()).status_code != 202:
                    await asyncio.sleep(0.1)


# A2: connections that ask nothing


class Starved(Daemon):
    """A daemon that may open few files."""

    open_files = (1024, 1024)

    async def launch(self) -> None:
        with self.output_file.open("ab") as output, self.error_file.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bridge", "run", str(self.config_file)),
                stdout=output,
                stderr=errors,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, self.open_files),
            )


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


IDLE = {"nothing": b"", "half a line": b"GET / HT", "half a header": b"GET / HTTP/1.1\r\nHost: x\r\nX: "}


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("hard_limit", [1024, 4096])
@pytest.mark.parametrize("begun", IDLE.values(), ids=IDLE)
async def test_a_thousand_and_a_half_idle_connections_take_neither_health_nor_pushes_nor_other_clients(
    tmp_path: Path, begun: bytes, hard_limit: int
) -> None:
    async with (
        PushServices(tmp_path) as services,
        Starved(tmp_path, configuration(services)) as daemon,
        httpx.AsyncClient(verify=False, timeout=60) as client,
        httpx.AsyncClient(timeout=60, transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2")) as other,
    ):
        daemon.open_files = (1024, hard_limit)
        await daemon.start()
        world = World(daemon, services, client)
        user, phone = uuid4().hex, world.handle()
        await world.put(user, pushChannel=phone, userId=user, templates={"t": {"body": APNS_TEMPLATE}})
        async with idle_connections(httpx.URL(daemon.hub_url).port, 1500, begun):
            ready = await client.get(f"{daemon.url}/readyz")
            assert ready.status_code == 200
            assert any(line.startswith("listener hub_api: at its limit") for line in ready.text.splitlines())
            assert (await client.get(f"{daemon.url}/livez")).status_code == 200
            refused = 'pushbridge_http_connections_refused_total{limit="per_client",listener="hub_api"}'
            assert (await daemon.metrics())[refused] > 0
            event = {"id": uuid4().hex, "user": user, "title": "t"}
            assert (await client.post(f"{daemon.url}/in/plain", json=event)).status_code == 202
            await services.journal.wait_for(lambda entry: entry.handle == phone and entry.accepted)
            url = f"{daemon.hub_url}/{HUB}/installations/{user}"
            assert (await other.get(url, headers=signed(url, "Listen", "listen-key"))).status_code == 200
            await asyncio.sleep(2)  # and then the time to send a header has passed, twice
            assert (await client.get(url, headers=signed(url, "Listen", "listen-key"))).status_code == 200
        warned = [line for line in daemon.log() if line["event"] == "connections refused"]
        assert [line["listener"] for line in warned] == ["hub_api"]


@contextlib.asynccontextmanager
async def idle_connections(port: int | None, count: int, begun: bytes) -> AsyncIterator[None]:
    """So many connections on which a request is begun at most."""
    assert port is not None
    made: list[asyncio.StreamWriter] = []

    async def connect(some: Sequence[int]) -> None:
        for _ in some:
            with contextlib.suppress(ConnectionError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                made.append(writer)
                writer.write(begun)

    try:
        async with asyncio.TaskGroup() as group:
            for start in range(0, count, 100):
                group.create_task(connect(range(start, min(start + 100, count))))
        yield
    finally:
        for writer in made:
            writer.transport.abort()
        await asyncio.sleep(0.05)
