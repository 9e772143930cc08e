"""`pushbridge dead-letters`: what could not become a notification."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from bridge.cli.client import Client, fail
from bridge.cli.command import Answer, Limit, client_command
from bridge.cli.exits import Exit
from bridge.cli.tables import print_fields, print_table

dead_letters = typer.Typer(help="Messages that could not become notifications.", no_args_is_help=True)

Source = Annotated[str, typer.Option(help="Of this source.")]
Reason = Annotated[str, typer.Option(help="With this reason.")]

_AT_ONCE = 1000


@dead_letters.command("list")
@client_command
def list_(client: Client, source: Source = "", reason: Reason = "", limit: Limit = 50) -> Answer:
    """List them, newest first."""
    return Answer(list(client.items("dead-letters", limit=limit, source=source, reason=reason)), _print_list)


@dead_letters.command()
@client_command
def show(client: Client, id: Annotated[int, typer.Argument(help="Its id in the list.", show_default=False)]) -> Answer:
    """Show one, with its body for who has the admin token."""
    return Answer(client.get("dead-letters", str(id)), print_fields)


@dead_letters.command()
@client_command
def drop(
    client: Client,
    ids: Annotated[list[int] | None, typer.Argument(help="Their ids.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them; with --source and --reason, all such.")] = False,
    source: Source = "",
    reason: Reason = "",
) -> Answer:
    """Forget them, for good."""
    if bool(ids) == every or (ids and (source or reason)):
        raise fail("say which: ids, or --all with --source and --reason if not all of them", Exit.WRONG_ARGUMENTS)
    if every:
        ids = [letter["id"] for letter in client.items("dead-letters", limit=2**62, source=source, reason=reason)]
    assert ids is not None
    done: dict[str, list[int]] = {"dropped": [], "missing": []}
    for start in range(0, len(ids), _AT_ONCE):
        answer = client.post("dead-letters", "drop", body={"ids": ids[start : start + _AT_ONCE]})
        for name, some in done.items():
            some += answer[name]
    return Answer(done, _print_dropped, Exit.REFUSED if done["missing"] else Exit.DONE)


def _print_list(found: Sequence[Mapping[str, Any]]) -> None:
    names = ("id", "at", "source", "event_id", "rule", "reason", "detail")
    print_table([name.upper().replace("_", " ") for name in names], ([one[name] for name in names] for one in found))


def _print_dropped(done: Mapping[str, Sequence[int]]) -> None:
    missing = ", ".join(map(str, done["missing"]))
    typer.echo(f"{len(done['dropped'])} dropped" + (f"; not there: {missing}" if missing else ""))
