"""`pushbridge explain`: what an event in a file would do, rule by rule; no broker, no daemon, no network."""

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.client import Client, Target, fail, settings_of, target_of
from bridge.cli.command import Answer, TokenFile, Url, answer_command
from bridge.cli.exits import Exit
from bridge.cli.explained import print_explained, print_records
from bridge.cli.pairs import pairs_of

if TYPE_CHECKING:
    from bridge.config.models.document import Settings
    from bridge.intake.pipeline import Route
    from bridge.trial.trial import Registrations, TriedEvent
    from connectors.base import Message

_MISSING_META = re.compile(r"\bmeta\.(\w+)[^ :]* is missing")

_SHOWN = 20
"""Records of one body that are shown, at most."""


@answer_command
def explain(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[CONFIG]... EVENT",
            help="The configuration, and last a file with the body of a message; - is standard input. An event alone is "
            "explained by the configuration in PUSHBRIDGE_CONFIG.",
            show_default=False,
        ),
    ],
    source: Annotated[str, typer.Option(help="The source that the message came from, if there are several.")] = "",
    header: Annotated[
        list[str] | None, typer.Option(help="An application header of the message: NAME=TEXT; repeat it.")
    ] = None,
    meta: Annotated[
        list[str] | None,
        typer.Option(help="A property of the message, as `meta` has it: message_id=TEXT, routing_key=TEXT; repeat it."),
    ] = None,
    content_type: Annotated[str, typer.Option(help="The content type of the message.")] = "",
    device: Annotated[
        list[Path] | None,
        typer.Option(help="A file with a device as an app registers it, an installation in JSON; repeat it."),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="A store, read only: whom its devices make the audience, and with what templates."),
    ] = None,
    send_to: Annotated[
        str, typer.Option(metavar="DEVICE", help="Send what comes of it to this device alone, through the daemon.")
    ] = "",
    record: Annotated[
        int,
        typer.Option(min=0, help="Of a body of many records (decode.split), the one to show; 0 shows the first 20."),
    ] = 0,
    url: Url = "",
    token_file: TokenFile = None,
) -> Answer:
    """Explain what an event would do: decoded, mapped, each rule with its first failed condition, and what would leave."""
    config, event = _config_and_event(paths)
    if device and store is not None:
        raise fail("--device and --store: only one of them", Exit.WRONG_ARGUMENTS)
    settings = settings_of(config)
    name = _source(settings, source)
    message = _message(
        _body(event),
        source=name,
        headers=pairs_of(header, "--header"),
        meta=_meta(settings, name, meta),
        content_type=content_type,
    )
    tried = asyncio.run(_tried(settings, message, device or (), store))
    if record > len(tried):
        raise fail(f"--record {record}: the body has {len(tried)}", Exit.WRONG_ARGUMENTS)
    tried = [tried[record - 1]] if record else tried
    content, show = _report(tried, hide_channels=store is not None)
    content["hints"] = _not_given(settings, name, tried)
    if send_to:
        target = target_of(url, token_file, config)
        content["sent"] = [sent for each in tried for sent in _sent(target, each, send_to)]
    return Answer(content, show)


def _config_and_event(paths: Sequence[Path]) -> tuple[list[Path], Path]:
    """Raises: typer.Exit: neither an argument nor the environment names a configuration."""
    *named, event = paths
    config = named or [Path(path) for path in os.environ.get("PUSHBRIDGE_CONFIG", "").split(os.pathsep) if path]
    if not config:
        raise fail("name the configuration, and last the file of the event", Exit.WRONG_ARGUMENTS)
    return config, event


def _report(tried: "Sequence[TriedEvent]", *, hide_channels: bool) -> tuple[dict[str, Any], Callable[[Any], None]]:
    """What is shown of one event or of many, and what prints that."""
    from bridge.trial.report import event_report, records_report

    if len(tried) == 1:
        return event_report(tried[0], hide_channels=hide_channels), print_explained
    return records_report(tried, most=_SHOWN, hide_channels=hide_channels), print_records


def _body(file: Path) -> bytes:
    """Raises: typer.Exit."""
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise fail(f"{file}: cannot be read: {error.strerror}", Exit.WRONG_ARGUMENTS) from error


def _source(settings: "Settings", name: str) -> str:
    """Raises: typer.Exit."""
    names = ", ".join(settings.sources)
    if name in settings.sources:
        return name
    if name:
        raise fail(f"--source {name!r}: the configuration has {names or 'no source'}", Exit.WRONG_ARGUMENTS)
    if len(settings.sources) != 1:
        raise fail(
            f"--source: say which of {names}" if names else "the configuration has no source", Exit.WRONG_ARGUMENTS
        )
    return next(iter(settings.sources))


