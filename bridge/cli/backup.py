"""`pushbridge backup`: copy the store of a running daemon."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.client import Client
from bridge.cli.command import Answer, client_command

_PATIENCE = 3600.0
"""Seconds, as the daemon takes for a copy."""


@client_command
def backup(
    client: Client,
    file: Annotated[Path, typer.Argument(help="The copy, a new file on the daemon's machine.", show_default=False)],
) -> Answer:
    """Copy the daemon's store to a file, while events go on: what was acknowledged before is in it."""
    return Answer(client.post("backups", body={"file": str(file.absolute())}, timeout=_PATIENCE), _print_copy)


def _print_copy(done: Any) -> None:
    typer.echo(f"{done['file']}: {done['size']} bytes")
