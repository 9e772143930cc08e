"""The alert rules that ship: Prometheus takes them, they fire when they should, and each says what to do."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from bridge.cli.main import app
from bridge.observe.metrics import Metrics
from tests.selection import ROOT

DEPLOY = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES, TESTS = DEPLOY / "alerts.yaml", DEPLOY / "alerts_test.yaml"

MUTATIONS: Mapping[str, Mapping[str, Any]] = {
    "never fires": {"expr": "vector(0) > 1"},
    "always fires": {"expr": "vector(1)"},
    "fires a day late": {"for": "30h"},
    "has another severity": {"labels": {"severity": "other"}},
}


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules(yaml.safe_load(RULES.read_text())) if "alert" in rule]


def rules(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for group in document["groups"]:
        yield from group["rules"]


def promtool(*arguments: str, directory: Path = DEPLOY) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    assert program is not None, "there is no promtool: deploy/servers.sh promtool"
    return subprocess.run([program, *arguments], cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.processes
@pytest.mark.parametrize("arguments", [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]])
def test_prometheus_takes_the_rules_and_each_fires_when_it_should(arguments: list[str]) -> None:
    done = promtool(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_changed_alert_fails_its_own_test(mutation: str, tmp_path: Path) -> None:
    """All alerts are changed the same way at once: an assertion is about one alert, and none reads another's result."""
    document = yaml.safe_load(RULES.read_text())
    changed = [rule for rule in rules(document) if "alert" in rule]
    for rule in changed:
        rule.update(MUTATIONS[mutation])
    done = promtool("test", "rules", *written_apart(document, tmp_path), directory=tmp_path)
    killed = set(re.findall(r"alertname: (\w+), time", done.stdout + done.stderr))
    survived = {rule["alert"] for rule in changed} - killed
    assert not survived, f"an alert that {mutation} passes its tests"


def written_apart(document: dict[str, Any], directory: Path) -> list[str]:
    """Each test in a file of its own, with the alerts that it is about: promtool evaluates all for hours of samples."""
    names = []
    for number, test in enumerate(yaml.safe_load(TESTS.read_text())["tests"]):
        about = {case["alertname"] for case in test.get("alert_rule_test", ())}
        groups = [
            {**group, "rules": [rule for rule in group["rules"] if "record" in rule or rule["alert"] in about]}
            for group in document["groups"]
        ]
        (directory / f"rules-{number}.yaml").write_text(yaml.safe_dump({"groups": groups}))
        names.append(f"test-{number}.yaml")
        (directory / names[-1]).write_text(yaml.safe_dump({"rule_files": [f"rules-{number}.yaml"], "tests": [test]}))
    return names


def test_each_alert_has_a_firing_case_and_a_silent_one() -> None:
    cases = [case for group in yaml.safe_load(TESTS.read_text())["tests"] for case in group.get("alert_rule_test", ())]
    firing = {case["alertname"] for case in cases if case["exp_alerts"]}
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    assert firing == silent == {alert["alert"] for alert in alerts()}


def test_each_alert_goes_by_metrics_that_there_are() -> None:
    families = {
        family.name: family.type for family in Metrics(version="1", sources=[], rules=[], hubs=[]).registry.collect()
    }
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",)}
    names = {name + suffix for name, kind in families.items() for suffix in suffixes.get(kind, ("",))}
    document = yaml.safe_load(RULES.read_text())
    recorded = {rule["record"] for rule in rules(document) if "record" in rule}
    for rule in rules(document):
        expression = rule["expr"]
        for record in re.findall(r"\w+(?::\w+)+", expression):
            assert record in recorded
        assert set(re.findall(r"(?<!:)\bpushbridge_\w+(?!:)", expression)) <= names


def test_each_alert_says_how_urgent_it_is_what_is_wrong_what_it_means_and_what_to_do() -> None:
    found = alerts()
    assert found
    for alert in found:
        name, said = alert["alert"], alert["annotations"]
        assert alert["labels"]["severity"] in ("critical", "warning"), name
        assert said.keys() == {"summary", "description", "runbook_url"}, name
        assert said["runbook_url"].startswith("docs/runbooks/"), f"{name}: runbooks are in docs/runbooks"
        page, _, heading = said["runbook_url"].partition("#")
        assert heading == name.lower()
        assert commands((ROOT / page).read_text(), name), f"{name}: the runbook names no command to begin with"


def test_each_runbook_is_of_an_alert() -> None:
    headings = {
        heading for page in RUNBOOKS.iterdir() for heading in re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    }
    assert headings == {alert["alert"] for alert in alerts()}


@pytest.mark.slow
def test_the_commands_of_the_runbooks_are_ones_that_there_are() -> None:
    """With `--help` a command is parsed, its options too, and not run."""
    for alert in alerts():
        page = (ROOT / alert["annotations"]["runbook_url"].partition("#")[0]).read_text()
        for command in commands(page, alert["alert"]):
            parsed = CliRunner().invoke(app, [*shlex.split(command), "--help"])
            assert parsed.exit_code == 0, f"{alert['alert']}: {command}: {parsed.output}"


def commands(page: str, alert: str) -> list[str]:
    """The command lines of an alert's section, without the program's name."""
    return re.findall(r"^    pushbridge (.+)$", section(page, alert), re.MULTILINE)


def section(page: str, alert: str) -> str:
    """What a page says of an alert."""
    _, _, rest = page.partition(f"## {alert}\n")
    return re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]
