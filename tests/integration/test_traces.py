"""One trace from the sender of an event to the push service's answer, by each kind of source, at a real OTLP receiver."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from azure.servicebus import ServiceBusMessage

from sandbox.servicebus import QueueSettings
from sandbox.services import PushServices
from tests.brokers import queues
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.topics import create_topic
from tests.connectors.servicebus.harness import SUBSCRIPTION, TOPIC, connection
from tests.connectors.servicebus.harness import harness as new_harness
from tests.fakes.collector import Collector, SeenSpan
from tests.integration.daemon import HUB, KEY, KEY_NAME, Daemon, authorization, hubs, register_phone
from tests.ports import free_ports

pytestmark = pytest.mark.processes

CANARY = "canary-4b1e"
RULE = {"name": "order", "match": {"type": "order"}, "push": {"to": "team:all", "with": {"text": "{{ data.text }}"}}}
MAP = {"type": "order"}
STEPS = ("decode", "route", "accept")


def new_trace() -> tuple[str, str]:
    """A trace id, and a traceparent in it that is sampled."""
    trace = secrets.token_hex(16)
    return trace, f"00-{trace}-{secrets.token_hex(8)}-01"


@asynccontextmanager
async def daemon_with(
    directory: Path, services: PushServices, collector: Collector, source: dict[str, Any], **tracing: Any
) -> AsyncIterator[Daemon]:
    config = {
        "bridge": {"name": "shop-bridge", "tracing": {"endpoint": collector.endpoint, **tracing}},
        "hubs": hubs(services),
        "rules": [RULE],
        "sources": {"shop": {"map": MAP, **source}},
    }
    async with Daemon(directory, config) as daemon:
        await daemon.start()
        await register_phone(daemon, services)
        yield daemon


async def whole_trace(
    collector: Collector, trace: str, parent: str, *, sends: str = "send apns"
) -> dict[str, SeenSpan]:
    """All spans of an event: `receive` below its sender's, the steps and the delivery below `receive`, in order of time."""
    expected = {"receive shop", *STEPS, "claim", "render", sends}
    await collector.until(lambda: collector.of(trace).keys() >= expected)
    spans = collector.of(trace)
    received = spans["receive shop"]
    assert received.parent == parent[36:52]
    assert {spans[name].parent for name in expected - {"receive shop"}} == {received.id}
    starts = [spans[name].start for name in ("decode", "route", "accept", "claim", "render", sends)]
    assert starts == sorted(starts)
    assert all(span.end >= span.start for span in spans.values())
    assert (received.attributes["pushbridge.outcome"], received.attributes["pushbridge.rules"]) == (
        "accepted",
        ["order"],
    )
    assert spans[sends].attributes["pushbridge.outcome.Success"] == 1
    assert {span.service for span in spans.values()} == {"shop-bridge"}
    assert CANARY not in repr(collector.spans)
    return spans


async def traced(
    directory: Path,
    services: PushServices,
    source: dict[str, Any],
    send: Callable[[Daemon, dict[str, str]], Awaitable[None]],
    *,
    name: str = "traceparent",
    system: str,
) -> None:
    async with Collector() as collector, daemon_with(directory, services, collector, source) as daemon:
        trace, parent = new_trace()
        await send(daemon, {name: parent, "tracestate": "rojo=00f067aa0ba902b7"})
        spans = await whole_trace(collector, trace, parent)
        assert {span.tracestate for span in spans.values()} == {"rojo=00f067aa0ba902b7"}
        assert spans["receive shop"].attributes["messaging.system"] == system
        lines = [line for line in daemon.log() if line.get("trace_id") == trace]
        assert {"event taken", "pushed"} <= {line["event"] for line in lines}, daemon.log()


BODY = orjson.dumps({"text": CANARY})


async def test_http(services: PushServices, tmp_path: Path) -> None:
    async def send(daemon: Daemon, headers: dict[str, str]) -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.post(f"{daemon.url}/in/shop", content=BODY, headers=headers)
            assert answer.status_code == 202, answer.text

    await traced(tmp_path, services, {"http": {"path": "/in/shop"}}, send, system="http")


async def test_the_trace_of_a_cloudevent_wins_over_that_of_its_request(services: PushServices, tmp_path: Path) -> None:
    async def send(daemon: Daemon, headers: dict[str, str]) -> None:
        event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "order", "data": {"text": CANARY}} | headers
        sent = {"Content-Type": "application/cloudevents+json", "traceparent": new_trace()[1]}
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.post(f"{daemon.url}/in/shop", content=orjson.dumps(event), headers=sent)
            assert answer.status_code == 202, answer.text

    source = {"http": {"path": "/in/shop", "format": "cloudevents"}, "map": {}}
    await traced(tmp_path, services, source, send, system="http")


