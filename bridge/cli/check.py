"""`pushbridge check`: every mistake of a configuration."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.client import fail
from bridge.cli.command import Answer, answer_command
from bridge.cli.exits import Exit
from bridge.cli.process import ConfigOrEnvironment, print_problems
from bridge.counts import how_many

if TYPE_CHECKING:
    from bridge.config.models.document import Settings
    from rules.problems import Problem


@answer_command
def check(
    config: ConfigOrEnvironment,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    no_secrets: Annotated[
        bool, typer.Option("--no-secrets", help="Look up no ${env:...} and no ${file:...}: put values there that fit.")
    ] = False,
    show: Annotated[
        bool,
        typer.Option(
            "--show",
            help="Print the configuration as understood, with defaults, without secrets, and where each key is written.",
        ),
    ] = False,
    sarif: Annotated[
        bool,
        typer.Option("--sarif", help="Print what was found as SARIF 2.1.0, which code hosts show beside the lines."),
    ] = False,
) -> Answer:
    """Report every mistake in a configuration, each with its place, and what was likely meant."""
    from bridge.config.load import check as read
    from rules.problems import Severity

    if sarif and show:
        raise fail("--sarif and --show both have standard output: ask for one of them", Exit.WRONG_ARGUMENTS)
    settings, problems = read(config, no_secrets=no_secrets)
    is_refused = any(strict or problem.severity is Severity.ERROR for problem in problems)
    code = Exit.MISTAKES if is_refused else Exit.WRONG_ARGUMENTS if show and settings is None else Exit.DONE

    shown = _as_understood(settings, config) if show and settings is not None and not is_refused else None

    def text(_: object) -> None:
        if sarif:
            _print_sarif(problems)
            return
        print_problems(problems)
        if not is_refused:
            _print_valid(" ".join(map(str, config)), settings, shown, show=show)

    return Answer(_report(settings, problems, shown, is_valid=not is_refused, show=show), text, code)


def _print_sarif(problems: Sequence["Problem"]) -> None:
    from importlib.metadata import version

    import orjson

    from bridge.cli.sarif import as_sarif

    typer.echo(orjson.dumps(as_sarif(problems, version=version("pushbridge")), option=orjson.OPT_INDENT_2).decode())


def _as_understood(settings: "Settings", config: Sequence[Path]) -> str:
    from bridge.config.show import as_understood

    return as_understood(settings, config)


def _report(
    settings: "Settings | None", problems: Sequence["Problem"], shown: str | None, *, is_valid: bool, show: bool
) -> dict[str, Any]:
    """As JSON; what is counted of the configuration is null where it has mistakes, or secrets that were not looked up."""
    import yaml

    from rules.problems import Severity

    configuration = {"configuration": None if shown is None else yaml.safe_load(shown)} if show else {}
    return {
        "valid": is_valid,
        "summary": {
            "errors": sum(problem.severity is Severity.ERROR for problem in problems),
            "warnings": sum(problem.severity is Severity.WARNING for problem in problems),
            "sources": None if settings is None else len(settings.sources),
            "rules": None if settings is None else len(settings.rules.rules),
            "hubs": None if settings is None else len(settings.hubs),
            "only_to": {}
            if settings is None
            else {name: hub.only_to for name, hub in settings.hubs.items() if hub.only_to is not None},
        },
        "problems": [
            {
                "file": problem.mark.file,
                "line": problem.mark.line,
                "column": problem.mark.column,
                "key": problem.key,
                "message": problem.message,
                "hint": problem.hint,
                "severity": problem.severity.value,
            }
            for problem in problems
        ],
        **configuration,
    }


def _print_valid(name: str, settings: "Settings | None", shown: str | None, *, show: bool) -> None:
    """That it is valid; or what is `shown` as understood, which takes the place of it on standard output."""
    if settings is None:
        typer.echo(f"{name}: valid, as far as can be said without secrets", err=show)
        if show:
            typer.echo("--show: nothing can be shown without the values of ${env:NAME} and ${file:/path}", err=True)
    elif shown is not None:
        typer.echo(shown, nl=False)
    else:
        parts = {"source": settings.sources, "rule": settings.rules.rules, "hub": settings.hubs}
        counts = ", ".join(how_many(len(each), noun) for noun, each in parts.items())
        typer.echo(f"{name}: valid, {counts}")
        for hub, hub_settings in settings.hubs.items():
            if hub_settings.only_to is not None:
                typer.echo(f"hub {hub} reaches only who has: {hub_settings.only_to}")
