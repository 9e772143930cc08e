"""What a trial says of quiet hours and rates: the words of `explain`, of the playground, and of a test that failed."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from bridge.cli.main import app
from bridge.config.load import check
from bridge.trial.playground.as_test import as_test
from bridge.trial.trial import Trial
from connectors.base import Message
from hub.store.sqlite.store import SqliteStore
from tests.bridge.test_playground import MORE, opened, tried
from tests.hub.examples import installation

NIGHT = datetime(2026, 3, 2, 3, 30, tzinfo=UTC)
"""04:30 in Zurich and Berlin, 22:30 of the day before in New York, 12:30 in Tokyo."""

CONFIG = """
bridge: {{ timezone: Europe/Zurich }}
windows:
  night: {{ times: "22:00-07:00", tz: {zone} }}
sources: {{ erp: {{ http: {{ path: /in/erp }}, decode: {{ format: csv, split: lines }} }} }}
hubs: {{ main: {{ {hub} }} }}
rules:
  - name: news
    push: {{ to: everyone, with: {{ title: "{{{{ data.id }}}}" }}, {push} }}
    {rule}
"""
PHONES = {
    "a": "Europe/Zurich",
    "b": "Europe/Berlin",
    "c": "America/New_York",
    "d": "America/New_York",
    "e": "Asia/Tokyo",
}


async def kept_back(
    directory: Path,
    *,
    rule: str = "",
    push: str = "",
    hub: str = "",
    zone: str = "device",
    events: int = 1,
    phones: dict[str, str] | None = None,
    at: datetime = NIGHT,
) -> list[Sequence[str]]:
    """What is said of the notification of each event, all of which come at once."""
    file = directory / "config.yaml"
    file.write_text(CONFIG.format(zone=zone, rule=rule, push=push, hub=hub))
    settings, problems = check(file)
    assert settings is not None, problems
    store = SqliteStore(directory / "phones.db", allow_ephemeral=True)
    await store.open()
    try:
        registered = [replace(installation(name), time_zone=zone) for name, zone in (phones or {}).items()]
        await store.put_installations("main", registered)
        trial = Trial(settings, registrations=None if phones is None else store, clock=lambda: at)
        body = "\n".join(["id", *map(str, range(events))]).encode()
        found = await trial.each(Message(source="erp", body=body))
        await trial.close()
    finally:
        await store.close()
    return [notification.kept_back for each in found for notification in each.notifications]


async def test_of_three_zones_it_is_said_until_when_each_is_held_and_who_gets_it_at_once(tmp_path: Path) -> None:
    """Zones whose nights end at one moment are one line, as they are one held part."""
    said = await kept_back(tmp_path, rule="quiet_hours: { window: night }", phones=PHONES)
    assert said == [
        [
            "quiet_hours: 2 pushes held by quiet hours of window night until 07:00 Europe/Berlin, Europe/Zurich",
            "quiet_hours: 2 pushes held by quiet hours of window night until 07:00 America/New_York",
            "quiet_hours: 1 push outside of quiet hours of window night",
        ]
    ]


@pytest.mark.parametrize(
    ("quiet", "push", "zone", "said"),
    [
        ("", "", "Europe/Zurich", "all pushes held by WINDOW until 07:00 Europe/Zurich"),
        ("", "", "device", "pushes to phones that say no zone held by WINDOW until 07:00 Europe/Zurich"),
        ("", "", "Asia/Tokyo", "all pushes outside of WINDOW"),
        ("on_quiet: drop", "", "Europe/Zurich", "all pushes in WINDOW, dropped: the rule says on_quiet: drop"),
        ("on_quiet: silent", "", "Europe/Zurich", "all pushes in WINDOW, without a sound"),
        (
            "expire: 1h", "", "Europe/Zurich",
            "all pushes in WINDOW, dropped: it would wait for longer than quiet_hours.expire",
        ),
        (
            "", "ttl: 1h", "Europe/Zurich",
            "all pushes in WINDOW, dropped: its time to live ends before the quiet hours do",
        ),
    ],
)  # fmt: skip
async def test_without_phones_it_is_said_what_holds_for_all_or_for_those_without_a_zone(
    quiet: str, push: str, zone: str, said: str, tmp_path: Path
) -> None:
    rule = f"quiet_hours: {{ window: night, {quiet} }}"
    line = f"quiet_hours: {said.replace('WINDOW', 'quiet hours of window night')}"
    assert await kept_back(tmp_path, rule=rule, push=push, zone=zone) == [[line]]


async def test_the_fourth_notification_of_a_minute_waits_and_the_fifth_for_the_longer(tmp_path: Path) -> None:
    said = await kept_back(tmp_path, rule="rate: { per_second: 0.05, burst: 3 }", events=5)
    turns = [each.removeprefix("rate: 0.05 a second, 3 at once; ") for (each,) in said]
    assert turns == [*["goes out at once"] * 3, "waits 20s for what came before", "waits 40s for what came before"]


async def test_an_audience_above_a_rate_goes_out_whole_and_what_comes_next_waits_for_it(tmp_path: Path) -> None:
    said = await kept_back(tmp_path, hub="rate: { per_second: 2, burst: 2 }", phones=PHONES, events=2)
    assert said == [
        ["rate of hub main: 2 a second, 2 at once; goes out at once, and the next waits 2s"],
        ["rate of hub main: 2 a second, 2 at once; waits 2s for what came before, and the next waits 5s"],
    ]


async def test_of_a_rule_with_neither_nothing_is_said(tmp_path: Path) -> None:
    assert await kept_back(tmp_path, phones=PHONES) == [[]]


def test_explain_prints_what_keeps_a_push_back(tmp_path: Path) -> None:
    """The window is that of all hours but one minute of years ago, so that the time of the test plays no part."""
    file = tmp_path / "config.yaml"
    file.write_text(
        CONFIG.format(zone="UTC", rule="quiet_hours: { window: night, on_quiet: drop }", push="", hub="").replace(
            'times: "22:00-07:00"', 'times: "00:00-24:00", except: [2020-01-01]'
        )
    )
    (tmp_path / "event.csv").write_text("id\n7\n")
    result = CliRunner().invoke(app, ["explain", str(file), str(tmp_path / "event.csv")])
    assert result.exit_code == 0, result.output
    assert "kept back" in result.output
    assert "all pushes in quiet hours of window night, dropped: the rule says on_quiet: drop" in result.output


PLAYED = """
rules:
  - name: debit
    source: bank
    rate: { per_second: 1, burst: 1 }
    quiet_hours: { window: always, on_quiet: drop }
    push: { to: everyone, with: { title: "x" } }
