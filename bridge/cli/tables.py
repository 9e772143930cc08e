"""How client commands print: tables for people, JSON for scripts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from bridge.counts import how_many


def print_json(content: Any) -> None:
    """Indented, and in the letters of the text; what a terminal would obey, and half a character, are escaped."""
    lines = json.dumps(content, indent=2, ensure_ascii=False).split("\n")
    typer.echo("\n".join(line if line.isprintable() else _escaped(line) for line in lines))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A row a line; what is too wide for a terminal is folded, and in a pipe nothing is."""
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, show_edge=False)
    for row in rows:
        table.add_row(*(_plain(value, lines=False) for value in row))
    _console().print(table)


def print_fields(content: Mapping[str, object]) -> None:
    """A name and its value a line; what is empty is left out."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False, show_header=False)
    for name, value in content.items():
        if value not in (None, "", [], {}):
            table.add_row(_plain(name.replace("_", " ")), _plain(value))
    _console().print(table)


def counted(outcomes: Mapping[str, Mapping[str, int]]) -> str:
    """Outcomes by platform in a cell."""
    return ", ".join(
        f"{platform} {name} {count}" for platform, counts in outcomes.items() for name, count in counts.items()
    )


def reports_said(reports: Sequence[Mapping[str, Any]]) -> str:
    """What a phone said of a push, a line each."""
    return "\n".join(" ".join(filter(None, [each["event"], each["action"], f"at {each['at']}"])) for each in reports)


def follow_ups_said(follow_ups: Sequence[Mapping[str, Any]]) -> str:
    """What is done about phones that have not opened a notification, a line for each look at them."""
    return "\n".join(map(_follow_up_said, follow_ups))


def _follow_up_said(follow_up: Mapping[str, Any]) -> str:
    sinks = ", ".join(follow_up["sinks"])
    if follow_up["about"] == "expanded":
        return f"nobody: it is for {follow_up['about_meaning'].partition(' is for ')[2]}"
    if follow_up["ended_at"] is None:
        return f"{sinks} at {follow_up['due']}, of {follow_up['about_meaning']} at {follow_up['sent_at']}"
    opened = f", {how_many(follow_up['opened'], 'phone')} had opened it" if follow_up["opened"] else ""
    return f"{sinks} was told at {follow_up['ended_at']} of {how_many(follow_up['told'], 'phone')}{opened}"


def without_controls(text: str) -> str:
    """A line without what a terminal would obey."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = 10_000
    return console


def _escaped(line: str) -> str:
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in line)


def _plain(value: object, *, lines: bool = True) -> Any:
    """Text as it is, without control characters: events are written by others, and a terminal obeys those.

    Line breaks stay with `lines`; in a table one would begin a row.
    """
    from rich.text import Text

    if isinstance(value, bool):
        value = "yes" if value else "no"
    elif isinstance(value, list | dict):
        value = ", ".join(map(str, value)) if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
    text = "" if value is None else str(value)
    return Text("".join(c if c.isprintable() or (lines and c == "\n") else "�" for c in text))


def print_sums(found: Mapping[str, Any]) -> None:
    """Sums of `/api/v1/statistics`."""
    columns = ("at", "hub", "platform", "name", "count")
    print_table(
        ("AT", "HUB", "PLATFORM", "WHAT", "COUNT"),
        ([one[name] for name in columns] for one in found["items"]),
    )
