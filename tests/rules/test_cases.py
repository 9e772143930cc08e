"""Golden files in cases/: rules, events, and the notifications expected. A bug report becomes a file there."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.notification import TemplateContent
from rules.decision import Decision
from tests.rules.support import NOW, event, load

CASES = Path(__file__).parent / "cases"


def _cases() -> list[Any]:
    return [
        pytest.param(file, case, id=f"{file.stem}: {case['name']}")
        for file in sorted(CASES.glob("*.yaml"))
        for case in yaml.safe_load(file.read_text(encoding="utf-8"))["cases"]
    ]


@pytest.mark.parametrize("file, case", _cases())
def test_a_case_yields_its_notifications(file: Path, case: dict[str, Any], tmp_path: Path) -> None:
    rules, problems = load(file.read_text(encoding="utf-8"), tmp_path)
    assert problems == []
    decision = rules.route(event(**case["event"]), now=NOW)
    assert _said(decision) == case["notifications"]
    assert {failure.rule: failure.reason.value for failure in decision.failures} == case.get("failures", {})
    assert list(decision.errors) == case.get("errors", [])


def _said(decision: Decision) -> list[dict[str, Any]]:
    said = []
    for intent in decision.intents:
        notification = intent.notification
        assert isinstance(notification.content, TemplateContent)
        shown: dict[str, Any] = {"to": str(notification.audience), "with": dict(notification.content.properties)}
        if notification.collapse_key is not None:
            shown["collapse"] = notification.collapse_key
        said.append(shown)
    return said
