"""`pushbridge import anh`: bring over the registrations of an Azure Notification Hub, or of another pushbridge."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.client import Client, fail
from bridge.cli.command import Answer, client_command
from bridge.cli.exits import Exit
from bridge.cli.tables import print_fields, print_table, without_controls
from bridge.counts import how_many

if TYPE_CHECKING:
    from hub.delivery.remote_settings import RemoteSettings
    from hub.moving.found import Thing
    from hub.moving.listing import Listing, Page
    from hub.moving.spool import Spool

import_ = typer.Typer(help="Bring over what another service has.", no_args_is_help=True)

_BATCH = 200
_BATCH_BYTES = 4 * 1024 * 1024
_TOLD_EVERY = 2.0
_PATIENCE = 300.0
_SHOWN = 50
"""Reasons that are printed; all of them are in the JSON."""
_REFUSED = "refused"
_WORDS = {
    "added": "installations and single registrations added",
    "changed": "changed there since the last import",
    "unchanged": "unchanged",
    "kept": "kept, for a phone or a back end has said something else here",
    _REFUSED: "refused",
}


@import_.callback()
def _group() -> None:
    """So that `anh` is a word of its own, with one service too."""


@import_.command()
@client_command
def anh(
    client: Client,
    hub: Annotated[str, typer.Option(help="The hub's name there, if the connection string has none.")] = "",
    into: Annotated[str, typer.Option(help="The hub here, if there are several.")] = "",
    connection_string: Annotated[
        str,
        typer.Option(
            envvar="PUSHBRIDGE_IMPORT_CONNECTION_STRING",
            help="That of a policy with the right Manage. Arguments can be seen by others: use the variable.",
        ),
    ] = "",
    connection_string_file: Annotated[Path | None, typer.Option(help="A file with the connection string.")] = None,
    progress: Annotated[
        Path | None, typer.Option(help="The file that a next run goes on from; ./import-HUB.progress unless said.")
    ] = None,
    container: Annotated[
        str,
        typer.Option(help="URL of a storage container with rights rcwl: the hub exports into it, instead of listing."),
    ] = "",
    ca_file: Annotated[Path | None, typer.Option(help="Trust this certificate authority of the other hub.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List, say what cannot move and why; change nothing.")
    ] = False,
) -> Answer:
    """Bring over installations and registrations. The other hub keeps its own, and phones may go on registering.

    Run it again to bring what has changed there since. What a phone has said here since is never overwritten.
    """
    from hub.errors import HubError
    from hub.moving.spool import Spool

    source = _source(connection_string, connection_string_file, hub, ca_file)
    into = "" if dry_run else client.hub(into)
    path = progress or Path(f"import-{source.hub}.progress")
    try:
        with Spool(None if dry_run else path, source=f"{source.endpoint}/{source.hub}") as spool:
            if not spool.is_listed:
                asyncio.run(_list(source, spool, container))
            _tell(f"{how_many(spool.found_count, 'registration')} found")
            taker = None if dry_run else _Taker(client, into, spool, f"{source.endpoint}/{source.hub}")
            counted = _take(spool, taker)
            content = _content(spool, counted, dry_run)
            if taker is not None:
                taker.end()
                spool.end()
    except HubError as error:
        kept = "" if dry_run else f"; run it again to go on from {path}"
        raise fail(without_controls(f"{error}{kept}"), Exit.FAILED) from error
    return Answer(content, _print, Exit.DONE if not content["cannot_move"] else Exit.FAILED)


def _source(text: str, file: Path | None, hub: str, ca_file: Path | None) -> "RemoteSettings":
    """Raises: typer.Exit."""
    from hub.delivery.remote_settings import RemoteSettings
    from hub.egress import Egress
    from hub.tls import Tls

    if bool(text) is (file is not None):
        raise fail("say --connection-string-file, or the connection string itself, and not both", Exit.WRONG_ARGUMENTS)
    try:
        text = text if file is None else file.read_text(encoding="utf-8")
        tls = None if ca_file is None else Tls(ca_file=ca_file)
        source = RemoteSettings.from_connection_string(text, hub=hub, egress=Egress(tls=tls))
    except (OSError, ValueError) as error:
        raise fail(without_controls(str(error)), Exit.WRONG_ARGUMENTS) from error
    if not source.hub:
        raise fail("say --hub: the connection string names none", Exit.WRONG_ARGUMENTS)
    return source


async def _list(source: "RemoteSettings", spool: "Spool", container: str) -> None:
    """Raises: HubError."""
    from hub.delivery.remote_api import RemoteApi
    from hub.errors import InvalidRequestError
    from hub.moving.exporting import exported
    from hub.moving.found import Found, found_in
    from hub.moving.listing import Listing

    def found(descriptions: Sequence[str]) -> list[Found]:
        try:
            return [found_in(description) for description in descriptions]
        except InvalidRequestError as error:
            raise InvalidRequestError(f"the other hub lists what is no registration: {error}") from error

    api = RemoteApi(source, patience=60.0)
    told = time.monotonic()
    try:
        if container:
            async for lines, is_last in exported(api, container, waits=_waits):
                spool.add(found(lines), token="" if is_last else "exported")
            return
        if spool.token:
            _tell(f"goes on behind {how_many(spool.found_count, 'registration')} that were listed before")
        async for page in _pages(Listing(api, waits=_waits), spool):
            spool.add(found(page.descriptions), token=page.next)
            if time.monotonic() - told > _TOLD_EVERY:
                told = time.monotonic()
                _tell(f"{how_many(spool.found_count, 'registration')} listed")
    finally:
        await api.close()


async def _pages(listing: "Listing", spool: "Spool") -> "AsyncIterator[Page]":
    """From where the run before ended, or from the start where that place is refused by now. Raises: RemoteError."""
    from hub.errors import RemoteError, RemoteRefusedError, RemoteUnreachableError

    try:
        page = await listing.page(spool.token)
    except (RemoteRefusedError, RemoteUnreachableError):
        raise
    except RemoteError as error:
        if not spool.token:
            raise
        _tell(f"lists from the start again, the place of the last run is refused: {error}")
        spool.restart()
        page = await listing.page("")
    yield page
    if page.next:
        async for following in listing.pages(after=page.next):
            yield following


def _take(spool: "Spool", taker: "_Taker | None") -> Counter[tuple[str, str]]:
    """Have everything taken that can be; registrations by platform and by whether they can move."""
    from hub.errors import InvalidRequestError
    from hub.moving.found import installation_key, kind_of_refusal, registration_key, thing_of, why

    if taker is not None:
        taker.begin()

    counted: Counter[tuple[str, str]] = Counter()
    waiting: list[Thing] = []
    size, done, told = 0, 0, time.monotonic()
    for found in spool.things():
        key = installation_key(found[0].owner) if found[0].owner else registration_key(found[0].id)
        try:
            thing = thing_of(found)
        except InvalidRequestError as error:
            counted[_platform_in(found[0].description), "cannot move"] += len(found)
            spool.take([(key, spool.was(key), _REFUSED, why(error))])
            if taker is not None:
                taker.refused[kind_of_refusal(error).value] += 1
            continue
        for registration in thing.registrations:
            counted[registration.platform.value, "can move"] += 1
        waiting.append(thing)
        size += len(thing.said)
        if len(waiting) == _BATCH or size > _BATCH_BYTES:
            if taker is not None:
                taker.send(waiting)
            done += len(waiting)
            waiting, size = [], 0
        if time.monotonic() - told > _TOLD_EVERY:
            told = time.monotonic()
            _tell(f"{done} installations and single registrations taken")
    if taker is not None and waiting:
        taker.send(waiting)
    return counted


def _platform_in(description: str) -> str:
    """What a description that cannot be read calls its platform."""
    return description.lstrip("<").partition("RegistrationDescription")[0].removesuffix("Template")[:40] or "unknown"


class _Taker:
    """Has a daemon take what was found, and writes down what became of it. Each call may raise typer.Exit.

    `refused` counts what was not offered since the last call, by why.
    """

    def __init__(self, client: Client, into: str, spool: "Spool", source: str) -> None:
        self._client = client
        self._into = into
        self._spool = spool
        self._source = source
        self.refused: Counter[str] = Counter()

    def begin(self) -> None:
        """So that the audit has the import, and the metrics how much there is to do."""
        self._post("first", found=self._spool.thing_count)

    def send(self, things: Sequence["Thing"]) -> None:
        before = {thing.key: self._spool.was(thing.key) for thing in things}
        items = [{"key": thing.key, "said": thing.said, "was": before[thing.key]} for thing in things]
        taken = []
        for thing, item in zip(things, self._post("next", items=items), strict=True):
            is_ours = item["answer"] not in ("kept", _REFUSED)
            taken.append((thing.key, thing.said if is_ours else before[thing.key], item["answer"], item["reason"]))
        self._spool.take(taken)

    def end(self) -> None:
        """So that the audit has what became of all."""
        self._post("last", answers=self._spool.answers())

    def _post(self, part: str, **more: Any) -> list[dict[str, Any]]:
        """What became of the items, in order."""
        body = {"items": [], "part": part, "source": self._source, "refused": dict(self.refused), **more}
        path = ("hubs", self._into, "devices", "import")
        items: list[dict[str, Any]] = self._client.post(*path, body=body, timeout=_PATIENCE, patience=_PATIENCE)[
            "items"
        ]
        self.refused.clear()
        return items


def _content(spool: "Spool", counted: Counter[tuple[str, str]], dry_run: bool) -> dict[str, Any]:
    platforms = sorted({platform for platform, _ in counted})
    return {
        "dry_run": dry_run,
        "registrations": spool.found_count,
        "platforms": [
            {
                "platform": platform,
                "can_move": counted[platform, "can move"],
                "cannot_move": counted[platform, "cannot move"],
            }
            for platform in platforms
        ],
        "answers": spool.answers(),
        "cannot_move": [{"key": key, "reason": reason} for key, reason in spool.reasons(100_000)],
    }


def _print(content: Mapping[str, Any]) -> None:
    print_table(
        ("PLATFORM", "CAN MOVE", "CANNOT"),
        ((each["platform"], each["can_move"], each["cannot_move"]) for each in content["platforms"]),
    )
    typer.echo()
    if not content["dry_run"]:
        print_fields({_WORDS[name]: count for name, count in content["answers"].items()})
    for each in content["cannot_move"][:_SHOWN]:
        typer.echo(without_controls(f"cannot move {each['key'].partition(':')[2]}: {each['reason']}"))
    if (more := len(content["cannot_move"]) - _SHOWN) > 0:
        typer.echo(f"and {more} more: --json has all of them")


def _waits(seconds: float, reason: str) -> None:
    _tell(f"waits {seconds:g} s: {reason}")


def _tell(text: str) -> None:
    """Progress, apart from the answer."""
    typer.echo(without_controls(text), err=True)
