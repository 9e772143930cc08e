"""`pushbridge why`: why the pushes of a real event came, or did not."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from bridge.cli.client import Client
from bridge.cli.command import Answer, client_command
from bridge.cli.explained import print_failures, print_flow, print_rules
from bridge.cli.tables import counted, follow_ups_said, print_fields, print_json, print_table, reports_said
from bridge.counts import how_many


@client_command
def why(
    client: Client,
    id: Annotated[str, typer.Argument(help="The id of an event, or of a notification.", show_default=False)],
    device: Annotated[str, typer.Argument(help="What became of it on this device.")] = "",
    source: Annotated[str, typer.Option(help="Of this source, if several have an event of the id.")] = "",
) -> Answer:
    """Say why a real event or notification reached a device, or did not, from receipt to the push service's answer."""
    return Answer(client.get("events", id, "trace", device=device, source=source), _print_trace)


def _print_trace(trace: Mapping[str, Any]) -> None:
    if trace["outcome"]:
        _print_event(trace)
    print_flow(trace["suppressed"], trace["cancelled"])
    print_failures(trace["failures"])
    for notification in trace["notifications"]:
        typer.echo()
        _print_notification(notification)
    if trace["gone"]:
        typer.echo()
        print_fields({"notifications past their time": trace["gone"]})
    if trace["device"] is not None and not trace["notifications"]:
        typer.echo()
        print_fields({"device": _absent(trace)})


def _absent(trace: Mapping[str, Any]) -> str:
    """Of a device where no notification says what it got."""
    device = trace["device"]
    sent = "what was sent is not kept any more" if trace["gone"] else "of this event nothing was sent to any device"
    if device["hubs"]:
        return f"{device['id']} is in {', '.join(device['hubs'])}; {sent}"
    remote = (
        f", and the devices of {', '.join(device['remote_hubs'])} are not known here" if device["remote_hubs"] else ""
    )
    return f"{device['id']} is in no hub here{remote}; {sent}"


def _held_back(trace: Mapping[str, Any]) -> str:
    """Before it was received; empty where the event did not wait for a rate."""
    seconds = trace["held_back"]
    return f"for up to {seconds:.0f} s, as sources.{trace['source']}.rate allowed no more" if seconds else ""


def _print_event(trace: Mapping[str, Any]) -> None:
    reason = f"{trace['reason']}: {trace['detail']}" if trace["reason"] else ""
    print_fields(
        {
            "event": trace["id"],
            "source": trace["source"],
            "owner": trace["owner"],
            "type": trace["type"],
            "subject": trace["subject"],
            "received at": trace["at"],
            "waited": _held_back(trace),
            "outcome": f"{trace['outcome']}: {trace['meaning']}",
            "ended at": trace["stage"] if reason else "",
            "reason": reason,
            "configuration": _configuration(trace),
            "trace": trace["traceparent"],
        }
    )
    if trace["withheld"]:
        typer.echo(f"\n{trace['withheld']}")
    elif trace["values_kept"]:
        typer.echo("\ndata")
        print_json(trace["data"])
    elif trace["values_missing"]:
        typer.echo(f"\n{trace['values_missing']}")
    if trace["rules"]:
        print_rules(trace["rules"])
    if trace["rules_missing"]:
        typer.echo(trace["rules_missing"])


def _configuration(trace: Mapping[str, Any]) -> str:
    then = " ".join(filter(None, [trace["revision"], trace["config_hash"]]))
    if trace["same_configuration"] or not then or not trace["config_hash_now"]:
        return then
    return f"{then}; now {' '.join(filter(None, [trace['revision_now'], trace['config_hash_now']]))}"


def _print_notification(notification: Mapping[str, Any]) -> None:
    print_fields(
        {
            "notification": notification["id"],
            "rule": notification["rule"],
            "hub": notification["hub"],
            "to": notification["audience"],
            "only to": notification["only_to"],
            "format": notification["format"],
            "state": f"{notification['state']}: {notification['state_meaning']}",
            "held for": notification["held_for"] and how_many(notification["held_for"], "registration"),
            "silenced by": notification["silenced_by"],
            "no device reached": _unreached(notification),
            "because": "\n".join(notification["reasons"]),
            "accepted at": notification["accepted_at"],
            "trace": "" if notification["event_id"] else notification["trace"],
            "scheduled for": notification["schedule_at"],
            "expires at": notification["expires_at"],
            "ended at": notification["ended_at"],
            "cancelled by": notification["cancelled_by"],
            "outcomes": counted(notification["outcomes"]),
            "unless opened": follow_ups_said(notification["follow_ups"]),
            "waits for": "\n".join(notification["waits_for"]),
        }
    )
    if notification["failures"]:
        print_table(
            ("OUTCOME", "REASON", "PUSHES"),
            ((each["outcome"], each["reason"], each["count"]) for each in notification["failures"]),
        )
    if notification["device"] is not None:
        _print_device(notification)


def _unreached(notification: Mapping[str, Any]) -> str:
    count = notification["unreached_count"]
    said = f" ({how_many(count, 'registration')})" if count else ""
    return f"{notification['unreached_meaning']}{said}"


def _print_device(notification: Mapping[str, Any]) -> None:
    typer.echo()
    registrations: Sequence[Mapping[str, Any]] = notification["device"]
    if notification["remote"]:
        typer.echo("registrations are known to the remote hub alone: ask there")
        return
    if not registrations:
        others = notification["device_hubs"]
        typer.echo(f"the hub has no such device{'; there is one in ' + ', '.join(others) if others else ''}")
        return
    print_table(
        ("REGISTRATION", "PLATFORM", "ANSWER", "DETAIL"),
        (
            (each["template"] or "(native)", each["platform"], each["meaning"], _detail(each))
            for each in registrations
            if each["answer"] != "no_template" or len(registrations) == 1  # of a phone with templates they say it all
        ),
    )


def _detail(registration: Mapping[str, Any]) -> str:
    parts = [
        registration["missing"] and f"properties that are missing: {', '.join(registration['missing'])}",
        registration["unmet"] and f"not met: {registration['unmet']}",
        registration["outcome"],
        registration["reason"],
        registration["at"] and f"at {registration['at']}",
        *(f"phone said: {line}" for line in reports_said(registration["reports"]).splitlines()),
        _next_try(registration),
    ]
    return ", ".join(part for part in parts if part)


def _next_try(registration: Mapping[str, Any]) -> str:
    attempt = registration["attempt"] + 1
    if registration["due_at"]:
        return f"until {registration['due_at']}, try {attempt}"
    waits = registration["answer"] == "waiting" and attempt > 1
    return f"try {attempt} as soon as the push service takes pushes" if waits else ""
