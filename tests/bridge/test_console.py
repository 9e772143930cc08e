"""The console over HTTP: what it serves, to whom, and how the live feed behaves in a flood and at the end."""

import asyncio
import base64
import itertools
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.admin.api.status import status_of
from bridge.admin.console.live import SHOWN, Viewer
from bridge.admin.console.phones import Phone, PhoneFeed, Shown
from bridge.admin.console.routes import console
from bridge.admin.health import Part
from bridge.app import Daemon
from bridge.config.load import check
from bridge.config.models.document import Settings
from bridge.config.reload import Reloader
from bridge.config.watch import fingerprint
from bridge.observe.facts import EventsStored, InFlightEvent
from bridge.observe.recent import RecentEvents
from connectors.base import Message
from hub.facts import HubFact
from hub.platforms.table import platforms, services
from hub.store.contracts.fleet import FleetState
from rules.engine import RuleSet
from rules.read_files import ReadFiles
from tests.bridge.examples import take

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CONFIGURATION = """
bridge: {{ revision: main/4f2c9e1, http: {{ listen: "127.0.0.1:0"{auth} }} }}
sources:
  hr:
    http: {{ path: /in/hr }}
    decode: {{ format: text, pattern: "(?P<id>.+) joined" }}
    map: {{ id: "{{{{ data.id }}}}", type: joined }}
"""
HOSTILE = "<img src=x onerror=alert(1)>"


@asynccontextmanager
async def running(
    directory: Path, *, token: str = "", auth: str = "", more: str = "", phones: PhoneFeed | None = None
) -> AsyncIterator[tuple[Daemon, httpx.AsyncClient]]:
    """A daemon as `pushbridge run` has it, with one source and `more`, and a client of its admin listener. The listener
    asks for `token`, or for what `auth` says in YAML."""
    auth = auth or (f"{{ bearer: {token} }}" if token else "")
    configuration = directory / "c.yaml"
    configuration.write_text(CONFIGURATION.format(auth=f", auth: {auth}" if auth else "") + more)
    config_hash = fingerprint(configuration)
    settings, problems = check(configuration, {})
    assert settings is not None, problems
    daemon = Daemon(
        settings,
        config_hash=config_hash,
        console=partial(console, phones=phones),
        reload=lambda daemon: Reloader(
            configuration, daemon, config_hash=config_hash, files=ReadFiles(), on_result=daemon.reloaded
        ),
    )
    async with (
        daemon.running(),
        httpx.AsyncClient(
            verify=False, base_url="http://{}:{}".format(*daemon.admin.address), trust_env=False, timeout=60
        ) as client,
    ):
        yield daemon, client


async def post(client: httpx.AsyncClient, body: str) -> None:
    """Post an event, again until the source is connected."""
    while (await client.post("/in/hr", content=body)).status_code == 503:
        await asyncio.sleep(0.01)


