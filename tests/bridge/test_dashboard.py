"""The Grafana board that ships: written by the code, of metrics that there are, in expressions that Prometheus takes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.observe.dashboard import board, of_job
from bridge.observe.metrics import Metrics
from tests.bridge.test_alerts import promtool
from tests.selection import ROOT

FILE = ROOT / "deploy" / "grafana" / "pushbridge.json"
UNITS = {"none", "s", "bytes", "cps", "percentunit"}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in board()["panels"] if panel["type"] != "row"]


def test_the_file_is_what_the_code_writes() -> None:
    assert json.loads(FILE.read_text()) == board(), "run make reference"


def test_each_panel_has_an_id_a_place_a_unit_a_description_and_queries_of_its_own() -> None:
    every = board()["panels"]
    assert [panel["id"] for panel in every] == list(range(1, len(every) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in every:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} covers another panel"
        assert max(x for x, _ in cells) < 24, f"{panel['title']} is outside of the grid"
        taken |= cells
    for panel in panels():
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert references, panel["title"]
        assert len(set(references)) == len(references)
        assert all(target["legendFormat"] for target in panel["targets"])
    titles = [panel["title"] for panel in every]
    assert len(set(titles)) == len(titles)


def test_each_panel_goes_by_metrics_that_there_are() -> None:
    told = Metrics(version="1", sources=["a"], rules=["a"], hubs=["a"])
    there = {sample.name for family in told.registry.collect() for sample in family.samples}
    families = {family.name for family in told.registry.collect()}
    for panel in panels():
        for target in panel["targets"]:
            for name in re.findall(r"\b(?:pushbridge|process)_\w+", target["expr"]):
                family = re.sub(r"_(total|bucket|count|sum)$", "", name)
                assert name in there or family in families, f"{panel['title']}: {name}"


def test_each_selector_is_of_the_job_that_the_board_shows() -> None:
    for panel in panels():
        for target in panel["targets"]:
            for selector in re.findall(r"\b(?:pushbridge|process)_\w+(\{[^}]*\})?", target["expr"]):
                assert selector.startswith('{job="$job"'), f"{panel['title']}: {target['expr']}"
    assert of_job('a(pushbridge_x_total{b="c"})') == 'a(pushbridge_x_total{job="$job", b="c"})'


@pytest.mark.processes
def test_prometheus_takes_each_expression(tmp_path: Path) -> None:
    expressions = [
        target["expr"].replace("$__rate_interval", "1m") for panel in panels() for target in panel["targets"]
    ]
    expressions += [each["expr"] for each in board()["annotations"]["list"]]
    rules = [{"record": f"board:panel:{number}", "expr": each} for number, each in enumerate(expressions)]
    (tmp_path / "board.yaml").write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    done = promtool("check", "rules", "board.yaml", directory=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
