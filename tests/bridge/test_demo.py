"""The demo as its users run it: each phone gets exactly its own, and anything else is told and fails it."""

import asyncio
import json
import os
import random
import signal
import socket
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

import bridge.demo
from bridge.demo.backend import news
from bridge.demo.events import first_events, later_events
from bridge.demo.expected import CHANCE, EXPECTED, NEWS, differences, is_complete, uncompleted
from bridge.demo.phones import ROLES, DemoPhone
from rules.document import load_document
from rules.problems import Problems
from sandbox.display import Shown
from sandbox.phones import VirtualPhone
from tests.bridge.demo_process import Running, finished_demo, finished_demo_of, running_demo

pytestmark = pytest.mark.processes

DEMO = Path(bridge.demo.__file__).parent / "demo.yaml"
EXAMPLES = Path(bridge.demo.__file__).parents[2] / "examples.yaml"


def test_the_demo_runs_sources_and_rules_of_the_examples(tmp_path: Path) -> None:
    everything = tmp_path / "examples.yaml"
    everything.write_text(EXAMPLES.read_text().replace("#>", ""))
    demo, examples = plain(DEMO), plain(everything)
    assert demo["defaults"] == examples["defaults"]
    assert demo["sources"] == {name: examples["sources"][name] for name in demo["sources"]}
    names = [rule["name"] for rule in demo["rules"]]
    assert demo["rules"] == [rule for name in names for rule in examples["rules"] if rule["name"] == name]


def test_the_demo_runs_everything_that_the_examples_have_switched_on() -> None:
    demo, examples = plain(DEMO), plain(EXAMPLES)
    assert examples["sources"].keys() <= demo["sources"].keys()
    assert {rule["name"] for rule in examples["rules"]} <= {rule["name"] for rule in demo["rules"]}


def plain(configuration: Path) -> dict[str, Any]:
    """A configuration as it is written, but for where Service Bus is."""
    document = load_document(configuration, Problems(), environ={})
    assert document is not None
    read: dict[str, Any] = document.plain()
    for source in read["sources"].values():
        source.get("servicebus", {}).pop("connection", None)
    return read


async def test_every_phone_gets_exactly_what_it_was_meant_to_get(tmp_path: Path) -> None:
    ended = await finished_demo("--exit-after", "60", "--json", "--port", "0", temporary=tmp_path / "t")
    assert (ended.code, ended.stderr.count("did not get")) == (0, 0), ended.stderr
    summary = json.loads(ended.stdout)
    assert (summary["ok"], summary["differences"], summary["ended_by"]) == (True, [], "complete")
    told = {
        event["id"]: (
            event["source"],
            event["end"],
            event["rules_fired"],
            [
                (one["expression"], one["installations_targeted"], one["pushes"], one["outcomes"])
                for one in event["notifications"]
            ],
        )
        for event in summary["events"]
    }
    team = {"apns": {"Success": 1}, "fcmv1": {"Success": 1}, "wns": {"Success": 1}, "browser": {"Success": 1}}
    approval = {"fcmv1": {"Success": 1}, "wns": {"Success": 1}}
    assert told == {
        "3bb4a1da059d": ("employees", "accepted", ["employee-news"], [("team:hr", 4, 4, team)]),
        "e158a6e04b64": ("employees", "accepted", ["employee-news"], [("team:hr", 4, 4, team)]),
        "faae2fbf4968": ("employees", "accepted", ["employee-news"], [("team:hr", 4, 4, team)]),
        "12345/joined": ("hr", "accepted", ["employee-joined"], [("team:hr", 4, 4, team)]),
        "p-1001": (
            "core-banking",
            "accepted",
            ["debit-over-threshold"],
            [("customer:4711 && topic:debits", 1, 1, {"apns": {"Success": 1}})],
        ),
        "p-1002": ("core-banking", "no_match", [], []),
        "BR-2041/Requested": (
            "budget",
            "accepted",
            ["budget-approval-requested"],
            [("$UserId:{maria}", 2, 2, approval)],
        ),
    }
    shown = {
        phone["id"]: sorted((one["title"], one["body"]) for one in phone["received"]) for phone in summary["phones"]
    }
    assert shown == {phone: sorted(texts.values()) for phone, texts in EXPECTED.items()}
    assert summary["subscription"] == {
        "path": "hr/Subscriptions/pushbridge",
        "enqueued": 3,
        "completed": 3,
        "waiting": 0,
    }


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (
            'to: "team:hr"\n      with: { title: "Wel',
            'to: everyone\n      with: { title: "Wel',
            'Maria\'s PC got "Welcome: Employee 12345 has joined."',
        ),
        ("default(500)", "default(500) - 400", "Anna's iPhone got \"Card debit CHF 240"),
    ],
    ids=["to more phones", "one too many"],
)
async def test_a_daemon_that_misroutes_fails_the_demo(right: str, wrong: str, told: str, tmp_path: Path) -> None:
    configuration = tmp_path / "changed.yaml"
    text = DEMO.read_text()
    assert text.count(right) == 1
    configuration.write_text(text.replace(right, wrong))
    ended = await finished_demo_of(configuration, exit_after=60, temporary=tmp_path / "t")
    assert ended.code == 1
    assert told in ended.stderr


