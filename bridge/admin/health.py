"""How the parts of the process fare, in one list: readiness, its parts and the page say the same."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bridge.admin.listener import Listener
from bridge.config.reload import Refusal
from bridge.counts import how_many
from bridge.observe.facts import LoopHeld, SourceState, SourceStatus
from bridge.observe.stages import HeartbeatStage
from hub.books import Unaccounted
from hub.delivery.bulkhead import Bulkhead
from hub.follow_up import FollowUpUsage
from hub.notification import Notification, Platform
from hub.platforms.table import services
from hub.push import PushPage
from hub.store.health import StoreTrouble

_MAX_TROUBLE = 200
"""Characters shown of what a service said; the words are not ours."""

_MAX_MISTAKE = 500

_NAMED = 3
"""Rows that the part of the books names."""

_RESTLESS = 5
"""Rebalances of ten minutes from which on the source's line says so, before the alert does."""

_LATE = 30.0
"""Seconds by which looks at phones are late from which on it is said, before the alert does."""

PUSH_SERVICE, REMOTE_HUB, HEARTBEAT, BOOKS = "push service", "remote hub", "heartbeat", "books"
FOLLOW_UPS, EVENT_LOOP = "follow-ups", "event loop"
"""Kinds of parts."""

_HELD_TOO_LONG = 6.0
"""Seconds of a minute for which the event loop may be held until its part says so; the alert's share is the same."""

