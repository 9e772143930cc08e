"""`pushbridge events`: the latest events, and what became of each."""

from typing import Annotated

import typer

from bridge.cli.client import Client, ConfigFile, Json, Limit, TokenFile, Url, target_of
from bridge.cli.tables import counted, print_fields, print_json, print_table

events = typer.Typer(help="The latest events and sends, and what became of them.", no_args_is_help=True)


@events.command("list")
def list_(
    source: Annotated[str, typer.Option(help="Of this source.")] = "",
    outcome: Annotated[str, typer.Option(help="With this outcome.")] = "",
    id: Annotated[str, typer.Option(help="With this event id.")] = "",
    limit: Limit = 50,
    url: Url = "",
    token_file: TokenFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """List them, newest first."""
    with Client(target_of(url, token_file, config)) as client:
        found = list(client.items("events", limit=limit, source=source, outcome=outcome, id=id))
    if json:
        print_json(found)
        return
    print_table(
        ("NUMBER", "RECEIVED", "SOURCE", "ID", "TYPE", "OUTCOME", "RULES", "DETAIL"),
        (
            (
                *(event[name] for name in ("number", "received_at", "source", "id", "type", "outcome", "rules")),
                event["detail"] or event["reason"],
            )
            for event in found
        ),
    )


@events.command()
def show(
    number: Annotated[int, typer.Argument(help="Its number in the list.", show_default=False)],
    url: Url = "",
    token_file: TokenFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show one, with its notifications and dead letters."""
    with Client(target_of(url, token_file, config)) as client:
        event = client.get("events", str(number))
    if json:
        print_json(event)
        return
    notifications, letters = event.pop("notifications"), event.pop("dead_letters")
    print_fields(event)
    for notification in notifications:
        typer.echo()
        outcomes = counted(notification.pop("outcomes"))
        waits = {name: f"until {wait['until']}: {wait['reason']}" for name, wait in notification.pop("waits").items()}
        print_fields({"notification": notification.pop("id"), **notification, "outcomes": outcomes, "waits": waits})
    for letter in letters:
        typer.echo()
        print_fields({"dead letter": f"{letter['stage']}: {letter['reason']}", **letter})
