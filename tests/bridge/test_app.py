"""The process as a whole, with its real store and the stand-ins of the push services: a line is posted, a phone rings."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from bridge.admin.console.routes import console
from bridge.admin.health import is_ready
from bridge.admin.health import lines as lines_of
from bridge.admin.listener import ListenError
from bridge.app import Daemon
from bridge.observe.facts import Fact, SourceChanged
from hub.errors import StoreError
from hub.installation import Installation, Template
from hub.notification import Platform
from hub.outcome import OutcomeName, Reaction
from hub.push import PageVerdict, SendResult
from hub.store.sqlite.store import SqliteStore
from sandbox.phones import VirtualPhone
from sandbox.sas import shared_access_signature
from sandbox.services import PushServices
from tests.bridge.examples import read, section
from tests.hub.examples import arrival, notification

HUB_KEY = "canary-hub-key"
TEMPLATE = {"greeting": {"body": '{"message": {"notification": {"title": "$(title)"}}}'}}
INTAKE = """
sources:
  hr:
    http: { path: /in/hr }
    decode: { format: text, pattern: "(?P<who>.+) joined (?P<team>.+)" }
    map: { id: "{{ data.who }}", type: joined }
  cloud: { http: { path: /in/cloud, format: cloudevents, auth: { bearer: canary-bearer } } }
rules:
  - { name: welcome, source: hr, push: { to: "team:{{ data.team }}", with: { title: "Welcome, {{ data.who }}" } } }
  - { name: all-hands, source: hr, match: { data: { team: everybody } }, push: { to: everyone, with: { title: all } } }
"""


def configuration(services: PushServices, *, port: int = 0, token: str | None = None, **shutdown: str) -> list[str]:
    """Sections of a configuration with one hub that sends to FCM."""
    http = {"listen": f"127.0.0.1:{port}"} | ({} if token is None else {"admin_token": token})
    fcm = services.fcm_credential
    hub = {
        "access_policies": [{"name": "Full", "rights": ["Listen", "Send", "Manage"], "key": HUB_KEY}],
        "platforms": {
            "fcm": {
                "service_account": f"${{file:{fcm.service_account_file}}}",
                "endpoint": fcm.endpoint,
                "tls": {"ca_file": str(services.ca_file)},
            }
        },
    }
    return [
        section("bridge", {"http": http, "shutdown": {"drain": "5s", **shutdown}}),
        section("hub_api", {"listen": "127.0.0.1:0"}),
        section("hubs", {"app": hub}),
        INTAKE,
    ]


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[PushServices]:
    (tmp_path / "sandbox").mkdir()
    async with PushServices(tmp_path / "sandbox") as services:
        yield services


class Bench:
    """A daemon that runs, a client of its admin listener, and of its hub API."""

    def __init__(self, daemon: Daemon, client: httpx.AsyncClient) -> None:
        self.daemon = daemon
        self.client = client

    async def post(self, body: str) -> httpx.Response:
        """Post an event, again until the source is connected."""
        while (answer := await self.client.post("/in/hr", content=body)).status_code == 503:
            await asyncio.sleep(0.01)
        return answer

    async def register(self, phone: VirtualPhone, *tags: str) -> None:
        assert self.daemon.api is not None
        url = "http://{}:{}".format(*self.daemon.api.address)
        expires_at = datetime.now(UTC) + timedelta(minutes=5)
        await phone.register(
            self.client,
            url,
            "app",
            authorize=lambda url: shared_access_signature(url, key_name="Full", key=HUB_KEY, expires_at=expires_at),
            tags=tags,
            templates=TEMPLATE,
        )

    async def metric(self, line: str) -> float:
        """The value of a series, as a scrape spells it."""
        text = (await self.client.get("/metrics")).raise_for_status().text
        return float(next(found for found in text.splitlines() if found.startswith(f"{line} ")).rpartition(" ")[2])


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[Bench]:
    async with daemon.running(), client_of(daemon) as client:
        yield Bench(daemon, client)


def client_of(daemon: Daemon) -> httpx.AsyncClient:
    url = "http://{}:{}".format(*daemon.admin.address)
    return httpx.AsyncClient(verify=False, base_url=url, trust_env=False, timeout=60)


async def until(condition: Callable[[], bool]) -> None:
    """Return when it holds; the test's own time limit ends what never does."""
    while not condition():
        await asyncio.sleep(0.005)


