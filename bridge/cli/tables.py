"""How client commands print: tables for people, JSON for scripts."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import typer

from bridge.counts import how_many

_FRACTION: Final = re.compile(r"(?<=T\d\d:\d\d:\d\d)\.\d+(?=Z|[+-]\d\d:\d\d|$)")
"""Of a time, what is given up first where a terminal is narrow."""

_GAP: Final = 2
"""Columns of the terminal between two columns of a table."""


def print_json(content: Any) -> None:
    """Indented, and in the letters of the text; what a terminal would obey, and half a character, are escaped."""
    lines = json.dumps(content, indent=2, ensure_ascii=False).split("\n")
    typer.echo("\n".join(line if line.isprintable() else _escaped(line) for line in lines))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A row a line; in a pipe nothing is folded.

    A terminal that is too narrow for it shows times to the second. If that is not enough, the widest columns stand
    below their row, each with its name, so that an id or a time is never cut and can be copied.
    """
    console = _console()
    cells = [[_plain(value, lines=False) for value in row] for row in rows]
    if _columns_below(columns, cells, console.width):
        cells = [[_to_the_second(cell) for cell in row] for row in cells]
    below = _columns_below(columns, cells, console.width)
    beside = [index for index in range(len(columns)) if index not in below]
    widths = _widths(columns, cells)
    from rich.text import Text

    def print_row(row: Sequence[Any], style: str = "") -> None:
        line = Text(" " * _GAP).join(
            [*(_padded(row[index], widths[index]) for index in beside[:-1]), *(row[index] for index in beside[-1:])]
        )
        line.stylize(style)
        console.print(line, overflow="fold")

    print_row([Text(name) for name in columns], "bold")
    for row in cells:
        print_row(row)
        for index in below:
            if row[index].plain:
                _print_below(console, columns[index], row[index])


def _print_below(console: Any, name: str, cell: Any) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print(Padding(Text.assemble((f"{name} ", "dim"), cell, overflow="fold"), (0, 0, 0, _GAP)))


def _padded(cell: Any, width: int) -> Any:
    padded = cell.copy()
    padded.pad_right(max(0, width - cell.cell_len))
    return padded


def _to_the_second(cell: Any) -> Any:
    from rich.text import Text

    return Text(_FRACTION.sub("", cell.plain))


def _widths(columns: Sequence[str], cells: Sequence[Sequence[Any]]) -> list[int]:
    return [max([len(name), *(row[index].cell_len for row in cells)]) for index, name in enumerate(columns)]


def _columns_below(columns: Sequence[str], cells: Sequence[Sequence[Any]], width: int) -> list[int]:
    """The fewest columns whose absence lets the others stand beside each other, the widest first; in their order.

    One column stays in any case, and is folded.
    """
    widths = _widths(columns, cells)
    beside = list(range(len(columns)))
    while len(beside) > 1 and sum(widths[index] + _GAP for index in beside) - _GAP > width:
        beside.remove(max(beside, key=lambda index: widths[index]))
    return [index for index in range(len(columns)) if index not in beside]


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
    about = how_many(follow_up["told"], "phone")
    return f"looked at {follow_up['ended_at']}: a report of {about} was written for {sinks}{opened}"


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
