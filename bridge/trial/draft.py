"""What another configuration would do with events that came: rules, audiences and payloads gained, lost and changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from bridge.config.models.document import Settings
from bridge.trial.report import content_report
from bridge.trial.windows import WindowCount, WindowCounts
from bridge.wiring import guards_of
from hub.guards import guarded
from hub.notification import NativeContent, Notification
from hub.times import parse_time
from rules.event import Event

SAMPLES: Final = 3
"""Events that are shown of each change."""

AUDIENCES: Final = 100
"""Audiences of a change that are kept, so that a registry can be asked whom they reach."""


class Kind(StrEnum):
    """How a rule of the one configuration differs from that of the other for an event."""

    GAINED = "gained"
    LOST = "lost"
    AUDIENCE = "audience changed"
    CONTENT = "content changed"
    DELIVERY = "delivery changed"
    FLOW = "flow control changed"
    FAILS = "fails now"
    FAILS_OTHERWISE = "fails for another reason"
    MENDED = "fails no more"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptValues:
    """An event with its values; `received_at` is when it came, where times to live begin."""

    event: Event
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One event of a change; `before` and `after` say what was sent and would be, as the kind has it."""

    id: str
    source: str
    before: Any
    after: Any


@dataclass(slots=True)
class Change:
    """What differs in one way for one rule: for how many events, with SAMPLES of them.

    `content` is the push service of a native payload, else `template`. `lost` and `gained` are the audiences that are meant
    by the one configuration alone, AUDIENCES at most of each.
    """

    rule: str
    hub: str
    content: str
    kind: Kind
    events: int = 0
    samples: list[Sample] = field(default_factory=list)
    lost: dict[str, None] = field(default_factory=dict)
    gained: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`events` were put through both; `same` of them came to the same. `changes` have the most frequent first.

    `windows` are what quiet hours and windows of the new one would have done, by rule, `windows_before` those of the old.
    """

    events: int
    same: int
    changes: Sequence[Change]
    windows: Mapping[str, WindowCount]
    windows_before: Mapping[str, WindowCount]


def compared(old: Settings, new: Settings, events: Iterable[KeptValues]) -> Comparison:
    """Put each event through the rules of both configurations; nothing is kept or sent."""
    changes: dict[tuple[str, str, str, Kind], Change] = {}
    windows, windows_before = WindowCounts(new), WindowCounts(old)
    total = same = 0
    for kept in events:
        total += 1
        before, after = _decided(old, kept, windows_before), _decided(new, kept, windows)
        if before == after:
            same += 1
            continue
        for place in dict.fromkeys([*before, *after]):
            was, would = before.get(place), after.get(place)
            for kind in _kinds(was, would):
                change = changes.setdefault((*place, kind), Change(*place, kind))
                _add(change, kept.event, was, would)
    ordered = sorted(changes.values(), key=lambda change: (-change.events, change.rule, change.hub, change.kind))
    return Comparison(
        events=total,
        same=same,
        changes=ordered,
        windows=windows.by_rule,
        windows_before=windows_before.by_rule,
    )


def event_of(line: Mapping[str, Any]) -> KeptValues:
    """An event as `pushbridge events export` writes it. Raises: KeyError, TypeError, ValueError: it is none."""
    event = Event(
        id=str(line["id"]),
        origin=str(line["origin"]),
        source=str(line["source"]),
        type=str(line["type"]),
        subject=str(line["subject"]),
        time=parse_time(line["time"]),
        data=line["data"],
        meta=dict(line["meta"]),
    )
    return KeptValues(event=event, received_at=parse_time(line["received_at"]))


_Place = tuple[str, str, str]
"""Rule, hub, and the push service of a native payload or `template`."""


@dataclass(frozen=True, slots=True)
class _Said:
    """One notification as it is compared, without ids; or why its rule failed."""

    audience: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    delivery: Mapping[str, Any] = field(default_factory=dict)
    flow: Sequence[str] = ()
    failure: str = ""

    def of(self, kind: Kind) -> Any:
        match kind:
            case Kind.CONTENT:
                return self.content
            case Kind.DELIVERY:
                return self.delivery
            case Kind.AUDIENCE:
                return self.audience
            case Kind.FLOW:
                return list(self.flow)
        sent = {"to": self.audience, **self.content} if self.audience else {}
        return self.failure or sent | ({"flow": list(self.flow)} if self.flow else {})


def _decided(settings: Settings, kept: KeptValues, windows: WindowCounts) -> dict[_Place, _Said]:
    decision = settings.rules.route(kept.event, now=kept.received_at)
    windows.add(kept.event, decision, now=kept.received_at)
    guards = guards_of(settings.hubs)
    flows = {rule.name: rule.flow for rule in settings.rules.rules if rule.flow is not None}
    flow = {each.rule: flows[each.rule].said(kept.event) for each in decision.flow}
    said = {}
    for intent in decision.intents:
        made = intent.notification
        native = made.content.platform.value if isinstance(made.content, NativeContent) else "template"
        content = content_report(made)
        audience = str(guarded(made, guards).audience)
        said[intent.rule, made.hub, native] = _Said(
            audience, content, _delivery(made, kept.received_at), flow.get(intent.rule, ())
        )
    sent = {rule for rule, _, _ in said}
    for rule in flow.keys() - sent:  # it only cancels
        said[rule, "", ""] = _Said(flow=flow[rule])
    for failure in decision.failures:
        said[failure.rule, "", ""] = _Said(failure=f"{failure.reason.value}: {failure.detail}")
    return said


def _delivery(notification: Notification, received_at: datetime) -> Mapping[str, Any]:
    """How it is sent; times are as seconds from when the event came."""
    times = {"ttl": notification.expires_at, "at": notification.schedule_at}
    platforms = notification.platforms
    return {
        **{name: None if time is None else (time - received_at).total_seconds() for name, time in times.items()},
        "priority": notification.priority.value,
        "collapse": notification.collapse_key,
        "platforms": None if platforms is None else sorted(platform.value for platform in platforms),
    }


def _kinds(was: _Said | None, would: _Said | None) -> Sequence[Kind]:
    match was, would:
        case None, _Said(failure=failure):
            return [Kind.FAILS if failure else Kind.GAINED]
        case _Said(failure=failure), None:
            return [Kind.MENDED if failure else Kind.LOST]
        case _Said(), _Said() if was.failure != would.failure:
            return [Kind.FAILS_OTHERWISE]
        case _Said(), _Said():
            return [
                kind
                for kind in (Kind.AUDIENCE, Kind.CONTENT, Kind.DELIVERY, Kind.FLOW)
                if was.of(kind) != would.of(kind)
            ]
    return []


def _add(change: Change, event: Event, was: _Said | None, would: _Said | None) -> None:
    change.events += 1
    if len(change.samples) < SAMPLES:
        before, after = (None if said is None else said.of(change.kind) for said in (was, would))
        change.samples.append(Sample(id=event.id, source=event.origin, before=before, after=after))
    if change.kind in (Kind.GAINED, Kind.LOST, Kind.AUDIENCE):
        for said, audiences in ((was, change.lost), (would, change.gained)):
            if said is not None and said.audience and len(audiences) < AUDIENCES:
                audiences[said.audience] = None
