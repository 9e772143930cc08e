"""`pushbridge doctor`: look at what a configuration needs of this machine, and say the cure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.command import Answer, answer_command
from bridge.cli.exits import Exit
from bridge.cli.process import print_problems

if TYPE_CHECKING:
    from bridge.config.models import Settings
    from hub.store.findings import Finding

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
    from hub.store.findings import Health

    settings = None
    if config:
        settings, problems = read(config)
        print_problems(problems)
        if settings is None:
            raise typer.Exit(Exit.MISTAKES)
    store, found = _examined(settings)
    failed = any(finding.health is Health.FAILED for finding in found)
    return Answer(_content(store, found), _print_checks, Exit.FAILED if failed else Exit.DONE)


def _examined(settings: "Settings | None") -> "tuple[str, Sequence[Finding]]":
    """What the store is called, and what was found; without settings it is the default one in this directory."""
    from bridge.config.store import StoreSettings

    if settings is not None and settings.bridge.store.is_postgres:
        from bridge.stores import address_of
        from hub.store.postgres import examine as postgres

        return settings.store_name, postgres.examine(address_of(settings))
    from hub.store.sqlite import examine as sqlite

    store = StoreSettings() if settings is None else settings.bridge.store
    path = store.path(Path() if settings is None else settings.directory)
    return str(path), sqlite.examine(path, allow_memory=store.allow_memory)


def _content(store: str, found: "Sequence[Finding]") -> dict[str, Any]:
    checks = [
        {"name": each.name, "health": each.health.value, "text": each.text, "cure": each.cure or None} for each in found
    ]
    return {"store": store, "checks": checks}


def _print_checks(content: Mapping[str, Any]) -> None:
    typer.echo(f"store {content['store']}")
    for check in content["checks"]:
        typer.echo(f"  {check['health']:8} {check['name']:12} {check['text']}")
        if check["cure"]:
            typer.echo(f"  {'':8} {'':12} cure: {check['cure']}")
