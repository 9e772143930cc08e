"""A hub that mirrors another one: how that goes, and whether it may change sides."""

from datetime import datetime

from bridge.admin.api.devices import local_hub
from bridge.admin.api.operation import Call, Model, Operation, instant, moment
from hub.acceptance import AuditEntry
from hub.errors import InvalidRequestError
from hub.facts import Compared
from hub.moving.verdict import Mirror, reasons_against
from hub.notification import Platform
from hub.store.contracts.telemetry import TallyKind

_PART = 1000
_PATIENCE = 600.0
"""Seconds: a hub may have millions of devices."""
_HOUR = 3600.0
_DAY = 24


class MirrorModel(Model):
    """`sends` is the side that sends to phones. `may_change`: the other may, with no phone lost; `against` says why not.

    `listed` are devices of the last whole list that were not as they were known, by what became of them; `compared` are
    sends of the last day. `list_began_at` is when the last whole list began. `waiting` devices were written here and wait
    to be written at the remote hub, `refused` of them for it does not take them.
    """

    hub: str
    sends: str
    may_change: bool
    against: list[str]
    list_every: float
    list_began_at: datetime | None
    listed_at: datetime | None
    failed_at: datetime | None
    failure: str
    registrations: int
    listed: dict[str, int]
    waiting: int
    waiting_since: datetime | None
    refused: int
    reason: str
    compared: dict[str, int]


async def _show(call: Call) -> MirrorModel:
    hub = _mirrored(call)
    settings, store = call.management.settings.hubs[hub], call.management.hub.store
    now, registered = store.now(), await store.registrations_by_platform()
    hour = int(now // _HOUR)
    compared = dict.fromkeys(Compared, 0)
    for sums in await store.tallies(TallyKind.MIRROR, first=hour - _DAY, last=hour):
        if sums.hub == hub:
            compared[Compared(sums.name)] += sums.count
    mirror = Mirror(
        now=now,
        state=await store.mirror_state(hub),
        backlog=await store.mirror_backlog(hub),
        list_every=settings.list_every,
        sends_here=not settings.is_remote,
        compared=compared,
        without_credential=_without_credential(
            [platform for (name, platform), count in registered.items() if name == hub and count],
            settings.platforms.configured,
        ),
    )
    state, backlog, against = mirror.state, mirror.backlog, reasons_against(mirror)
    return MirrorModel(
        hub=hub,
        sends="remote" if settings.is_remote else "local",
        may_change=not against,
        against=against,
        list_every=settings.list_every,
        list_began_at=moment(state.listed_began or None),
        listed_at=moment(state.listed_at or None),
        failed_at=moment(state.failed_at or None),
        failure=state.failure,
        registrations=state.counts.get("registrations", 0),
        listed={name: count for name, count in state.counts.items() if name != "registrations"},
        waiting=backlog.waiting,
        waiting_since=None if backlog.since is None else instant(backlog.since),
        refused=backlog.refused,
        reason=backlog.reason,
        compared={each.value: count for each, count in compared.items()},
    )


def _without_credential(registered: list[Platform], configured: frozenset[Platform]) -> list[Platform]:
    return sorted(set(registered) - configured, key=lambda platform: platform.value)


async def _list(call: Call) -> MirrorModel:
    await call.management.list_mirror(_mirrored(call))
    return await _show(call)


async def _remove(call: Call) -> MirrorModel:
    hub = _mirrored(call)
    await call.management.hub.store.add_audit(AuditEntry(actor=call.actor, action="mirror.remove", target=hub))
    await call.management.list_mirror(hub, may_remove=True)
    return await _show(call)


class RewrittenModel(Model):
    """How many devices of the hub wait to be written at the remote hub now."""

    hub: str
    devices: int


async def _rewrite(call: Call) -> RewrittenModel:
    hub, store = _mirrored(call), call.management.hub.store
    await store.add_audit(AuditEntry(actor=call.actor, action="mirror.rewrite", target=hub))
    count, after = await store.rewrite_mirror(hub, limit=_PART)
    while after:
        more, after = await store.rewrite_mirror(hub, after=after, limit=_PART)
        count += more
    return RewrittenModel(hub=hub, devices=count + await store.seed_mirror(hub))


def _mirrored(call: Call) -> str:
    """Raises: NotFoundError, InvalidRequestError."""
    hub = local_hub(call)
    if call.management.settings.hubs[hub].mirror is None:
        raise InvalidRequestError(f"the hub {hub} mirrors no other one: hubs.{hub}.mirror is not written")
    return hub


OPERATIONS = (
    Operation(
        name="showMirror",
        method="GET",
        path="/hubs/{hub}/mirror",
        summary="How a hub fares that mirrors its remote, and whether it may be cut over, or back.",
        run=_show,
        answer=MirrorModel,
        missing="There is no such hub.",
    ),
    Operation(
        name="listMirror",
        method="POST",
        path="/hubs/{hub}/mirror/list",
        summary="Have the remote of a mirrored hub listed now; the answer is from before that.",
        run=_list,
        answer=MirrorModel,
        missing="There is no such hub.",
    ),
    Operation(
        name="removeFromMirror",
        method="POST",
        path="/hubs/{hub}/mirror/remove",
        summary="Have the remote listed now, and take away here what is there no more, however much that is.",
        run=_remove,
        answer=MirrorModel,
        admin_only=True,
        missing="There is no such hub.",
    ),
    Operation(
        name="rewriteMirror",
        method="POST",
        path="/hubs/{hub}/mirror/rewrite",
        summary="Write all devices of a mirrored hub to its remote again, after that one's loss.",
        run=_rewrite,
        answer=RewrittenModel,
        admin_only=True,
        missing="There is no such hub.",
        patience=_PATIENCE,
    ),
)
