"""`pushbridge sandbox`: stand-ins of what the daemon talks to, for developing without a cloud account."""

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.exits import Exit
from bridge.cli.process import run_loop


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the broker; 0 for any.")] = 5672,
    state: Annotated[Path | None, typer.Option(help="File that keeps entities and messages; else in memory.")] = None,
    config: Annotated[Path | None, typer.Option(help="Entities in the Config.json of Microsoft's emulator.")] = None,
    queue: Annotated[list[str] | None, typer.Option(help="Create this queue; may be repeated.")] = None,
    topic: Annotated[list[str] | None, typer.Option(help="Create this topic; may be repeated.")] = None,
    tls: Annotated[Path | None, typer.Option(help="Directory for the CA certificate that TLS clients trust.")] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Run the push services too, and print a hub that sends to them.")
    ] = False,
    push_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65526,
            help="Ports of APNs, FCM, WNS, journal, Web Push, ADM, Xiaomi, Huawei, Baidu and MPNS, from this one on; "
            "0 for any.",
        ),
    ] = 9443,
    directory: Annotated[
        Path, typer.Option(help="Where the credentials of the push services are written once, and kept.")
    ] = Path("pushbridge-sandbox"),
) -> None:
    """Run a Service Bus compatible broker on this machine until Ctrl-C, and with --push the push services."""
    import sqlite3

    from bridge.admin.listener import ListenError
    from bridge.cli.stand_ins import serve
    from sandbox.errors import SandboxError

    serving = serve(
        port=port,
        state=state,
        config=config,
        queues=queue or (),
        topics=topic or (),
        tls=tls,
        push=directory if push else None,
        push_port=push_port,
    )
    try:
        run_loop(serving)
    except sqlite3.Error as error:
        typer.echo(f"pushbridge: --state {state}: {error} (name a file of the sandbox's own, or a new one)", err=True)
        raise typer.Exit(Exit.CANNOT_START) from error
    except (OSError, SandboxError, ListenError) as error:
        typer.echo(f"pushbridge: {error}", err=True)
        raise typer.Exit(Exit.CANNOT_START) from error
