"""Every kind of secret and certificate changes at once below one daemon, as a mounted directory is exchanged: all of them
are in use within 10 s, without a signal; bad ones change nothing and are named."""

import asyncio
import base64
import hashlib
import hmac
import json
import shutil
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificate

from bridge.app import Daemon
from bridge.observe.facts import SourceState
from sandbox.exchange import Answer, Exchange
from sandbox.servicebus import ServiceBus
from sandbox.servicebus.policies import Policy
from sandbox.services import PushServices
from tests.bridge.test_renewal import Mounted, running, value
from tests.integration.daemon import authorization
from tests.integration.played import PlayedServer

WITHIN = 10.0
"""Seconds from the exchange of the directory until everything that is new is in use."""
LISTENERS = ("admin", "probes", "intake", "hub_api")
QUEUE = "orders"
MANAGES = Policy(name="manages", key="of the broker", rights=frozenset(["Manage"]))


class Peers(PlayedServer):
    """A remote hub and a sink, which keep who asked them and how it was signed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.key_names: set[str] = set()
        self.signed: list[tuple[Mapping[str, str], bytes]] = []

    def serve(self, exchange: Exchange) -> None:
        if exchange.path.startswith("/in"):
            self.signed.append((dict(exchange.headers), exchange.body))
        else:
            self.key_names.add(exchange.headers["authorization"].rpartition("skn=")[2])
        exchange.answer(Answer(status=201))

    def has_been_told_with(self, secret: str) -> bool:
        """Whether a report was signed so (Standard Webhooks, "Signature scheme")."""
        return any(_signature(headers, body, secret) in headers["webhook-signature"] for headers, body in self.signed)


def _signature(headers: Mapping[str, str], body: bytes, secret: str) -> str:
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return base64.b64encode(hmac.new(secret.encode(), said, hashlib.sha256).digest()).decode()


class World:
    """The daemon, those beside it, and the directory of its secrets."""

    def __init__(
        self, mounted: Mounted, directory: Path, services: PushServices, peers: Peers, bus: ServiceBus
    ) -> None:
        self.mounted, self.directory, self.services, self.peers, self.bus = mounted, directory, services, peers, bus
        self.daemon: Daemon
        self.client = httpx.AsyncClient(verify=False, trust_env=False, timeout=60)
        self._events = 0

    def put(self, word: str, *, key: str, bus_key: str) -> None:
        """Secrets that hold this word, in force at once."""
        self.mounted.put(token=f"admin {word}")
        version = (self.directory / "mounted").resolve()
        endpoint = f"Endpoint=sb://127.0.0.1:{self.peers.port}/;SharedAccessKeyName={word};SharedAccessKey=k"
        texts = {
            "source": f"source {word}",
            "policy": f"policy {word}",
            "sink": f"sink {word}, and long enough for it",
            "remote": endpoint,
            "apns": key,
            "bus": self.bus.connection_string_of(replace(MANAGES, key=bus_key)),
        }
        for name, text in texts.items():
            (version / name).write_text(text)

    def url(self, listener: str) -> str:
        host, port = self.daemon.listeners[listener].address
        return f"https://{host}:{port}"

    async def post(self, word: str) -> int:
        """Post another event with the source's secret."""
        self._events += 1
        answer = await self.client.post(
            f"{self.url('intake')}/in/hr",
            json={"id": f"{word}-{self._events}"},
            headers={"authorization": f"Bearer source {word}"},
        )
        return answer.status_code

    async def status(self, word: str) -> int:
        """What the admin listener answers to its token."""
        headers = {"authorization": f"Bearer admin {word}"}
        return (await self.client.get(f"{self.url('admin')}/metrics", headers=headers)).status_code

    async def asked_hub(self, word: str) -> int:
        """What the hub API answers to a signature of its policy."""
        url = f"{self.url('hub_api')}/app/registrations?api-version=2020-06"
        return (await self.client.get(url, headers=signed(url, word))).status_code

    def is_bus_up(self) -> bool:
        statuses = {status.name: status.state for status in self.daemon._statuses}
        return statuses["bus"] is SourceState.RUNNING


