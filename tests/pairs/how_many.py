"""`how-many`: how many events there were."""

from collections.abc import Mapping

import typer

from bridge.cli.client import Client
from bridge.cli.command import Answer, Limit, client_command


@client_command
def how_many(client: Client, limit: Limit = 50) -> Answer:
    """Count the latest events."""
    return Answer({"events": len(list(client.items("events", limit=limit)))}, _print_count)


def _print_count(content: Mapping[str, int]) -> None:
    typer.echo(f"{content['events']} events")
