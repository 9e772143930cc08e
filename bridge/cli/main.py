"""The command line: arguments and exit codes, nothing more.

Exit codes: 0 done; 1 the configuration has mistakes, or the demo went otherwise than meant; 2 wrong arguments; 3 could not
start (store locked or unreadable, address in use); 4 a part failed while running, the log says which.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from bridge.cli.schema import schema

app = typer.Typer(
    name="pushbridge",
    help="Turns the events of an enterprise's systems into push notifications.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path, typer.Argument(help="A YAML file, or a directory of them.", show_default=False)]

MISTAKES, CANNOT_START, FAILED = 1, 3, 4

T = TypeVar("T")

_COLLECT_EVERY = 20_000
"""Objects made and kept before garbage is looked for: a page of pushes is thousands, and none of them is a cycle."""


@app.command()
def run(config: Config) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    gc.disable()  # all that is made until it runs stays: looking for garbage in it takes a tenth of the time
    if hasattr(signal, "SIGHUP"):  # until it means "read again"; what has changed by then is noticed without it
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from bridge.config.load import check as read
    from bridge.config.watch import fingerprint

    config_hash = fingerprint(config)
    settings, problems = read(config)
    _print_problems(problems)
    if settings is None:
        raise typer.Exit(MISTAKES)
    from bridge import descriptors
    from bridge.observe import log

    descriptors.raise_limit()
    log.configure(settings.bridge.log.level, json=settings.bridge.log.format == "json")
    from bridge.admin.console.routes import console
    from bridge.admin.listener import ListenError
    from bridge.app import Daemon
    from bridge.config.reload import Reloader
    from hub.errors import StoreError

    try:
        daemon = Daemon(
            settings,
            config=str(config),
            config_hash=config_hash,
            console=console,
            reload=lambda daemon: Reloader(config, daemon, config_hash=config_hash, told=daemon.reloaded),
        )
        gc.freeze()
        gc.enable()
        gc.set_threshold(_COLLECT_EVERY, 20, 20)
        went_well = _run_loop(daemon.run())
    except (StoreError, ListenError) as error:
        typer.echo(f"pushbridge: {error}", err=True)
        raise typer.Exit(CANNOT_START) from error
    if not went_well:
        raise typer.Exit(FAILED)


@app.command()
def check(config: Config) -> None:
    """Report every mistake in a configuration, each with its place, and what was likely meant."""
    from bridge.config.load import check as read

    settings, problems = read(config)
    _print_problems(problems)
    if settings is None:
        raise typer.Exit(MISTAKES)
    typer.echo(
        f"{config}: valid, {len(settings.sources)} sources, {len(settings.rules.rules)} rules, {len(settings.hubs)} hubs"
    )


@app.command()
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
        code = _run_loop(run_demo(exit_after=exit_after, json=json, port=port))
    except (BridgeError, StoreError) as error:
        typer.echo(f"pushbridge: {error}", err=True)
        raise typer.Exit(CANNOT_START) from error
    raise typer.Exit(code)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the broker; 0 for any.")] = 5672,
    state: Annotated[Path | None, typer.Option(help="File that keeps entities and messages; else in memory.")] = None,
    config: Annotated[Path | None, typer.Option(help="Entities in the Config.json of Microsoft's emulator.")] = None,
    queue: Annotated[list[str] | None, typer.Option(help="Create this queue; may be repeated.")] = None,
    topic: Annotated[list[str] | None, typer.Option(help="Create this topic; may be repeated.")] = None,
    tls: Annotated[Path | None, typer.Option(help="Directory for the CA certificate that TLS clients trust.")] = None,
) -> None:
    """Run a Service Bus compatible broker on this machine until Ctrl-C."""
    import sqlite3

    from bridge.cli.sandbox import serve
    from sandbox.errors import SandboxError

    serving = serve(port=port, state=state, config=config, queues=queue or (), topics=topic or (), tls=tls)
    try:
        _run_loop(serving)
    except (OSError, sqlite3.Error, SandboxError) as error:
        typer.echo(f"pushbridge: {error}", err=True)
        raise typer.Exit(CANNOT_START) from error


app.command()(schema)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of

    typer.echo(version_of("pushbridge"))


def main() -> None:
    """The console script `pushbridge`."""
    app()


def _run_loop(main: Coroutine[Any, Any, T]) -> T:
    """On uvloop where there is one: the transport to the push services spends its time in the loop."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _print_problems(problems: Sequence[object]) -> None:
    for problem in problems:
        typer.echo(str(problem), err=True)
