"""`pushbridge token`: a shared access signature for the hub API, made from the configuration alone."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from bridge.cli.client import fail, settings_of
from bridge.cli.command import Answer, ConfigFile, HubName, answer_command
from bridge.cli.exits import Exit


@answer_command
def token(
    policy: Annotated[str, typer.Option(help="An access policy of the hub; else the only one.")] = "",
    host: Annotated[str, typer.Option(help="The name by which clients call the hub API.")] = "localhost",
    lifetime: Annotated[str, typer.Option(help="How long it is good: 30m, 8h, 7d.")] = "1h",
    hub: HubName = "",
    config: ConfigFile = None,
) -> Answer:
    """Make a shared access signature for a policy of a hub; asks no daemon."""
    from pydantic import TypeAdapter, ValidationError

    from connectors.duration import Duration
    from hub.transport.sas import token_for

    if not config:
        raise fail("say --config: the key of the policy stands there", Exit.WRONG_ARGUMENTS)
    try:
        seconds = TypeAdapter(Duration).validate_python(lifetime)
    except ValidationError as error:
        raise fail(f"--lifetime {lifetime!r}: write a time such as 30m, 8h or 7d", Exit.WRONG_ARGUMENTS) from error
    hubs = {name: one for name, one in settings_of(config).hubs.items() if not one.is_remote}
    name = _chosen(hub, list(hubs), "--hub")
    policies = {one.name: one for one in hubs[name].auth.sas}
    chosen = policies[_chosen(policy, list(policies), "--policy")]
    expires_at = int(time.time() + seconds)
    url = f"https://{host}/{name}"
    made = token_for(chosen.name, chosen.key[0].get_secret_value(), url=url, expires_at=expires_at)
    return Answer({"token": made, "hub": name, "policy": chosen.name, "expires_at": expires_at}, _print_token)


def _print_token(made: Mapping[str, Any]) -> None:
    typer.echo(made["token"])


def _chosen(given: str, names: list[str], option: str) -> str:
    """The named one, else the only one. Raises: typer.Exit."""
    found = [name for name in names if not given or name.lower() == given.lower()]
    if len(found) != 1:
        raise fail(f"say {option}: there are {', '.join(names) or 'none'}", Exit.WRONG_ARGUMENTS)
    return found[0]
