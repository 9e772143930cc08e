"""docs/compatibility.md: what SDKs of other makers can do with the API, as the tests found it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[3] / "docs" / "compatibility.md"


class Called(NamedTuple):
    """A method of an SDK, and why it does not do what it promises; empty where it does. `source` is what it was written
    down from, where the SDK did not run."""

    method: str
    obstacle: str = ""
    source: str = ""


def write(name: str, version: str, called: Sequence[Called]) -> bool:
    """Put the table of one SDK into the page; whether it was there already, word for word."""
    is_replayed = any(each.source for each in called)
    rows = [
        f"| {each.method} | {each.source} | {each.obstacle or 'works'} |"
        if is_replayed
        else f"| `{each.method}` | {each.obstacle or 'works'} |"
        for each in called
    ]
    counts = [each for each in called if is_replayed or ": " not in each.method]  # the others are ways to call methods
    working = sum(not each.obstacle for each in counts)
    counted = "requests" if is_replayed else "methods of its client"
    head = (
        "| request | written down from | result |\n|---|---|---|" if is_replayed else "| method | result |\n|---|---|"
    )
    mark = f"<!-- {name} -->"
    table = f"{mark}\n## `{name}` {version}\n\n{working} of {len(counts)} {counted}.\n\n{head}\n" + "\n".join(rows)
    old = PAGE.read_text(encoding="utf-8")
    sections = [section.strip() for section in re.split(r"(?=<!-- )", old)]
    places = [place for place, section in enumerate(sections) if section.startswith(mark)]
    if places:
        sections[places[0]] = table
    else:
        sections.append(table)
    new = "\n\n".join(sections) + "\n"
    if new != old:
        PAGE.write_text(new, encoding="utf-8")
    return new == old