class _References(HTMLParser):
    """What a page loads, and scripts and styles that stand in it."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loads += [value for name in ("src", "href") if (value := values.get(name))]
        self.inline += [name for name in values if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in values):
            self.inline.append(tag)


async def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        page = await client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-security-policy"].startswith("default-src 'self'; ")
        references = _References()
        references.feed(page.text)
        assert references.inline == []
        for reference in references.loads:
            assert reference.startswith(("/", "#"))
            assert reference.startswith("#") or (await client.get(reference)).status_code == 200
        style = (await client.get("/console.css")).text
        assert re.findall(r"url\(|@import", style) == []
        script = (await client.get("/console.js")).text
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script) == []


async def test_the_stream_and_the_api_show_events_and_status_in_one_shape(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await post(client, f"{HOSTILE} joined")
        await post(client, "nonsense")
        async with client.stream("GET", "/api/live", timeout=60) as live:
            _, snapshot = await anext(_messages(live))
        listed = (await client.get("/api/v1/events")).json()["items"]
        asked = [(await client.get(f"/api/v1/events/{event['number']}")).json() for event in reversed(listed)]
        status = (await client.get("/api/v1/status")).json()
    assert snapshot["events"] == asked
    assert snapshot["status"] == status
    assert snapshot["count"] == 2
    matched, broken = asked
    assert [matched[name] for name in ("id", "source", "type", "outcome")] == [HOSTILE, "hr", "joined", "no_match"]
    assert (broken["outcome"], broken["reason"]) == ("rejected", "decode")
    assert broken["dead_letters"] == [], "what is refused is not kept"


@pytest.mark.parametrize("path", ["/api/trail", "/api/health"])
async def test_what_the_api_says_is_at_no_second_place(path: str, tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        assert (await client.get(path)).status_code == 404


async def test_without_virtual_phones_there_are_none(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        assert (await client.get("/api/phones")).json() == {"phones": None}


@pytest.mark.parametrize("path", ["/", "/console.js", "/api/phones", "/api/live"])
async def test_with_a_token_only_who_shows_it_sees_the_console(path: str, tmp_path: Path) -> None:
    def basic(password: str) -> str:
        return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()

    async with running(tmp_path, token="s3cret:x") as (_, client):
        answers = {}
        for shown in ("", "Bearer s3cret:x", basic("s3cret:x"), "Bearer s3cret", basic(""), "Basic !", "s3cret:x"):
            async with client.stream("GET", path, headers={"authorization": shown} if shown else {}) as answer:
                answers[shown] = answer.status_code
                challenges = answer.headers.get_list("www-authenticate")
        assert list(answers.values()) == [401, 200, 200, 401, 401, 401, 401]
        assert [challenge.split()[0] for challenge in challenges] == ["Bearer", "Basic"]


async def test_the_page_knows_no_push_service_by_its_title(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        script = (await client.get("/console.js")).text
    assert [each.title for each in services() if re.search(rf"\b{each.title}\b", script)] == []


async def test_all_pages_have_the_names_of_platforms_from_one_table(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        answer = await client.get("/platforms.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    titles = json.loads(answer.text.removeprefix("export const TITLES = "))
    named = {"apns": "APNs", "fcmv1": "FCM", "fcm": "FCM", "browser": "Web Push", "webpush": "Web Push", "mpns": "MPNS"}
    assert {name: titles[name] for name in named} == named
    assert set(titles.values()) == {each.title for each in platforms()}


async def test_the_live_feed_tells_everything_and_then_what_changes(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await post(client, "1 joined")
        async with client.stream("GET", "/api/live", timeout=60) as live:
            assert live.headers["content-type"].startswith("text/event-stream")
            messages = _messages(live)
            name, first = await anext(messages)
            assert (name, [event["id"] for event in first["events"]], first["phones"]) == ("snapshot", ["1"], None)
            await post(client, "2 joined")
            name, second = await anext(messages)
            assert (name, [event["id"] for event in second["events"]], second["count"]) == ("update", ["2"], 2)


async def test_who_looks_on_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with running(tmp_path) as (daemon, client), client.stream("GET", "/api/live", timeout=60) as live:
        messages = _messages(live)
        await anext(messages)
        started = time.monotonic()
        await daemon.admin.close()
        assert time.monotonic() - started < 10
        assert [name async for name, _ in messages if name == "snapshot"] == []


async def test_a_browser_that_leaves_is_forgotten(tmp_path: Path) -> None:
    async with running(tmp_path) as (daemon, client):
        async with client.stream("GET", "/api/live", timeout=60) as live:
            await anext(_messages(live))
            assert len(daemon.recent_events._listeners) == 1
        async with asyncio.timeout(60):
            while daemon.recent_events._listeners:
                await asyncio.sleep(0.01)


async def test_a_change_of_health_is_told_at_the_next_look_and_only_then() -> None:
    part = Part(kind="source", name="hr")
    process = _Process([part])
    viewer = Viewer(RecentEvents(), None, status=partial(status_of, process), look_every=0.1, alive_every=0.3)
    messages = viewer.messages(asyncio.Event())
    assert [told["name"] for told in _content(await anext(messages))["status"]["parts"]] == ["hr"]
    process.parts = [replace(part, ok=False, state="degraded", detail="x" * 10_000, since=1.0)]
    (told,) = _content(await anext(messages))["status"]["parts"]
    assert (told["ok"], told["state"], len(told["detail"])) == (False, "degraded", 300)
    assert told["since"] == "1970-01-01T00:00:01Z"
    process.hub.pending += 1  # with every event, and so no news
    assert (await anext(messages)).startswith("event: alive\n")  # silence, and a sign of life
    await messages.aclose()


async def test_a_configuration_that_is_refused_is_told_with_its_first_mistake(tmp_path: Path) -> None:
    async def told(client: httpx.AsyncClient) -> dict[str, Any]:
        parts = (await client.get("/api/v1/status")).json()["parts"]
        return next(part for part in parts if part["kind"] == "configuration")

    async with running(tmp_path) as (_, client):
        good = (tmp_path / "c.yaml").read_text()
        assert (before := await told(client))["ok"]
        (tmp_path / "c.yaml").write_text(good + "nonsense: 1\nhubs: 2\n")
        assert (await client.post("/-/reload")).status_code == 400
        refused = await told(client)
        assert (refused["ok"], refused["state"], refused["detail"]) == (False, "refused", "2 mistakes")
        assert "nonsense" in refused["mistake"]
        assert refused["since"] > before["since"]
        readiness = await client.get("/readyz")  # open to all: the mistake may quote what it was found in
        assert (readiness.status_code, "nonsense" in readiness.text) == (200, False)
        assert "configuration: refused: 2 mistakes" in readiness.text
        (tmp_path / "c.yaml").write_text(good)
        assert (await client.post("/-/reload")).status_code == 200
        assert (await told(client))["ok"]


def passage(number: int) -> InFlightEvent:
    return InFlightEvent(Message(source="hr", body=b"", id=str(number)))


class _Store:
    known_silences: tuple[()] = ()

    def now(self) -> float:
        return 0.0

    def fleet(self) -> FleetState:
        return FleetState(queues=1, unowned=0, members=())


class _Hub:
    pending = 0
    max_pending = 10
    store = _Store()


class _Process:
    """As much of a process as its status asks for."""

    def __init__(self, parts: Sequence[Part] = ()) -> None:
        self.settings = Settings(rules=RuleSet(), directory=Path())
        self.hub: Any = _Hub()
        self.replayer: Any = None
        self.playground: Any = None
        self.recent_events = RecentEvents()
        self.config, self.config_hash, self.loaded_at = "c.yaml", "abc", 0.0
        self.parts = list(parts)

    def health(self) -> list[Part]:
        return self.parts

    def observe(self, fact: HubFact) -> None: ...

    async def list_mirror(self, hub: str, *, may_remove: bool = False) -> None: ...

    async def back_up(self, target: Path) -> int:
        raise NotImplementedError


def feed(recent: RecentEvents, phones: PhoneFeed | None = None) -> AsyncGenerator[str, None]:
    """What a browser is told of these, by a process of no parts."""
    return Viewer(recent, phones, status=partial(status_of, _Process())).messages(asyncio.Event())


class _Phones:
    """One phone that has no notifications."""

    def __init__(self) -> None:
        self.tell: Callable[[], None] | None = None

    def phones(self) -> list[Phone]:
        screen = [Shown(push_id="p", at=NOW, title=HOSTILE)]
        return [Phone(id="a", name="A", platform="apns", user="u", tags=("t",), screen=screen)]

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        self.tell = listener
        return lambda: setattr(self, "tell", None)


async def test_a_flood_is_told_in_few_messages_and_from_its_end() -> None:
    recent = RecentEvents()
    messages = feed(recent)
    await anext(messages)
    for batch in range(50):
        take(recent, EventsStored(events=[passage(100 * batch + index) for index in range(100)]))
    update = _content(await anext(messages))
    assert update["count"] == 5000
    assert [event["id"] for event in update["events"]] == [str(number) for number in range(5000 - SHOWN, 5000)]
    await messages.aclose()


async def test_a_browser_gets_at_most_ten_updates_a_second() -> None:
    recent = RecentEvents()
    messages = feed(recent)
    await anext(messages)
    started = time.monotonic()
    for number in range(4):
        take(recent, EventsStored(events=[passage(number)]))
        await anext(messages)
    assert time.monotonic() - started >= 0.3
    await messages.aclose()


async def test_in_a_flood_a_browser_gets_one_update_a_second_with_the_latest_events() -> None:
    recent = RecentEvents()
    messages = feed(recent)
    await anext(messages)

    async def flood() -> None:
        for batch in itertools.count():
            take(recent, EventsStored(events=[passage(50 * batch + index) for index in range(50)]))
            await asyncio.sleep(0.01)

    flooding = asyncio.create_task(flood())
    await anext(messages)  # the first comes at once, with as many as there were then
    started = time.monotonic()
    sizes = [len(_content(await anext(messages))["events"]) for _ in range(3)]
    flooding.cancel()
    assert time.monotonic() - started >= 2
    assert sizes == [SHOWN] * 3
    await messages.aclose()


async def test_phones_are_told_when_they_change_and_not_with_every_event() -> None:
    recent, phones = RecentEvents(), _Phones()
    messages = feed(recent, phones)
    snapshot = _content(await anext(messages))
    assert [phone["screen"][0]["title"] for phone in snapshot["phones"]] == [HOSTILE]
    take(recent, EventsStored(events=[passage(1)]))
    assert "phones" not in _content(await anext(messages))
    assert phones.tell is not None
    phones.tell()
    update = _content(await anext(messages))
    assert (update["events"], len(update["phones"])) == ([], 1)
    await messages.aclose()
    assert phones.tell is None


async def test_any_text_fits_into_a_message() -> None:
    recent = RecentEvents()
    take(recent, EventsStored(events=[InFlightEvent(Message(source="hr", body=b"", id="\ud800\n\n\u2028data: x"))]))
    messages = feed(recent)
    message = await anext(messages)
    assert message.count("\n") == 3
    assert _content(message)["events"][0]["id"] == "[U+D800]\n\n\u2028data: x"
    await messages.aclose()


def _content(message: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(message.split("data: ", 1)[1])
    return content


async def _messages(live: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    name = ""
    async for line in live.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
