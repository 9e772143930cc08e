"""Several backends and several apps in one configuration directory: a Service Bus topic each, a hub each.

What the backends send goes through the real SDK and the stand-ins; the daemon is a process of its own. All tests share
it: each begins with empty screens, and adds a backend that no other one adds.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from bridge.demo.phones import TEMPLATES
from sandbox.phones import VirtualPhone
from sandbox.sas import shared_access_signature
from sandbox.servicebus import ServiceBus
from sandbox.servicebus.amqp.performatives import Attach
from sandbox.servicebus.attaching import path_of
from sandbox.services import PushServices
from tests.integration.daemon import HUB, START_TIMEOUT, Daemon, hubs

pytestmark = pytest.mark.asyncio(loop_scope="module")

APP_KEYS = {"work": "only-for-phones-at-work", "bank": "only-for-phones-of-customers"}
"""The two apps by their hubs: colleagues have one, customers of the bank the other."""

PHONES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "anna-iphone": ("work", "apns", ("team:hr",)),
    "anna-windows": ("work", "wns", ("team:hr",)),
    "ben-android": ("work", "fcmv1", ("team:hr", "team:fraud")),
    "maria-windows": ("work", "wns", ("role:manager",)),
    "carla-iphone": ("bank", "apns", ("customer:4711", "topic:statements", "team:hr")),  # a tag means nothing elsewhere
    "dan-android": ("bank", "fcmv1", ("customer:4712",)),
    "dan-windows": ("bank", "wns", ("customer:4712", "topic:statements")),
}
"""By name: the app on it, its platform, and its tags. Whose it is, is the first part of its name."""


def rule(name: str, source: str, to: object, title: str, body: str, **more: Any) -> dict[str, Any]:
    push = {"to": to, "with": {"title": title, "body": body}, "hub": more.pop("hub", "work")}
    return {"name": name, "source": source, "push": push, **more}


RULES = {
    "account": [
        rule(
            "debit",
            "account",
            "customer:{{ data.customer }}",
            "Debit",
            "CHF {{ data.amount }}",
            hub="bank",
            match={"data": {"amount": {"gte": 500}}},
        ),
        rule(
            "suspicion",
            "account",
            "team:fraud",
            "Suspicious",
            "CHF {{ data.amount }} of {{ data.customer }}",
            match={"data": {"amount": {"gte": 5000}}},
        ),
    ],
    "hr": [rule("news", "hr", "team:hr", "HR", "{{ data }}")],
    "finance": [
        rule(
            "approval",
            "finance",
            {"user": "{{ data.approver }}"},
            "Approve",
            "{{ data.what }}",
            match={"data": {"kind": "approval"}},
        ),
        rule(
            "statement",
            "finance",
            "customer:{{ data.customer }} && topic:statements",
            "Statement",
            "{{ data.month }}",
            hub="bank",
            match={"data": {"kind": "statement"}},
        ),
        rule("rates", "finance", "everyone", "Rates", "{{ data.news }}", hub="bank", match={"data": {"kind": "rates"}}),
    ],
    "shop": [rule("shipped", "shop", "customer:{{ data.customer }}", "Shipped", "Order {{ data.order }}", hub="bank")],
    "canteen": [rule("menu", "canteen", "everyone", "Today", "{{ data.dish }}")],
}
"""What each backend's file says, by backend; each is the name of a source and of a topic, too."""

THREE = ("account", "hr", "finance")

EVENTS: Mapping[str, tuple[str, object]] = {
    "a1": ("account", {"customer": "4711", "amount": 720}),
    "a2": ("account", {"customer": "4711", "amount": 20}),
    "a3": ("account", {"customer": "4712", "amount": 9000}),
    "h1": ("hr", "Employee Id '12345' has joined."),
    "h2": ("hr", """Employee Id '<b>&"O'Brien"</b>' has left."""),
    "f1": ("finance", {"kind": "approval", "approver": "maria", "what": "Marketing: CHF 18500"}),
    "f2": ("finance", {"kind": "statement", "customer": "4711", "month": "March"}),
    "f3": ("finance", {"kind": "statement", "customer": "4712", "month": "March"}),
    "f4": ("finance", {"kind": "rates", "news": "0.5% from May"}),
}
"""By id: the topic it is sent to, and its body."""

SHOWN = {
    "a1 bank": ("Debit", "CHF 720"),
    "a3 bank": ("Debit", "CHF 9000"),
    "a3 work": ("Suspicious", "CHF 9000 of 4712"),
    "h1 work": ("HR", "Employee Id '12345' has joined."),
    "h2 work": ("HR", """Employee Id '<b>&"O'Brien"</b>' has left."""),
    "f1 work": ("Approve", "Marketing: CHF 18500"),
    "f2 bank": ("Statement", "March"),
    "f3 bank": ("Statement", "March"),
    "f4 bank": ("Rates", "0.5% from May"),
}
"""Title and body by event and app."""

