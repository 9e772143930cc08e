"""`check --show` says of each key that is written where that is, and what it prints is the same configuration."""

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from bridge.cli.main import app

SOURCES = """\
# who sends
sources:
  shop:
    http: {path: /in/shop}
    map:
      id: "{{ data.id }}"
"""
RULES = """\
hubs:
  app: {platforms: {}}
rules:
  - name: one
    source: shop
    push:
      to: team
      with:
        text: |
          first line
          second line
"""


def shown(*files: Path) -> str:
    result = CliRunner().invoke(app, ["check", "--show", *map(str, files)])
    assert result.exit_code == 0, result.output
    return result.stdout


def places(text: str) -> dict[str, str]:
    """The first word of each line with a place, and that place."""
    return {
        line.split(":")[0].strip().removeprefix("- "): place
        for line in text.splitlines()
        if (found := re.search(r"  # (.*)$", line)) and (place := found[1])
    }


def test_each_key_that_is_written_has_its_file_and_line_and_a_default_has_none(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(SOURCES)
    second.write_text(RULES)
    text = shown(first, second)
    found = places(text)
    assert (found["sources"], found["shop"], found["path"]) == (f"{first}:2", f"{first}:3", f"{first}:4")
    assert (found["id"], found["rules"], found["name"], found["to"]) == (
        f"{first}:6",
        f"{second}:3",
        f"{second}:4",
        f"{second}:7",
    )
    assert "on_no_match" not in found
    lines = text.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.strip().startswith("text:")]
    assert lines[at - 1].strip() == f"# {second}:9", "behind a text of several lines it would be a part of it"


def test_what_is_shown_is_the_same_configuration_again(tmp_path: Path) -> None:
    written, again = tmp_path / "a.yaml", tmp_path / "again.yaml"
    written.write_text(SOURCES + RULES)
    text = shown(written)
    again.write_text(text)
    assert yaml.safe_load(shown(again)) == yaml.safe_load(text)


@pytest.mark.parametrize("name", ["two\nlines.yaml", "esc\x1b[31m.yaml"])
def test_an_odd_file_name_breaks_no_comment(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(SOURCES + RULES)
    text = shown(tmp_path / name)
    assert "\x1b" not in text
    assert yaml.safe_load(text)["rules"][0]["name"] == "one"
    assert len(places(text)) > 5
