"""The command line: one file a command, one line here for each. `exits.py` has the exit codes of all commands."""

from importlib import import_module
from keyword import iskeyword
from typing import Annotated

import typer

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

app = typer.Typer(
    name="pushbridge",
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
    word = name.replace("-", "_") + "_" * iskeyword(name)
    command = getattr(import_module(f"{package}.{word}"), word)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name)(command)


for _name in COMMANDS:
    add(_name)


def main() -> None:
    """The console script `pushbridge`."""
    app()
