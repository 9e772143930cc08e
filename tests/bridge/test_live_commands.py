"""The commands that look on: `top`, `events --follow`, and `reload`."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from bridge.app import Daemon
from bridge.cli.client import Client, target_of
from bridge.cli.figures import Figures, RuleRow, Scrape, ServiceRow, SourceRow
from bridge.cli.following import MOST_AT_ONCE, followed
from bridge.cli.notifications import _print_list as print_list
from bridge.cli.top import screen
from bridge.config.load import check
from bridge.config.reload import Reloader
from rules.read_files import ReadFiles
from tests.bridge.test_client_commands import Shell

CONFIGURATION = """
bridge: {{ store: {{ url: "sqlite:///x.db" }} }}
listeners:
  admin: {{ address: "127.0.0.1:0", auth: {{ bearer: canary-admin-token }} }}
  hub_api: {{ address: "127.0.0.1:0" }}
sources: {{ hr: {{ http: {{ path: /in/hr }}, map: {{ id: "{{{{ data.id }}}}" }} }} }}
hubs: {{ app: {{}} }}
rules: [ {{ name: {rule}, push: {{ to: "customer:{{{{ data.customer }}}}", with: {{ title: hello }} }} }} ]
"""

STATUS: dict[str, Any] = {
    "name": "pushbridge",
    "ready": True,
    "version": "1",
    "configuration": {"hash": "abc"},
    "pending": 7,
    "max_pending": 100_000,
    "hubs": [{"name": "app", "platforms": ["apns", "fcmv1"]}],
    "parts": [
        {"kind": "source", "name": "orders", "state": "running", "ok": True, "line": ""},
        {"kind": "source", "name": "hr", "state": "degraded", "ok": False, "line": "source hr: degraded: refused"},
        {"kind": "push service", "name": "app/fcmv1", "state": "breaker open", "ok": False, "line": "fcm"},
    ],
}
BEFORE = """
pushbridge_ingest_messages_total{source="orders",outcome="accepted"} 100
pushbridge_ingest_messages_total{source="orders",outcome="duplicate"} 0
pushbridge_rule_evaluations_total{rule="one",outcome="match"} 10
pushbridge_rule_evaluations_total{rule="one",outcome="error"} 0
pushbridge_pns_deliveries_total{hub="app",platform="apns",outcome="success"} 5000
"""
NOW = """
pushbridge_ingest_messages_total{source="orders",outcome="accepted"} 130
pushbridge_ingest_messages_total{source="orders",outcome="duplicate"} 10
pushbridge_ingest_lag_messages{source="orders"} 12
pushbridge_rule_evaluations_total{rule="one",outcome="match"} 30
pushbridge_rule_evaluations_total{rule="one",outcome="error"} 2
pushbridge_pns_deliveries_total{hub="app",platform="apns",outcome="success"} 40
pushbridge_pns_deliveries_total{hub="app",platform="apns",outcome="unauthorized"} 20
pushbridge_pns_requests_in_flight{platform="apns"} 3
"""


def figures() -> Figures:
    return Figures.of(Scrape.of(BEFORE, at=10), Scrape.of(NOW, at=20), STATUS)


def test_rates_are_of_the_time_between_two_scrapes_and_what_is_in_trouble_comes_first() -> None:
    found = figures()
    assert found.sources == [SourceRow("hr", "degraded", 0, None), SourceRow("orders", "running", 4, 12)]
    assert found.rules == [RuleRow("one", 2, 0.2)]


def test_a_counter_that_began_anew_counts_from_zero() -> None:
    """The daemon was started again between the two looks: 5,000 before, and 60 since."""
    assert figures().services == [
        ServiceRow("app", "fcmv1", 0, 0, 0, "breaker open"),
        ServiceRow("app", "apns", 6, 2, 3, "ok"),
    ]


@pytest.mark.parametrize("lines, columns", [(24, 80), (60, 200), (12, 40)])
def test_a_screen_has_no_line_too_long_and_none_too_many(lines: int, columns: int) -> None:
    many = Figures(
        [SourceRow(f"source-{number}" * 9, "running", 1e6, 10**9) for number in range(50)],
        [ServiceRow("hub" * 30, "fcmv1", 1e6, 1e6, 99, "breaker open") for _ in range(50)],
        [RuleRow("rule\x1b[31m" * 20, 1e6, 1e6) for _ in range(50)],
    )
    shown = screen(STATUS, many, said="applied", lines=lines, columns=columns)
    assert len(shown) == lines
    assert max(map(len, shown)) <= columns
    assert all(line.isprintable() for line in shown)
    assert any("more" in line for line in shown)
    assert shown[-1].startswith("r reload  q quit  applied")


@pytest.mark.parametrize("lines", [24, 14, 12])
def test_silences_have_a_line_each_and_leave_room_for_all_tables(lines: int) -> None:
    silenced = STATUS | {"silences": [{"line": f"silence {number} holds rule x\x1b" * 9} for number in range(5)]}
    shown = screen(silenced, figures(), lines=lines)
    room = {24: 3, 14: 2, 12: 1}[lines]
    assert sum(line.startswith("silence ") for line in shown) == room - 1
    assert shown[2 + room - 1] == f"{5 - room + 1} more silences in force: pushbridge silences list"
    assert len(shown) <= lines
    assert {line.split()[0] for line in shown if line} >= {"SOURCE", "HUB", "r"}
    assert all(line.isprintable() and len(line) <= 80 for line in shown)
    assert screen(STATUS | {"silences": [{"line": "silence 1"}]}, figures())[2:4] == ["silence 1", ""]


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIGURATION.format(rule="all"))
    files = ReadFiles()
    settings, problems = check(config, files=files)
    assert settings is not None, problems
    daemon = Daemon(
        settings,
        config_hash="before",
        reload=lambda daemon: Reloader(config, daemon, config_hash="before", files=files, on_result=daemon.reloaded),
    )
    with capture_logs():
        async with daemon.running():
            yield Shell(daemon, tmp_path)


async def post(shell: Shell, *ids: str) -> None:
    async with httpx.AsyncClient(verify=False, base_url=shell.url, trust_env=False, timeout=60) as client:
        for id in ids:
            while (await client.post("/in/hr", json={"id": id, "customer": "4711"})).status_code == 503:
                await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_top_in_a_pipe_is_one_screen_and_json_for_scripts(shell: Shell) -> None:
    await post(shell, "1")
    printed = (await shell.run("top")).stdout
    assert "SOURCE" in printed
    (row,) = [line.split() for line in printed.splitlines() if line.startswith("hr ")]
    assert (row[1], row[3]) == ("0.0", "running")
    found = await shell.json("top")
    assert [row["name"] for row in found["sources"]] == ["hr"]
    assert {row["name"] for row in found["rules"]} == {"all", "_other"}
    shell.token_file.write_text("another")
    assert "takes another admin token" in await shell.error("top", code=5)


@pytest.mark.slow
async def test_events_are_followed_from_now_on_and_no_line_has_a_value_of_the_event(shell: Shell) -> None:
    await post(shell, "before")

    def look(count: int, ids: list[str], *, as_json: bool = False) -> list[str]:
        with Client(target_of(shell.url, shell.token_file, None)) as client:
            waits = iter([lambda: asyncio.run(post(shell, *ids))])
            lines = followed(client, as_json=as_json, pause=lambda _: next(waits, lambda: None)())
            return list(islice(lines, count))

    (line,) = await asyncio.to_thread(look, 1, ["one"])
    assert all(word in line for word in ("hr", "accepted", "one", "rules all"))
    assert "4711" not in line
    (event,) = map(json.loads, await asyncio.to_thread(look, 1, ["two"], as_json=True))
    assert event["id"] == "two"
    flood = [f"flood-{number}" for number in range(MOST_AT_ONCE + 5)]
    *lines, last = await asyncio.to_thread(look, MOST_AT_ONCE + 1, flood)
    assert len(lines) == MOST_AT_ONCE
    assert last == "... and 5 more in this moment"


@pytest.mark.slow
async def test_events_are_followed_by_the_rule_that_fires(shell: Shell, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    more = ', { name: some, match: { data: { id: { prefix: "x" } } }, push: { to: everyone, with: { title: x } } } ]'
    config.write_text(CONFIGURATION.format(rule="all").removesuffix(" ]\n") + more)
    assert (await shell.run("reload")).stdout == "applied\n"

    def look(rule: str) -> str:
        with Client(target_of(shell.url, shell.token_file, None)) as client:
            waits = iter([lambda: asyncio.run(post(shell, f"a-{rule}", f"x-{rule}", f"b-{rule}"))])
            return next(followed(client, rule=rule, pause=lambda _: next(waits, lambda: None)()))

    assert "x-some" in await asyncio.to_thread(look, "some")
    assert "a-all" in await asyncio.to_thread(look, "all")
    listed = await shell.json("events", "list", "--rule", "some")
    assert [event["id"] for event in listed] == ["x-all", "x-some"]
    assert "--rule is for the events in memory" in await shell.error("events", "list", "--rule", "x", "--kept", code=2)


async def test_follow_stands_alone(shell: Shell) -> None:
    assert "stands alone" in await shell.error("events", "--follow", "list", code=2)


@pytest.mark.slow
async def test_reload_says_what_became_of_it(shell: Shell, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    assert (await shell.run("reload")).stdout == "applied\n"
    config.write_text(CONFIGURATION.format(rule="all").replace("x.db", "y.db"))
    assert (await shell.run("reload")).stdout == "applied; these keys wait for a restart: bridge.store\n"
    config.write_text("sources: { hr: { htp: {} } }")
    refused = await shell.run("reload", code=1)
    assert refused.stdout == "refused: the configuration before stays in force\n"
    assert "htp" in refused.stderr
    assert (await shell.json("reload", code=1))["applied"] is False


def test_notifications_of_a_daemon_of_the_version_before_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    one = dict.fromkeys(("id", "accepted_at", "hub", "rule", "event_id", "audience"), "x")
    print_list([{**one, "state": "Completed", "outcomes": {"apns": {"Success": 1}}}])
    assert capsys.readouterr().out.splitlines()[1].split()[-4:] == ["Completed", "apns", "Success", "1"]