def readiness(daemon: Daemon) -> tuple[bool, list[str]]:
    """Whether the process is ready, and the lines that say so."""
    parts = daemon.health()
    return is_ready(parts), lines_of(parts)


async def until_started(daemon: Daemon) -> None:
    await until(lambda: readiness(daemon) == (True, ["store: ok", "source hr: running", "source cloud: running"]))


FCM_MESSAGE = {"message": {"notification": {"title": "hi"}}}


@pytest.mark.parametrize(
    ("format_name", "body", "tags", "kind", "expression"),
    [
        ("template", {"title": "hi"}, "team:sales || vip", "template", "team:sales || vip"),
        ("template", {"title": "hi"}, "", "template", "everyone"),
        ("template", {"title": "hi"}, "$InstallationId:{anna}", "template", "$InstallationId:{anna}"),
        ("fcmv1", FCM_MESSAGE, "team:sales", "native fcmv1", "team:sales"),
        ("fcmv1", FCM_MESSAGE, "", "native fcmv1", "everyone"),
    ],
)
async def test_a_send_of_the_hub_api_is_among_the_recent_events(
    format_name: str, body: object, tags: str, kind: str, expression: str, services: PushServices, tmp_path: Path
) -> None:
    anna = services.add_phone("anna", "fcmv1")
    async with running(Daemon(read(tmp_path, *configuration(services)), console=console)) as bench:
        await bench.register(anna, "team:sales")
        assert bench.daemon.api is not None
        url = "http://{}:{}/app/messages?api-version=2015-01".format(*bench.daemon.api.address)
        expires_at = datetime.now(UTC) + timedelta(minutes=5)
        headers = {
            "authorization": shared_access_signature(url, key_name="Full", key=HUB_KEY, expires_at=expires_at),
            "servicebusnotification-format": format_name,
        }
        answer = await bench.client.post(
            url, json=body, headers=headers | ({"servicebusnotification-tags": tags} if tags else {})
        )
        assert answer.status_code == 201, answer.text
        await until(lambda: len(anna.received) == 1 and bench.daemon.hub.pending == 0)
        entry = (await bench.client.get("/api/v1/events/1")).json()
    assert answer.headers["location"].split("/messages/")[1].startswith(entry["id"])
    assert (entry["source"], entry["type"], entry["outcome"]) == ("hub API", kind, "accepted")
    (step,) = entry["notifications"]
    assert (step["hub"], step["expression"], step["targeted"]) == ("app", expression, 1)
    assert step["outcomes"] == {"fcmv1": {"Success": 1}}


@pytest.mark.slow
async def test_an_event_that_is_posted_arrives_on_the_phones_it_is_for(services: PushServices, tmp_path: Path) -> None:
    anna, ben = (services.add_phone(name, "fcmv1") for name in ("anna", "ben"))
    async with running(Daemon(read(tmp_path, *configuration(services)))) as bench:
        await bench.register(anna, "team:sales")
        await bench.register(ben, "team:support")
        answer = await bench.post("Eve joined sales")
        (notification,) = answer.json()["notifications"]
        assert (answer.status_code, answer.json()["outcome"], notification["rule"]) == (202, "accepted", "welcome")
        await until(lambda: len(anna.received) == 1)
        assert (await bench.post("Eve joined sales")).status_code == 202  # posted again, and not taken twice
        await bench.post("Max joined support")
        await until(lambda: len(ben.received) == 1)
        await until(lambda: bench.daemon.hub.pending == 0)
        assert await bench.metric('pushbridge_ingest_messages_total{outcome="accepted",source="hr"}') == 2
        assert await bench.metric('pushbridge_ingest_messages_total{outcome="duplicate",source="hr"}') == 1
        assert await bench.metric('pushbridge_notifications_total{hub="app",outcome="completed"}') == 2
        assert await bench.metric('pushbridge_devices{hub="app",platform="fcmv1"}') == 4  # native and template
    assert [shown.title for shown in anna.screen] == ["Welcome, Eve"]
    assert [shown.title for shown in ben.screen] == ["Welcome, Max"]