_BRAKED = "no phone is removed, as more than a fifth of over 1,000 pushes came back for dead push channels"
_FULL = "as many notifications wait as its share of store.max_pending allows; others end as dead letters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the process. Times are seconds since 1970 UTC, None where there is none.

    `kind` and `name` are its address below `/readyz`. `ok` is False while it does not do its work. A part that is not
    `required` leaves the process ready: others go on without it.
    """

    kind: str
    name: str = ""
    ok: bool = True
    state: str = "ok"
    detail: str = ""
    since: float | None = None
    until: float | None = None
    required: bool = False
    mistake: str = ""
    """What is wrong in a configuration, for who may administer: `line`, which anybody may read, leaves it out."""

    @property
    def line(self) -> str:
        """The part in words, its cause last."""
        subject = f"{self.kind} {self.name}" if self.name else self.kind
        detail = f": {self.detail}" if self.detail else ""
        times = {"since": self.since, "until": self.until}
        when = ", ".join(f"{name} {_instant(time)}" for name, time in times.items() if time is not None)
        return f"{subject}: {self.state}{detail}" + (f" ({when})" if when else "")


def process_part(*, stopping: bool) -> Part:
    """The process itself."""
    return Part(kind="process", ok=not stopping, state="stopping" if stopping else "ok", required=True)


def loop_part(held: float, last: LoopHeld | None) -> Part:
    """The event loop, by the seconds of the last minute for which it was held, and by the last such hold."""
    if last is None or held < _HELD_TOO_LONG:
        return Part(kind=EVENT_LOOP)
    where = last.task or (last.stack[0] if last.stack else last.cause.meaning)
    detail = f"for {held:.1f} s of the last minute, last by {where}"
    return Part(kind=EVENT_LOOP, ok=False, state="held", detail=detail)


def store_part(trouble: StoreTrouble | None) -> Part:
    """The store, which fails while one of its operations does."""
    if trouble is None:
        return Part(kind="store", required=True)
    detail = f"{trouble.operation}: {trouble.cause}"
    return Part(kind="store", ok=False, state="failing", detail=detail, since=trouble.since, required=True)


def configuration_part(refusal: Refusal | None, *, loaded_at: float) -> Part:
    """The configuration: in force since it was loaded, or refused, while the one before stays in force."""
    if refusal is None:
        return Part(kind="configuration", since=loaded_at)
    count = len(refusal.mistakes)
    detail = how_many(count, "mistake")
    mistake = refusal.mistakes[0] if count else ""
    return Part(
        kind="configuration",
        ok=False,
        state="refused",
        detail=detail,
        since=refusal.since,
        mistake=mistake[:_MAX_MISTAKE],
    )


def source_parts(statuses: Iterable[SourceStatus]) -> list[Part]:
    """The sources in their order."""
    return [
        _late_source(status)
        if status.ready and status.is_late
        else Part(
            kind="source",
            name=status.name,
            ok=status.ready,
            state=status.state.value,
            detail="; ".join(filter(None, [status.detail, _restless(status)])),
            since=None if status.state is SourceState.RUNNING else status.since,
        )
        for status in statuses
    ]


def _restless(status: SourceStatus) -> str:
    """Of a group that goes on dealing out its partitions; a rollout brings some rebalances."""
    lately = status.rebalanced_lately
    return f"its group was rebalanced {lately} times in ten minutes" if lately >= _RESTLESS else ""


def _late_source(status: SourceStatus) -> Part:
    """A source that works, and of which nothing came for longer than its `expect_every`."""
    return Part(
        kind="source",
        name=status.name,
        ok=False,
        state="late",
        detail="no message within expect_every",
        since=status.expected_by,
    )


def listener_parts(listeners: Iterable[Listener], wrong_credentials: Mapping[str, str] = {}) -> list[Part]:
    """The listeners, of which one at its limit turns connections away; `wrong_credentials` are told of by its name."""
    return [
        Part(
            kind="listener",
            name=listener.name,
            ok=not (listener.admission.trouble or wrong_credentials.get(listener.name)),
            state=listener.admission.trouble or ("wrong credentials" if wrong_credentials.get(listener.name) else "ok"),
            detail=wrong_credentials.get(listener.name, ""),
        )
        for listener in listeners
    ]


def relay_parts(troubles: Mapping[str, str], *, kind: str = "relay") -> list[Part]:
    """What sends dead letters on, by source, or reports, by sink; `troubles` are empty where all is well."""
    return [
        Part(kind=kind, name=name, ok=not trouble, state="failing" if trouble else "ok", detail=trouble)
        for name, trouble in troubles.items()
    ]


def follow_up_parts(usage: FollowUpUsage, *, has_sinks: bool) -> list[Part]:
    """The looks at phones that `unless_opened` asks for, where the first of them is late."""
    if usage.overdue < _LATE:
        return []
    why = "" if has_sinks else ": no sink is configured that could be told"
    detail = f"the first of {how_many(usage.waiting, 'look')} at phones has been due for {usage.overdue:,.0f} s{why}"
    return [Part(kind=FOLLOW_UPS, ok=False, state="late", detail=detail)]


def push_service_name(hub: str, platform: Platform) -> tuple[str, str]:
    """Kind and name of the part for the credential of a hub."""
    return PUSH_SERVICE, f"{hub}/{platform.value}"


def push_parts(
    bulkheads: Mapping[tuple[str, Platform], Bulkhead[PushPage]], *, full: Collection[tuple[str, Platform]] = ()
) -> list[Part]:
    """The push services that hubs have credentials for; for those that are `full` no more notifications may wait."""
    parts = []
    for (hub, platform), bulkhead in bulkheads.items():
        part = _outlet(bulkhead, *push_service_name(hub, platform))
        if (hub, platform) in full:
            detail = f"{_FULL}; {part.state}: {part.detail}" if part.detail else _FULL
            part = replace(part, ok=False, state="full", detail=detail)
        parts.append(part)
    return parts


def remote_parts(remotes: Mapping[str, Bulkhead[Sequence[Notification]]]) -> list[Part]:
    """The remote hubs."""
    return [_outlet(bulkhead, REMOTE_HUB, hub) for hub, bulkhead in remotes.items()]


def _outlet(bulkhead: Bulkhead[PushPage] | Bulkhead[Sequence[Notification]], kind: str, name: str) -> Part:
    trouble = bulkhead.cause[:_MAX_TROUBLE]
    if bulkhead.is_open:
        until = bulkhead.reopens_at or None
        return Part(
            kind=kind, name=name, ok=False, state="breaker open", detail=trouble, since=bulkhead.opened_at, until=until
        )
    if bulkhead.doubt.reason:
        return Part(kind=kind, name=name, ok=False, state="refused", detail=bulkhead.doubt.reason[:_MAX_TROUBLE])
    if bulkhead.is_braked:
        return Part(kind=kind, name=name, ok=False, state="braked", detail=_BRAKED)
    if trouble:
        return Part(kind=kind, name=name, ok=False, state="failing", detail=trouble)
    if bulkhead.quota_per_minute:
        detail = f"takes {bulkhead.quota_per_minute:,.0f} pushes a minute, and gets no more"
        return Part(kind=kind, name=name, detail=detail)
    return Part(kind=kind, name=name)


def books_part(unaccounted: Sequence[Unaccounted]) -> Part:
    """Whether the rows of the store explain each other; the first that do not are named."""
    if not unaccounted:
        return Part(kind=BOOKS)
    named = "; ".join(
        f"{each.kind.value}: {each.notification_id or f'page {each.number} of queue {each.queue}'}"
        for each in unaccounted[:_NAMED]
    )
    more = len(unaccounted) - _NAMED
    detail = f"{named}; {more} more" if more > 0 else named
    return Part(kind=BOOKS, ok=False, state=f"{how_many(len(unaccounted), 'row')} unaccounted for", detail=detail)


def heartbeat_parts(stalled: Mapping[HeartbeatStage, float]) -> list[Part]:
    """The stages of the daemon's own work, which stand still since those times; where none does, one part says so."""
    if not stalled:
        return [Part(kind=HEARTBEAT)]
    return [
        Part(kind=HEARTBEAT, name=stage.value, ok=False, state="stalled", detail=stage.meaning, since=since)
        for stage, since in stalled.items()
    ]


