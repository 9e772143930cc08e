"""`pushbridge diff` and `events export`: what a draft would do differently with events that came."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bridge.cli.main import app
from tests.bridge.test_admin_api import phone
from tests.bridge.test_client_commands import at_rest, running
from tests.bridge.test_why import post

OLD = """
sources:
  bank: {{ http: {{ path: /in }}, map: {{ id: "{{{{ data.id }}}}", type: "{{{{ data.kind }}}}" }} }}
hubs: {{ app: {{}} }}
rules:
{rules}
"""
DEBIT = """
  - name: debit
    match: { type: debit }
    push: { to: "customer:{{ data.c }}", with: { t: "CHF {{ data.a }}" }, ttl: 1h }
"""
CREDIT = '  - { name: credit, match: { type: credit }, push: { to: everyone, with: { t: "+" } } }\n'


def event(id: str, kind: str = "debit", **data: Any) -> dict[str, Any]:
    return {
        "id": id,
        "origin": "bank",
        "source": "/bank",
        "type": kind,
        "subject": "",
        "time": "2026-03-02T11:00:00Z",
        "received_at": "2026-03-02T11:00:01Z",
        "data": {"c": "c1", "a": 5, **data},
        "meta": {},
    }


@pytest.fixture
def compare(tmp_path: Path) -> Any:
    def compared(old: str, new: str, *events: dict[str, Any], options: tuple[str, ...] = (), code: int = 0) -> Result:
        for name, rules in (("old", old), ("new", new)):
            (tmp_path / f"{name}.yaml").write_text(OLD.format(rules=rules))
        (tmp_path / "events.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in events))
        files = [str(tmp_path / name) for name in ("new.yaml", "old.yaml", "events.jsonl")]
        result = CliRunner().invoke(app, ["diff", files[0], "--against", files[1], "--events", files[2], *options])
        assert result.exit_code == code, result.output
        return result

    return compared


def changes(result: Result) -> list[tuple[str, str, int]]:
    return [(each["rule"], each["kind"], each["events"]) for each in json.loads(result.stdout)["changes"]]


@pytest.mark.parametrize(
    "new, expected",
    [
        (DEBIT + CREDIT, []),
        (DEBIT, [("credit", "lost", 1)]),
        (DEBIT + CREDIT.replace("credit,", "thanks,"), [("credit", "lost", 1), ("thanks", "gained", 1)]),
        (DEBIT.replace("customer:", "vip:") + CREDIT, [("debit", "audience changed", 2)]),
        (DEBIT.replace("CHF", "EUR") + CREDIT, [("debit", "content changed", 2)]),
        (DEBIT.replace("1h", "2h") + CREDIT, [("debit", "delivery changed", 2)]),
        (DEBIT.replace("data.a", "data.amount") + CREDIT, [("debit", "fails now", 2), ("debit", "lost", 2)]),
        (DEBIT.replace("type: debit", "data: { a: { gt: 5 } }") + CREDIT, [("debit", "lost", 1)]),
    ],
)
def test_each_way_to_differ_is_told_by_rule_with_the_events_counted(compare: Any, new: str, expected: Any) -> None:
    events = [event("p-1"), event("p-2", a=7), event("p-3", "credit", a=1)]
    assert sorted(changes(compare(DEBIT + CREDIT, new, *events, options=("--json",)))) == expected


def test_three_samples_show_both_sides_and_text_and_markdown_say_the_same(compare: Any) -> None:
    events = [event(f"p-{number}") for number in range(5)]
    text = compare(DEBIT, DEBIT.replace("customer:", "vip:"), *events).stdout
    assert "5 events: 0 come to the same, 5 to something else." in text
    assert "debit (app): audience changed, 5 events" in text
    assert text.count("- customer:c1") == text.count("+ vip:c1") == 3
    markdown = compare(DEBIT, DEBIT.replace("customer:", "vip:"), *events, options=("--markdown",)).stdout
    assert "### debit \\(app\\): audience changed, 5 events" in markdown
    assert markdown.count("```diff\n- customer:c1\n+ vip:c1\n```") == 3


def test_what_events_say_is_no_markup_and_commands_no_terminal(compare: Any) -> None:
    hostile = event("<img src=x>\x1b[2J", a="```\n# heading\x1b[31m @all")
    markdown = compare(DEBIT, CREDIT, hostile, options=("--markdown",)).stdout
    assert "<img" not in markdown.replace("\\<", "")
    assert "\x1b" not in markdown
    assert "\n# heading" not in markdown
    assert "~~~~~~diff" in markdown


def test_what_is_compared_is_said_where_sources_differ(compare: Any, tmp_path: Path) -> None:
    other = DEBIT + "sources_are: other\n"
    assert "unknown key" in compare(DEBIT, other, event("p-1"), code=1).output
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    new.write_text(old.read_text().replace('type: "{{ data.kind }}"', "type: debit"))
    found = CliRunner().invoke(
        app, ["diff", str(new), "--against", str(old), "--events", str(tmp_path / "events.jsonl")]
    )
    assert "note: decode or map of bank differ" in found.stdout


@pytest.mark.parametrize(
    "line, problem",
    [
        ("{", "is no event that events export wrote"),
        ("[]", "is no event that events export wrote"),
        ('{"id": "x"}', "has no 'origin'"),
        (json.dumps(event("x") | {"time": "soon"}), "is no event that events export wrote"),
    ],
)
def test_a_line_that_is_no_event_is_named(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "c.yaml").write_text(OLD.format(rules=DEBIT))
    (tmp_path / "events.jsonl").write_text(f"{json.dumps(event('p-1'))}\n\n{line}\n")
    names = [str(tmp_path / name) for name in ("c.yaml", "events.jsonl")]
    result = CliRunner().invoke(app, ["diff", names[0], "--against", names[0], "--events", names[1]])
    assert (result.exit_code, f"events.jsonl:3: {problem}" in result.stderr) == (2, True), result.output


def test_the_limit_counts_events_and_is_told_when_it_is_reached(compare: Any, tmp_path: Path) -> None:
    events = [event(f"p-{number}") for number in range(5)]
    found = json.loads(compare(DEBIT, CREDIT, *events, options=("--limit", "3", "--json")).stdout)
    assert (found["events"], found["notes"]) == (3, ["3 events at most were taken: --limit takes more"])
    assert json.loads(compare(DEBIT, CREDIT, *events, options=("--json",)).stdout)["notes"] == []
    (tmp_path / "events.jsonl").write_text("\n\n" + "".join(f"{json.dumps(each)}\n" for each in events))
    names = [str(tmp_path / name) for name in ("new.yaml", "old.yaml", "events.jsonl")]
    asked = ["diff", names[0], "--against", names[1], "--events", names[2], "--limit", "2", "--json"]
    assert json.loads(CliRunner().invoke(app, asked).stdout)["events"] == 2, "empty lines are no events"


def test_a_line_without_an_end_is_no_event_and_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(OLD.format(rules=DEBIT))
    name = str(tmp_path / "c.yaml")
    found = CliRunner().invoke(app, ["diff", name, "--against", name, "--events", "/dev/zero"])
    assert (found.exit_code, "/dev/zero:1: is no event" in found.stderr) == (2, True), found.output


@pytest.mark.slow
async def test_the_journal_of_a_daemon_is_exported_without_secrets_and_compared_with_its_registry(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as shell:
        await shell.daemon.hub.store.put_installations("app", [phone("in", "team:hr"), phone("out", "team:it")])
        await post(shell, "ann joined")
        config = tmp_path / "c.yaml"
        draft = tmp_path / "draft.yaml"
        draft.write_text(config.read_text().replace("team:hr", "team:it || team:hr"))
        exported = tmp_path / "events.jsonl"
        await shell.run("events", "export", "--to", str(exported), "--redact", "data.who")
        (line,) = exported.read_text().splitlines()
        assert (json.loads(line)["id"], json.loads(line)["data"]) == ("ann", {"who": "(text of 3 characters)"})
        assert exported.stat().st_mode & 0o777 == 0o600
        assert "cannot be written: File exists" in await shell.error("events", "export", "--to", str(exported), code=2)
        compared = ["diff", str(draft), "--against", str(config)]
        found = await shell.json(*compared)
        (change,) = [each for each in found["changes"] if each["kind"] == "audience changed"]
        assert (change["registrations_lost"], change["registrations_gained"]) == (1, 2)
        assert found["notes"] == ["registrations are counted in today's registry"]
        offline = await shell.json(*compared, "--events", str(exported))
        assert [each["registrations_gained"] for each in offline["changes"]] == [None]
        assert "write a time such as 30m" in await shell.error(*compared, "--since", "soon", code=2)
    at_rest(shell, tmp_path)
    (line,) = (await shell.run("events", "export", "--to", "-")).stdout.splitlines()
    assert json.loads(line)["data"] == {"who": "ann"}
