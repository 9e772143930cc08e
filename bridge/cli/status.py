"""`pushbridge status`: how the process fares."""

from collections.abc import Mapping
from typing import Any

import typer

from bridge.cli.client import Client
from bridge.cli.command import Answer, client_command
from bridge.cli.exits import Exit
from bridge.cli.tables import print_fields, print_table, without_controls


@client_command
def status(client: Client) -> Answer:
    """Say how sources, push services and store fare, and which configuration is in force; 4 if the process is not ready."""
    found = client.get("status")
    return Answer(found, _print_status, Exit.DONE if found["ready"] else Exit.FAILED)


def _print_status(found: Mapping[str, Any]) -> None:
    ready = "ready" if found["ready"] else "not ready"
    in_force = found["configuration"]
    print_fields(
        {
            found["name"]: f"{ready}, version {found['version']}",
            "configuration": f"{in_force['file']} {in_force['hash']}, since {in_force['loaded_at']}",
            "revision": in_force["revision"],
            "waiting": f"{found['pending']} of {found['max_pending']}",
            "store": _store(found["store"]),
        }
    )
    for hub in found["hubs"]:
        if hub["held"]:
            typer.echo(
                f"hub {hub['name']}: {hub['held']} held for an approval: pushbridge notifications list --state Held"
            )
        if hub["only_to"]:
            typer.echo(f"hub {hub['name']} reaches only who has: {hub['only_to']}")
    for silence in found.get("silences", ()):  # a daemon of the version before says none
        typer.echo(without_controls(silence["line"]))
    typer.echo()
    parts = [
        (part["kind"], part["name"], part["state"], part["since"], part["detail"] or part["mistake"])
        for part in found["parts"]
    ]
    print_table(("PART", "NAME", "STATE", "SINCE", "DETAIL"), parts)
    if found["store"]["queues"] > 1:
        typer.echo()
        print_table(
            ("PROCESS", "VERSION", "QUEUES", "SHARE", "SILENT FOR", ""),
            (
                (one["id"], one["version"], one["queues"], one["share"], f"{one['silent_for']:g} s", _note(one))
                for one in found["store"]["processes"]
            ),
        )


def _store(store: Mapping[str, Any]) -> str:
    if store["queues"] == 1:
        return str(store["name"])
    unowned = f", {store['unowned']} without a live owner" if store["unowned"] else ""
    return f"{store['name']}, {store['queues']} queues{unowned}"


def _note(process: Mapping[str, Any]) -> str:
    return "dead" if process["dead"] else "this one" if process["this"] else ""
