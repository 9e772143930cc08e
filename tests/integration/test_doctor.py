"""`pushbridge doctor` tells of each source whether it could start, and nothing is consumed or created for that."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml

from bridge.cli.stand_ins import hub_block
from connectors.errors import TopologyError
from connectors.rabbitmq.entry import RABBITMQ
from connectors.rabbitmq.settings import RabbitMqSettings
from connectors.servicebus.entry import SERVICE_BUS
from hub.delivery.remote_api import RemoteApi
from hub.delivery.remote_settings import RemoteSettings
from hub.host_time import HostTime
from hub.moving.looking import look
from sandbox.servicebus import QueueSettings
from sandbox.services import PushServices
from sandbox.tls import Authority
from tests.brokers import queues
from tests.brokers.kafka import Kafka
from tests.brokers.postgres import Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.topics import create_topic
from tests.connectors.behaviour import take
from tests.connectors.servicebus.harness import harness as servicebus
from tests.connectors.servicebus.harness import settings as servicebus_settings
from tests.integration.daemon import HUB, KEY, Daemon
from tests.integration.outboxes import CREATE, INSERT
from tests.integration.sql_databases import SqlDatabase
from tests.ports import free_ports


async def doctor(directory: Path, sources: Mapping[str, Any]) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and what was found of each source."""
    path = directory / "bridge.yaml"
    store = {"allow_ephemeral": True}
    path.write_text(json.dumps({"version": 1, "bridge": {"store": store}, "hubs": {HUB: {}}, "sources": sources}))
    command = [sys.executable, "-m", "bridge", "doctor", "--json", str(path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done.returncode, {each["name"]: each for each in json.loads(done.stdout)["sources"]}


@pytest.mark.processes
async def test_each_source_is_looked_at_and_what_is_missing_is_named_with_a_cure(
    rabbitmq: RabbitMq, kafka: Kafka, postgres: Postgres, tmp_path: Path
) -> None:
    queue = f"test.doctor.{uuid4().hex[:8]}"
    queues.declare(rabbitmq.url, queue, {"x-queue-type": "quorum"})
    queues.publish(rabbitmq.url, queue, [b"{}"])
    topic = f"t-{uuid4().hex[:12]}"
    await create_topic(kafka, topic)
    name = postgres.create()
    database = SqlDatabase(url=postgres.url(name), cut=lambda: postgres.cut(name))
    database.run(CREATE.format(key=database.key))
    database.run(INSERT, values=[("a", "c1")])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("x")
    good = {
        "rabbit": {"rabbitmq": {"url": rabbitmq.url, "queue": {"name": queue}}},
        "kafka": {"kafka": {"bootstrap": [kafka.bootstrap], "topics": [topic]}},
        "sql": {"sql": {"url": database.url, "outbox": {"table": "push_outbox", "id": "id"}}},
        "files": {"files": {"path": str(tmp_path / "in")}},
        "web": {"http": {"path": "/in"}},
    }
    code, found = await doctor(tmp_path, good)
    assert code == 0, found
    assert {each["health"] for each in found.values()} == {"ok"}
    ((_, properties),) = queues.drain(rabbitmq.url, queue)
    assert "x-delivery-count" not in (properties.get("headers") or {})
    assert database.run("SELECT count(*) FROM push_outbox") == [(1,)]
    assert (tmp_path / "in" / "a.txt").exists()

    bad = {
        "rabbit": {"rabbitmq": {"url": rabbitmq.url, "queue": {"name": f"{queue}.none"}}},
        "kafka": {"kafka": {"bootstrap": [kafka.bootstrap], "topics": [f"{topic}.none"]}},
        "sql": {"sql": {"url": database.url, "outbox": {"table": "push_outbox", "id": "seq"}}},
        "files": {"files": {"path": str(tmp_path / "none")}},
        "away": {"rabbitmq": {"url": "amqp://guest:guest@127.0.0.1:1/", "queue": {"name": queue}}},
    }
    code, found = await doctor(tmp_path, bad)
    assert code == 4
    assert {each["health"] for each in found.values()} == {"failed"}
    assert all(each["cure"] for each in found.values())
    for source, said in (("rabbit", "none"), ("kafka", "no topic"), ("sql", "no column 'seq'"), ("files", "No such")):
        assert said in found[source]["text"]


async def test_nothing_is_created_at_rabbitmq(rabbitmq: RabbitMq) -> None:
    queue = f"test.doctor.{uuid4().hex[:8]}"
    given = {"url": rabbitmq.url, "queue": {"name": queue, "create_if_missing": {}}}
    assert RABBITMQ.probe is not None
    await RABBITMQ.probe("orders", RabbitMqSettings.model_validate(given))
    without = RabbitMqSettings.model_validate({**given, "queue": {"name": queue}})
    with pytest.raises(TopologyError, match=queue):
        await RABBITMQ.probe("orders", without)


async def test_a_message_of_service_bus_stays_with_the_count_of_its_deliveries() -> None:
    assert SERVICE_BUS.probe is not None
    async with servicebus(QueueSettings()) as harness:
        await harness.publish([b"{}"])
        await SERVICE_BUS.probe("hr", servicebus_settings(harness.broker))
        source = await harness.connect()
        (message,) = await take(source, 1)
        assert message.delivery_count == 1
        sessions = servicebus_settings(harness.broker, receive={"sessions": {}})
        with pytest.raises(TopologyError, match="has no sessions"):
            await SERVICE_BUS.probe("hr", sessions)


REMOTES: Mapping[str, tuple[dict[str, Any], bool, str, str]] = {
    "a key that may manage": ({"key_name": "Full"}, True, "ok", "the key may manage"),
    "a key that may send, where that is enough": ({"key_name": "Sends"}, False, "ok", "knows the key"),
    "a key that may send, for a mirror": (
        {"key_name": "Sends", "hub": "other"},
        True,
        "failed",
        "has not the right Manage",
    ),
    "a wrong key": ({"key_name": "Full", "key": "wrong"}, False, "failed", "HTTP 401"),
    "a hub that is not there": ({"key_name": "Full", "hub": "none"}, False, "failed", "HTTP 401"),
    "no daemon": ({"key_name": "Full", "port": 1}, False, "failed", "https://127.0.0.1:1"),
}


@pytest.mark.processes
async def test_each_remote_hub_is_asked_and_what_its_key_may_not_do_is_named_with_a_cure(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (port,) = free_ports(1)
    certificate = str(tmp_path / "server.pem")
    policies = [{"name": "Full", "rights": ["Manage"], "key": KEY}, {"name": "Sends", "rights": ["Send"], "key": KEY}]
    api = {"listen": f"127.0.0.1:{port}", "tls": {"cert": certificate, "key": certificate}}

    def hub(key_name: str, *, key: str = KEY, hub: str = HUB, port: int = port, manages: bool) -> dict[str, Any]:
        string = f"Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName={key_name};SharedAccessKey={key}"
        remote = {"connection_string": string, "hub": hub, "tls": {"ca_file": str(authority.ca_file)}}
        return {"remote": remote, **({"mirror": "local"} if manages else {})}

    hubs = {f"h{number}": hub(**said, manages=manages) for number, (said, manages, *_) in enumerate(REMOTES.values())}
    path = tmp_path / "bridge.yaml"
    path.write_text(json.dumps({"version": 1, "bridge": {"store": {"allow_ephemeral": True}}, "hubs": hubs}))
    command = [sys.executable, "-m", "bridge", "doctor", "--json", str(path)]
    (tmp_path / "central").mkdir()
    there = {name: {"access_policies": policies} for name in (HUB, "other")}
    async with Daemon(tmp_path / "central", {"hub_api": api, "hubs": there}) as central:
        await central.start()
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    found = {each["name"]: each for each in json.loads(done.stdout)["remotes"]}
    for name, (_, _, health, text) in zip(found, REMOTES.values(), strict=True):
        assert found[name]["health"] == health, found[name]
        assert text in found[name]["text"]
        assert bool(found[name]["cure"]) == (health == "failed")
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize("ahead, said", [(3600, "3600 s ahead of"), (-900, "900 s behind")])
async def test_a_clock_that_differs_from_that_of_a_remote_hub_is_named(ahead: float, said: str) -> None:
    """Its signatures are refused, and the hub says that the key is wrong."""
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    headers = {"date": format_datetime(now, usegmt=True)}
    settings = RemoteSettings(endpoint="https://hub.example", hub="app", key_name="Full", key="k")
    api = RemoteApi(settings)
    api._client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(401, headers=headers)))
    clocks: list[HostTime] = []
    found = await look("app", api, clocks, manages=True, clock=lambda: now.timestamp() + ahead)
    await api.close()
    assert said in found.text
    assert "clock" in (found.cure or "")
    assert clocks == [HostTime(host="hub.example", ahead=ahead)]


@pytest.mark.processes
async def test_each_push_service_is_asked_and_a_token_that_one_names_is_tried(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    async with PushServices(tmp_path) as services:
        token = services.make_handle("fcmv1", 1)
        services.fcm.register(token)
        (key_file := tmp_path / "hub-key").write_text("key")
        hubs = yaml.safe_load(hub_block(services, key_file))["hubs"]
        hubs["sandbox"]["platforms"]["adm"]["client_secret"] = "wrong"
        del hubs["sandbox"]["auth"]
        path.write_text(json.dumps({"version": 1, "bridge": {"store": {"allow_ephemeral": True}}, "hubs": hubs}))
        command = [sys.executable, "-m", "bridge", "doctor", "--json", "--token", token, str(path)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    found: dict[str, list[str]] = {}
    for each in json.loads(done.stdout)["push_services"]:
        found.setdefault(each["name"], []).append(each["text"])
        assert (each["health"] == "failed") is ("invalid_client" in each["text"] or "is refused" in each["text"])
    assert found["sandbox/fcm"] == ["an access token was given", "a dry run is taken; nothing was shown"]
    assert found["sandbox/apns"][0].endswith("answers a push to no phone, and finds no fault with the credential")
    assert found["sandbox/wns"] == ["an access token was given"]
    assert "HTTP 401 invalid_client" in found["sandbox/adm"][0]
    assert found["sandbox/webpush"][0].endswith(services.webpush_credential.public_key)
    assert not len(services.journal.accepted())
