"""A sidecar and a central: rules and outbox in one process, registry and delivery in another, the REST API between them.

Both are processes of their own. The central's hub API is over TLS, with a certificate of a private authority; its push
services are stand-ins. The last test plays the central itself, to kill the sidecar right after an answer.
"""

import asyncio
import os
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
import pytest_asyncio

from hub.delivery.remote import RemoteHub
from hub.delivery.remote_settings import RemoteSettings
from hub.notification import Notification, TemplateContent
from hub.tags import parse
from sandbox.exchange import Answer, Exchange
from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.integration.central import Central
from tests.integration.daemon import HUB, Daemon, authorization, hubs
from tests.integration.played import PlayedServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE = 60.0
"""Seconds without what is waited for, after which a daemon counts as stuck."""

TEMPLATES = {
    "apns": '{"aps": {"alert": {"title": "$(title)"}}}',
    "fcmv1": '{"message": {"notification": {"title": "$(title)"}}}',
    "wns": '<toast><visual><binding template="ToastText02"><text id="1">$(title)</text></binding></visual></toast>',
}
NATIVE = {
    "apns": {"payload": {"aps": {"alert": {"title": "{{ data.title }}"}}}},
    "fcm": {"payload": {"message": {"notification": {"title": "{{ data.title }}"}}}},
    "wns": {"payload": TEMPLATES["wns"].replace("$(title)", "{{ data.title }}")},
}
TRIPS_AFTER = 20  # failures that open the breaker
QUICK = {"retry": {"backoff": {"base": "200ms", "cap": "1s"}}}


def rule(kind: str, hub: str, **push: Any) -> dict[str, Any]:
    """What an event of this type says, and through which hub."""
    push = {"to": "team:{{ data.to }}", **push}
    if "native" not in push:
        push["with"] = {"title": "{{ data.title }}"}
    return {"name": kind, "match": {"type": kind}, "push": {"hub": hub, **push}}


def sidecar_configuration(services: PushServices, central: Central) -> dict[str, Any]:
    """Three hubs: one at the central, the same with a wrong key, and one that is kept here."""
    return {
        "sources": {
            "orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}", "type": "{{ data.kind }}"}}
        },
        "rules": [
            rule("team", "mobile"),
            rule("user", "mobile", to={"user": "{{ data.to }}"}),
            rule("native", "mobile", native=NATIVE),
            rule("locked", "locked"),
            rule("here", HUB),
        ],
        "hubs": {
            **hubs(services),
            "mobile": {"remote": central.remote()},
            "locked": {"remote": central.remote(key="wrong")},
        },
        "delivery": QUICK,
    }


@dataclass
class World:
    """Both processes, with all that is around them."""

    sidecar: Daemon
    central: Daemon
    services: PushServices
    client: httpx.AsyncClient
    remote: RemoteSettings

    async def team(self, *platforms: str) -> "Team":
        """Some phones, registered at the central for a tag and a user of their own."""
        team = Team(f"team-{uuid4().hex[:8]}", f"user-{uuid4().hex[:8]}@example.com", {})
        for platform in platforms:
            phone = team.phones[platform] = self.services.add_phone(f"{team.name}-{platform}", platform)
            await phone.register(
                self.client,
                self.remote.endpoint,
                HUB,
                authorize=authorization,
                user_id=team.user,
                tags=[f"team:{team.name}"],
                templates={"news": {"body": TEMPLATES[platform]}},
            )
        return team

    async def post(self, kind: str, to: str, title: str = "hello") -> str:
        """Post an event; its id, once the sidecar has taken it."""
        event = {"id": uuid4().hex, "kind": kind, "to": to, "title": title}
        answer = await self.client.post(f"{self.sidecar.url}/in/orders", json=event)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return event["id"]

    async def lines(self, hub: str, holds: Callable[[list[str]], bool]) -> list[str]:
        """What the sidecar's readiness says of a hub elsewhere, without its name, as soon as it is so."""
        prefix = f"remote hub {hub}: "

        def own(lines: Any) -> list[str]:
            return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]

        found = await self.sidecar.until_readiness(lambda status, lines: status == httpx.codes.OK and holds(own(lines)))
        return own(found)


