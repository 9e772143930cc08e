"""`pushbridge demo`: everything on this machine."""

from typing import Annotated

import typer

from bridge.cli.exits import Exit
from bridge.cli.process import run_loop


def demo(
    exit_after: Annotated[
        float | None, typer.Option(min=0, help="End when every phone has got its own, or after so many seconds.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="End likewise, and print a summary as JSON.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; another is taken if it is in use.")
    ] = 8080,
) -> None:
    """Run everything on this machine: the daemon, stand-ins of what it talks to, virtual phones, sample events."""
    from bridge.demo.run import demo as run_demo
    from bridge.errors import BridgeError
    from hub.errors import StoreError

    try:
        code = run_loop(run_demo(exit_after=exit_after, json=json, port=port))
    except (BridgeError, StoreError) as error:
        typer.echo(f"pushbridge: {error}", err=True)
        raise typer.Exit(Exit.CANNOT_START) from error
    raise typer.Exit(code)
