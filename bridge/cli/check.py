"""`pushbridge check`: every mistake of a configuration."""

import typer

from bridge.cli.exits import Exit
from bridge.cli.process import Config, print_problems


def check(config: Config) -> None:
    """Report every mistake in a configuration, each with its place, and what was likely meant."""
    from bridge.config.load import check as read

    settings, problems = read(config)
    print_problems(problems)
    if settings is None:
        raise typer.Exit(Exit.MISTAKES)
    typer.echo(
        f"{config}: valid, {len(settings.sources)} sources, {len(settings.rules.rules)} rules, {len(settings.hubs)} hubs"
    )