"""


async def test_the_playground_says_it_of_the_phones_of_the_live_registry(tmp_path: Path) -> None:
    async with opened(
        tmp_path, more=MORE + 'windows: { always: { times: "00:00-24:00", tz: UTC, except: [2020-01-01] } }\n'
    ) as (
        daemon,
        client,
    ):
        phones = [replace(installation(name), time_zone=zone) for name, zone in PHONES.items()]
        await daemon.hub.put_installations("app", phones)
        content = await tried(client, rules=PLAYED)
        assert content["problems"] == []
        ((push,),) = [event["notifications"] for event in content["events"]]
        assert push["kept_back"] == [
            "quiet_hours: 5 pushes in quiet hours of window always, dropped: the rule says on_quiet: drop",
            "rate: 1 a second, 1 at once; goes out at once, and the next waits 5s",
        ]


@pytest.mark.parametrize(
    ("on_quiet", "expected"),
    [
        ("hold", {"pushes": [], "held": {"quiet_hours": 1}}),
        ("drop", {"pushes": [], "suppressed": {"quiet_hours": 1}}),
        ("silent", {}),
    ],
)
async def test_what_quiet_hours_keep_back_is_so_in_the_copied_test(
    on_quiet: str, expected: dict[str, object], tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    quiet = f"quiet_hours: {{ window: night, on_quiet: {on_quiet} }}"
    file.write_text(CONFIG.format(zone="Europe/Zurich", rule=quiet, push="", hub=""))
    settings, problems = check(file)
    assert settings is not None, problems
    message = Message(source="erp", body=b"id\n7\n")
    copied = as_test(message, await Trial(settings, clock=lambda: NIGHT).each(message), now=NIGHT)
    (test,) = yaml.safe_load(copied)["tests"]
    (step,) = test["steps"]
    assert {key: step["expect"][key] for key in expected} == expected
    (tmp_path / "copied.test.yaml").write_text(copied)
    result = await asyncio.to_thread(CliRunner().invoke, app, ["test", str(tmp_path)])
    assert result.exit_code == 0, (result.output, copied)
