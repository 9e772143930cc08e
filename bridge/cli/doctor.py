"""`pushbridge doctor`: look at what a configuration needs of this machine, and say the cure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

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


def doctor(
    config: OptionalConfig = None,
    output: Annotated[Literal["text", "json"], typer.Option("--output", help="How to print: text or json.")] = "text",
) -> None:
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
    typer.echo(_as_json(path, found) if output == "json" else _as_text(path, found))
    if any(finding.health is Health.FAILED for finding in found):
        raise typer.Exit(Exit.FAILED)


def _as_text(path: Path, found: "Sequence[Finding]") -> str:
    lines = [f"store {path}"]
    for finding in found:
        lines.append(f"  {finding.health.value:8} {finding.name:12} {finding.text}")
        if finding.cure:
            lines.append(f"  {'':8} {'':12} cure: {finding.cure}")
    return "\n".join(lines)


def _as_json(path: Path, found: "Sequence[Finding]") -> str:
    import orjson

    checks = [
        {"name": each.name, "health": each.health.value, "text": each.text, "cure": each.cure or None} for each in found
    ]
    return orjson.dumps({"store": str(path), "checks": checks}, option=orjson.OPT_INDENT_2).decode()
