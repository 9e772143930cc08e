"""The command line: one file a command, one line here for each. `exits.py` has the exit codes of all commands."""

from typing import Annotated

import typer

from bridge.cli.check import check
from bridge.cli.dead_letters import dead_letters
from bridge.cli.demo import demo
from bridge.cli.devices import devices
from bridge.cli.events import events
from bridge.cli.run import run
from bridge.cli.sandbox import sandbox
from bridge.cli.schema import schema
from bridge.cli.send import send
from bridge.cli.status import status
from bridge.cli.token import token
from bridge.cli.version import print_version, version

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


for _command in (run, check, schema, demo, sandbox, status, send, token, version):
    app.command()(_command)
for _name, _group in (("events", events), ("dead-letters", dead_letters), ("devices", devices)):
    app.add_typer(_group, name=_name)


def main() -> None:
    """The console script `pushbridge`."""
    app()
