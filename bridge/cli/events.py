"""`pushbridge events`: the latest events, and what became of each; those that are kept, beyond the daemon's memory."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.client import Client, fail, target_of
from bridge.cli.command import Answer, ConfigFile, Limit, TokenFile, Url, client_command
from bridge.cli.diff import since_of
from bridge.cli.exits import Exit
from bridge.cli.following import followed
from bridge.cli.tables import counted, print_fields, print_table
from bridge.counts import how_many

_NO_VALUES = "they are older than journal.bodies, too large, or about several persons"

events = typer.Typer(help="The latest events and sends, and what became of them.")


@events.callback(invoke_without_command=True)
def _events(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show what becomes of events as it falls, until Ctrl-C.")
    ] = False,
    source: Annotated[str, typer.Option(help="Follow those of this source.")] = "",
    outcome: Annotated[str, typer.Option(help="Follow those with this outcome.")] = "",
    rule: Annotated[str, typer.Option(help="Follow those for which this rule fires.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Follow with an object a line.")] = False,
    url: Url = "",
    token_file: TokenFile = None,
    config: ConfigFile = None,
) -> None:
    """The latest events and sends, and what became of them."""
    if context.invoked_subcommand is not None:
        if follow:
            raise fail("--follow stands alone: pushbridge events --follow", Exit.WRONG_ARGUMENTS)
        return
    if not follow:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(Exit.WRONG_ARGUMENTS)
    with Client(target_of(url, token_file, config)) as client, suppress(KeyboardInterrupt):
        for line in followed(client, as_json=json, source=source, outcome=outcome, rule=rule):
            typer.echo(line)


@events.command("list")
@client_command
def list_(
    client: Client,
    source: Annotated[str, typer.Option(help="Of this source.")] = "",
    outcome: Annotated[str, typer.Option(help="With this outcome.")] = "",
    id: Annotated[str, typer.Option(help="With this event id.")] = "",
    rule: Annotated[str, typer.Option(help="Of those in memory, for which this rule fired.")] = "",
    kept: Annotated[
        bool,
        typer.Option("--kept", help="From the journal, as where no daemon answers: also those of before a restart."),
    ] = False,
    until: Annotated[
        str, typer.Option(help="From the journal: received at this time or before, as 2026-03-01T14:05Z.")
    ] = "",
    device: Annotated[str, typer.Option(help="From the journal: with a notification that was for this device.")] = "",
    limit: Limit = 50,
) -> Answer:
    """List them, newest first."""
    if kept or until or device:
        if rule:
            raise fail("--rule is for the events in memory; the journal is not looked up by it", Exit.WRONG_ARGUMENTS)
        asked = {"source": source, "outcome": outcome, "id": id, "until": until, "installation": device}
        found = client.items("journal", limit=limit, **asked)
    else:
        found = client.items("events", limit=limit, source=source, outcome=outcome, id=id, rule=rule)
    return Answer(list(found), _print_list)


@events.command()
@client_command
def show(
    client: Client,
    number: Annotated[int, typer.Argument(help="Its number in the list.", show_default=False)],
) -> Answer:
    """Show one, with its notifications and dead letters."""
    return Answer(client.get("events", str(number)), _print_event)


@events.command()
@client_command
def export(
    client: Client,
    to: Annotated[Path, typer.Option(help="The file to write, which is not there yet; - is standard output.")],
    since: Annotated[str, typer.Option(help="Received so long ago at most.")] = "24h",
    source: Annotated[str, typer.Option(help="Of this source.")] = "",
    redact: Annotated[
        list[str] | None,
        typer.Option(help="A path whose value is left out, such as data.iban; kind and length stand there. Repeat it."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the newest.")] = 10_000,
) -> Answer:
    """Write events that are kept with their values, a JSON object a line, for `diff`; needs the role admin."""
    asked = {"source": source, "since": since_of(since, "--since")}
    from hub import exact_json

    parts = list(client.parts(("journal", "export"), asked, limit=limit, exact=True))
    without_values = sum(part["without_values"] for part in parts)
    lines = [
        exact_json.dumps(_redacted(event, redact or ()), str, wide=True).decode()
        for part in parts
        for event in part["items"]
    ]
    left_out = (
        f"; {how_many(without_values, 'event')} of this time without values: {_NO_VALUES}" if without_values else ""
    )
    if str(to) == "-":
        if left_out:
            typer.echo(left_out.removeprefix("; "), err=True)
        return Answer(lines, _print_lines)
    try:
        with open(to, "x", encoding="utf-8", opener=_private) as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise fail(f"{to}: cannot be written: {error.strerror}", Exit.WRONG_ARGUMENTS) from error
    return Answer(
        {"events": len(lines), "without_values": without_values, "file": str(to)},
        lambda _: typer.echo(f"{how_many(len(lines), 'event')} in {to}{left_out}"),
    )


def _redacted(event: Mapping[str, Any], paths: Sequence[str]) -> Any:
    from bridge.explanation import withheld_at

    for path in paths:
        event = withheld_at(event, path.split("."))
    return event


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        typer.echo(line)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _print_list(found: Sequence[Mapping[str, Any]]) -> None:
    names = ("number", "received_at", "source", "id", "type", "outcome", "rules")
    print_table(
        ("NUMBER", "RECEIVED", "SOURCE", "ID", "TYPE", "OUTCOME", "RULES", "DETAIL"),
        ((*(event.get(name, "") for name in names), _detail(event)) for event in found),
    )


def _detail(event: Mapping[str, Any]) -> str:
    """Why it did not go well, or which silence its notifications wait for; the journal does not know that."""
    return str(event["detail"] or event["reason"] or event.get("silenced", ""))


def _print_event(event: Mapping[str, Any]) -> None:
    print_fields({name: value for name, value in event.items() if name not in ("notifications", "dead_letters")})
    for notification in event["notifications"]:
        typer.echo()
        waits = {name: f"until {wait['until']}: {wait['reason']}" for name, wait in notification["waits"].items()}
        made = {name: value for name, value in notification.items() if name not in ("id", "outcomes", "waits")}
        outcomes = counted(notification["outcomes"])
        print_fields({"notification": notification["id"], **made, "outcomes": outcomes, "waits": waits})
    for letter in event["dead_letters"]:
        typer.echo()
        print_fields({"dead letter": f"{letter['stage']}: {letter['reason']}", **letter})
