"""`pushbridge restore`: put a copy in the place of a store that no daemon has open."""

import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.client import fail, whoami
from bridge.cli.exits import Exit
from bridge.cli.process import Config, print_problems


def restore(
    file: Annotated[Path, typer.Argument(help="The copy that `pushbridge backup` made.", show_default=False)],
    config: Config,
) -> None:
    """Bring back a copy of the store; stop the daemon first. The store that was there is kept beside it."""
    from bridge.config.load import check as read
    from hub.errors import StoreError
    from hub.store.people.again import erase_again
    from hub.store.sqlite.backup import restore as bring_back

    settings, problems = read(config)
    print_problems(problems)
    if settings is None:
        raise typer.Exit(Exit.MISTAKES)
    if settings.bridge.store.is_postgres:
        raise fail("a PostgreSQL store is restored by PostgreSQL's own tools: see docs/store.md", Exit.WRONG_ARGUMENTS)
    try:
        made = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        done = bring_back(file, settings.store_path, erase=[partial(erase_again, now=time.time(), actor=whoami())])
    except OSError as error:
        raise fail(f"{file}: cannot be read: {error.strerror}", Exit.WRONG_ARGUMENTS) from error
    except StoreError as error:
        raise fail(str(error), Exit.CANNOT_START) from error
    typer.echo(f"{settings.store_path}: restored from {file}")
    if done.before is not None:
        typer.echo(
            f"the store before is kept: {done.before}; it holds what was erased later than the copy, if not before"
        )
    if done.erased:
        typer.echo(f"erased again: {done.erased} rows of persons who were erased after the copy was made")
    typer.echo(
        f"Events and registrations taken after {made:%Y-%m-%d %H:%M:%S} UTC are not in it. Have them sent again since then,"
        f" and some minutes more: a repeated event is known for {settings.bridge.store.seen_window:g} s. Phones register"
        " again by themselves. What waited in the copy longer than delivery.retry.max_age is not pushed."
    )
