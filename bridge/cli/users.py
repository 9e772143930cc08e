"""`pushbridge users`: all that is kept of one person."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from bridge.cli.client import Client, fail
from bridge.cli.command import Answer, client_command
from bridge.cli.exits import Exit
from bridge.cli.tables import print_fields
from bridge.counts import how_many

users = typer.Typer(help="All that is kept of one person: export it, or erase it.", no_args_is_help=True)

Id = Annotated[
    str,
    typer.Argument(help="The id that phones register as userId, or that map.person gives.", show_default=False),
]

_ALL = 2**62
_PATIENCE = 600.0
"""Seconds, as the daemon takes for an erasure."""


@users.command()
@client_command
def export(client: Client, id: Id) -> Answer:
    """Print all that is kept of a person, bodies and push channels included; it needs the role admin."""
    return Answer(list(client.items("users", id, "export", limit=_ALL)), _print_rows)


@users.command()
@client_command
def erase(
    client: Client,
    id: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Answer:
    """Erase all that is kept of a person, for good; say first what goes, and ask.

    An erasure that was broken off is finished by the same command. What comes later is kept again, so stop the person's
    events first. Copies and brokers keep what they have; a copy that is restored is erased in again.
    """
    if not yes:
        rows = client.get("users", id, "summary")["rows"]
        typer.echo(f"This erases for good: {_counted(rows)}", err=True)
        if not _is_agreed():
            raise fail("nothing was erased", Exit.REFUSED)
    return Answer(client.post("users", id, "erase", body={}, timeout=_PATIENCE), _print_erased)


def _is_agreed() -> bool:
    """Where no answer comes, as from a script, it is not."""
    try:
        return typer.confirm("Go on?", err=True)
    except typer.Abort:
        return False


def _print_rows(rows: list[Mapping[str, Any]]) -> None:
    for row in rows:
        print_fields({"kind": row["kind"], **row["content"]})
        typer.echo()
    if not rows:
        typer.echo("nothing is kept")


def _print_erased(done: Mapping[str, Any]) -> None:
    typer.echo(f"erased: {_counted(done['rows'])}")
    typer.echo(f"digest: {done['digest']}")
    if not done["is_overwritten"]:
        typer.echo(
            "Bytes of it may still stand in the store's files: SQLite's are being overwritten (a copy that is being made or"
            " their size delays it), PostgreSQL uses the room again in its own time."
        )


def _counted(rows: Mapping[str, int]) -> str:
    """In words; of nothing, so."""
    found = [how_many(count, kind.replace("_", " ")) for kind, count in rows.items() if count]
    return ", ".join(found) or "nothing that is known"
