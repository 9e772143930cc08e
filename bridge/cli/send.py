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
from bridge.cli.tables import print_fields, print_table
from bridge.counts import how_many


@client_command
def send(
    client: Client,
    device: Annotated[str, typer.Option(help="To this device.")] = "",
    to: Annotated[str, typer.Option(help="To who has these tags: an expression such as 'team:hr && !vip'.")] = "",
    everyone: Annotated[bool, typer.Option("--everyone", help="To all devices of the hub.")] = False,
    with_: Annotated[
        list[str] | None, typer.Option("--with", help="A property for the devices' templates: NAME=TEXT; repeat it.")
    ] = None,
    content: Annotated[
        str, typer.Option(help="A text of the configuration's content, for devices without a template: its name.")
    ] = "",
    native: Annotated[str, typer.Option(help="Instead: a payload for this platform, as its service takes it.")] = "",
    payload: Annotated[Path | None, typer.Option(help="The file of that payload.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="A header of that service: NAME=TEXT; repeat it.")] = None,
    confirm: Annotated[
        int, typer.Option(help="For how many devices it may be, where the hub asks for a confirmation of large sends.")
    ] = 0,
    sensitive: Annotated[
        bool, typer.Option("--sensitive", help="Clear what it says from the store at its end: for one-time codes.")
    ] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Send nothing: say whom it would reach, and what the others lack.")
    ] = False,
    hub: HubName = "",
) -> Answer:
    """Send a notification to a device, a tag expression or everyone; prints its id."""
    if (bool(device), bool(to), everyone).count(True) != 1:
        raise fail("say to whom: one of --device, --to and --everyone", Exit.WRONG_ARGUMENTS)
    body: dict[str, Any] = {"device": device, "tags": to, "everyone": everyone, "confirm": confirm}
    if sensitive:  # which a daemon of the version before does not know
        body["sensitive"] = True
    if bool(with_ or content) == bool(native) or bool(native) != (payload is not None) or (header and not native):
        raise fail(
            "say what: --with NAME=TEXT or --content NAME, or --native PLATFORM with --payload FILE",
            Exit.WRONG_ARGUMENTS,
        )
    if payload is not None:
        body["native"] = {"platform": native, "payload": _payload(payload), "headers": pairs_of(header, "--header")}
    else:
        body["properties"] = pairs_of(with_, "--with")
        if content:
            body["content"] = content
    if preview:
        return Answer(client.post("hubs", client.hub(hub), "preview", body=body, timeout=30.0), _print_preview)
    return Answer(client.post("hubs", client.hub(hub), "notifications", body=body), _print_id)


def _print_preview(found: Mapping[str, Any]) -> None:
    counts = ", ".join(f"{platform} {count}" for platform, count in found["counts"].items())
    confirm = f"pushbridge send --confirm {found['confirm']}" if found["confirm"] else ""
    print_fields(
        {
            "to": found["audience"],
            "only to": found["only_to"],
            "would reach": f"{how_many(found['total'], 'registration')}{f': {counts}' if counts else ''}",
            "nobody": found["unreached_meaning"],
            "has a push already": sum(found["skipped"].values()) or None,
            "needs a confirmation": confirm,
        }
    )
    for reason in found["reasons"]:
        typer.echo(f"- {reason}")
    if found["samples"]:
        typer.echo()
        columns = ("platform", "device", "user", "template", "push_channel")
        print_table(
            ("PLATFORM", "DEVICE", "USER", "TEMPLATE", "CHANNEL"),
            ([one[name] or "" for name in columns] for one in found["samples"]),
        )


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