def _meta(settings: "Settings", source: str, texts: Sequence[str] | None) -> Mapping[str, str]:
    """Properties that messages of the source's connector have. Raises: typer.Exit: it has no such one."""
    connector = settings.sources[source].connector
    meta = pairs_of(texts, "--meta")
    if unknown := [name for name in meta if name not in connector.meta]:
        known = ", ".join(sorted(connector.meta))
        raise fail(f"--meta {unknown[0]!r}: a message of {connector.title} has {known}", Exit.WRONG_ARGUMENTS)
    return meta


def _message(
    body: bytes, *, source: str, headers: Mapping[str, str], meta: Mapping[str, str], content_type: str
) -> "Message":
    from connectors.base import Message

    properties = {**({"content_type": content_type} if content_type else {}), **meta}
    return Message(
        source=source,
        body=body,
        id=properties.get("message_id"),
        content_type=properties.get("content_type"),
        headers=headers,
        properties=properties,
    )


def _not_given(settings: "Settings", source: str, tried: "Sequence[TriedEvent]") -> list[str]:
    """How to give what the source's messages bring, what `map` or a rule reads of them, and what the file cannot have."""
    said = [text for each in tried for text in (each.detail, *(failure.detail for failure in each.failures))]
    missing = dict.fromkeys(found[1] for text in said for found in _MISSING_META.finditer(text))
    known = settings.sources[source].connector.meta
    hints = [
        f"a message brings {name}: give --meta {name}=TEXT" for name in missing if name in known and name != "headers"
    ]
    if "headers" in missing:
        hints.append("a message brings headers: give --header NAME=TEXT")
    return hints


async def _tried(
    settings: "Settings", message: "Message", devices: Sequence[Path], store: Path | None
) -> "Sequence[TriedEvent]":
    """Raises: typer.Exit."""
    from bridge.trial.trial import Trial
    from hub.errors import StoreError

    async with AsyncExitStack() as stack:
        try:
            registrations = await _registrations(stack, settings, devices, store)
            trial = Trial(settings, registrations=registrations, routes=_routes(settings, message))
            stack.push_async_callback(trial.close)
            return await trial.each(message)
        except StoreError as error:
            raise fail(str(error), Exit.CANNOT_START) from error


def _routes(settings: "Settings", message: "Message") -> "Mapping[str, Route]":
    """A body that names a schema is read by it, the one thing that asks another host; any other is the data as JSON."""
    from bridge.decode.registered import schema_id
    from bridge.schemas.registry import SchemaRegistries
    from bridge.wiring import routes_of

    return routes_of(settings, None if schema_id(message.body) is None else SchemaRegistries())


async def _registrations(
    stack: AsyncExitStack, settings: "Settings", devices: Sequence[Path], store: Path | None
) -> "Registrations | None":
    """Raises: StoreError, typer.Exit."""
    from hub.store.sqlite.read_only import ReadOnlyStore
    from hub.store.sqlite.store import SqliteStore

    if store is not None:
        stored = ReadOnlyStore(store)
        await stored.open()
        stack.push_async_callback(stored.close)
        return stored
    if not devices:
        return None
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="pushbridge-explain-"))
    given = SqliteStore(Path(directory) / "devices.db", allow_ephemeral=True)
    await given.open()
    stack.push_async_callback(given.close)
    for number, file in enumerate(devices, start=1):
        installation = _installation(file, number)
        for hub, hub_settings in settings.hubs.items():
            if not hub_settings.is_remote:
                await given.put_installations(hub, [installation])
    return given


def _installation(file: Path, number: int) -> Any:
    """Raises: typer.Exit."""
    from hub.errors import InvalidRequestError
    from hub.registry.documents import installation_from_document

    try:
        document = json.loads(_body(file))
    except ValueError as error:
        raise fail(f"{file}: is no JSON: {error}", Exit.WRONG_ARGUMENTS) from error
    if not isinstance(document, dict):
        raise fail(f"{file}: is no installation: write a JSON object", Exit.WRONG_ARGUMENTS)
    id_ = next((str(value) for key, value in document.items() if key.lower() == "installationid"), f"device-{number}")
    try:
        return installation_from_document(id_, document)
    except InvalidRequestError as error:
        raise fail(f"{file}: {error}", Exit.WRONG_ARGUMENTS) from error


def _sent(target: Target, tried: "TriedEvent", device: str) -> list[str]:
    """Ids of what the daemon was asked to send. Raises: typer.Exit."""
    from bridge.trial.report import content_report

    with Client(target) as client:
        return [
            client.post(
                "hubs",
                each.notification.hub,
                "notifications",
                body={"device": device, **content_report(each.notification)},
            )["id"]
            for each in tried.notifications
            if not each.remote
        ]
