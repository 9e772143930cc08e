"""What commands share that run a loop of their own or read a configuration."""

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

Config = Annotated[
    list[Path],
    typer.Argument(help="YAML files, and directories of them with their sub-directories; merged.", show_default=False),
]

ConfigOrEnvironment = Annotated[
    list[Path],
    typer.Argument(
        metavar="CONFIG...",
        envvar="PUSHBRIDGE_CONFIG",
        help="YAML files, and directories of them with their sub-directories; merged. The environment has a colon between.",
        show_default=False,
    ),
]

T = TypeVar("T")


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """On uvloop where there is one: the transport to the push services spends its time in the loop."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def print_problems(problems: Sequence[object]) -> None:
    """A line for each on stderr."""
    for problem in problems:
        typer.echo(str(problem), err=True)
