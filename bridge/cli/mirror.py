"""`pushbridge mirror`: a hub that mirrors its remote while phones move."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from bridge.cli.client import Client
from bridge.cli.command import Answer, client_command
from bridge.cli.exits import Exit
from bridge.cli.tables import print_fields, without_controls
from bridge.counts import how_many

mirror = typer.Typer(help="A hub that mirrors its remote: whether it may be cut over.", no_args_is_help=True)

Hub = Annotated[str, typer.Option(help="The hub, if there are several.")]


@mirror.command()
@client_command
def status(client: Client, hub: Hub = "") -> Answer:
    """Say whether the hub may be cut over, or back, with no phone lost, and what speaks against it; 4 if it may not."""
    found = client.get("hubs", client.hub(hub), "mirror")
    return Answer(found, _print, Exit.DONE if found["may_change"] else Exit.FAILED)


@mirror.command(name="list")
@client_command
def list_(
    client: Client,
    hub: Hub = "",
    remove: Annotated[
        bool, typer.Option("--remove", help="Take away here what is there no more, however much that is.")
    ] = False,
) -> Answer:
    """Have the remote hub listed now, and not only when list_every is over. It returns at once: look at the status.

    Where many devices are missing in a list, nothing is taken away: the remote hub may have lost them. Say --remove if they
    were deleted there on purpose.
    """
    found = client.post("hubs", client.hub(hub), "mirror", "remove" if remove else "list", body={})
    return Answer(found, lambda _: typer.echo("the remote hub is being listed: pushbridge mirror status"))


@mirror.command()
@client_command
def rewrite(client: Client, hub: Hub = "") -> Answer:
    """Write all devices to the remote hub again, in the background, after it has lost its registrations."""
    done = client.post("hubs", client.hub(hub), "mirror", "rewrite", body={}, timeout=600.0)
    return Answer(done, _print_rewritten)


def _print_rewritten(done: Mapping[str, Any]) -> None:
    typer.echo(f"{how_many(done['devices'], 'device')} of the hub {done['hub']} are written to the remote hub again")


def _print(found: Mapping[str, Any]) -> None:
    remote = found["sends"] == "remote"
    step = "cut over (mirror: remote)" if remote else "taken back (mirror: local)"
    print_fields(
        {
            found["hub"]: f"{'may' if found['may_change'] else 'may not yet'} be {step}",
            "sends": "the remote hub" if remote else "this daemon",
            "last whole list": f"{found['listed_at'] or 'never'}, {found['registrations']} registrations",
            "last list that broke off": f"{found['failed_at']}: {found['failure']}" if found["failure"] else None,
            "found by it": _counts(found["listed"]),
            "waiting for the remote": f"{found['waiting']}, {found['refused']} refused"
            + (f", since {found['waiting_since']}" if found["waiting_since"] else ""),
            "sends of the last day": _counts(found["compared"]),
        }
    )
    for reason in found["against"]:
        typer.echo(without_controls(f"against it: {reason}"))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
