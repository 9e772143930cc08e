"""`pushbridge top`: how a daemon fares, live, on 80 columns and 24 lines."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer

from bridge.cli.client import AwayError, Client
from bridge.cli.command import Answer, client_command
from bridge.cli.figures import Figures, Scrape, ServiceRow
from bridge.cli.reload import summary
from bridge.cli.tables import without_controls
from bridge.counts import how_many

_LINES, _COLUMNS = 24, 80
_FIRST = 1.0
"""Seconds between the two scrapes of the first screen."""

_AWAY = "THE DAEMON DOES NOT ANSWER: these figures are its last  q quit"

_FRAME = 9
"""Lines that are no rows: two of the head, three headings, three blanks and the foot."""

_SILENCES = 3
"""Lines for silences in force, at most: which pushes do not come is worth a row of each table, and not the screen."""


@client_command
def top(
    client: Client,
    every: Annotated[float, typer.Option(min=0.5, max=60, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="One screen, over a second, as in a pipe.")] = False,
) -> Answer:
    """Show sources, push services and rules live: rates, what waits, breakers. r reads the configuration again, q ends."""
    before = _scrape(client)
    if once or not sys.stdout.isatty() or not sys.stdin.isatty():
        time.sleep(_FIRST)
        status = client.get("status")
        figures = Figures.of(before, _scrape(client), status)
        return Answer(asdict(figures), lambda _: typer.echo("\n".join(screen(status, figures))))
    _live(client, before, every)
    return Answer({}, lambda _: None)


def _live(client: Client, before: Scrape, every: float) -> None:
    from rich.live import Live
    from rich.text import Text

    said, wait = "", _FIRST
    lines: Sequence[str] = ["..."]
    client.outlasts = True
    with _keys() as pressed, Live(Text("..."), screen=True, auto_refresh=False) as live:
        while True:
            key = pressed(wait)
            wait = every
            if key == "q":
                return
            try:
                if key == "r":
                    said = summary(client.reload())
                now, status = _scrape(client), client.get("status")
            except AwayError:  # the figures stay, as they were the last
                lines = [*lines[:-1], _AWAY]
            else:
                height, width = live.console.size.height, live.console.size.width
                lines = screen(status, Figures.of(before, now, status), said=said, lines=height, columns=width)
                before = now
            live.update(Text("\n".join(lines), no_wrap=True), refresh=True)


def _scrape(client: Client) -> Scrape:
    return Scrape.of(client.metrics(), at=time.monotonic())


@contextmanager
def _keys() -> Iterator[Any]:
    """Keys as they are pressed: call it with the seconds to wait for one; empty where none came."""
    import select
    import termios
    import tty

    kept = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)

        def pressed(seconds: float) -> str:
            ready, _, _ = select.select([sys.stdin], [], [], seconds)
            return sys.stdin.read(1) if ready else ""

        yield pressed
    except KeyboardInterrupt:
        return
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, kept)


def screen(
    status: Mapping[str, Any], figures: Figures, *, said: str = "", lines: int = _LINES, columns: int = _COLUMNS
) -> list[str]:
    """One screen, no line longer and not more lines than there is room for; what has no room is counted."""
    # A daemon of the version before says none.
    silences = _silence_lines(status.get("silences", ()), room=min(_SILENCES, max(1, lines - _FRAME - 3)))
    room = max(3, lines - _FRAME - len(silences))
    for_sources = min(len(figures.sources), max(1, room // 3))
    for_services = min(len(figures.services), max(1, room // 3))
    for_rules = max(1, room - for_sources - for_services)
    trouble = [part["line"] for part in status["parts"] if not part["ok"]]
    shown = [
        f"{status['name']}  {'ready' if status['ready'] else 'NOT READY'}  version {status['version']}"
        f"  configuration {status['configuration']['hash']}",
        f"waiting {status['pending']} of {status['max_pending']}" + (f"  {trouble[0]}" if trouble else ""),
        *silences,
        "",
        *_table(
            "SOURCE",
            34,
            f"{'TAKEN/S':>10}{'WAITING':>12}  STATE",
            [f"{row.name[:33]:<34}{row.rate:>10.1f}{_count(row.waiting):>12}  {row.state}" for row in figures.sources],
            for_sources,
        ),
        "",
        *_table(
            "HUB",
            20,
            f"{'SERVICE':<10}{'PUSHES/S':>10}{'REFUSED/S':>11}{'UNDER WAY':>11}  STATE",
            [
                f"{row.hub[:19]:<20}{row.platform:<10}{row.rate:>10.1f}{row.refused:>11.1f}{row.in_flight:>11}"
                f"  {_state(row)}"
                for row in figures.services
            ],
            for_services,
        ),
        "",
        *_table(
            "RULE",
            44,
            f"{'MATCHES/S':>10}{'ERRORS/S':>10}",
            [f"{row.name[:43]:<44}{row.rate:>10.1f}{row.errors:>10.1f}" for row in figures.rules],
            for_rules,
        ),
    ]
    shown = [*shown[: lines - 1], f"r reload  q quit  {said}"]
    return [without_controls(line)[:columns] for line in shown]


def _silence_lines(silences: Sequence[Mapping[str, Any]], *, room: int) -> list[str]:
    """A line each, those that end first; of more than there is room for, the last line counts the others."""
    said = [silence["line"] for silence in silences]
    if len(said) <= room:
        return said
    left_out = len(said) - room + 1
    return [*said[: room - 1], f"{how_many(left_out, 'more silence')} in force: pushbridge silences list"]


def _table(name: str, width: int, columns: str, rows: Sequence[str], room: int) -> list[str]:
    left_out = len(rows) - room
    heading = f"{name} ({left_out} more)" if left_out > 0 else name
    return [f"{heading:<{width}}{columns}", *rows[:room]]


def _state(row: ServiceRow) -> str:
    return f"{row.state}, takes {row.quota:,.0f} a minute" if row.quota else row.state


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)