async def test_a_text_with_markup_sent_to_its_topic_is_shown_as_it_is(tmp_path: Path) -> None:
    text = """Employee Id '<b>&"O'Brien"</b>' has left."""
    async with (
        running_demo(temporary=tmp_path / "t") as demo,
        ServiceBusClient.from_connection_string(demo.connection_string) as bus,
        bus.get_topic_sender("hr") as sender,
        httpx.AsyncClient(verify=False, timeout=60, trust_env=False) as client,
        client.stream("GET", f"{demo.page_url}api/live") as live,
    ):
        lines = live.aiter_lines()
        while "employee-news" not in await anext(lines):
            pass  # now there is a subscription
        await sender.send_messages(ServiceBusMessage(text, message_id="markup"))
        async with asyncio.timeout(60):
            while not all(text in shown for shown in (await bodies(client, demo)).values()):
                await anext(lines)


async def bodies(client: httpx.AsyncClient, demo: Running) -> dict[str, list[str]]:
    """What the phones of the HR team show."""
    phones = (await client.get(f"{demo.page_url}api/phones")).json()["phones"]
    return {phone["id"]: [one["body"] for one in phone["screen"]] for phone in phones if "team:hr" in phone["tags"]}


async def test_a_demo_that_has_no_time_says_what_is_missing(tmp_path: Path) -> None:
    ended = await finished_demo("--exit-after", "0.01", "--json", "--port", "0", temporary=tmp_path / "t")
    assert ended.code == 1
    assert json.loads(ended.stdout)["ended_by"] == "time"
    assert "the event p-1002 was not taken" in ended.stderr


