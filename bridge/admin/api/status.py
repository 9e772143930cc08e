"""How the process fares: what `/readyz` says in lines, as data."""

from dataclasses import asdict, replace
from datetime import datetime
from importlib.metadata import version
from typing import Literal

from bridge.admin.api.operation import Call, Management, Model, Operation, instant, moment
from bridge.admin.health import Part, is_ready
from bridge.observe.recent import shown
from hub.silence import Silence, SilenceAction
from hub.store.contracts.fleet import FleetState

_VERSION = version("pushbridge")

MAX_DETAIL = 300
"""Characters shown of the cause of a trouble."""


class PartModel(Model):
    """One part of the process; `line` says it in words. A part that is not `required` leaves the process ready."""

    kind: str
    name: str
    ok: bool
    state: str
    detail: str
    since: datetime | None
    until: datetime | None
    required: bool
    mistake: str
    line: str


class Configuration(Model):
    """What is in force: the file it was read from, `bridge.revision`, the fingerprint of its content, and since when."""

    file: str
    revision: str
    hash: str
    loaded_at: datetime


class HubModel(Model):
    """One hub; `platforms` have a credential. The phones of a `remote` one are registered at another service.

    `only_to` is a tag expression that is joined with every audience, empty where there is none. A notification for more
    than `confirm_above` registrations needs a confirmation; null where none does. `held` notifications wait for one.
    """

    name: str
    remote: bool
    platforms: list[str]
    only_to: str
    confirm_above: int | None
    held: int


class ProcessModel(Model):
    """A process that works on the store. It owns `queues` of them and is to own `share`. `silent_for`: seconds since this
    process saw it renew; one that is `dead` has no say any more, and its queues go to the others."""

    id: str
    version: str
    queues: int
    share: int
    silent_for: float
    dead: bool
    this: bool


class StoreModel(Model):
    """The database, its queues, how many of them have no live owner, and who works on them."""

    name: str
    queues: int
    unowned: int
    processes: list[ProcessModel]


class SilenceInForce(Model):
    """One silence that is in force, until when, what it holds or drops, and by whose wish; `line` says it in words."""

    id: str
    action: Literal["hold", "drop"]
    target: str
    until: datetime
    actor: str
    reason: str
    line: str


class Status(Model):
    """The whole process. `pending` are the notifications and pages that wait, `max_pending` how many may."""

    name: str
    version: str
    ready: bool
    configuration: Configuration
    pending: int
    max_pending: int
    sources: list[str]
    rules: int
    hubs: list[HubModel]
    silences: list[SilenceInForce]
    store: StoreModel
    parts: list[PartModel]


def _part_model(part: Part) -> PartModel:
    part = replace(part, detail=shown(part.detail, MAX_DETAIL), mistake=shown(part.mistake))
    times = {"since": moment(part.since), "until": moment(part.until)}
    return PartModel(**(asdict(part) | times), line=part.line)


def _store_model(name: str, fleet: FleetState) -> StoreModel:
    return StoreModel(
        name=name,
        queues=fleet.queues,
        unowned=fleet.unowned,
        processes=[
            ProcessModel(
                id=member.id,
                version=member.version or _VERSION,
                queues=member.queues,
                share=member.share,
                silent_for=member.silent_for,
                dead=member.is_dead,
                this=member.is_this,
            )
            for member in fleet.members
        ],
    )


def _silences(management: Management) -> list[SilenceInForce]:
    """From what the process knows, the one that ends first before the others; the store is not asked."""
    store = management.hub.store
    now = store.now()
    in_force = sorted((each for each in store.known_silences if each.until > now), key=lambda each: each.until)
    return [_silence_model(each) for each in in_force]


def _silence_model(silence: Silence) -> SilenceInForce:
    until = instant(silence.until)
    does = "holds" if silence.action is SilenceAction.HOLD else "drops"
    return SilenceInForce(
        id=silence.id,
        action=silence.action.value,
        target=silence.target,
        until=until,
        actor=silence.actor,
        reason=silence.reason,
        line=f"silence {silence.id} {does} {silence.target} until {until:%Y-%m-%d %H:%M:%S}Z, by {silence.actor}:"
        f" {silence.reason}",
    )


def status_of(management: Management) -> Status:
    """The whole process, as the API and the live stream of the console show it."""
    settings, parts = management.settings, management.health()
    return Status(
        name=settings.bridge.name,
        version=_VERSION,
        ready=is_ready(parts),
        configuration=Configuration(
            file=management.config,
            revision=settings.bridge.revision,
            hash=management.config_hash,
            loaded_at=instant(management.loaded_at),
        ),
        pending=management.hub.pending,
        max_pending=management.hub.max_pending,
        sources=list(settings.sources),
        rules=len(settings.rules.rules),
        hubs=[
            HubModel(
                name=name,
                remote=hub.is_remote,
                platforms=sorted(platform.value for platform in hub.platforms.configured),
                only_to=hub.only_to or "",
                confirm_above=hub.limits.confirm_above,
                held=management.hub.held.get(name, 0),
            )
            for name, hub in settings.hubs.items()
        ],
        silences=_silences(management),
        store=_store_model(settings.store_name, management.hub.store.fleet()),
        parts=[_part_model(part) for part in parts],
    )


async def _status(call: Call) -> Status:
    return status_of(call.management)


OPERATIONS = (
    Operation(
        name="status",
        method="GET",
        path="/status",
        summary="How the process and each of its parts fare, and which configuration is in force.",
        run=_status,
        answer=Status,
    ),
)
