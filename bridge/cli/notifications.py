"""`pushbridge notifications`: what was sent, what became of it, and what is to be sent no more."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from bridge.cli.client import Client, fail
from bridge.cli.command import Answer, HubName, Limit, client_command
from bridge.cli.exits import Exit
from bridge.cli.tables import counted, follow_ups_said, print_fields, print_sums, print_table

notifications = typer.Typer(help="Notifications and what became of them.", no_args_is_help=True)


@notifications.command("list")
@client_command
def list_(
    client: Client,
    hub: HubName = "",
    state: Annotated[str, typer.Option(help="In this state: Scheduled, Processing, Completed, and so on.")] = "",
    event: Annotated[str, typer.Option(help="Of the event with this id.")] = "",
    limit: Limit = 50,
) -> Answer:
    """List them, newest first; those of all hubs without --hub."""
    found = client.items("notifications", limit=limit, hub=hub, state=state, event_id=event)
    return Answer(list(found), _print_list)


@notifications.command()
@client_command
def show(
    client: Client,
    id: Annotated[str, typer.Argument(help="Its id in the list, or the one that a send answered.", show_default=False)],
) -> Answer:
    """Show one, with what its failures were."""
    return Answer(client.get("notifications", id), _print_notification)


@notifications.command()
@client_command
def cancel(
    client: Client,
    id: Annotated[str, typer.Argument(help="Its id in the list, or the one that a send answered.", show_default=False)],
) -> Answer:
    """Cancel one that has not ended: what is not sent yet is not sent, whichever process works on it."""
    return Answer(client.post("notifications", id, "cancel", body={}), _print_notification)


@notifications.command()
@client_command
def approve(
    client: Client,
    id: Annotated[str, typer.Argument(help="Its id in the list, or the one in the log.", show_default=False)],
    by: Annotated[str, typer.Option(help="Who approves; the audit keeps the name.", show_default=False)],
) -> Answer:
    """Let one go that is held, because it is for more devices than its hub allows without a confirmation."""
    if not by.strip():
        raise fail("--by: say who approves; the audit keeps the name", Exit.WRONG_ARGUMENTS)
    return Answer(client.post("notifications", id, "approve", body={}, actor=by), _print_notification)


@notifications.command()
@client_command
def counts(
    client: Client,
    kind: Annotated[
        str,
        typer.Option(
            help="push, notification, report (of phones), report_by_tag, operation (changes of the registry), or devices."
        ),
    ] = "push",
    by: Annotated[str, typer.Option(help="hour, day, or total.")] = "total",
    since: Annotated[
        str, typer.Option(help="The first hour, as 2026-03-02T10:00:00Z; the last 24 hours without it.")
    ] = "",
    until: Annotated[str, typer.Option(help="The last hour; now without it.")] = "",
    hub: HubName = "",
) -> Answer:
    """Count by the hour: pushes by outcome, notifications by state, reports, changes of the registry, or devices."""
    found = client.get("statistics", kind=kind, by=by, since=since, until=until, hub=hub)
    return Answer(found, print_sums)


def _print_list(found: Sequence[Mapping[str, Any]]) -> None:
    names = ("id", "accepted_at", "hub", "rule", "event_id", "audience", "state")
    print_table(
        ("ID", "ACCEPTED AT", "HUB", "RULE", "EVENT ID", "AUDIENCE", "STATE", "OUTCOMES"),
        ((*(one[name] for name in names), _outcomes(one)) for one in found),
    )


def _outcomes(one: Mapping[str, Any]) -> str:
    # A daemon of the version before says nothing of quiet hours.
    return "; ".join(filter(None, [counted(one["outcomes"]), _held(one.get("quiet_hold"))]))


def _held(hold: Mapping[str, Any] | None) -> str:
    """What quiet hours hold, and until when, in words; empty for nothing."""
    if hold is None:
        return ""
    first, last = hold["first_end"], hold["last_end"]
    pushes = hold["pushes"]
    what = "" if pushes is None else f"{pushes} {'push' if pushes == 1 else 'pushes'} "
    until = f"until {first}" if first == last else f"until {first}, the last until {last}"
    return f"{what}held by quiet hours of window {hold['window']} {until}"


def _print_notification(notification: Mapping[str, Any]) -> None:
    failures = notification["failures"]
    more = {
        "outcomes": counted(notification["outcomes"]),
        "reports": counted(notification["reports"]),
        "reasons": "\n".join(notification["reasons"]),
        "follow_ups": follow_ups_said(notification["follow_ups"]),
        "quiet_hold": _held(notification.get("quiet_hold")),
    }
    print_fields({**notification, **more, "failures": None})
    if failures:
        typer.echo()
        print_table(("OUTCOME", "REASON", "COUNT"), ((one["outcome"], one["reason"], one["count"]) for one in failures))
