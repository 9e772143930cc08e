"""`pushbridge devices`: who is registered."""

from typing import Annotated

import typer

from bridge.cli.client import Client, ConfigFile, Json, Limit, TokenFile, Url, target_of
from bridge.cli.tables import print_fields, print_json, print_table

devices = typer.Typer(help="The devices that are registered at a hub.", no_args_is_help=True)

HubName = Annotated[str, typer.Option("--hub", help="Of this hub, if there are several.")]


@devices.command("list")
def list_(
    hub: HubName = "",
    user: Annotated[str, typer.Option(help="Of this user.")] = "",
    tag: Annotated[str, typer.Option(help="With this tag, or expression of tags.")] = "",
    limit: Limit = 50,
    url: Url = "",
    token_file: TokenFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """List them by id; those of a user or tag that can be reached."""
    with Client(target_of(url, token_file, config)) as client:
        found = list(client.items("hubs", client.hub(hub), "devices", limit=limit, user=user, tag=tag))
    if json:
        print_json(found)
        return
    print_table(
        ("ID", "PLATFORM", "USER", "TAGS", "TEMPLATES", "CHANNEL", "UPDATED"),
        (
            (
                *(device[name] for name in ("id", "platform", "user_id", "tags", "templates")),
                f"{device['push_channel']} dead" if device["push_channel_expired"] else device["push_channel"],
                device["updated_at"],
            )
            for device in found
        ),
    )


@devices.command()
def show(
    id: Annotated[str, typer.Argument(help="Its installation id.", show_default=False)],
    hub: HubName = "",
    url: Url = "",
    token_file: TokenFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show one, with its templates and registrations."""
    with Client(target_of(url, token_file, config)) as client:
        device = client.get("hubs", client.hub(hub), "devices", id)
    if json:
        print_json(device)
        return
    templates, registrations = device.pop("template_details"), device.pop("registrations")
    print_fields(device)
    for template in templates:
        typer.echo()
        print_fields({"template": template.pop("name"), **template})
    typer.echo()
    print_table(
        ("REGISTRATION", "TAGS", "SINCE", "DEAD SINCE", "WHY"),
        (
            (one["template"] or "native", one["tags"], one["registered_at"], one["dead_at"], one["dead_reason"])
            for one in registrations
        ),
    )
