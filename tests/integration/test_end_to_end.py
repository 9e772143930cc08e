"""The main job as a user meets it: one daemon, two kinds of sources, three phones, and what may go wrong on the way.

All tests share a daemon that runs beside a real RabbitMQ and the stand-ins of the push services. Each speaks to a
customer of its own, so that none hears what another one sends.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from hub.store.registry.rows import pack_channel
from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.brokers import queues
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.daemon import HUB, KEY, START_TIMEOUT, Daemon, authorization, hubs

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLATFORMS = ("apns", "fcmv1", "wns", "browser")
CANARY = "canary-7d1f"
"""In every content that is sent here; it may not be read in any log."""

WRONG_PASSWORD = f"{CANARY}-password"
LETTERS = "FROM dead_letter JOIN dead_letter_body USING (digest)"
MEGABYTE = 1024 * 1024

TEMPLATES = {
    "apns": '{"aps": {"alert": {"title": "$(title)", "body": "$(text)"}}}',
    "fcmv1": '{"message": {"notification": {"title": "$(title)", "body": "$(text)"}}}',
    "wns": '<toast><visual><binding template="ToastText02"><text id="1">$(title)</text><text id="2">$(text)</text>'
    "</binding></visual></toast>",
    "browser": '{"notification": {"title": "$(title)", "body": "$(text)"}}',
}


@dataclass
class World:
    """The daemon with all that is around it."""

    daemon: Daemon
    services: PushServices
    broker: RabbitMq
    queue: str
    client: httpx.AsyncClient
    phones: list[VirtualPhone] = field(default_factory=list)

    async def customer(self, *platforms: str) -> "Customer":
        """Somebody new, with a phone of each platform."""
        name = f"customer-{uuid4().hex[:8]}"
        phones = {platform: self.services.add_phone(f"{name}-{platform}", platform) for platform in platforms}
        self.phones += phones.values()
        for platform, phone in phones.items():
            await self.daemon.register(
                {
                    "installationId": phone.name,
                    "platform": platform,
                    "pushChannel": phone.handle,
                    "userId": name,
                    "tags": [f"customer:{name}"],
                    "templates": {"order": {"body": TEMPLATES[platform]}},
                }
            )
        return Customer(name, phones)

    async def publish(self, body: bytes) -> None:
        await asyncio.to_thread(queues.publish, self.broker.url, self.queue, [body])

    async def order(self, customer: str, **changes: Any) -> str:
        """Publish an order; its event's id."""
        id_ = f"order-{uuid4().hex[:12]}"
        order = {"id": id_, "customer": customer, "number": 4711, "note": CANARY} | changes
        await self.publish(json.dumps(order).encode())
        return id_

    async def post(self, path: str, body: bytes, content_type: str = "application/json") -> httpx.Response:
        return await self.client.post(f"{self.daemon.url}{path}", content=body, headers={"Content-Type": content_type})

    async def row(self, query: str, *parameters: object) -> tuple[Any, ...]:
        """The one row that a query of the store gives, as soon as it does."""
        async with asyncio.timeout(START_TIMEOUT):
            while True:
                with self.daemon.database() as database:
                    rows = database.execute(query, parameters).fetchall()
                if rows:
                    assert len(rows) == 1
                    return tuple(rows[0])
                await asyncio.sleep(0.02)

    async def state(self, event_id: str) -> str:
        """The state in which an event's notification ended."""
        query = "SELECT state FROM notification WHERE event_id = ? AND ended_at IS NOT NULL"
        (state,) = await self.row(query, event_id)
        return str(state)

    async def dead_letter(self, event_id: str) -> tuple[Any, ...]:
        """Source, rule, stage, reason and body of an event's dead letter."""
        return await self.row(f"SELECT source, rule, stage, reason, body {LETTERS} WHERE event_id = ?", event_id)