@dataclass
class Team:
    name: str
    user: str
    phones: dict[str, VirtualPhone]

    def screens(self) -> dict[str, list[str]]:
        """The titles on each phone, sorted."""
        return {platform: sorted(shown.title for shown in phone.screen) for platform, phone in self.phones.items()}

    async def until_shown(self, *titles: str) -> None:
        """Return when each phone shows exactly these."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while any(len(screen) < len(titles) for screen in self.screens().values()):
                    await asyncio.sleep(0.01)
        assert self.screens() == dict.fromkeys(self.phones, sorted(titles))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("remote")
    for name in ("sandbox", "sidecar"):
        (directory / name).mkdir()
    async with PushServices(directory / "sandbox") as services:
        central = Central(directory / "central", hubs(services), ca_file=services.ca_file)
        async with (
            central,
            Daemon(directory / "sidecar", sidecar_configuration(services, central)) as sidecar,
            httpx.AsyncClient(
                verify=ssl.create_default_context(cafile=str(services.ca_file)), timeout=PATIENCE
            ) as client,
        ):
            await asyncio.gather(central.daemon.start(), sidecar.start())
            yield World(sidecar, central.daemon, services, client, central.settings)
            assert await sidecar.terminate() == 0, sidecar.errors()
            assert await central.daemon.terminate() == 0, central.daemon.errors()


@pytest.mark.parametrize("kind", ["team", "user", "native"])
async def test_an_event_at_the_sidecar_shows_on_the_phones_registered_at_the_central(world: World, kind: str) -> None:
    team, others = await world.team(*TEMPLATES), await world.team(*TEMPLATES)
    event_id = await world.post(kind, team.user if kind == "user" else team.name, title='Ann & "Žofie"')
    await team.until_shown('Ann & "Žofie"')
    assert others.screens() == {platform: [] for platform in TEMPLATES}
    async with asyncio.timeout(PATIENCE):
        while ended(world.sidecar, event_id) != {"Completed"}:
            await asyncio.sleep(0.01)
    assert {
        (line["hub"], line["outcome"], line["ended"])
        for line in world.sidecar.log()
        if line["event"] == "handed over" and line["event_id"] == event_id
    } == {("mobile", "Success", True)}


async def test_a_send_that_is_repeated_is_one_notification_at_the_central(world: World) -> None:
    team = await world.team("fcmv1")
    given = Notification(
        id=uuid4().hex,
        hub="mobile",
        audience=parse(f"team:{team.name}"),
        content=TemplateContent(properties={"title": "once"}),
    )
    before = rows(world.central)
    for _ in range(3):
        remote = RemoteHub(world.remote)
        verdict = await remote.send([given, given])
        await remote.close()
        assert (verdict.delivered, verdict.exceptions) == (2, {})
    await team.until_shown("once")
    await world.post("team", team.name, title="after it")
    await team.until_shown("once", "after it")
    assert rows(world.central) == before + 2


async def test_a_wrong_key_is_named_in_readiness_and_the_other_hubs_go_on(world: World) -> None:
    team = await world.team("apns")
    event_id = await world.post("locked", team.name)
    (line,) = await world.lines("locked", bool)
    assert line.startswith("breaker open: HTTP 401: InvalidSignature: The token has an invalid signature (since ")
    await world.post("team", team.name, title="goes on")
    await team.until_shown("goes on")
    assert await world.lines("mobile", lambda lines: not lines) == []
    metrics = await world.sidecar.metrics()
    assert metrics['pushbridge_remote_circuit_open{hub="locked"}'] == 1
    assert metrics['pushbridge_remote_circuit_open{hub="mobile"}'] == 0
    assert metrics['pushbridge_remote_sends_total{hub="locked",outcome="unauthorized"}'] >= 1
    assert ended(world.sidecar, event_id) == {None}


async def test_while_the_central_is_down_nothing_is_lost_and_readiness_tells(world: World) -> None:
    team, local = await world.team("fcmv1"), world.services.add_phone(uuid4().hex, "fcmv1")
    await world.sidecar.register(
        {"installationId": local.name, "platform": "fcmv1", "pushChannel": local.handle, "tags": ["team:local"],
         "templates": {"news": {"body": TEMPLATES["fcmv1"]}}}
    )  # fmt: skip
    await world.central.kill()
    titles = [f"number {number}" for number in range(50)]
    await world.post("team", team.name, title=titles[0])
    (line,) = await world.lines("mobile", bool)
    assert line.startswith("failing: Failed to connect to 127.0.0.1"), "one failure is enough to be told"
    for title in titles[1:]:
        await world.post("team", team.name, title=title)
    await world.post("here", "local", title="here it goes on")
    async with asyncio.timeout(PATIENCE):
        while not local.screen:
            await asyncio.sleep(0.01)
    await world.lines("mobile", lambda lines: any(line.startswith("breaker open: ") for line in lines))
    metrics = await world.sidecar.metrics()
    assert metrics['pushbridge_remote_circuit_open{hub="mobile"}'] == 1
    assert metrics['pushbridge_remote_sends_total{hub="mobile",outcome="unreachable"}'] >= TRIPS_AFTER
    assert metrics['pushbridge_pns_retries_total{platform="remote",reason="unreachable"}'] >= TRIPS_AFTER
    assert waiting(metrics) >= len(titles)
    assert team.screens() == {"fcmv1": []}

    await world.central.start()
    await team.until_shown(*titles)
    assert await world.lines("mobile", lambda lines: not lines) == []


def ended(daemon: Daemon, event_id: str) -> set[str | None]:
    """The states in which the notifications of an event ended; None for one that has not."""
    query = "SELECT CASE WHEN ended_at IS NULL THEN NULL ELSE state END FROM notification WHERE event_id = ?"
    with daemon.database() as database:
        return {state for (state,) in database.execute(query, (event_id,))}


def rows(daemon: Daemon) -> int:
    """How many notifications its store has."""
    with daemon.database() as database:
        (count,) = database.execute("SELECT count(*) FROM notification").fetchone()
    return int(count)


def completed(daemon: Daemon) -> int:
    """How many notifications its store says have gone through."""
    with daemon.database() as database:
        (count,) = database.execute("SELECT count(*) FROM notification WHERE state = 'Completed'").fetchone()
    return int(count)


def waiting(metrics: dict[str, float]) -> float:
    return sum(value for name, value in metrics.items() if name.startswith("pushbridge_queue_messages{"))


# A crash between the answer and its record

ROUNDS = 6
EVENTS = 24  # in each round; they are under way together


class PlayedCentral(PlayedServer):
    """Answers every send with `status`, and keeps what it was sent: (idempotency key, body), as it came.

    While `held`, answers wait until `let_go` lets some of them out.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.sends: list[tuple[str, bytes]] = []
        self.answered: set[str] = set()
        self.held = False
        self.status = 201
        self._waiting: list[Exchange] = []

    def let_go(self, count: int) -> None:
        """Answer this many of those that wait, oldest first."""
        for exchange in self._waiting[:count]:
            exchange.answer(Answer(status=self.status))
            self.answered.add(exchange.headers["idempotency-key"])
        del self._waiting[:count]

    def forget(self) -> None:
        """Whoever waited for an answer is dead; the next one is answered at once."""
        self.held = False
        self._waiting.clear()

    def serve(self, exchange: Exchange) -> None:
        self.sends.append((exchange.headers["idempotency-key"], exchange.body))
        self._waiting.append(exchange)
        if not self.held:
            self.let_go(1)