async def test_a_port_that_is_taken_is_named_and_another_one_used(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await finished_demo("--exit-after", "0.01", "--json", "--port", str(port), temporary=tmp_path / "t")
    assert f"Port {port} cannot be used (Address already in use); taking a free one instead." in ended.stderr
    assert f"Look here        http://127.0.0.1:{port}/" not in ended.stderr
    assert "Look here        http://127.0.0.1:" in ended.stderr


@pytest.mark.parametrize(
    "number, seen",
    [(signal.SIGINT, "employee-news"), (signal.SIGTERM, "BR-2041/Requested")],
    ids=["Ctrl-C while all flows", "SIGTERM while Service Bus is being connected to"],
)
async def test_a_signal_ends_the_demo_at_once_with_nothing_left(
    number: signal.Signals, seen: str, tmp_path: Path
) -> None:
    assert await seconds_to_end(number, seen, tmp_path) < 10, "it waits for none of what is under way"


async def seconds_to_end(number: signal.Signals, seen: str, tmp_path: Path) -> float:
    """How long a demo takes to end by a signal, sent once the page has seen this much; nothing of it may be left."""
    async with (
        running_demo(temporary=tmp_path / "t") as demo,
        httpx.AsyncClient(verify=False, timeout=60, trust_env=False) as client,
    ):
        async with client.stream("GET", f"{demo.page_url}api/live") as live:
            lines = live.aiter_lines()
            while seen not in await anext(lines):
                pass  # somebody looks on
            assert list((tmp_path / "t").iterdir()) != []
            demo.process.send_signal(number)
            sent = time.monotonic()
            async with asyncio.timeout(60):
                assert await demo.process.wait() == 0
            took = time.monotonic() - sent
        assert list((tmp_path / "t").iterdir()) == []
        with pytest.raises(ProcessLookupError):
            os.killpg(demo.process.pid, 0)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", urlsplit(demo.page_url).port))
    return took


*FIRST, WELCOME, DEBIT = EXPECTED["anna-iphone"].values()


@pytest.mark.parametrize(
    ("received", "told"),
    [
        ([WELCOME, DEBIT], []),
        ([DEBIT, WELCOME], []),
        ([WELCOME], ['Anna\'s iPhone did not get "Card debit CHF 720.55: Alpine Sports, account ••••4711"']),
        (
            [WELCOME, DEBIT, DEBIT],
            ['Anna\'s iPhone got "Card debit CHF 720.55: Alpine Sports, account ••••4711", which was not for it'],
        ),
        ([WELCOME, DEBIT, ("", "")], ["Anna's iPhone got a push that it shows nothing of: silent"]),
    ],
    ids=["right", "in another order", "one is missing", "one came twice", "one is silent"],
)
def test_what_a_phone_got_is_compared_with_what_it_should_get(received: list[tuple[str, str]], told: list[str]) -> None:
    device = _device("anna-iphone", [*FIRST, *received])
    assert differences([device]) == told
    assert is_complete([device]) == (len(received) >= 2)


def test_every_phone_and_every_event_has_its_place_in_the_table() -> None:
    assert EXPECTED.keys() == {role.id for role in ROLES}
    events = NEWS.keys() | {event.id for event in first_events()}
    assert {event for texts in EXPECTED.values() for event in texts} <= events


def test_the_news_of_the_table_is_what_chance_brings() -> None:
    brought = islice(news(random.Random(CHANCE)), len(NEWS))
    assert {each.id: ("HR", each.text) for each in brought} == NEWS


@pytest.mark.parametrize(
    ("completed", "waiting", "told"),
    [
        (3, 0, []),
        (2, 1, ["2 of 3 messages of hr/s were completed, and 1 wait"]),
        (3, 1, ["3 of 3 messages of hr/s were completed, and 1 wait"]),
        (4, 0, ["4 of 3 messages of hr/s were completed, and 0 wait"]),
    ],
)
def test_news_that_was_not_completed_once_is_told(completed: int, waiting: int, told: list[str]) -> None:
    assert uncompleted({"path": "hr/s", "completed": completed, "waiting": waiting}) == told


def test_later_events_are_never_the_same_twice() -> None:
    """An event known already would be dropped, and the page would stand still."""
    events = later_events()
    ids = [event.id for event, _ in zip(events, range(20_000), strict=False) if event.id]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & {event.id for event in first_events()}


def _device(id: str, received: list[tuple[str, str]]) -> tuple[DemoPhone, VirtualPhone]:
    role = next(role for role in ROLES if role.id == id)
    phone = VirtualPhone(name=id, platform=role.platform, handle="")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    phone.received = [
        Shown(push_id="", at=at, raw=b"", title=title, body=body, hidden="" if title else "silent")
        for title, body in received
    ]
    return role, phone
