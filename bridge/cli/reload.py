"""`pushbridge reload`: have the daemon read its configuration again."""

from collections.abc import Mapping
from typing import Any

import typer

from bridge.cli.client import Client
from bridge.cli.command import Answer, client_command
from bridge.cli.exits import Exit
from bridge.cli.tables import without_controls


@client_command
def reload(client: Client) -> Answer:
    """Have the daemon read its configuration again; 1 if it has mistakes, and the one before stays in force."""
    found = client.reload()
    return Answer(found, _print, Exit.DONE if found["applied"] else Exit.MISTAKES)


def _print(found: Mapping[str, Any]) -> None:
    for problem in found["problems"]:
        typer.echo(without_controls(problem), err=True)
    typer.echo(summary(found))


def summary(found: Mapping[str, Any]) -> str:
    """What became of it, in a line."""
    if not found["applied"]:
        return "refused: the configuration before stays in force"
    waiting = ", ".join(found["restart"])
    return f"applied; these keys wait for a restart: {waiting}" if waiting else "applied"