async def test_a_kill_between_the_answer_and_its_record_repeats_a_send_at_most_once_with_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("PUSHBRIDGE_KILL_SEED") or random.SystemRandom().randrange(10**6))
    rng = random.Random(seed)
    async with PlayedCentral(tmp_path) as central, httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        string = f"Endpoint=sb://127.0.0.1:{central.port}/;SharedAccessKeyName=Send;SharedAccessKey=key"
        configuration = {
            "sources": {"orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}"}}},
            "rules": [{"name": "news", "push": {"to": "everyone", "with": {"title": "{{ data.id }}"}}}],
            "hubs": {"mobile": {"remote": {"connection_string": string, "tls": {"ca_file": str(central.ca_file)}}}},
        }
        async with Daemon(tmp_path, configuration) as sidecar:
            await sidecar.start()
            answered_before: set[str] = set()
            for round_ in range(ROUNDS):
                central.held = True
                answered = central.answered.copy()
                for number in range(EVENTS):
                    event = {"id": f"{round_}-{number}"}
                    answer = await client.post(f"{sidecar.url}/in/orders", json=event)
                    assert answer.status_code == httpx.codes.ACCEPTED
                await until(lambda: len({key for key, _ in central.sends}) == (round_ + 1) * EVENTS)  # noqa: B023
                central.let_go(rng.randint(1, 4))  # these are recorded
                await until(lambda: completed(sidecar) == len(central.answered))
                for _ in range(rng.randint(0, 2)):  # these too, or not, depending on when
                    central.let_go(rng.randint(1, 4))
                    await asyncio.sleep(rng.uniform(0, 0.02))
                if round_ % 2:  # and these are not
                    sidecar.pause()
                central.let_go(rng.randint(1, 4))
                await asyncio.sleep(rng.choice([0, 0, rng.uniform(0, 0.002)]))
                await sidecar.kill()
                answered_before |= central.answered - answered
                central.forget()
                await sidecar.start()
                async with asyncio.timeout(PATIENCE):
                    while waiting(await sidecar.metrics()):
                        await asyncio.sleep(0.02)
            assert await sidecar.terminate() == 0
        with sidecar.database() as database:
            states = database.execute("SELECT state, count(*) FROM notification GROUP BY state").fetchall()
            keys = {key.hex() for (key,) in database.execute("SELECT id FROM notification")}
    tries = Counter(key for key, _ in central.sends)
    repeated = {key for key, count in tries.items() if count > 1}
    told = f"{len(repeated & answered_before)} of {len(answered_before)} sends answered just before were repeated"
    with capsys.disabled():
        print(f"\nPUSHBRIDGE_KILL_SEED={seed}: {ROUNDS} kills, {told}")
    assert states == [("Completed", ROUNDS * EVENTS)]
    assert tries.keys() == keys
    assert max(tries.values()) == 2
    assert repeated & answered_before, "no kill came between an answer and its record"
    assert answered_before - repeated, "no answer was recorded before a kill"
    assert len(set(central.sends)) == len(keys), "a repetition said something else"
    titles = {orjson.loads(body)["title"] for _, body in central.sends}
    assert titles == {f"{round_}-{number}" for round_ in range(ROUNDS) for number in range(EVENTS)}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)