def is_ready(parts: Sequence[Part]) -> bool:
    """Whether the process takes what is sent to it: each part that it cannot do without works."""
    return all(part.ok for part in parts if part.required)


def lines(parts: Sequence[Part]) -> list[str]:
    """A line for each part that has something to say: of push services and relays only those in trouble."""
    return [part.line for part in parts if not part.ok or part.kind in ("store", "source")]


def parts_at(parts: Sequence[Part], path: str) -> list[Part]:
    """The parts at a path below `/readyz`: `store`, `sources`, `sources/NAME`, `push-services/HUB/PLATFORM`, ..."""
    kind, _, name = path.strip("/").partition("/")
    hub, slash, service = name.rpartition("/")  # by the name in the configuration too
    names = (name, *(f"{hub}{slash}{each.platform.value}" for each in services() if each.name == service))
    return [part for part in parts if PATHS.get(kind) == part.kind and (not name or part.name in names)]


def missing_at(parts: Sequence[Part], path: str) -> str:
    """What is wrong with a path that no part is at, and what there is; empty for a kind of which there are none."""
    kind, _, name = path.strip("/").partition("/")
    if kind not in PATHS:
        return f"no such part; there are {', '.join(PATHS)}"
    if not name:
        return ""
    names = [part.name for part in parts_at(parts, kind) if part.name]
    return f"no {PATHS[kind]} of that name; there are {', '.join(names) or 'none'}"


PATHS: Mapping[str, str] = {
    "process": "process",
    "store": "store",
    "configuration": "configuration",
    "sources": "source",
    "listeners": "listener",
    "relays": "relay",
    "sinks": "sink",
    "follow-ups": FOLLOW_UPS,
    "push-services": PUSH_SERVICE,
    "remote-hubs": REMOTE_HUB,
    "heartbeat": HEARTBEAT,
    "event-loop": EVENT_LOOP,
    "books": BOOKS,
}
"""The first part of a path below `/readyz`, and what kind of parts it names."""


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
