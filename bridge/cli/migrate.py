"""`pushbridge migrate`: bring the database's schema up to date, or print the SQL that does it."""

from typing import Annotated

import typer

from bridge.cli.client import fail
from bridge.cli.exits import Exit
from bridge.cli.process import Config, print_problems


def migrate(
    config: Config,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL, and change nothing.")] = False,
) -> None:
    """Bring PostgreSQL's schema up to date, under a role that may; a daemon may run. SQLite's is brought by the daemon."""
    from bridge.config.load import check as read
    from hub.errors import StoreError

    settings, problems = read(config)
    print_problems(problems)
    if settings is None:
        raise typer.Exit(Exit.MISTAKES)
    if not settings.bridge.store.is_postgres:
        raise fail(
            f"{settings.store_name} is a SQLite file: a daemon that starts brings it up to date", Exit.WRONG_ARGUMENTS
        )
    from bridge.stores import address_of
    from hub.store.postgres.migrate import migrate_now, pending_sql

    try:
        if sql:
            typer.echo(pending_sql(address_of(settings)), nl=False)
            return
        version = migrate_now(address_of(settings))
    except StoreError as error:
        raise fail(str(error), Exit.CANNOT_START) from error
    typer.echo(f"{settings.store_name}: schema version {version}")
