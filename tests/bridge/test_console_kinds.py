"""The console has a word of its own for each kind of part that health knows."""

import re
from pathlib import Path

import bridge.admin.console
from bridge.admin.health import PATHS


def test_each_kind_of_part_has_a_title_in_the_strip() -> None:
    code = (Path(bridge.admin.console.__file__).parent / "console.js").read_text(encoding="utf-8")
    groups = code.partition("const GROUPS = {")[2].partition("\n}")[0]
    titles = {
        name.strip("'"): title for name, title in re.findall(r"^  ([\w-]+|'[^']+'): \{ title: '([^']+)'", groups, re.M)
    }
    assert set(titles) == set(PATHS.values())
    assert [title for title in titles.values() if not title[0].isupper()] == []
