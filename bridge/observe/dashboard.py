"""`deploy/grafana/pushbridge.json`: one Grafana board, from the panels of `panels.py`.

`python -m bridge.observe.dashboard` prints the board, and `make reference` writes the file. Nobody edits it by hand.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from bridge.observe.panels import ROWS, Panel

SCHEMA_VERSION = 39
"""That of Grafana 10 and 11."""

_COLUMNS = 24
"""How wide the grid of a board is."""

_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_METRIC = re.compile(r"\b(pushbridge_\w+)(\{)?")


def of_job(expression: str) -> str:
    """An expression with the board's job in each selector of ours."""
    return _METRIC.sub(lambda found: f'{found[1]}{{job="$job"' + (", " if found[2] else "}"), expression)


def board() -> dict[str, Any]:
    """The board as Grafana imports it."""
    return {
        "uid": "pushbridge",
        "title": "pushbridge",
        "description": "From events to phones: overview, push services, pipeline, store.",
        "tags": ["pushbridge"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                {
                    "name": "job",
                    "label": "Job",
                    "type": "query",
                    "datasource": _DATASOURCE,
                    "query": {"query": "label_values(pushbridge_build_info, job)", "refId": "job"},
                    "refresh": 2,
                },
            ]
        },
        "annotations": {
            "list": [
                {
                    "name": "Configuration applied",
                    "datasource": _DATASOURCE,
                    "enable": True,
                    "iconColor": "blue",
                    "expr": of_job("changes(pushbridge_config_last_reload_success_timestamp_seconds[1m]) > 0"),
                    "titleFormat": "{{instance}}",
                }
            ]
        },
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    number = top = below = 0
    for row, panels in ROWS.items():
        number += 1
        at = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": row, "collapsed": False, "gridPos": at, "panels": []}
        top, left = top + 1, 0  # `below`: how high the line of panels is
        for panel in panels:
            if left + panel.width > _COLUMNS:
                top, left = top + below, 0
            number += 1
            yield _panel(panel, number, {"x": left, "y": top, "w": panel.width, "h": panel.height})
            left, below = left + panel.width, panel.height
        top += below


def _panel(panel: Panel, number: int, position: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    edge = panel.bad if panel.stat else panel.limit
    if edge is not None:
        steps.append({"color": "red", "value": edge})
    custom = {
        "fillOpacity": 20 if panel.stacked else 0,
        "stacking": {"mode": "normal" if panel.stacked else "none"},
        "thresholdsStyle": {"mode": "off" if panel.limit is None else "line"},
    }
    return {
        "id": number,
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": position,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {} if panel.stat else custom,
            },
            "overrides": [],
        },
        "options": {} if panel.stat else {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": of_job(expression), "legendFormat": legend}
            for index, (expression, legend) in enumerate(panel.queries)
        ],
    }


if __name__ == "__main__":
    print(json.dumps(board(), indent=2))
