"""The demo as its users run it: each phone gets exactly its own, and anything else is told and fails it."""

import asyncio
import json
import os
import signal
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

import bridge.demo
from bridge.demo.events import first_events, later_events
from bridge.demo.expected import EXPECTED, differences, is_complete
from bridge.demo.phones import ROLES, Role
from rules.document import load_document
from rules.problems import Problems
from sandbox.display import Shown
from sandbox.phones import VirtualPhone
from tests.bridge.demo_process import finished_demo, finished_demo_of, running_demo

DEMO = Path(bridge.demo.__file__).parent / "demo.yaml"
EXAMPLES = Path(bridge.demo.__file__).parents[2] / "examples.yaml"


@pytest.mark.parametrize("section", ["sources", "defaults", "rules"])
def test_the_demo_runs_the_rules_of_the_examples(section: str) -> None:
    read = [load_document(path, Problems(), environ={}) for path in (DEMO, EXAMPLES)]
    demo, examples = (document.find((section,)).plain() for document in read if document is not None)
    assert demo == examples


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
    joined = {"apns": {"Success": 1}, "fcmv1": {"Success": 1}, "wns": {"Success": 1}}
    approval = {"fcmv1": {"Success": 1}, "wns": {"Success": 1}}
    assert told == {
        "12345/joined": ("hr", "accepted", ["employee-joined"], [("team:hr", 3, 3, joined)]),
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


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ('to: "team:hr"', 'to: "role:manager"', 'Maria\'s PC got "Welcome: Employee 12345 has joined."'),
        ("default(500)", "default(500) - 400", "Anna's iPhone got \"Card debit CHF 240"),
    ],
    ids=["to other phones", "one too many"],
)
async def test_a_daemon_that_misroutes_fails_the_demo(right: str, wrong: str, told: str, tmp_path: Path) -> None:
    configuration = tmp_path / "changed.yaml"
    text = DEMO.read_text()
    assert text.count(right) == 1
    configuration.write_text(text.replace(right, wrong))
    ended = await finished_demo_of(configuration, exit_after=6, temporary=tmp_path / "t")
    assert ended.code == 1
    assert told in ended.stderr


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_demo_at_once_with_nothing_left(number: signal.Signals, tmp_path: Path) -> None:
    async with running_demo(temporary=tmp_path / "t") as demo, httpx.AsyncClient(timeout=30, trust_env=False) as client:
        async with client.stream("GET", f"{demo.page_url}api/live") as live:
            lines = live.aiter_lines()
            while "BR-2041/Requested" not in await anext(lines):
                pass  # the last of the first events: all is under way, and somebody looks on
            assert list((tmp_path / "t").iterdir()) != []
            demo.process.send_signal(number)
            sent = time.monotonic()
            async with asyncio.timeout(20):
                assert await demo.process.wait() == 0
            assert time.monotonic() - sent < 2
        assert list((tmp_path / "t").iterdir()) == []
        with pytest.raises(ProcessLookupError):
            os.killpg(demo.process.pid, 0)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", urlsplit(demo.page_url).port))


WELCOME, DEBIT = EXPECTED["anna-iphone"].values()


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
    device = _device("anna-iphone", received)
    assert differences([device]) == told
    assert is_complete([device]) == (len(received) >= 2)


def test_every_phone_and_every_event_has_its_place_in_the_table() -> None:
    assert EXPECTED.keys() == {role.id for role in ROLES}
    assert {event for texts in EXPECTED.values() for event in texts} <= {event.id for event in first_events()}


def test_later_events_are_never_the_same_twice() -> None:
    """An event known already would be dropped, and the page would stand still."""
    events = later_events()
    ids = [event.id for event, _ in zip(events, range(20_000), strict=False) if event.id]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & {event.id for event in first_events()}


def _device(id: str, received: list[tuple[str, str]]) -> tuple[Role, VirtualPhone]:
    role = next(role for role in ROLES if role.id == id)
    phone = VirtualPhone(name=id, platform=role.platform, handle="")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    phone.received = [
        Shown(push_id="", at=at, raw=b"", title=title, body=body, hidden="" if title else "silent")
        for title, body in received
    ]
    return role, phone