MATRIX = """
                a1  a2  a3  h1  h2  f1  f2  f3  f4
anna-iphone     .   .   .   x   x   .   .   .   .
anna-windows    .   .   .   x   x   .   .   .   .
ben-android     .   .   x   x   x   .   .   .   .
maria-windows   .   .   .   .   .   x   .   .   .
carla-iphone    x   .   .   .   .   .   x   .   x
dan-android     .   .   x   .   .   .   .   .   x
dan-windows     .   .   x   .   .   .   .   x   x
"""


def matrix() -> dict[str, list[tuple[str, str]]]:
    """By phone, what it has to show; sorted."""
    header, *rows = (line.split() for line in MATRIX.strip().splitlines())
    return {
        name: sorted(
            SHOWN[f"{event} {PHONES[name][0]}"] for event, cell in zip(header, cells, strict=True) if cell == "x"
        )
        for name, *cells in rows
    }


class World:
    """The daemon on a configuration directory, with all that is around it."""

    def __init__(self, directory: Path, daemon: Daemon, services: PushServices, broker: ServiceBus) -> None:
        self.directory = directory
        self.daemon = daemon
        self.services = services
        self.broker = broker
        self.phones: dict[str, VirtualPhone] = {}
        self.sent: Counter[str] = Counter()
        self.attached: Counter[str] = Counter()
        """How often somebody has begun to receive from each subscription."""
        self._client = ServiceBusClient.from_connection_string(broker.connection_string)
        self._senders: dict[str, ServiceBusSender] = {}
        broker.faults.trace = self._on_frame

    def _on_frame(self, direction: str, channel: int, performative: object) -> None:
        if direction == "in" and isinstance(performative, Attach) and performative.role:
            assert performative.source is not None
            path = path_of(performative.source.value[0])
            if path.endswith("/Subscriptions/pushbridge"):
                self.attached[path.partition("/")[0]] += 1

    def write_backend(self, name: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """Put the file of a backend into the directory: its topic as a source, and its rules."""
        connection = {
            "connection_string": self.broker.connection_string,
            "administration": f"http://127.0.0.1:{self.broker.port}",
        }
        source = {
            "servicebus": {
                "connection": connection,
                "topic": name,
                "subscription": {"name": "pushbridge", "create_if_missing": {}},
            },
            "decode": {"format": "text" if name == "hr" else "json"},
        }
        (self.directory / f"{name}.yaml").write_text(json.dumps({"sources": {name: source}, "rules": rules}))

    async def register_phones(self) -> None:
        """Every phone at the hub of its app, over the hub API and with that app's key."""
        async with httpx.AsyncClient(verify=False, timeout=START_TIMEOUT) as client:
            for name, (app, platform, tags) in PHONES.items():
                phone = self.phones[name] = self.services.add_phone(name, platform)
                await phone.register(
                    client,
                    self.daemon.hub_url,
                    app,
                    authorize=partial(authorization, APP_KEYS[app]),
                    user_id=name.partition("-")[0],
                    tags=tags,
                    templates={"main": TEMPLATES[platform]},
                )

    async def open_senders(self, *topics: str) -> None:
        """A sender for each topic; the topics are there."""
        senders = [self._client.get_topic_sender(topic) for topic in topics]
        await asyncio.gather(*(sender.__aenter__() for sender in senders))
        self._senders.update(zip(topics, senders, strict=True))

    async def close_senders(self) -> None:
        """Side by side, as each takes the SDK half a second."""
        await asyncio.gather(*(sender.close() for sender in self._senders.values()))
        await self._client.close()

    async def send(self, topic: str, body: object) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        await self._senders[topic].send_messages(ServiceBusMessage(text))
        self.sent[topic] += 1

    @asynccontextmanager
    async def traffic(self) -> AsyncIterator[Sequence[int]]:
        """Numbered events on all three topics for as long as the block lasts; yields the numbers so far."""
        stop = asyncio.Event()
        numbers: list[int] = []

        async def flow() -> None:
            while not stop.is_set():
                number = len(numbers) + 1
                await asyncio.gather(
                    self.send("account", {"customer": "4711", "amount": 1000 + number}),
                    self.send("hr", f"news {number}"),
                    self.send("finance", {"kind": "approval", "approver": "maria", "what": f"request {number}"}),
                )
                numbers.append(number)
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(flow())
            try:
                yield numbers
            finally:
                stop.set()

    async def until_all_is_done(self) -> None:
        """Wait until everything sent is completed at the broker and has ended in the hub: nothing more can come."""
        async with asyncio.timeout(START_TIMEOUT):
            while not (self._is_settled() and self._has_ended()):
                await asyncio.sleep(0.02)

    def _is_settled(self) -> bool:
        queues = {topic: self.broker.queue(f"{topic}/Subscriptions/pushbridge") for topic in self.sent}
        return all(
            queues[topic].counts.completed == sent and not len(queues[topic]) for topic, sent in self.sent.items()
        )

    def _has_ended(self) -> bool:
        with self.daemon.database() as database:
            open_ones = database.execute("SELECT count(*) FROM notification WHERE ended_at IS NULL").fetchone()
        return bool(open_ones == (0,))

    def clear_screens(self) -> None:
        for phone in self.phones.values():
            phone.received.clear()

    def screens(self) -> dict[str, list[tuple[str, str]]]:
        """Titles and bodies on every phone, sorted."""
        return {name: sorted((one.title, one.body) for one in phone.received) for name, phone in self.phones.items()}

    async def metric(self, name: str) -> float:
        return (await self.daemon.metrics())[name]

    async def until_reloaded(self, *, successfully: bool) -> None:
        """Wait until the daemon has noticed a change; what it says of it is otherwise than it said before."""
        async with asyncio.timeout(START_TIMEOUT):
            while await self.metric(RELOADED) != successfully:
                await asyncio.sleep(0.05)


RELOADED = "pushbridge_config_last_reload_successful"


def authorization(key: str, url: str) -> str:
    """The Authorization header of an app's phones."""
    expires_at = datetime.now(UTC) + timedelta(minutes=30)
    return shared_access_signature(url, key_name="phones", key=key, expires_at=expires_at)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    secrets, directory = tmp_path_factory.mktemp("secrets"), tmp_path_factory.mktemp("config")
    async with PushServices(secrets) as services, ServiceBus() as broker:
        platforms = hubs(services)[HUB]["platforms"]
        apps = {
            app: {
                "default": app == "work",
                "access_policies": [{"name": "phones", "rights": ["Listen"], "key": key}],
                "platforms": platforms,
            }
            for app, key in APP_KEYS.items()
        }
        async with Daemon(directory, {"hubs": apps}) as daemon:
            daemon.config_file = directory  # the process and its hubs are one file in it, each backend is another
            world = World(directory, daemon, services, broker)
            for backend in THREE:
                world.write_backend(backend, RULES[backend])
            await daemon.start()
            await world.register_phones()
            await world.open_senders(*THREE)
            yield world
            code, _ = await asyncio.gather(daemon.terminate(), world.close_senders())
            assert code == 0, daemon.errors()


@pytest.fixture
def world(running: World) -> World:
    running.clear_screens()
    return running


async def test_every_phone_gets_what_its_app_makes_of_each_backend_and_nothing_else(world: World) -> None:
    for topic, body in EVENTS.values():
        await world.send(topic, body)
    await world.until_all_is_done()
    assert world.screens() == matrix()
    toasts = [entry.payload for entry in world.services.journal.of_handle(world.phones["anna-windows"].handle)]
    assert any(b"&lt;b&gt;&amp;" in toast for toast in toasts)


async def test_a_fourth_backend_flows_from_its_file_alone_and_the_other_three_lose_nothing(world: World) -> None:
    attached = world.attached.copy()
    async with world.traffic() as numbers:
        world.write_backend("shop", RULES["shop"])
        await world.daemon.until_readiness(lambda status, lines: "source shop: running" in lines)
        before = len(numbers)
        await world.open_senders("shop")
        await world.send("shop", {"customer": "4712", "order": 77})
        async with asyncio.timeout(START_TIMEOUT):
            while not world.phones["dan-android"].received:
                await asyncio.sleep(0.02)
        assert len(numbers) > before
    await world.until_all_is_done()
    news = sorted(("HR", f"news {number}") for number in numbers)
    assert world.screens() == {
        "anna-iphone": news,
        "anna-windows": news,
        "ben-android": news,
        "maria-windows": sorted(("Approve", f"request {number}") for number in numbers),
        "carla-iphone": sorted(("Debit", f"CHF {1000 + number}") for number in numbers),
        "dan-android": [("Shipped", "Order 77")],
        "dan-windows": [("Shipped", "Order 77")],
    }
    assert world.attached - attached == Counter({"shop": 1})
    metrics = await world.daemon.metrics()
    assert [metrics[f'pushbridge_source_rebuilds_total{{source="{name}"}}'] for name in THREE] == [0, 0, 0]


async def test_a_file_with_a_mistake_changes_nothing_until_it_is_mended(world: World) -> None:
    attached = world.attached.copy()
    assert await world.metric(RELOADED) == 1
    [menu] = RULES["canteen"]
    world.write_backend("canteen", [menu | {"push": menu["push"] | {"to": "team:hr ||"}}])
    await world.until_reloaded(successfully=False)
    [refused] = [line for line in world.daemon.log() if line["event"] == "configuration refused"]
    [problem] = [each for each in refused["problems"] if ": warning: " not in each]
    assert problem.startswith(f"{world.directory}/canteen.yaml:1:")
    assert problem.endswith("rules[0].push.to: expected a tag, found the end")
    await world.send("account", {"customer": "4711", "amount": 720})
    await world.until_all_is_done()
    assert world.screens()["carla-iphone"] == [("Debit", "CHF 720")]
    assert world.attached == attached
    world.write_backend("canteen", RULES["canteen"])
    await world.until_reloaded(successfully=True)
    await world.daemon.until_readiness(lambda status, lines: "source canteen: running" in lines)
    await world.open_senders("canteen")
    await world.send("canteen", {"dish": "Pasta"})
    await world.until_all_is_done()
    assert world.screens()["maria-windows"] == [("Today", "Pasta")]
    assert world.attached - attached == Counter({"canteen": 1})