@dataclass
class Customer:
    name: str
    phones: dict[str, VirtualPhone]

    def screens(self) -> dict[str, list[tuple[str, str]]]:
        """Titles and texts on each phone."""
        return {platform: [(one.title, one.body) for one in phone.screen] for platform, phone in self.phones.items()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(rabbitmq: RabbitMq, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("daemon")
    queue = f"test.orders.{uuid4().hex[:8]}"
    async with (
        PushServices(directory) as services,
        Daemon(directory, configuration(rabbitmq, queue, services)) as daemon,
        httpx.AsyncClient(verify=False, timeout=START_TIMEOUT) as client,
    ):
        await daemon.launch()
        await daemon.until_readiness(lambda status, lines: "source orders: running" in lines)
        yield World(daemon, services, rabbitmq, queue, client)
        assert await daemon.terminate() == 0, daemon.errors()


def configuration(broker: RabbitMq, queue: str, services: PushServices) -> dict[str, Any]:
    native = {
        "apns": {"payload": {"aps": {"alert": "{{ data.text }}", "badge": "{{ data.count }}"}}},
        "fcm": {"payload": {"message": {"notification": {"body": "{{ data.text }}"}}}},
    }
    return {
        "sources": {
            "orders": {
                "rabbitmq": {"url": broker.url, "queue": {"name": queue, "create_if_missing": {}}},
                "map": {"id": "{{ data.id }}"},
            },
            "partner": {
                "rabbitmq": {
                    "url": f"amqp://guest:{WRONG_PASSWORD}@127.0.0.1:{broker.port}/%2F",
                    "queue": {"name": "test.partner", "create_if_missing": {}},
                }
            },
            "alarms": {"http": {"path": "/in/alarms"}, "map": {"id": "{{ data.id }}"}},
            "hr": {
                "http": {"path": "/in/hr"},
                "decode": {"format": "text", "pattern": r"Employee (?P<id>\S+) has (?P<what>\w+)\."},
                "map": {"id": "{{ data.id }}/{{ data.what }}"},
            },
        },
        "rules": [
            {
                "name": "order-shipped",
                "source": "orders",
                "push": {
                    "to": "customer:{{ data.customer }}",
                    "with": {"title": "Order {{ data.number }}", "text": "<{{ data.note }}> & more"},
                },
            },
            {
                "name": "alarm",
                "source": "alarms",
                "push": {"to": {"user": "{{ data.user }}"}, "native": native},
            },
            {"name": "joined", "source": "hr", "push": {"to": "customer:{{ data.id }}", "with": {"title": "Welcome"}}},
        ],
        "hubs": hubs(services),
    }


async def test_an_event_on_rabbitmq_comes_to_every_phone_in_the_words_of_its_template(world: World) -> None:
    customer = await world.customer(*PLATFORMS)
    assert await world.state(await world.order(customer.name)) == "Completed"
    shown = [("Order 4711", f"<{CANARY}> & more")]
    assert customer.screens() == dict.fromkeys(PLATFORMS, shown)


async def test_a_native_payload_comes_as_it_is_to_the_platforms_that_the_rule_names(world: World) -> None:
    customer = await world.customer(*PLATFORMS)
    alarm = {"id": uuid4().hex, "user": customer.name, "text": f'"{CANARY}"', "count": 3}
    answer = await world.post("/in/alarms", json.dumps(alarm).encode())
    assert (answer.status_code, answer.json()["outcome"], answer.json()["rules"]) == (202, "accepted", ["alarm"])
    sent = await world.services.journal.wait_for(lambda entry: entry.handle in handles(customer), count=2)
    payloads = {entry.service: json.loads(entry.payload) for entry in sent}
    assert payloads["apns"] == {"aps": {"alert": f'"{CANARY}"', "badge": 3}}
    assert payloads["fcmv1"]["message"]["notification"] == {"body": f'"{CANARY}"'}
    assert customer.screens()["wns"] == customer.screens()["browser"] == []


async def test_an_event_that_comes_again_is_not_pushed_again(world: World) -> None:
    customer = await world.customer("apns")
    first = await world.order(customer.name)
    await world.order(customer.name, id=first)
    last = await world.order(customer.name, number=1)
    assert await world.state(last) == "Completed"
    assert [title for title, _ in customer.screens()["apns"]] == ["Order 4711", "Order 1"]


async def test_a_phone_that_its_service_calls_gone_gets_nothing_more_and_is_kept(world: World) -> None:
    customer = await world.customer("apns")
    phone = customer.phones["apns"]
    world.services.apns.unregister(phone.handle)
    await world.state(await world.order(customer.name))
    assert await world.state(await world.order(customer.name)) == "NoTargetFound"
    assert [entry.reason for entry in world.services.journal.of_handle(phone.handle)] == ["Unregistered"]
    dead = "SELECT min(dead_at) IS NOT NULL FROM device WHERE push_channel = ? GROUP BY push_channel"
    assert await world.row(dead, pack_channel(phone.handle.upper())) == (1,)


async def test_a_busy_service_gets_the_same_push_again_when_it_asked_for_it(world: World) -> None:
    customer = await world.customer("fcmv1")
    handle = customer.phones["fcmv1"].handle
    world.services.fcm.faults.answer(503, "UNAVAILABLE", retry_after=1, times=1, handle=handle)
    assert await world.state(await world.order(customer.name)) == "Completed"
    first, second = world.services.journal.of_handle(handle)
    assert (first.status, second.status) == (503, 200)
    assert first.push_id == second.push_id
    assert (second.at - first.at).total_seconds() >= 1


async def test_a_body_that_cannot_be_read_is_a_dead_letter_and_the_next_one_flows(world: World) -> None:
    customer = await world.customer("apns")
    broken = f'{{"id": "{uuid4()}", "note": "{CANARY}"'.encode()
    await world.publish(broken)
    assert await world.state(await world.order(customer.name)) == "Completed"
    query = f"SELECT source, rule, stage, reason {LETTERS} WHERE body = ?"
    assert await world.row(query, broken) == ("orders", "", "decode", "decode")


async def test_a_sender_over_http_is_told_why_its_event_was_rejected(world: World) -> None:
    answer = await world.post("/in/hr", f"nobody knows {CANARY}".encode(), "text/plain")
    assert answer.status_code == 400
    assert answer.json()["reason"] == "decode"
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"customer": f"{CANARY} || everyone"}, "tag_unsafe"),
        ({"customer": ""}, "tag_unsafe"),
        ({"note": None}, "render"),
    ],
)
async def test_an_event_that_a_rule_cannot_use_is_a_dead_letter_of_that_rule(
    world: World, changes: dict[str, Any], reason: str
) -> None:
    event_id = await world.order(**{"customer": "nobody", **changes})
    source, rule, stage, why, body = await world.dead_letter(event_id)
    assert (source, rule, stage, why) == ("orders", "order-shipped", "rule", reason)
    assert json.loads(body)["id"] == event_id


