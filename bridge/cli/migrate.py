"""`pushbridge migrate`: bring the schema up to date, print the SQL that does it, or bring a SQLite store over."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.client import fail
from bridge.cli.exits import Exit
from bridge.cli.process import Config, print_problems

if TYPE_CHECKING:
    from hub.store.postgres.address import PostgresAddress

_SQLITE = "sqlite:"


def migrate(
    config: Config,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL, and change nothing.")] = False,
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="sqlite:PATH", help="Fill the empty database with a SQLite store. Stop its daemon first."
        ),
    ] = "",
) -> None:
    """Bring PostgreSQL's schema up to date, under a role that may; a daemon may run. SQLite's is brought by the daemon."""
    if source and (sql or not source.startswith(_SQLITE)):
        raise fail("--from takes sqlite:PATH, and goes without --sql", Exit.WRONG_ARGUMENTS)
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
        if source:
            _bring_over(Path(source.removeprefix(_SQLITE).removeprefix("//")), address_of(settings))
            return
        version = migrate_now(address_of(settings))
    except StoreError as error:
        raise fail(str(error), Exit.CANNOT_START) from error
    typer.echo(f"{settings.store_name}: schema version {version}")


def _bring_over(path: Path, address: "PostgresAddress") -> None:
    """Raises: StoreError."""
    from hub.store.postgres.filling import fill
    from hub.store.sqlite.exporting import exported

    with exported(path) as store:
        counts = fill(address, store.tables, store.rows)
    for table, count in counts.items():
        if count:
            typer.echo(f"{table}: {count} rows")
    typer.echo(f"{address}: has all of {path}, which is unchanged; move it away, so that no daemon starts on it again")
