"""`pushbridge run`: the daemon."""

import gc
import signal
import sys

import typer

from bridge.cli.exits import Exit
from bridge.cli.process import ConfigOrEnvironment, print_problems, run_loop

_COLLECT_EVERY = 60_000
"""Objects made and kept before garbage is looked for: pages and events under way are tens of thousands, and none of them is
a cycle. With 20,000 it was looked for once in 1,600 events, and a 40th of the loop's time went into that (measured)."""

_SWITCH_EVERY = 0.0002
"""Seconds after which a thread that has work gets the interpreter. Python's own 5 ms is what the store's thread waits each
time that it comes back from the database: a commit of 0.3 ms took 5.6 beside a busy loop (measured)."""


def run(config: ConfigOrEnvironment) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    gc.disable()  # all that is made until it runs stays: looking for garbage in it takes a tenth of the time
    if hasattr(signal, "SIGHUP"):  # until it means "read again"; what has changed by then is noticed without it
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from bridge.config.load import check as read
    from bridge.config.watch import fingerprint
    from rules.read_files import ReadFiles

    config_hash, files = fingerprint(config), ReadFiles()
    settings, problems = read(config, files=files)
    print_problems(problems)
    if settings is None:
        gc.enable()
        raise typer.Exit(Exit.MISTAKES)
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
            config=" ".join(map(str, config)),
            config_hash=config_hash,
            console=console,
            reload=lambda daemon: Reloader(
                config, daemon, config_hash=config_hash, files=files, on_result=daemon.reloaded
            ),
        )
        gc.freeze()
        gc.enable()
        gc.set_threshold(_COLLECT_EVERY, 20, 20)
        sys.setswitchinterval(_SWITCH_EVERY)
        went_well = run_loop(daemon.run())
    except (StoreError, ListenError) as error:
        typer.echo(f"pushbridge: {error}", err=True)
        raise typer.Exit(Exit.CANNOT_START) from error
    if not went_well:
        raise typer.Exit(Exit.STORE_BROKEN if daemon.store_is_broken else Exit.FAILED)