async def test_a_body_of_five_megabytes_does_not_stop_the_flow(world: World) -> None:
    customer = await world.customer("apns")
    large = json.dumps({"id": "large", "note": CANARY, "filling": "x" * 5 * MEGABYTE}).encode()
    assert (await world.post("/in/alarms", large)).status_code == 413
    await world.publish(large)
    assert await world.state(await world.order(customer.name)) == "Completed"
    query = f"SELECT stage, reason, body {LETTERS} WHERE length(body) > ?"
    assert await world.row(query, 5 * MEGABYTE) == ("decode", "too_large", large)


async def test_a_refused_password_degrades_its_source_alone_and_readiness_says_why(world: World) -> None:
    lines = await world.daemon.until_readiness(
        lambda status, lines: status == 200 and any(line.startswith("source partner: degraded") for line in lines)
    )
    by_source = dict(line.removeprefix("source ").split(": ", 1) for line in lines if line.startswith("source "))
    assert "ACCESS_REFUSED" in by_source.pop("partner")
    assert by_source == {"orders": "running", "alarms": "running", "hr": "running"}
    joined = await world.post("/in/hr", b"Employee 12345 has joined.", "text/plain")
    assert joined.status_code == 202


async def test_one_event_id_is_on_all_lines_from_receipt_to_outcome(world: World) -> None:
    customer = await world.customer("apns", "fcmv1")
    event_id = await world.order(customer.name)
    await world.state(event_id)
    async with asyncio.timeout(START_TIMEOUT):
        while len(lines := [line for line in world.daemon.log() if line.get("event_id") == event_id]) < 3:
            await asyncio.sleep(0.02)
    taken, *pushed = lines
    assert (taken["event"], taken["source"], taken["end"]) == ("event taken", "orders", "accepted")
    assert {(line["event"], line["platform"], *line["outcomes"]) for line in pushed} == {
        ("pushed", "apns", "Success"),
        ("pushed", "fcmv1", "Success"),
    }
    assert len({line["notification_id"] for line in pushed}) == 1


