"""The frame of client commands: the options that find the daemon, one client, and an answer as tables or as JSON.

A command asks and returns an `Answer`; the decorators add the options that all such commands have, and print.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Concatenate

import typer

from bridge.cli.client import Client, target_of
from bridge.cli.exits import Exit
from bridge.cli.tables import print_json


class Output(StrEnum):
    """How an answer is printed."""

    TEXT = "text"
    JSON = "json"


Url = Annotated[
    str, typer.Option(envvar="PUSHBRIDGE_URL", help="The admin listener, else as the configuration has it.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(envvar="PUSHBRIDGE_TOKEN_FILE", help="File with the admin token, else from the configuration."),
]
ConfigFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        envvar="PUSHBRIDGE_CONFIG",
        help="The daemon's configuration; repeat it for several paths, which the environment parts with a colon.",
    ),
]
HubName = Annotated[str, typer.Option("--hub", help="Of this hub, if there are several.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command prints: `content` as JSON for scripts, or by `text` for people; then it ends with `code`."""

    content: Any
    text: Callable[[Any], None]
    code: Exit = Exit.DONE


def client_command(command: Callable[Concatenate[Client, ...], Answer]) -> Callable[..., None]:
    """A command that asks a daemon: it gets a client of the daemon that the options name, and its own arguments."""

    def ask(*, url: str, token_file: Path | None, config: list[Path] | None, **arguments: Any) -> Answer:
        with Client(target_of(url, token_file, config)) as client:
            return command(client, **arguments)

    _, *own = inspect.signature(command).parameters.values()
    return answer_command(_with_parameters(ask, command, [*own, *_parameters(_daemon_options)]))


def answer_command(command: Callable[..., Answer]) -> Callable[..., None]:
    """A command whose answer is printed as `--output` says."""

    def run(*, output: Output, json: bool, **arguments: Any) -> None:
        answer = command(**arguments)
        if json or output is Output.JSON:
            print_json(answer.content)
        else:
            answer.text(answer.content)
        if answer.code is not Exit.DONE:
            raise typer.Exit(answer.code)

    return _with_parameters(run, command, [*_parameters(command), *_parameters(_output_options)])


def _daemon_options(url: Url = "", token_file: TokenFile = None, config: ConfigFile = None) -> None:
    """Where the daemon is."""


def _output_options(
    output: Annotated[Output, typer.Option(help="For people, or for scripts.")] = Output.TEXT,
    json: Annotated[bool, typer.Option("--json", help="Short for --output json.")] = False,
) -> None:
    """How its answer is printed."""


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def _with_parameters(
    function: Callable[..., Any], named: Callable[..., Any], parameters: list[inspect.Parameter]
) -> Callable[..., Any]:
    """`function` under the name and help of `named`, with the parameters that Typer reads."""
    function.__name__, function.__doc__ = named.__name__, named.__doc__
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # PEP 362
    return function
