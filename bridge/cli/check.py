"""`pushbridge check`: every mistake of a configuration."""

from typing import Annotated

import typer

from bridge.cli.exits import Exit
from bridge.cli.process import Config, print_problems


def check(
    config: Config,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    no_secrets: Annotated[
        bool, typer.Option("--no-secrets", help="Look up no ${env:...} and no ${file:...}: put values there that fit.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the configuration as understood, with defaults and without secrets.")
    ] = False,
) -> None:
    """Report every mistake in a configuration, each with its place, and what was likely meant."""
    from bridge.config.load import check as read
    from rules.problems import Severity

    settings, problems = read(config, no_secrets=no_secrets)
    print_problems(problems)
    if any(strict or problem.severity is Severity.ERROR for problem in problems):
        raise typer.Exit(Exit.MISTAKES)
    name = " ".join(map(str, config))
    if settings is None:
        typer.echo(f"{name}: valid, as far as can be said without secrets", err=show)
        if show:
            typer.echo("--show: nothing can be shown without the values of ${env:NAME} and ${file:/path}", err=True)
            raise typer.Exit(Exit.WRONG_ARGUMENTS)
        return
    if show:
        from bridge.config.show import as_understood

        typer.echo(as_understood(settings, config), nl=False)
        return
    typer.echo(
        f"{name}: valid, {len(settings.sources)} sources, {len(settings.rules.rules)} rules, {len(settings.hubs)} hubs"
    )
