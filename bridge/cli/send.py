"""`pushbridge send`: a notification by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.client import Client, fail
from bridge.cli.command import Answer, HubName, client_command
from bridge.cli.exits import Exit
from bridge.cli.pairs import pairs_of


@client_command
def send(
    client: Client,
    device: Annotated[str, typer.Option(help="To this device.")] = "",
    to: Annotated[str, typer.Option(help="To who has these tags: an expression such as 'team:hr && !vip'.")] = "",
    everyone: Annotated[bool, typer.Option("--everyone", help="To all devices of the hub.")] = False,
    with_: Annotated[
        list[str] | None, typer.Option("--with", help="A property for the devices' templates: NAME=TEXT; repeat it.")
    ] = None,
    native: Annotated[str, typer.Option(help="Instead: a payload for this platform, as its service takes it.")] = "",
    payload: Annotated[Path | None, typer.Option(help="The file of that payload.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="A header of that service: NAME=TEXT; repeat it.")] = None,
    confirm: Annotated[
        int, typer.Option(help="For how many devices it may be, where the hub asks for a confirmation of large sends.")
    ] = 0,
    hub: HubName = "",
) -> Answer:
    """Send a notification to a device, a tag expression or everyone; prints its id."""
    if (bool(device), bool(to), everyone).count(True) != 1:
        raise fail("say to whom: one of --device, --to and --everyone", Exit.WRONG_ARGUMENTS)
    body: dict[str, Any] = {"device": device, "tags": to, "everyone": everyone, "confirm": confirm}
    if bool(with_) == bool(native) or bool(native) != (payload is not None) or (header and not native):
        raise fail("say what: --with NAME=TEXT, or --native PLATFORM with --payload FILE", Exit.WRONG_ARGUMENTS)
    if payload is not None:
        body["native"] = {"platform": native, "payload": _payload(payload), "headers": pairs_of(header, "--header")}
    else:
        body["properties"] = pairs_of(with_, "--with")
    return Answer(client.post("hubs", client.hub(hub), "notifications", body=body), _print_id)


def _print_id(sent: Mapping[str, Any]) -> None:
    typer.echo(sent["id"])


def _payload(file: Path) -> Any:
    """A JSON object as such, else the text: WNS takes XML. Raises: typer.Exit."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"{file}: cannot be read: {error}", Exit.WRONG_ARGUMENTS) from error
    try:
        content = json.loads(text)
    except ValueError:
        return text
    return content if isinstance(content, dict) else text
