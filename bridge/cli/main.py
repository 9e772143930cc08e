"""The command line: one file a command, one line here for each. `exits.py` has the exit codes of all commands.

A command's file is imported when the command is asked for: what the others need would stay in a daemon's memory.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from bridge.cli.version import print_version

COMMANDS = (
    "run",
    "init",
    "check",
    "test",
    "explain",
    "diff",
    "doctor",
    "migrate",
    "schema",
    "demo",
    "sandbox",
    "status",
    "top",
    "reload",
    "send",
    "token",
    "version",
    "why",
    "events",
    "notifications",
    "devices",
    "channels",
    "import",
    "mirror",
    "dead-letters",
    "silences",
    "users",
    "backup",
    "restore",
)
"""In the order of the help. The file of each has a function of its name, or a `typer.Typer` with commands below it."""

_packages = dict.fromkeys(COMMANDS, "bridge.cli")


class _Made(Mapping[str, Any]):
    """The commands by name, each made when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        word = name.replace("-", "_") + "_" * iskeyword(name)
        command = getattr(import_module(f"{_packages[name]}.{word}"), word)
        if isinstance(command, typer.Typer):
            made: Any = get_group(command)
            made.name = name
            return made
        alone = typer.Typer(add_completion=False)
        alone.command(name)(command)
        return get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(_packages)

    def __len__(self) -> int:
        return len(_packages)


class _Commands(TyperGroup):
    """The command line as a whole."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Made()  # type: ignore[assignment]  # nothing is added to it

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)


app = typer.Typer(
    name="pushbridge",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(
    version_: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turns the events of an enterprise's systems into push notifications."""


def add(name: str, package: str = "bridge.cli") -> None:
    """Have the command of that name; its file has `_` for `-`, and ends with one where Python has the word."""
    _packages[name] = package


def main() -> None:
    """The console script `pushbridge`."""
    app()
