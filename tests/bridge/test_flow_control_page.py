"""The configurations of docs/flow-control.md are valid as they stand there."""

import re
from pathlib import Path

import pytest

from tests.bridge.examples import complaints, read

PAGE = (Path(__file__).parents[2] / "docs" / "flow-control.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
AROUND = """
sources: { fraud: { http: { path: /in/fraud }, map: { id: "{{ data.id }}", type: "fraud.{{ data.level }}" } } }
hubs: { bank: { default: true } }
"""


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: re.findall(r"name: (\S+)", text)[0])
def test_a_configuration_of_the_page_is_valid(snippet: str, tmp_path: Path) -> None:
    assert len(SNIPPETS) >= 3
    said = [each for each in complaints(tmp_path, AROUND + snippet) if "auth" not in each]
    assert said == []
    for rule in read(tmp_path, AROUND, snippet).rules.rules:
        is_timed = rule.push is not None and (rule.push.quiet is not None or rule.push.schedule is not None)
        assert rule.flow is not None or is_timed
