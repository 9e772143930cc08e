"""The alert rules that ship: Prometheus takes them, they fire when they should, and each says what to do."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from bridge.observe.metrics import Metrics
from tests.selection import ROOT

DEPLOY = ROOT / "deploy" / "prometheus"
DOCS = ROOT / "docs"


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.processes
@pytest.mark.parametrize("arguments", [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]])
def test_prometheus_takes_the_rules_and_each_fires_when_it_should(arguments: list[str]) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "there is no promtool: deploy/servers.sh promtool"
    done = subprocess.run([promtool, *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_goes_by_metrics_that_there_are_and_has_a_test_and_a_runbook() -> None:
    families = {
        family.name: family.type for family in Metrics(version="1", sources=[], rules=[], hubs=[]).registry.collect()
    }
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
    names = {name + suffix for name, kind in families.items() for suffix in suffixes.get(kind, ("",))}
    tests = (DEPLOY / "alerts_test.yaml").read_text()
    found = alerts()
    assert found
    for alert in found:
        assert set(re.findall(r"pushbridge_\w+", alert["expr"])) <= names
        assert f"alertname: {alert['alert']}" in tests
        page, _, heading = alert["annotations"]["runbook_url"].partition("#")
        headings = re.findall(r"^#+ `?(\w+)`?$", (DOCS.parent / page).read_text(), re.MULTILINE)
        assert heading in [each.lower() for each in headings]
