"""`pushbridge silences`: hold or drop notifications for a while, with a reason."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from bridge.cli.client import Client, fail
from bridge.cli.command import Answer, client_command
from bridge.cli.exits import Exit
from bridge.cli.tables import print_fields, print_table
from bridge.counts import how_many

silences = typer.Typer(help="Hold or drop notifications for a while.", no_args_is_help=True)


@silences.command("list")
@client_command
def list_(
    client: Client,
    all: Annotated[bool, typer.Option("--all", help="Also those that ended in the last 30 days.")] = False,
) -> Answer:
    """List those in force, with what they hold and have dropped."""
    found = client.get("silences", **({} if all else {"active": "true"}))
    return Answer(found["items"], _print_list)


@silences.command()
@client_command
def add(
    client: Client,
    for_: Annotated[str, typer.Option("--for", help="How long, such as 30m or 2h; 30d at most.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; the list, `why` and the audit show it.", show_default=False)],
    rule: Annotated[str, typer.Option(help="Notifications of this rule.")] = "",
    source: Annotated[str, typer.Option(help="Notifications of this source's events.")] = "",
    hub: Annotated[str, typer.Option(help="Notifications of this hub, sends included.")] = "",
    hold: Annotated[bool, typer.Option("--hold", help="They wait, and go out when the silence ends.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="They end, and go to no phone.")] = False,
    by: Annotated[str, typer.Option(help="Who asks, if not you: the audit keeps the name.")] = "",
) -> Answer:
    """Be silent about a rule, a source or a hub for a while; of several, about what fits all.

    What has begun to go out goes on, and is tried again as ever.
    """
    if hold == drop:
        raise fail("say one of --hold and --drop", Exit.WRONG_ARGUMENTS)
    if not (rule or source or hub):
        raise fail("say what to be silent about: --rule, --source or --hub", Exit.WRONG_ARGUMENTS)
    body = {"action": "hold" if hold else "drop", "seconds": _seconds_of(for_), "reason": reason}
    named = {kind: name for kind, name in (("rule", rule), ("source", source), ("hub", hub)) if name}
    return Answer(client.post("silences", body={**body, **named}, actor=by), _print_one)


def _seconds_of(text: str) -> float:
    """Raises: typer.Exit: no duration."""
    from connectors.duration import seconds_in

    try:
        return seconds_in(text)
    except ValueError as error:
        raise fail(
            f"--for {text!r}: write a time with its unit, such as 90s, 30m or 2h", Exit.WRONG_ARGUMENTS
        ) from error


@silences.command()
@client_command
def remove(
    client: Client,
    id: Annotated[str, typer.Argument(help="Its id in the list.", show_default=False)],
    by: Annotated[str, typer.Option(help="Who asks, if not you: the audit keeps the name.")] = "",
) -> Answer:
    """End a silence before its time: the held notifications go out, but for those that have expired."""
    return Answer(client.post("silences", id, "remove", body={}, actor=by), _print_one)


def _print_list(found: Sequence[Mapping[str, Any]]) -> None:
    print_table(
        ("ID", "ACTION", "WHAT", "UNTIL", "HELD", "DROPPED", "BY", "REASON", ""),
        (
            (
                one["id"],
                one["action"],
                target_of(one),
                one["until"],
                one["held"],
                one["dropped"],
                one["actor"],
                one["reason"],
                note_of(one),
            )
            for one in found
        ),
    )


def target_of(silence: Mapping[str, Any]) -> str:
    """What it covers, in words."""
    return ", ".join(f"{kind} {silence[kind]}" for kind in ("rule", "source", "hub") if silence[kind])


def note_of(silence: Mapping[str, Any]) -> str:
    """A note on a silence: it has ended, or the configuration no longer has what the silence names."""
    notes = [f"removed by {silence['removed_by']}" if silence["removed_by"] else "" if silence["active"] else "ended"]
    if silence["missing"]:
        notes.append(f"the configuration has no {' and no '.join(silence['missing'])}")
    return "; ".join(filter(None, notes))


def _print_one(silence: Mapping[str, Any]) -> None:
    print_fields(
        {
            "silence": silence["id"],
            silence["action"]: target_of(silence),
            "until": silence["until"],
            "reason": silence["reason"],
            "by": silence["actor"],
            "removed by": silence["removed_by"],
            "held": how_many(silence["held"], "notification") if silence["held"] else "",
        }
    )
