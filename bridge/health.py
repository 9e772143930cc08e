"""How the parts of the process fare, in one list: readiness, its parts and the page say the same."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge.reload import Reloaded
from bridge.supervisor import SourceState, SourceStatus
from hub.bulkhead import Bulkhead
from hub.notification import Notification, Platform
from hub.senders.base import Push
from hub.store.health import StoreTrouble

_MAX_TROUBLE = 200
"""Characters shown of what a service said; the words are not ours."""

_MAX_NOTES = 10
"""Mistakes of a refused configuration that are shown."""

_MAX_NOTE = 500
"""Characters shown of one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the process. Times are seconds since 1970 UTC, None where there is none.

    `kind` and `name` are its address below `/readyz`. `ok` is False while it does not do its work. A part that is not
    `required` leaves the process ready: others go on without it. `notes` are for administrators, and not in `line`.
    """

    kind: str
    name: str = ""
    ok: bool = True
    state: str = "ok"
    detail: str = ""
    since: float | None = None
    until: float | None = None
    required: bool = False
    notes: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """The part as JSON types, `notes` included."""
        return {
            "kind": self.kind,
            "name": self.name,
            "ok": self.ok,
            "state": self.state,
            "detail": self.detail,
            "since": None if self.since is None else _instant(self.since),
            "until": None if self.until is None else _instant(self.until),
            "notes": list(self.notes),
        }

    @property
    def line(self) -> str:
        """The part in words, its cause last."""
        subject = f"{self.kind} {self.name}" if self.name else self.kind
        detail = f": {self.detail}" if self.detail else ""
        times = {"since": self.since, "until": self.until}
        told = ", ".join(f"{name} {_instant(time)}" for name, time in times.items() if time is not None)
        return f"{subject}: {self.state}{detail}" + (f" ({told})" if told else "")


def process_part(*, stopping: bool) -> Part:
    """The process itself."""
    return Part(kind="process", ok=not stopping, state="stopping" if stopping else "ok", required=True)


def store_part(trouble: StoreTrouble | None) -> Part:
    """The store, which fails while one of its operations does."""
    if trouble is None:
        return Part(kind="store", required=True)
    detail = f"{trouble.operation}: {trouble.cause}"
    return Part(kind="store", ok=False, state="failing", detail=detail, since=trouble.since, required=True)


def source_parts(statuses: Iterable[SourceStatus]) -> list[Part]:
    """The sources in their order."""
    return [
        Part(
            kind="source",
            name=status.name,
            ok=status.ready,
            state=status.state.value,
            detail=status.detail,
            since=None if status.state is SourceState.RUNNING else status.since,
        )
        for status in statuses
    ]


def relay_parts(troubles: Mapping[str, str]) -> list[Part]:
    """What sends dead letters on, by source; `troubles` are empty where all is well."""
    return [
        Part(kind="relay", name=name, ok=not trouble, state="failing" if trouble else "ok", detail=trouble)
        for name, trouble in troubles.items()
    ]


def push_parts(
    bulkheads: Mapping[tuple[str, Platform], Bulkhead[Push]], configured: Container[tuple[str, Platform]]
) -> list[Part]:
    """The push services of each hub that has a credential for them."""
    return [
        _outlet(bulkhead, "push service", f"{hub}/{platform.value}")
        for (hub, platform), bulkhead in bulkheads.items()
        if (hub, platform) in configured
    ]


def remote_parts(remotes: Mapping[str, Bulkhead[Notification]]) -> list[Part]:
    """The hubs that are elsewhere."""
    return [_outlet(bulkhead, "remote hub", hub) for hub, bulkhead in remotes.items()]


def _outlet(bulkhead: Bulkhead[Push] | Bulkhead[Notification], kind: str, name: str) -> Part:
    trouble = bulkhead.trouble[:_MAX_TROUBLE]
    if bulkhead.is_open:
        until = bulkhead.closed_until or None
        return Part(
            kind=kind, name=name, ok=False, state="breaker open", detail=trouble, since=bulkhead.opened_at, until=until
        )
    if bulkhead.doubt.reason:
        return Part(kind=kind, name=name, ok=False, state="refused", detail=bulkhead.doubt.reason[:_MAX_TROUBLE])
    if trouble:
        return Part(kind=kind, name=name, ok=False, state="failing", detail=trouble)
    return Part(kind=kind, name=name)


def configuration_part(last: Reloaded | None, *, at: float) -> Part:
    """The configuration, as read last at the time `at`: refused while what was read is not what is in force."""
    if last is None or last.applied:
        return Part(kind="configuration", since=at)
    mistakes = len(last.complaints)
    return Part(
        kind="configuration",
        ok=False,
        state="refused",
        detail=f"{mistakes} {'mistake' if mistakes == 1 else 'mistakes'}, which the log names; the one before is in force",
        since=at,
        notes=[complaint[:_MAX_NOTE] for complaint in last.complaints[:_MAX_NOTES]],
    )


def is_ready(parts: Sequence[Part]) -> bool:
    """Whether the process takes what is sent to it: each part that it cannot do without works."""
    return all(part.ok for part in parts if part.required)


def lines(parts: Sequence[Part]) -> list[str]:
    """A line for each part that has something to say: of push services and relays only those in trouble."""
    return [part.line for part in parts if not part.ok or part.kind in ("store", "source")]


def parts_at(parts: Sequence[Part], path: str) -> list[Part]:
    """The parts at a path below `/readyz`: `store`, `sources`, `sources/NAME`, `push-services/HUB/PLATFORM`, ..."""
    kind, _, name = path.strip("/").partition("/")
    return [part for part in parts if PATHS.get(kind) == part.kind and (not name or part.name == name)]


PATHS: Mapping[str, str] = {
    "process": "process",
    "store": "store",
    "sources": "source",
    "relays": "relay",
    "push-services": "push service",
    "remote-hubs": "remote hub",
    "configuration": "configuration",
}
"""The first part of a path below `/readyz`, and what kind of parts it names."""


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