async def test_one_id_is_on_every_line_of_an_event_and_nothing_secret_is_on_any(
    services: PushServices, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    phone = services.add_phone("phone", "fcmv1")
    gone = VirtualPhone(name="gone", platform="fcmv1", handle=services.make_handle("fcmv1", 99))
    with capture_logs() as lines:
        async with running(Daemon(read(tmp_path, *configuration(services, token="canary-token")))) as bench:
            await bench.register(phone, "team:sales")
            await bench.register(gone, "team:sales")
            await bench.post("Eve joined sales")
            await bench.post("canary-body that nobody understands")
            await bench.post("Max joined canary-tag, unsafe")
            for authorization in ("Bearer canary-other", "Bearer canary-bearer"):
                headers = {"authorization": authorization, "content-type": "application/cloudevents+json"}
                await bench.client.post("/in/cloud", json={"x": "canary"}, headers=headers)
            await until(lambda: [line["event"] for line in lines].count("pushed") == 1)
    assert [line["event"] for line in lines if line.get("event_id") == "Eve"] == ["event taken", "pushed"]
    (pushed,) = (line for line in lines if line["event"] == "pushed")
    assert pushed["outcomes"] == {"Success": 1, "BadChannel": 1}
    assert [line["reason"] for line in lines if line["event"] == "event refused"][:1] == ["decode"]
    assert [line["reason"] for line in lines if line["event"] == "dead letter"] == ["tag_unsafe"]
    libraries = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    written = str(lines) + str(libraries)  # httpx is the test's own
    for secret in (phone.handle, gone.handle, "canary", services.fcm_credential.service_account_file.read_text()[:200]):
        assert secret not in written
    assert "Welcome" not in written


async def test_readiness_has_a_line_for_the_store_and_for_each_source(services: PushServices, tmp_path: Path) -> None:
    async with running(Daemon(read(tmp_path, *configuration(services)))) as bench:
        await until(lambda: "source hr: running" in readiness(bench.daemon)[1])
        await until(lambda: "source cloud: running" in readiness(bench.daemon)[1])
        answer = await bench.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.text.splitlines() == ["store: ok", "source hr: running", "source cloud: running"]


async def test_a_source_that_is_refused_is_named_with_the_cause_and_the_rest_is_ready(
    services: PushServices, tmp_path: Path
) -> None:
    listening = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    broker = {"rabbitmq": {"url": f"amqp://guest:canary@127.0.0.1:{port}", "queue": {"name": "q"}}, "map": {"id": "1"}}
    sections = [*configuration(services)[:-1], section("sources", {"shop": broker})]
    async with listening, running(Daemon(read(tmp_path, *sections))) as bench:
        await until(lambda: "cannot connect" in readiness(bench.daemon)[1][-1])
        answer = await bench.client.get("/readyz")
        statuses = {
            part: (await bench.client.get(f"/readyz/{part}")).status_code
            for part in ("store", "sources", "sources/shop", "push-services/app/fcmv1", "sources/nosuch")
        }
    assert answer.status_code == 200
    assert statuses == {
        "store": 200,
        "sources": 503,
        "sources/shop": 503,
        "push-services/app/fcmv1": 200,
        "sources/nosuch": 404,
    }
    assert answer.text.splitlines()[0] == "store: ok"
    assert f"source shop: connecting: cannot connect to 127.0.0.1:{port}" in answer.text
    assert "canary" not in answer.text


async def test_a_push_service_that_asks_everybody_to_wait_is_named_with_its_words_and_the_rest_is_ready(
    services: PushServices, tmp_path: Path
) -> None:
    services.fcm.faults.answer(429, "QUOTA_EXCEEDED")
    phone = services.add_phone("phone", "fcmv1")
    async with running(Daemon(read(tmp_path, *configuration(services)))) as bench:
        await bench.register(phone, "team:sales")
        await bench.post("Eve joined sales")
        await until(lambda: "breaker open" in readiness(bench.daemon)[1][-1])
        ready, lines = readiness(bench.daemon)
    assert ready
    assert lines[-1].startswith("push service app/fcmv1: breaker open: QUOTA_EXCEEDED (since ")


async def test_a_push_service_that_calls_every_channel_wrong_is_named_and_the_rest_is_ready(
    services: PushServices, tmp_path: Path
) -> None:
    wrong = SendResult(
        reaction=Reaction.GONE, outcome=OutcomeName.WRONG_CHANNEL, reason="SENDER_ID_MISMATCH", suspect=True
    )
    async with running(Daemon(read(tmp_path, *configuration(services)))) as bench:
        bench.daemon.hub.bulkheads["app", Platform.FCM].doubt.weigh(PageVerdict.of([wrong] * 20))
        await until(lambda: readiness(bench.daemon)[0])
        _, lines = readiness(bench.daemon)
    assert lines[-1].startswith("push service app/fcmv1: refused: SENDER_ID_MISMATCH for nearly every phone")


async def test_a_push_service_that_calls_too_many_channels_dead_is_named_in_the_log(
    services: PushServices, tmp_path: Path
) -> None:
    gone = SendResult(reaction=Reaction.GONE, outcome=OutcomeName.EXPIRED_CHANNEL)
    async with running(Daemon(read(tmp_path, *configuration(services)))) as bench:
        bulkhead = bench.daemon.hub.bulkheads["app", Platform.FCM]
        with capture_logs() as lines:
            bulkhead.brake.weigh(PageVerdict.of([gone] * 1001))
            bulkhead.look()
    (line,) = (line for line in lines if line["event"].startswith("no phone is removed"))
    assert (line["hub"], line["platform"], line["share"]) == ("app", "fcmv1", 1.0)


@pytest.mark.slow
async def test_a_store_that_fails_makes_the_process_unready_until_it_takes_the_batch(
    services: PushServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Daemon(read(tmp_path, *configuration(services)))) as bench:
        await bench.post("Eve joined sales")
        with monkeypatch.context() as patched:

            async def fail(*_: object, **__: object) -> None:
                raise StoreError("disk full")

            patched.setattr(bench.daemon.store, "accept", fail)
            posting = asyncio.create_task(bench.client.post("/in/hr", content="Max joined sales"))
            await until(lambda: not readiness(bench.daemon)[0])
            assert readiness(bench.daemon)[1][0].startswith("store: failing: accept: disk full (since ")
            refused = await posting
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            started = time.monotonic()
            assert (await bench.client.post("/in/hr", content="Max joined sales")).status_code == 503
            assert time.monotonic() - started < 15, "it was 25 s"
        assert (await bench.post("Max joined sales")).status_code == 202
        assert readiness(bench.daemon)[0]


async def test_a_store_that_is_deleted_ends_the_process_and_the_log_says_why(
    services: PushServices, tmp_path: Path
) -> None:
    settings = read(tmp_path, *configuration(services))
    daemon = Daemon(settings)
    with capture_logs() as lines:
        running_on = asyncio.create_task(daemon.run())
        await until(lambda: any(line["event"] == "started" for line in lines))
        settings.store_path.unlink()
        async with asyncio.timeout(60):
            assert not await running_on
    assert daemon.store_is_broken
    (line,) = [line for line in lines if line["event"] == "store broken"]
    assert line["reason"] == (
        f"{settings.store_path} was deleted or replaced while it was open: nothing is written any more"
    )


async def test_a_broken_store_lets_the_end_wait_for_no_push(services: PushServices, tmp_path: Path) -> None:
    phone = services.add_phone("phone", "fcmv1")
    settings = read(tmp_path, *configuration(services, drain="90s", delay="90s"))
    services.fcm.faults.latency(3600)
    daemon = Daemon(settings)
    running_on = asyncio.create_task(daemon.run())
    await until_started(daemon)
    async with client_of(daemon) as client:
        bench = Bench(daemon, client)
        await bench.register(phone, "team:sales")
        await bench.post("Eve joined sales")
        await services.journal.wait_for()
    settings.store_path.unlink()
    async with asyncio.timeout(60):
        assert not await running_on
    assert daemon.store_is_broken


async def test_what_a_dead_process_left_under_way_is_taken_up(services: PushServices, tmp_path: Path) -> None:
    phone = services.add_phone("phone", "fcmv1")
    settings = read(tmp_path, *configuration(services))
    dead = SqliteStore(settings.store_path, allow_ephemeral=True)
    await dead.open()
    installation = Installation(
        id="phone",
        platform=Platform.FCM,
        push_channel=phone.handle,
        tags=("team:sales",),
        templates={"greeting": Template(body=TEMPLATE["greeting"]["body"])},
    )
    await dead.put_installations("app", [installation])
    left = notification("team:sales", hub="app")
    await dead.accept([arrival(left)], start=10)
    await dead.close()
    with capture_logs() as lines:
        async with running(Daemon(settings)) as bench:
            await until(lambda: len(phone.received) == 1)
            await until(lambda: bench.daemon.hub.pending == 0)
    assert {"event": "work of a dead process taken up again", "log_level": "warning", "count": 1} in lines


@pytest.mark.slow
async def test_what_is_not_done_in_time_is_left_for_the_next_process_under_the_same_push_id(
    services: PushServices, tmp_path: Path
) -> None:
    phone = services.add_phone("phone", "fcmv1")
    settings = read(tmp_path, *configuration(services, drain="200ms"))
    services.fcm.faults.latency(3600)
    async with running(Daemon(settings)) as bench:
        await bench.register(phone, "team:sales")
        await bench.post("Eve joined sales")
        await until(lambda: bench.daemon.hub.in_hand == 1)
        await services.journal.wait_for()
    services.fcm.faults.clear()
    async with running(Daemon(settings)) as bench:
        await services.journal.wait_for(count=2)
        await until(lambda: bench.daemon.hub.pending == 0)
    first, second = services.journal.accepted()
    assert first.push_id == second.push_id != ""


async def test_on_the_way_out_intake_ends_first_and_the_store_last(
    services: PushServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = Daemon(read(tmp_path, *configuration(services)))
    assert daemon.api is not None
    order: list[str] = []

    def noted(owner: object, method: str, name: str) -> None:
        real = getattr(owner, method)

        async def noting(*arguments: Any) -> None:
            order.append(name)
            await real(*arguments)

        monkeypatch.setattr(owner, method, noting)

    noted(daemon.admin, "close", "admin listener")
    noted(daemon.api, "close", "hub API")
    noted(daemon.hub, "drain", "drain")
    noted(daemon.store, "close", "store")

    def heard(fact: Fact) -> None:
        if isinstance(fact, SourceChanged):
            order.append(f"{fact.status.name} {fact.status.state.value}")

    monkeypatch.setattr(daemon.telemetry, "observe", heard)
    async with daemon.running():
        await until_started(daemon)
        order.clear()
    assert order == ["hr stopped", "cloud stopped", "admin listener", "hub API", "drain", "store"]


async def test_nothing_runs_on_after_the_end(services: PushServices, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with running(Daemon(read(tmp_path, *configuration(services)))) as bench:
        await bench.post("Eve joined sales")
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_good_order_and_it_is_unready_meanwhile(
    services: PushServices, tmp_path: Path, number: signal.Signals
) -> None:
    daemon = Daemon(read(tmp_path, *configuration(services, delay="300ms")))
    process = asyncio.create_task(daemon.run())
    await until_started(daemon)
    async with client_of(daemon) as client:
        os.kill(os.getpid(), number)
        await until(lambda: not readiness(daemon)[0])
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.text.splitlines()[0]) == (503, "process: stopping")
    assert await process


async def test_a_part_that_fails_ends_the_process_and_the_log_says_which(
    services: PushServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("canary")

    daemon = Daemon(read(tmp_path, *configuration(services)))
    monkeypatch.setattr(daemon.hub, "run", fail)
    with capture_logs() as lines:
        assert not await daemon.run()
    (defect,) = (line for line in lines if line["event"] == "defect")
    assert (defect["work"], defect["error"]) == ("hub", "ZeroDivisionError")
    assert defect["trace"].startswith("fail:")
    assert "canary" not in str(lines)


async def test_a_port_in_use_keeps_it_from_starting_and_leaves_the_store_free(
    services: PushServices, tmp_path: Path
) -> None:
    async with asyncio.timeout(60), await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as taken:
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}"):
            async with running(Daemon(read(tmp_path, *configuration(services, port=port)))):
                pass
    async with running(Daemon(read(tmp_path, *configuration(services)))) as bench:
        assert (await bench.client.get("/livez")).status_code == 200


async def test_who_comes_too_early_is_told_to_come_again(
    services: PushServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = Daemon(read(tmp_path, *configuration(services)))
    statuses = {}
    real_open = daemon.admin.open

    async def open_and_ask() -> None:
        await real_open()
        async with client_of(daemon) as client:
            statuses["readyz"] = (await client.get("/readyz")).status_code
            statuses["source"] = (await client.post("/in/hr", content="Eve joined sales")).status_code

    monkeypatch.setattr(daemon.admin, "open", open_and_ask)
    async with running(daemon) as bench:
        assert statuses == {"readyz": 503, "source": 503}
        assert (await bench.post("Eve joined sales")).status_code == 202


async def test_two_processes_do_not_share_one_store(services: PushServices, tmp_path: Path) -> None:
    settings = read(tmp_path, *configuration(services))
    async with running(Daemon(settings)) as bench:
        with pytest.raises(StoreError):
            async with running(Daemon(settings)):
                pass
        assert (await bench.post("Eve joined sales")).status_code == 202


async def test_sources_are_open_by_their_own_credentials_and_everything_else_by_the_token(
    services: PushServices, tmp_path: Path
) -> None:
    async with running(Daemon(read(tmp_path, *configuration(services, token="s3cret")))) as bench:
        assert (await bench.post("Eve joined sales")).status_code == 202
        event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "t"}
        headers = {"content-type": "application/cloudevents+json"}
        statuses = []
        for shown in ({}, {"authorization": "Bearer s3cret"}, {"authorization": "Bearer canary-bearer"}):
            answer = await bench.client.post("/in/cloud", json=event, headers=headers | shown)
            statuses.append(answer.status_code)
        assert statuses == [401, 401, 202]
        for path in ("/metrics", "/in/other"):
            assert (await bench.client.get(path)).status_code == 401
        assert (await bench.client.get("/metrics", headers={"authorization": "Bearer s3cret"})).status_code == 200


async def test_the_first_and_the_last_line_say_that_it_runs_and_that_it_ended(
    services: PushServices, tmp_path: Path
) -> None:
    daemon = Daemon(read(tmp_path, *configuration(services)))
    with capture_logs() as lines:
        process = asyncio.create_task(daemon.run())
        await until(lambda: any(line["event"] == "started" for line in lines))
        os.kill(os.getpid(), signal.SIGTERM)
        await process
    started: EventDict = next(line for line in lines if line["event"] == "started")
    assert started["admin"].startswith("127.0.0.1:")
    assert lines[-1] == {"event": "stopped", "log_level": "info", "unfinished": 0}
