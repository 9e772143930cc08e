"""`pushbridge status`: how the process fares."""

import typer

from bridge.cli.client import Client, ConfigFile, Json, TokenFile, Url, target_of
from bridge.cli.exits import Exit
from bridge.cli.tables import print_fields, print_json, print_table


def status(url: Url = "", token_file: TokenFile = None, config: ConfigFile = None, json: Json = False) -> None:
    """Say how sources, push services and store fare, and which configuration is in force; 4 if the process is not ready."""
    with Client(target_of(url, token_file, config)) as client:
        found = client.get("status")
    if json:
        print_json(found)
    else:
        ready = "ready" if found["ready"] else "not ready"
        in_force = found["configuration"]
        print_fields(
            {
                found["name"]: f"{ready}, version {found['version']}",
                "configuration": f"{in_force['file']} {in_force['hash']}, since {in_force['loaded_at']}",
                "revision": in_force["revision"],
                "waiting": f"{found['pending']} of {found['max_pending']}",
            }
        )
        typer.echo()
        parts = [
            (part["kind"], part["name"], part["state"], part["since"], part["detail"] or part["mistake"])
            for part in found["parts"]
        ]
        print_table(("PART", "NAME", "STATE", "SINCE", "DETAIL"), parts)
    if not found["ready"]:
        raise typer.Exit(Exit.FAILED)
