"""`pushbridge channels`: broadcast channels, by which one push reaches all who look on."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from bridge.cli.client import Client
from bridge.cli.command import Answer, HubName, client_command
from bridge.cli.tables import print_table

channels = typer.Typer(help="Broadcast channels of a hub, which Live Activities subscribe to.", no_args_is_help=True)


@channels.command("list")
@client_command
def list_(client: Client, hub: HubName = "") -> Answer:
    """List them, with what the push service has: ok, missing there, or unknown here."""
    return Answer(client.get("hubs", client.hub(hub), "channels"), _print_list)


@channels.command()
@client_command
def create(
    client: Client,
    id: Annotated[str, typer.Argument(help="Its installation id.", show_default=False)],
    tag: Annotated[list[str] | None, typer.Option(help="A tag that rules send to; may be repeated.")] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="Keep the newest message for who subscribes later, 8 hours at most.")
    ] = False,
    channel: Annotated[
        str, typer.Option(help="Make none, and take over this one, which list calls unknown.", show_default=False)
    ] = "",
    hub: HubName = "",
) -> Answer:
    """Make one at the push service, and keep it with its tags; what is sent to these goes to it by one request."""
    body = {"id": id, "tags": tag or [], "stored": stored, "push_channel": channel}
    return Answer(client.post("hubs", client.hub(hub), "channels", body=body, timeout=60.0), _print_created)


@channels.command()
@client_command
def delete(
    client: Client,
    id: Annotated[str, typer.Argument(help="Its installation id.", show_default=False)],
    hub: HubName = "",
) -> Answer:
    """Delete one here and at the push service, for good: apps that subscribed to it hear nothing more."""
    path = ("hubs", client.hub(hub), "channels", id, "delete")
    return Answer(client.post(*path, body={}, timeout=60.0), _print_deleted)


def _print_list(found: Mapping[str, Any]) -> None:
    print_table(
        ("ID", "CHANNEL", "TAGS", "STATE"),
        ((one["id"] or "", one["push_channel"], one["tags"], one["state"]) for one in found["items"]),
    )
    typer.echo(f"{found['used']} of {found['most']} channels of the app are in use")


def _print_created(made: Mapping[str, Any]) -> None:
    typer.echo(f"{made['id']}: {made['push_channel']}")


def _print_deleted(done: Mapping[str, Any]) -> None:
    typer.echo(f"{done['id']} is deleted")
