"""`pushbridge doctor`: look at what a configuration needs of this machine, and say the cure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.command import Answer, answer_command
from bridge.cli.exits import Exit
from bridge.cli.process import print_problems

if TYPE_CHECKING:
    from hub.store.sqlite.examine import Finding

OptionalConfig = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[CONFIG]...",
        help="YAML files and directories of them; without one the default store in this directory is looked at.",
        show_default=False,
    ),
]


@answer_command
def doctor(config: OptionalConfig = None) -> Answer:
    """Look at the store's disk, file and schema, and say the cure. A daemon may run at the same time."""
    from bridge.config.load import check as read
    from bridge.config.models import StoreSettings
    from hub.store.sqlite.examine import Health, examine

    store, directory = StoreSettings(), Path()
    if config:
        settings, problems = read(config)
        print_problems(problems)
        if settings is None:
            raise typer.Exit(Exit.MISTAKES)
        store, directory = settings.bridge.store, settings.directory
    path = store.path(directory)
    found = examine(path, allow_memory=store.allow_memory)
    failed = any(finding.health is Health.FAILED for finding in found)
    return Answer(_content(path, found), _print_checks, Exit.FAILED if failed else Exit.DONE)


def _content(path: Path, found: "Sequence[Finding]") -> dict[str, Any]:
    checks = [
        {"name": each.name, "health": each.health.value, "text": each.text, "cure": each.cure or None} for each in found
    ]
    return {"store": str(path), "checks": checks}


def _print_checks(content: Mapping[str, Any]) -> None:
    typer.echo(f"store {content['store']}")
    for check in content["checks"]:
        typer.echo(f"  {check['health']:8} {check['name']:12} {check['text']}")
        if check["cure"]:
            typer.echo(f"  {'':8} {'':12} cure: {check['cure']}")
