"""`pushbridge diff` on quiet hours and windows: how many notifications of events that came they would have kept back."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bridge.cli.main import app
from tests.bridge.test_diff import event

CONFIGURATION = """
bridge: {{ timezone: Europe/Zurich }}
sources:
  bank: {{ http: {{ path: /in }}, map: {{ id: "{{{{ data.id }}}}", type: "{{{{ data.kind }}}}" }} }}
hubs: {{ app: {{}}, east: {{ timezone: Asia/Tokyo }} }}
windows:
  night: {{ times: ["22:00-07:00"], tz: {zone} }}
  business: {{ times: ["08:00-18:00"], tz: Europe/Zurich }}
rules:
  - {{ name: plain, push: {{ hub: app, to: everyone, with: {{ t: x }} }} }}
  - name: debit
    {rule}
    push: {{ hub: {hub}, to: everyone, with: {{ t: x }}{more} }}
"""
AT = ("11:00", "20:59", "21:00", "23:00", "05:59", "06:00")
"""In UTC; Zurich is an hour ahead: three of them are in its night, and one in its hours of business."""


def compared(directory: Path, rule: str, before: str = "", **given: str) -> Any:
    """The answer as JSON, as text and as Markdown."""
    values = {"zone": "Europe/Zurich", "hub": "app", "more": "", **given}
    for name, text in (("new", rule), ("old", before)):
        (directory / f"{name}.yaml").write_text(CONFIGURATION.format(rule=text, **values))
    lines = [json.dumps(event(at) | {"received_at": f"2026-03-02T{at}:00Z"}) for at in AT]
    (directory / "events.jsonl").write_text("\n".join(lines))
    names = [str(directory / name) for name in ("new.yaml", "old.yaml", "events.jsonl")]
    asked = ["diff", names[0], "--against", names[1], "--events", names[2]]
    results = [CliRunner().invoke(app, [*asked, *option]) for option in (["--json"], [], ["--markdown"])]
    assert [result.exit_code for result in results] == [0, 0, 0], results[0].output
    return json.loads(results[0].stdout), results[1].stdout, results[2].stdout


@pytest.mark.parametrize(
    ("rule", "given", "expected", "said"),
    [
        ("quiet_hours: { window: night }", {}, {"held": 3}, "6 notifications, 3 held"),
        ("quiet_hours: { window: night, on_quiet: drop }", {}, {"dropped": 3}, "6 notifications, 3 dropped"),
        (
            "quiet_hours: { window: night, on_quiet: silent }",
            {},
            {"silent": 3},
            "6 notifications, 3 sent without a sound",
        ),
        (
            "quiet_hours: { window: night, expire: 8h }",
            {},
            {"held": 2, "too_long": 1},
            "6 notifications, 2 held; 1 dropped, as they would wait for longer than expire",
        ),
        (
            "quiet_hours: { window: night }",
            {"more": ", ttl: 1h"},
            {"held": 1, "expired": 2},
            "6 notifications, 1 held; 2 given up, as they would expire before the end",
        ),
        ("quiet_hours: { window: night }", {"zone": "device"}, {"held": 3}, "6 notifications, 3 held"),
        # Tokyo is nine hours ahead of UTC: 20:00, 05:59, 06:00, 08:00, 14:59, 15:00
        (
            "quiet_hours: { window: night }",
            {"zone": "device", "hub": "east"},
            {"held": 2},
            "debit (quiet hours night by the clock of Asia/Tokyo): 6 notifications, 2 held",
        ),
        (
            "schedule: { only_in: business }",
            {},
            {"put_off": 5},
            "debit (only in business): 6 notifications, 5 put off until the window opens",
        ),
        ("match: { type: credit }\n    quiet_hours: { window: night }", {}, {"notifications": 0}, "no notification"),
    ],
)
def test_what_would_have_been_kept_back_is_counted_by_rule(
    tmp_path: Path, rule: str, given: dict[str, str], expected: dict[str, int], said: str
) -> None:
    found, text, markdown = compared(tmp_path, rule, **given)
    (counted,) = found["windows"]
    nothing = dict.fromkeys(("held", "silent", "dropped", "too_long", "expired", "put_off"), 0)
    assert {name: counted[name] for name in ("notifications", *nothing)} == {"notifications": 6, **nothing, **expected}
    assert (counted["rule"], counted["before"]) == ("debit", None)
    assert any(line.startswith("  debit (") and line.endswith(said) for line in text.splitlines()), text
    assert "\n### Quiet hours and windows of the draft\n\n- debit \\(" in markdown
    assert f"\\): {said.rpartition('): ')[2]}\n" in markdown
    is_assumed = given.get("zone") == "device"
    note = "quiet hours by each phone's clock are counted by the zone of phones that say none"
    shown = (note in found["notes"], f"\nnote: {note}\n" in text, f"\n\n> {note}\n" in markdown)
    assert shown == (is_assumed,) * 3


def test_both_are_told_where_the_other_configuration_keeps_back_another_number(tmp_path: Path) -> None:
    holds, drops = ("quiet_hours: { window: night }", "quiet_hours: { window: night, on_quiet: drop }")
    found, text, _ = compared(tmp_path, holds, before=drops)
    assert (found["windows"][0]["held"], found["windows"][0]["before"]["dropped"]) == (3, 3)
    assert "6 notifications, 3 held; before: 6 notifications, 3 dropped\n" in text


def test_a_number_that_both_keep_back_is_told_once(tmp_path: Path) -> None:
    rule = "quiet_hours: { window: night }"
    found, text, _ = compared(tmp_path, rule, before=rule)
    assert found["windows"][0]["before"]["held"] == 3
    assert "3 held\n" in text
    assert "before:" not in text


def test_a_draft_without_windows_says_nothing_of_them(tmp_path: Path) -> None:
    found, text, markdown = compared(tmp_path, "", before="quiet_hours: { window: night }")
    assert found["windows"] == []
    assert "Quiet hours" not in text + markdown
