"""What `pushbridge sandbox` runs: a Service Bus compatible broker on loopback, for developing without a cloud account."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import typer

from sandbox.servicebus import EntityExistsError, ServiceBus
from sandbox.tls import Authority


async def serve(
    *,
    port: int,
    state: Path | None,
    config: Path | None,
    queues: Sequence[str],
    topics: Sequence[str],
    tls: Path | None,
) -> None:
    """Run the broker until SIGTERM or Ctrl-C, and print what clients need; entities that are there already stay.

    `tls` is a directory for the CA's certificate, made if missing.

    Raises: OSError: the port is taken, or a file cannot be read; sqlite3.Error: the state file cannot be used;
    EntityError: an entity cannot be.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows, where Ctrl-C cancels instead
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with ServiceBus(port=port, state_file=state, authority=_authority(tls)) as broker:
        if config is not None:
            broker.create_entities(config)
        for name in queues:
            with suppress(EntityExistsError):
                broker.create_queue(name)
        for name in topics:
            with suppress(EntityExistsError):
                broker.create_topic(name)
        typer.echo(f"Service Bus stand-in on 127.0.0.1:{broker.port}, state {state or 'in memory'}")
        typer.echo(f"connection string: {broker.connection_string}")
        typer.echo(f"TLS and administration on the same port; trust {broker.ca_file}")
        await stopped.wait()


def _authority(directory: Path | None) -> Authority | None:
    """A CA whose certificate is in `directory`; without one the broker makes its own for the while it runs."""
    if directory is None:
        return None
    directory.mkdir(parents=True, exist_ok=True)
    return Authority(directory)
