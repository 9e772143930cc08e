"""Tables of client commands on a terminal of 80 columns, as an operator has at night, and in a pipe."""

from io import StringIO

import pytest
from rich.console import Console

from bridge.cli import tables

EVENT = (
    17,
    "2026-11-30T10:28:57.899853Z",
    "outbox",
    "push_outbox/3/b0188df6a1d59857",
    "seat.changed",
    "dead_letter",
    "lists",
    "rule seat: data.flight holds a space, which a tag may not hold: | replace(' ', '-') makes it one",
)
COLUMNS = ("NUMBER", "RECEIVED", "SOURCE", "ID", "TYPE", "OUTCOME", "RULES", "DETAIL")


def printed(monkeypatch: pytest.MonkeyPatch, width: int, *rows: tuple[object, ...]) -> list[str]:
    out = StringIO()
    console = Console(file=out, width=width, highlight=False, emoji=False, markup=False)
    monkeypatch.setattr(tables, "_console", lambda: console)
    tables.print_table(COLUMNS, rows)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_on_80_columns_no_id_and_no_time_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, 80, EVENT, (16, "2026-11-30T10:28:57.1Z", "hook", "n1", "none", "no_match", "", ""))
    assert lines[:5] == [
        "NUMBER  RECEIVED              SOURCE  TYPE          OUTCOME      RULES",
        "17      2026-11-30T10:28:57Z  outbox  seat.changed  dead_letter  lists",
        "  ID push_outbox/3/b0188df6a1d59857",
        "  DETAIL rule seat: data.flight holds a space, which a tag may not hold: |",
        "  replace(' ', '-') makes it one",
    ]
    assert lines[5:] == ["16      2026-11-30T10:28:57Z  hook    none          no_match", "  ID n1"]


def test_what_a_narrow_terminal_shows_is_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (20, 33, 40, 60, 79, 100, 140, 200):
        lines = printed(monkeypatch, width, EVENT)
        assert max(map(len, lines)) <= width
        shown = "".join("".join(lines).split())
        for value in (EVENT[3], EVENT[7], "seat.changed", "dead_letter", "2026-11-30T10:28:57"):
            assert "".join(str(value).split()) in shown, (width, value)


def test_where_a_row_has_room_it_is_one_line_with_the_time_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, 10_000, EVENT)
    assert len(lines) == 2
    assert lines[1].endswith(f"  {EVENT[7]}")
    assert "2026-11-30T10:28:57.899853Z" in lines[1]
    assert [lines[0].index(name) for name in COLUMNS[1:]] == [lines[1].index(str(value)) for value in EVENT[1:]]


def test_only_a_time_loses_its_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    (_, row, *below) = printed(
        monkeypatch, 60, (1, "2026-11-30T10:28:57.5+01:00", "a", "T10:28.5", "9.5", "x", "", "at 2.5")
    )
    text = " ".join([row, *below])
    assert "2026-11-30T10:28:57+01:00" in text
    assert all(value in text for value in ("T10:28.5", "9.5", "at 2.5"))