def signed(url: str, word: str) -> dict[str, str]:
    return {"Authorization": authorization(url, key=f"policy {word}")}


def serial(daemon: Daemon, listener: str) -> int:
    """The number of the certificate that a new connection gets."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(daemon.listeners[listener].address) as plain, context.wrap_socket(plain) as secured:
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    return load_pem_x509_certificate(ssl.DER_cert_to_PEM_cert(shown).encode()).serial_number


def another_key() -> str:
    """A key of the right kind that Apple has not given out."""
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(serialization.Encoding.PEM, form, plain).decode()


def configuration(services: PushServices, peers: Peers, bus: ServiceBus) -> dict[str, Any]:
    tls = {"cert": "mounted/server.pem", "key": "mounted/server.pem"}
    listeners: dict[str, Any] = {name: {"address": "127.0.0.1:0", "tls": tls} for name in LISTENERS}
    listeners["admin"]["auth"] = {"bearer": "${file:mounted/token}"}
    apns = services.apns_credential
    queue = {"connection": {"connection_string": "${file:mounted/bus}"}, "queue": {"name": QUEUE}}
    rule: dict[str, Any] = {"source": "hr", "push": {"with": {"text": "{{ data.id }}"}}}
    return {
        "bridge": {"store": {"url": "sqlite:///../x.db", "allow_ephemeral": True}},
        "listeners": listeners,
        "sources": {
            "hr": {
                "http": {"path": "/in/hr", "auth": {"bearer": "${file:mounted/source}"}},
                "map": {"id": "{{ data.id }}"},
            },
            "bus": {"servicebus": queue, "map": {"type": "posting"}},
        },
        "rules": [
            {"name": "near", **rule, "push": {**rule["push"], "hub": "app", "to": "team:all"}, "report_to": "crm"},
            {"name": "far", **rule, "push": {**rule["push"], "hub": "far", "to": "team:all"}},
        ],
        "sinks": {
            "crm": {
                "http": {
                    "url": f"https://127.0.0.1:{peers.port}/in",
                    "secret": "${file:mounted/sink}",
                    "tls": {"ca_file": str(peers.ca_file)},
                }
            }
        },
        "hubs": {
            "app": {
                "default": True,
                "auth": {
                    "sas": [{"name": "Full", "rights": ["Listen", "Send", "Manage"], "key": "${file:mounted/policy}"}]
                },
                "platforms": {
                    "apns": {
                        "key": "${file:mounted/apns}",
                        "key_id": apns.key_id,
                        "team_id": apns.team_id,
                        "topic": apns.topic,
                        "endpoint": apns.endpoint,
                        "tls": {"ca_file": str(services.ca_file)},
                    }
                },
            },
            "far": {
                "remote": {
                    "connection_string": "${file:mounted/remote}",
                    "hub": "app",
                    "tls": {"ca_file": str(peers.ca_file)},
                }
            },
        },
    }


@pytest.fixture
async def world(services: PushServices, tmp_path: Path) -> AsyncIterator[World]:
    for name in ("config", "peers"):
        (tmp_path / name).mkdir()
    async with AsyncExitStack() as stack:
        peers = await stack.enter_async_context(Peers(tmp_path / "peers"))
        bus = await stack.enter_async_context(ServiceBus(policies=[MANAGES]))
        bus.create_queue(QUEUE)
        config = configuration(services, peers, bus)
        (tmp_path / "config" / "c.yaml").write_text(json.dumps(config))
        world = World(Mounted(tmp_path / "config"), tmp_path / "config", services, peers, bus)
        stack.push_async_callback(world.client.aclose)
        world.put("first", key=another_key(), bus_key="wrong")
        world.daemon = await stack.enter_async_context(running(tmp_path / "config"))
        phone = services.add_phone("phone", "apns")
        url = f"{world.url('hub_api')}/app/installations/phone?api-version=2020-06"
        installation = {
            "installationId": "phone",
            "platform": "apns",
            "pushChannel": phone.handle,
            "tags": ["team:all"],
            "templates": {"text": {"body": '{"aps": {"alert": "$(text)"}}'}},
        }
        (await world.client.put(url, json=installation, headers=signed(url, "first"))).raise_for_status()
        yield world


async def until(is_so: Callable[[], bool | Awaitable[bool]], *, within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while not (found if isinstance(found := is_so(), bool) else await found):
            await asyncio.sleep(0.05)


async def test_everything_that_is_new_is_in_use_within_ten_seconds_and_what_is_bad_is_named(world: World) -> None:
    daemon, services, peers = world.daemon, world.services, world.peers
    before = {name: await asyncio.to_thread(serial, daemon, name) for name in LISTENERS}
    assert await world.post("first") == httpx.codes.ACCEPTED
    await until(lambda: peers.key_names == {"first"})
    refused = {"hub": "app", "platform": "apns", "outcome": "unauthorized"}
    await until(lambda: value(daemon, "pushbridge_pns_deliveries_total", **refused) == 1)
    assert not world.is_bus_up()

    key = services.apns_credential.key_file.read_text()
    began = time.monotonic()
    world.put("second", key=key, bus_key=MANAGES.key)

    async def is_taken() -> bool:
        return await world.post("second") == httpx.codes.ACCEPTED

    await until(is_taken)
    took = {"source": time.monotonic() - began}

    async def waits(name: str, is_so: Callable[[], bool | Awaitable[bool]]) -> None:
        await until(is_so)
        took[name] = time.monotonic() - began

    async def is_renewed() -> bool:
        return all([await asyncio.to_thread(serial, daemon, name) != before[name] for name in LISTENERS])

    async def is_admitted() -> bool:
        return await world.status("second") == 200 and await world.asked_hub("second") == 200

    async with asyncio.TaskGroup() as group:
        group.create_task(waits("certificates", is_renewed))
        group.create_task(waits("admin token and policy", is_admitted))
        group.create_task(waits("remote hub", lambda: "second" in peers.key_names))
        group.create_task(waits("push credential", lambda: bool(len(services.journal.accepted()))))
        group.create_task(waits("sink", lambda: peers.has_been_told_with("sink second, and long enough for it")))
        group.create_task(waits("broker", world.is_bus_up))
    assert {name: seconds for name, seconds in took.items() if seconds > WITHIN} == {}
    assert (await world.status("first"), await world.asked_hub("first"), await world.post("first")) == (401, 401, 401)

    good = (world.directory / "mounted").resolve()
    broken = world.directory / "..broken"
    shutil.copytree(good, broken)
    for name in ("server.pem", "apns", "remote", "bus", "sink", "policy", "source", "token"):
        (broken / name).write_text("" if name in ("sink", "policy", "source", "token") else "no such thing")
    serials = {name: await asyncio.to_thread(serial, daemon, name) for name in LISTENERS}
    world.mounted.lead_to(broken)
    await until(lambda: value(daemon, "pushbridge_config_last_reload_successful") == 0, within=WITHIN)
    assert daemon.reloader is not None
    assert daemon.reloader.refusal is not None
    said = "\n".join(daemon.reloader.refusal.mistakes)
    for key_ in (
        *(f"listeners.{name}.tls" for name in LISTENERS),
        "listeners.admin.auth.bearer",
        "sources.hr.http.auth.bearer",
        "sources.bus.servicebus.connection",
        "sinks.crm.http.secret",
        "hubs.app.auth.sas[0].key",
        "hubs.app.platforms.apns",
        "hubs.far.remote",
    ):
        assert key_ in said, f"{key_} is not named in:\n{said}"
    assert {name: await asyncio.to_thread(serial, daemon, name) for name in LISTENERS} == serials
    assert (await world.status("second"), await world.asked_hub("second"), await world.post("second")) == (
        200,
        200,
        202,
    )
    assert world.is_bus_up()