async def test_an_event_that_comes_again_is_not_handed_over_again_after_a_refusal_nor_after_a_restart(
    tmp_path: Path,
) -> None:
    """An Azure Notification Hub does not know the keys of sends: it would ring twice."""
    async with PlayedCentral(tmp_path) as central, httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        string = f"Endpoint=sb://127.0.0.1:{central.port}/;SharedAccessKeyName=Send;SharedAccessKey=key"
        remote = {"connection_string": string, "tls": {"ca_file": str(central.ca_file)}, "durability": "remote"}
        configuration = {
            "sources": {"orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}"}}},
            "rules": [
                {"name": each, "push": {"to": "everyone", "hub": each, "with": {"title": "{{ data.id }}"}}}
                for each in ("mobile", "here")
            ],
            "hubs": {"mobile": {"remote": remote}, "here": {"default": True}},
        }
        async with Daemon(tmp_path, configuration) as sidecar:

            async def outcome(id: str) -> str:
                answer = await client.post(f"{sidecar.url}/in/orders", json={"id": id})
                assert answer.status_code == httpx.codes.ACCEPTED
                return str(answer.json()["outcome"])

            await sidecar.start()
            central.status = 400
            assert await outcome("refused") == "accepted"
            central.status = 201
            assert await outcome("taken") == "accepted"
            assert [await outcome("refused"), await outcome("taken")] == ["duplicate"] * 2
            await sidecar.kill()
            await sidecar.start()
            assert [await outcome("refused"), await outcome("taken")] == ["duplicate"] * 2
    assert [orjson.loads(body)["title"] for _, body in central.sends] == ["refused", "taken"]
