"""`pushbridge dead-letters`: what could not become a notification."""

from typing import Annotated

import typer

from bridge.cli.client import Client, ConfigFile, Json, Limit, TokenFile, Url, fail, target_of
from bridge.cli.exits import Exit
from bridge.cli.tables import print_fields, print_json, print_table

dead_letters = typer.Typer(help="Messages that could not become notifications.", no_args_is_help=True)

Source = Annotated[str, typer.Option(help="Of this source.")]
Reason = Annotated[str, typer.Option(help="With this reason.")]

_AT_ONCE = 1000


@dead_letters.command("list")
def list_(
    source: Source = "",
    reason: Reason = "",
    limit: Limit = 50,
    url: Url = "",
    token_file: TokenFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """List them, newest first."""
    with Client(target_of(url, token_file, config)) as client:
        found = list(client.items("dead-letters", limit=limit, source=source, reason=reason))
    if json:
        print_json(found)
        return
    names = ("id", "at", "source", "event_id", "rule", "reason", "detail")
    print_table([name.upper().replace("_", " ") for name in names], ([one[name] for name in names] for one in found))


@dead_letters.command()
def show(
    id: Annotated[int, typer.Argument(help="Its id in the list.", show_default=False)],
    url: Url = "",
    token_file: TokenFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show one, with its body for who has the admin token."""
    with Client(target_of(url, token_file, config)) as client:
        letter = client.get("dead-letters", str(id))
    (print_json if json else print_fields)(letter)


@dead_letters.command()
def drop(
    ids: Annotated[list[int] | None, typer.Argument(help="Their ids.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them; with --source and --reason, all such.")] = False,
    source: Source = "",
    reason: Reason = "",
    url: Url = "",
    token_file: TokenFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Forget them, for good."""
    if bool(ids) == every or (ids and (source or reason)):
        raise fail("say which: ids, or --all with --source and --reason if not all of them", Exit.WRONG_ARGUMENTS)
    dropped: list[int] = []
    missing: list[int] = []
    with Client(target_of(url, token_file, config)) as client:
        if every:
            listed = client.items("dead-letters", limit=2**62, source=source, reason=reason)
            ids = [letter["id"] for letter in listed]
        assert ids is not None
        for start in range(0, len(ids), _AT_ONCE):
            answer = client.post("dead-letters", "drop", body={"ids": ids[start : start + _AT_ONCE]})
            dropped += answer["dropped"]
            missing += answer["missing"]
    if json:
        print_json({"dropped": dropped, "missing": missing})
    else:
        typer.echo(f"{len(dropped)} dropped" + (f"; not there: {', '.join(map(str, missing))}" if missing else ""))
    if missing:
        raise typer.Exit(Exit.REFUSED)