NAMES = """
    build_info source_info rule_info source_up source_rebuilds_total
    source_rate_limited_seconds_total source_rate_limited_requests_total
    ingest_messages_total ingest_messages_given_up_total ingest_lag_messages ingest_oldest_unacked_timestamp_seconds
    rule_evaluations_total dead_letters_total config_last_reload_successful config_last_reload_success_timestamp_seconds
    http_requests_total http_request_duration_seconds http_requests_in_flight
    devices audience_devices notifications_total
    queue_messages queue_capacity_messages queue_oldest_ready_timestamp_seconds queue_wait_seconds queue_claims_total
    queue_lease_expirations_total queues_owned queues_taken_over_total queues_lost_total
    ownership_renewals_failed_total
    pns_deliveries_total pns_request_duration_seconds pns_requests_in_flight pns_retries_total
    pns_throttled_until_timestamp_seconds pns_circuit_open
    end_to_end_seconds store_errors_total store_transaction_seconds store_commit_seconds store_checkpoint_seconds
    store_file_bytes store_free_bytes dead_letter_store_messages dead_letter_store_capacity_messages
    dead_letter_store_bytes dead_letter_store_capacity_bytes
"""
"""The metrics that alerts and dashboards go by; a name that is taken away or changed breaks them."""

LABELS = {
    *("source", "outcome", "rule", "stage", "reason", "route", "method", "code", "hub", "platform", "kind", "queue"),
    *("state", "credential", "engine", "op", "version", "le", "file", "listener", "limit", "revision", "config_hash"),
    *("owner", "property", "event", "scheme", "cause", "action"),
}
"""Labels with values from configuration or closed sets; never a handle, a tag, an id, a text."""


async def test_metrics_have_the_promised_names_and_follow_the_conventions(world: World) -> None:
    customer = await world.customer(*PLATFORMS)
    await world.state(await world.order(customer.name))
    text = (await world.client.get(f"{world.daemon.url}/metrics")).text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    helped = set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE))
    ours = {name for name in kinds if not name.startswith(("process_", "python_"))}
    assert {f"pushbridge_{name}" for name in NAMES.split()} <= ours
    assert {name for name in ours if not name.startswith("pushbridge_")} == set()
    assert kinds.keys() == helped
    assert {name for name in ours if kinds[name] == "counter" and not name.endswith("_total")} == set()
    assert {
        name for name in ours if kinds[name] == "histogram" and not name.endswith(("_seconds", "_devices"))
    } == set()
    assert set(re.findall(r'[{,](\w+)="', re.sub(r"^python_.*$", "", text, flags=re.MULTILINE))) <= LABELS
    assert len([line for line in text.splitlines() if not line.startswith("#")]) < 5000
    scrape = await world.daemon.metrics()
    assert scrape[f'pushbridge_pns_deliveries_total{{hub="{HUB}",outcome="success",platform="wns"}}'] >= 1
    assert CANARY not in text


async def test_a_phone_may_ask_the_hub_what_became_of_a_send(world: World) -> None:
    customer = await world.customer("apns")
    url = f"{world.daemon.hub_url}/{HUB}/messages"
    sent = await world.client.post(
        url,
        params={"api-version": "2020-06"},
        json={"title": "Hello", "text": CANARY},
        headers={
            "Authorization": authorization(url),
            "ServiceBusNotification-Format": "template",
            "ServiceBusNotification-Tags": f"customer:{customer.name}",
        },
    )
    assert sent.status_code == 201
    await world.services.journal.wait_for(lambda entry: entry.handle in handles(customer))
    assert customer.screens() == {"apns": [("Hello", CANARY)]}


async def test_no_handle_no_key_and_no_content_can_be_read_in_what_is_logged(world: World) -> None:
    customer = await world.customer(*PLATFORMS)
    await world.state(await world.order(customer.name))
    await world.order(f"{CANARY} && everyone")
    written = world.daemon.output_file.read_text() + world.daemon.errors()
    secret = {
        CANARY,
        KEY,
        world.services.wns_credential.client_secret,
        world.services.apns_credential.key_file.read_text().splitlines()[1],
        *(phone.handle for phone in world.phones),
    }
    assert {one for one in secret if one in written} == set()


def handles(customer: Customer) -> set[str]:
    return {phone.handle for phone in customer.phones.values()}