async def test_rabbitmq(rabbitmq: RabbitMq, services: PushServices, tmp_path: Path) -> None:
    queue = f"test.traces.{uuid4().hex[:8]}"

    async def send(daemon: Daemon, headers: dict[str, str]) -> None:
        await asyncio.to_thread(queues.publish, rabbitmq.url, queue, [BODY], headers=headers)

    source = {"rabbitmq": {"url": rabbitmq.url, "queue": {"name": queue, "create_if_missing": {}}}}
    await traced(tmp_path, services, source, send, system="rabbitmq")


async def test_kafka(kafka: Kafka, services: PushServices, tmp_path: Path) -> None:
    topic = f"traces-{uuid4().hex[:8]}"
    await create_topic(kafka, topic)

    async def send(daemon: Daemon, headers: dict[str, str]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        await producer.start()
        try:
            await producer.send_and_wait(topic, BODY, headers=[(name, text.encode()) for name, text in headers.items()])
        finally:
            await producer.stop()

    source = {"kafka": {"bootstrap": [kafka.bootstrap], "topics": [topic], "group": topic, "start": "earliest"}}
    await traced(tmp_path, services, source, send, system="kafka")


@pytest.mark.parametrize("name", ["traceparent", "Diagnostic-Id"])
async def test_service_bus(services: PushServices, tmp_path: Path, name: str) -> None:
    async with new_harness(QueueSettings()) as harness:
        source = {
            "servicebus": {
                "connection": connection(harness.broker),
                "topic": TOPIC,
                "subscription": {"name": SUBSCRIPTION},
            }
        }

        async def send(daemon: Daemon, headers: dict[str, str]) -> None:
            await harness.send(ServiceBusMessage(BODY, message_id="m1", application_properties=cast(Any, headers)))

        await traced(tmp_path, services, source, send, name=name, system="servicebus")


async def test_a_send_of_the_wire_api_and_what_was_not_sampled(services: PushServices, tmp_path: Path) -> None:
    source = {"http": {"path": "/in/shop"}}
    async with (
        Collector() as collector,
        daemon_with(tmp_path, services, collector, source, ratio=0, headers={"x-api-key": "canary-key"}) as daemon,
        httpx.AsyncClient(timeout=60) as client,
    ):
        url = f"{daemon.hub_url}/{HUB}/messages"
        fields = {"Authorization": authorization(url), "ServiceBusNotification-Format": "template"}
        skipped = new_trace()[1][:-2] + "00"
        trace, parent = new_trace()
        for given in ({"traceparent": skipped}, {}, {"traceparent": parent}):
            answer = await client.post(f"{url}?api-version=2020-06", content=BODY, headers=fields | given)
            assert answer.status_code == 201, answer.text
        await collector.until(lambda: "send apns" in collector.of(trace))
        spans = collector.of(trace)
        assert spans["accept send app"].parent == parent[36:52]
        assert spans["send apns"].parent == spans["accept send app"].id
        assert {each.trace for each in collector.spans if "together" not in each.name} == {trace}
        assert collector.headers[0]["x-api-key"] == "canary-key"
        assert set(collector.paths) == {"/v1/traces"}
        assert "canary-key" not in daemon.output_file.read_text()


async def test_what_is_stored_and_sent_together_links_to_each(services: PushServices, tmp_path: Path) -> None:
    source = {"http": {"path": "/in/shop", "format": "cloudevents"}, "map": {}}
    traces = [new_trace() for _ in range(20)]
    events = [
        {"specversion": "1.0", "id": f"{number}", "source": "/s", "type": "order", "data": {"text": "x"}}
        | {"traceparent": parent}
        for number, (_, parent) in enumerate(traces)
    ]
    async with (
        Collector() as collector,
        daemon_with(tmp_path, services, collector, source) as daemon,
        httpx.AsyncClient(timeout=60) as client,
    ):
        sent = {"Content-Type": "application/cloudevents-batch+json"}
        answer = await client.post(f"{daemon.url}/in/shop", content=orjson.dumps(events), headers=sent)
        assert answer.status_code == 202, answer.text
        for trace, parent in traces:
            await whole_trace(collector, trace, parent)
        received = {span.id for span in collector.spans if span.name == "receive shop"}
        linked = {id_ for span in collector.spans if span.name == "accept shop" for _, id_ in span.links}
        together = {span.id for span in collector.spans if span.name == "accept shop"}
        back = {id_ for span in collector.spans if span.name == "accept" for _, id_ in span.links}
        assert linked
        assert linked <= received
        assert back == together


async def test_a_dead_letter_and_why_have_the_trace_of_what_could_not_be_read(
    services: PushServices, tmp_path: Path
) -> None:
    source = {"http": {"path": "/in/shop", "format": "cloudevents"}, "map": {}}
    async with (
        Collector() as collector,
        daemon_with(tmp_path, services, collector, source) as daemon,
        httpx.AsyncClient(timeout=60) as client,
    ):
        trace, parent = new_trace()
        event = {"specversion": "1.0", "id": "e1", "source": "/s", "type": "order", "data": {}, "traceparent": parent}
        sent = {"Content-Type": "application/cloudevents+json"}
        answer = await client.post(f"{daemon.url}/in/shop", content=orjson.dumps(event), headers=sent)
        assert answer.status_code == 202, answer.text
        letters = (await client.get(f"{daemon.url}/api/v1/dead-letters")).json()["items"]
        letter = (await client.get(f"{daemon.url}/api/v1/dead-letters/{letters[0]['id']}")).json()
        told = (await client.get(f"{daemon.url}/api/v1/events/e1/trace")).json()
        assert letter["trace"] == told["traceparent"]
        assert letter["trace"][3:35] == trace
        await collector.until(lambda: "receive shop" in collector.of(trace))
        span = collector.of(trace)["receive shop"]
        assert span.id == letter["trace"][36:52]
        assert span.trouble.startswith("render: ")


async def test_a_collector_that_hangs_or_is_away_costs_spans_alone(services: PushServices, tmp_path: Path) -> None:
    source = {"http": {"path": "/in/shop"}}
    tracing = {"max_queue": 512, "timeout": "1s"}
    async with (
        Collector(answer=lambda: (503, b"")) as collector,
        daemon_with(tmp_path, services, collector, source, **tracing) as daemon,
        httpx.AsyncClient(timeout=60) as client,
    ):
        collector.hold.clear()

        async def post(number: int) -> None:
            answer = await client.post(f"{daemon.url}/in/shop", content=orjson.dumps({"text": f"{number}"}))
            assert answer.status_code == 202, answer.text

        for first in range(0, 400, 20):
            await asyncio.gather(*(post(number) for number in range(first, first + 20)))

        def pushed() -> int:
            return sum(entry.accepted for entry in services.journal)

        await collector.until(lambda: pushed() == 400)
        lost = ("queue_full", "unreachable")

        async def counted() -> dict[str, float]:
            found = await daemon.metrics()
            return {outcome: found[f'pushbridge_trace_spans_total{{outcome="{outcome}"}}'] for outcome in lost}

        async with asyncio.timeout(60):
            while min((await counted()).values()) == 0:
                await asyncio.sleep(0.1)
        failing = [line for line in daemon.log() if line["event"] == "tracing failing"]
        assert len(failing) == 1
        collector.answer = lambda: (200, b"")
        collector.hold.set()
        await collector.until(lambda: bool(collector.spans))
        await post(400)  # of the others there may be none left: what cannot be handed over in time is lost
        await collector.until(lambda: any(line["event"] == "tracing works again" for line in daemon.log()))


async def test_the_trace_goes_on_at_the_central(services: PushServices, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    certificate = str(tmp_path / "sandbox" / "server.pem")
    string = f"Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName={KEY_NAME};SharedAccessKey={KEY}"
    remote = {
        "connection_string": string,
        "hub": HUB,
        "durability": "remote",
        "tls": {"ca_file": str(services.ca_file)},
    }
    directories = [tmp_path / name for name in ("central", "sidecar")]
    for directory in directories:
        directory.mkdir()
    async with Collector() as collector:

        def named(name: str) -> dict[str, Any]:
            return {"name": name, "tracing": {"endpoint": collector.endpoint}}

        central = {
            "bridge": named("central"),
            "hub_api": {"listen": f"127.0.0.1:{port}", "tls": {"cert": certificate, "key": certificate}},
            "hubs": hubs(services),
        }
        sidecar = {
            "bridge": named("sidecar"),
            "sources": {"shop": {"http": {"path": "/in/shop"}, "map": MAP}},
            "rules": [RULE],
            "hubs": {"mobile": {"remote": remote}},
        }
        async with Daemon(directories[0], central) as there, Daemon(directories[1], sidecar) as here:
            await asyncio.gather(there.start(), here.start())
            there.hub_url = f"https://127.0.0.1:{port}"
            await register_phone(there, services)
            trace, parent = new_trace()
            async with httpx.AsyncClient(timeout=60) as client:
                answer = await client.post(f"{here.url}/in/shop", content=BODY, headers={"traceparent": parent})
            assert answer.status_code == 202, answer.text
            await collector.until(
                lambda: collector.of(trace).keys() >= {"receive shop", "send remote", "accept send app", "send apns"}
            )
            spans = collector.of(trace)
            assert spans["accept send app"].parent == spans["send remote"].parent == spans["receive shop"].id
            assert spans["send apns"].parent == spans["accept send app"].id
            assert (spans["send remote"].service, spans["send apns"].service) == ("sidecar", "central")
