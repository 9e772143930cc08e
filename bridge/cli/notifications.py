"""`pushbridge notifications`: what was sent, and what became of it."""

from typing import Annotated

import typer

from bridge.cli.client import Client, ConfigFile, Json, Limit, TokenFile, Url, target_of
from bridge.cli.devices import HubName
from bridge.cli.tables import counted, print_fields, print_json, print_table

notifications = typer.Typer(help="Notifications and what became of them.", no_args_is_help=True)


@notifications.command("list")
def list_(
    hub: HubName = "",
    state: Annotated[str, typer.Option(help="In this state: Scheduled, Processing, Completed, and so on.")] = "",
    event: Annotated[str, typer.Option(help="Of the event with this id.")] = "",
    limit: Limit = 50,
    url: Url = "",
    token_file: TokenFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """List them, newest first; those of all hubs without --hub."""
    with Client(target_of(url, token_file, config)) as client:
        found = list(client.items("notifications", limit=limit, hub=hub, state=state, event_id=event))
    if json:
        print_json(found)
        return
    print_table(
        ("ID", "ACCEPTED AT", "HUB", "RULE", "EVENT ID", "AUDIENCE", "STATE", "OUTCOMES"),
        (
            (
                *(one[name] for name in ("id", "accepted_at", "hub", "rule", "event_id", "audience", "state")),
                counted(one["outcomes"]),
            )
            for one in found
        ),
    )


@notifications.command()
def show(
    id: Annotated[str, typer.Argument(help="Its id in the list, or the one that a send answered.", show_default=False)],
    url: Url = "",
    token_file: TokenFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show one, with what its failures were."""
    with Client(target_of(url, token_file, config)) as client:
        notification = client.get("notifications", id)
    if json:
        print_json(notification)
        return
    failures = notification.pop("failures")
    print_fields(notification | {"outcomes": counted(notification["outcomes"])})
    if failures:
        typer.echo()
        print_table(("OUTCOME", "REASON", "COUNT"), ((one["outcome"], one["reason"], one["count"]) for one in failures))
