"""docs/compatibility.md: what SDKs of other makers can do with the API, as the tests found it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[3] / "docs" / "compatibility.md"

_SECTION = "<!-- {name} -->\n"


class Called(NamedTuple):
    """A method of an SDK, and whether it does what it promises."""

    method: str
    works: bool


def write(name: str, version: str, called: Sequence[Called]) -> bool:
    """Put the table of one SDK into the page; whether it was there already, word for word."""
    rows = [f"| `{each.method}` | {'works' if each.works else 'not served yet'} |" for each in called]
    working = sum(each.works for each in called)
    mark = _SECTION.format(name=name)
    table = (
        f"{mark}## `{name}` {version}\n\n{working} of {len(called)} methods of its client.\n\n"
        "| method | result |\n|---|---|\n" + "\n".join(rows) + "\n"
    )
    old = PAGE.read_text(encoding="utf-8")
    section = re.compile(re.escape(mark) + r".*?(?=<!-- |\Z)", re.DOTALL)
    new = section.sub(lambda _: table, old) if mark in old else f"{old.rstrip()}\n\n{table}"
    if new != old:
        PAGE.write_text(new, encoding="utf-8")
    return new == old
