"""`pushbridge devices`: who is registered."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from bridge.cli.client import Client, fail
from bridge.cli.command import Answer, HubName, Limit, client_command
from bridge.cli.exits import Exit
from bridge.cli.tables import print_fields, print_sums, print_table, reports_said
from bridge.counts import how_many

devices = typer.Typer(help="The devices that are registered at a hub.", no_args_is_help=True)


@devices.command("list")
@client_command
def list_(
    client: Client,
    hub: HubName = "",
    user: Annotated[str, typer.Option(help="Of this user.")] = "",
    tag: Annotated[str, typer.Option(help="With this tag, or expression of tags.")] = "",
    id: Annotated[str, typer.Option(help="Whose id begins so, whatever its case.")] = "",
    handle: Annotated[str, typer.Option(help="Whose push channel ends so; 8 characters at least.")] = "",
    limit: Limit = 50,
) -> Answer:
    """List them by id; those of a user or tag that can be reached."""
    found = client.items("hubs", client.hub(hub), "devices", limit=limit, user=user, tag=tag, id=id, handle=handle)
    return Answer(list(found), _print_list)


@devices.command()
@client_command
def show(
    client: Client,
    id: Annotated[str, typer.Argument(help="Its installation id.", show_default=False)],
    pushes: Annotated[int, typer.Option(min=1, max=100, help="Of how many notifications its pushes are shown.")] = 20,
    hub: HubName = "",
) -> Answer:
    """Show one, with its templates and registrations, and what it was sent last."""
    hub = client.hub(hub)
    found = client.get("hubs", hub, "devices", id)
    return Answer(
        {**found, "received": client.get("hubs", hub, "devices", id, "received", limit=pushes)}, _print_device
    )


@devices.command()
@client_command
def counts(
    client: Client,
    by: Annotated[str, typer.Option(help="now, hour, or day.")] = "now",
    since: Annotated[
        str, typer.Option(help="The first hour, as 2026-03-02T10:00:00Z; the last 24 hours without it.")
    ] = "",
    until: Annotated[str, typer.Option(help="The last hour; now without it.")] = "",
    operations: Annotated[
        bool, typer.Option("--operations", help="Count what the registry was asked for, in all unless --by says more.")
    ] = False,
    hub: HubName = "",
) -> Answer:
    """Count registrations by hub and platform, now or over time, or the changes of the registry by kind."""
    if by == "now" and not operations:
        if since or until:
            raise fail("--since and --until need --by hour or --by day", Exit.WRONG_ARGUMENTS)
        chosen = [one for one in client.get("hubs")["items"] if not hub or one["name"].lower() == hub.lower()]
        return Answer(chosen, _print_now)
    kind = "operation" if operations else "devices"
    by = "total" if by == "now" else by
    return Answer(client.get("statistics", kind=kind, by=by, since=since, until=until, hub=hub), print_sums)


@devices.command()
@client_command
def rewrite(client: Client, hub: HubName = "") -> Answer:
    """Write all devices that registered with a user's token to the hub's engine again, in the background.

    For a remote hub that has lost its registrations, and after templates or levels have changed.
    """
    return Answer(client.post("hubs", client.hub(hub), "phones", "rewrite", body={}, timeout=600.0), _print_rewritten)


@devices.command()
@client_command
def restore(
    client: Client,
    since: Annotated[
        str, typer.Option(help="Removed since then: 2h, 3d, or 2026-03-02T10:00:00Z.", show_default=False)
    ],
    hub: HubName = "",
) -> Answer:
    """Bring back devices that were removed, as a push service called their push channels dead.

    Removed devices are kept for 30 days. One that has expired, or whose push channel another user's device has, stays
    removed.
    """
    hub = client.hub(hub)
    body = {"since": _instant(since)}
    return Answer(client.post("hubs", hub, "devices", "restore", body=body, timeout=600.0), _print_restored)


def _instant(text: str) -> str:
    """A moment, or so long before now, as the API takes it. Raises: typer.Exit."""
    from connectors.duration import seconds_in

    try:
        ago = timedelta(seconds=seconds_in(text))
        return (datetime.now(UTC) - ago).isoformat()
    except OverflowError as error:
        raise fail(f"--since {text!r}: no date is so long ago", Exit.WRONG_ARGUMENTS) from error
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        cure = "write how long ago without a sign, such as 2h or 3d, or a moment such as 2026-03-02T10:00:00Z"
        raise fail(f"--since {text!r}: is no time: {cure}", Exit.WRONG_ARGUMENTS) from error
    if moment.tzinfo is None:
        cure = f"write {moment.isoformat()}Z for UTC, or the offset"
        raise fail(f"--since {text!r}: has no time zone: {cure}", Exit.WRONG_ARGUMENTS)
    return text


_BELOW = ("template_details", "registrations", "received")
"""What is printed in tables of its own."""


def _print_now(hubs: Sequence[Mapping[str, Any]]) -> None:
    print_table(
        ("HUB", "PLATFORM", "REGISTRATIONS", "CREDENTIAL"),
        (
            (
                hub["name"],
                one["title"],
                one["registrations"],
                one["credential"]["state"] if one["credential"] else "none",
            )
            for hub in hubs
            for one in hub["platforms"]
        ),
    )


def _print_rewritten(done: Mapping[str, Any]) -> None:
    typer.echo(f"{how_many(done['phones'], 'device')} of the hub {done['hub']} are written again")


def _print_restored(done: Mapping[str, Any]) -> None:
    typer.echo(f"{how_many(done['registrations'], 'registration')} of the hub {done['hub']} live again")


def _print_list(found: Sequence[Mapping[str, Any]]) -> None:
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


def _print_device(device: Mapping[str, Any]) -> None:
    print_fields({name: value for name, value in device.items() if name not in _BELOW})
    for template in device["template_details"]:
        typer.echo()
        more = {name: value for name, value in template.items() if name != "name"}
        print_fields({"template": template["name"], **more})
    typer.echo()
    print_table(
        ("REGISTRATION", "TAGS", "SINCE", "DEAD SINCE", "WHY"),
        (
            (one["template"] or "native", one["tags"], one["registered_at"], one["dead_at"], one["dead_reason"])
            for one in device["registrations"]
        ),
    )
    typer.echo()
    received = device["received"]
    for push in received["items"]:
        said = ": ".join(filter(None, [push["outcome"], push["reason"]]))
        print_fields(
            {
                "sent": push["at"],
                "notification": push["notification"],
                "rule": push["rule"],
                "event": push["event_id"],
                "registration": push["template"] or "native",
                "result": f"{push['meaning']}{f' ({said})' if said else ''}",
                "phone said": reports_said(push["reports"]),
                "payload": push["payload"] or push["payload_missing"],
            }
        )
        typer.echo()
    if not received["items"]:
        typer.echo("nothing was sent to it that is kept")
    if not received["whole"]:
        typer.echo("older pushes may be kept: only the newest notifications of the hub were looked at")
