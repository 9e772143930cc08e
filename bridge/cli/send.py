"""`pushbridge send`: a notification by hand."""

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.client import Client, ConfigFile, Json, TokenFile, Url, fail, target_of
from bridge.cli.devices import HubName
from bridge.cli.exits import Exit
from bridge.cli.tables import print_json


def send(
    device: Annotated[str, typer.Option(help="To this device.")] = "",
    to: Annotated[str, typer.Option(help="To who has these tags: an expression such as 'team:hr && !vip'.")] = "",
    everyone: Annotated[bool, typer.Option("--everyone", help="To all devices of the hub.")] = False,
    with_: Annotated[
        list[str] | None, typer.Option("--with", help="A property for the devices' templates: NAME=TEXT; repeat it.")
    ] = None,
    native: Annotated[str, typer.Option(help="Instead: a payload for this platform, as its service takes it.")] = "",
    payload: Annotated[Path | None, typer.Option(help="The file of that payload.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="A header of that service: NAME=TEXT; repeat it.")] = None,
    hub: HubName = "",
    url: Url = "",
    token_file: TokenFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Send a notification to a device, a tag expression or everyone; prints its id."""
    if (bool(device), bool(to), everyone).count(True) != 1:
        raise fail("say to whom: one of --device, --to and --everyone", Exit.WRONG_ARGUMENTS)
    body: dict[str, Any] = {"device": device, "tags": to, "everyone": everyone}
    if bool(with_) == bool(native) or bool(native) != (payload is not None) or (header and not native):
        raise fail("say what: --with NAME=TEXT, or --native PLATFORM with --payload FILE", Exit.WRONG_ARGUMENTS)
    if payload is not None:
        body["native"] = {"platform": native, "payload": _payload(payload), "headers": _pairs(header, "--header")}
    else:
        body["properties"] = _pairs(with_, "--with")
    with Client(target_of(url, token_file, config)) as client:
        sent = client.post("hubs", client.hub(hub), "notifications", body=body)
    if json:
        print_json(sent)
    else:
        typer.echo(sent["id"])


def _payload(file: Path) -> Any:
    """A JSON object as such, else the text: WNS takes XML. Raises: typer.Exit."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"{file}: cannot be read: {error}", Exit.WRONG_ARGUMENTS) from error
    try:
        content = json_module.loads(text)
    except ValueError:
        return text
    return content if isinstance(content, dict) else text


def _pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """Raises: typer.Exit."""
    pairs = [text.partition("=") for text in texts or ()]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise fail(f"{option} {wrong[0]!r}: write NAME=TEXT", Exit.WRONG_ARGUMENTS)
    return {name: text for name, _, text in pairs}
