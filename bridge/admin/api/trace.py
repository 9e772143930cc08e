"""Why a push came, or did not: an event or a notification from its receipt to the answer of the push service."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import Field, JsonValue

from bridge.admin.api.notifications import NotificationModel, notification_model
from bridge.admin.api.operation import Call, Management, Model, Operation, hub_named, instant, known
from bridge.admin.api.traced_device import (
    DeviceTrace,
    RegistrationTrace,
    device_of,
    hubs_with,
    only_to_of,
    registrations_of,
)
from bridge.admin.api.traced_flow import CancelledNotification, FlowTrace, SuppressedRule
from bridge.admin.api.traced_forwarding import in_one
from bridge.admin.api.traced_rules import RuleTrace, rules_of
from bridge.explanation import plain
from bridge.observe.facts import EventOutcome, NotKept
from hub.acceptance import ConfigurationVersion
from hub.errors import InvalidRequestError, NotFoundError
from hub.exact_json import loads_as_written
from hub.origin import FORWARDED
from hub.outcome import State
from hub.store.contracts.journal import KeptEvent
from hub.store.contracts.telemetry import KeptNotification

_DIGITS = 32
_SAME_ID = 50
"""Events of one id that are looked at: of several sources, or one that was taken more than once."""
_WITHHELD = "values may be personal: they are shown to the role admin alone; set listeners.admin.auth"
_NOT_KEPT = {reason.value: reason.meaning for reason in NotKept}
_MEANINGS = {outcome.value: outcome.meaning for outcome in EventOutcome}


class TraceQuery(Model):
    """For which device, and of which source where several have an event of the id."""

    device: Annotated[str, Field(max_length=256, description="The id of a device: what became of it there.")] = ""
    source: Annotated[str, Field(max_length=256, description="The source of the event.")] = ""
    id: Annotated[str, Field(description="The id, in place of the path's: no URL has `.` or `..` in its path.")] = ""


class RuleFailure(Model):
    """A rule that matched, and whose notification could not be made."""

    rule: str
    reason: str
    detail: str


class NotificationTrace(NotificationModel):
    """A notification of the event. `waits_for` are push services of its hub that do not work, in words. `device` are the
    registrations of the device that was asked for; none: the hub has no such device, None: none was asked for.

    `remote`: the registrations are known to a remote hub alone. `device_hubs` are other hubs that have such a device.
    `unreached_meaning` says in words why no phone got it. `only_to` is what its hub joins every audience with now, empty
    where there is nothing.
    """

    waits_for: list[str]
    state_meaning: str
    unreached_meaning: str
    only_to: str
    device: list[RegistrationTrace] | None
    device_hubs: list[str]
    remote: bool


class Trace(Model):
    """An event, or a send of the hub API, which has a notification alone.

    `owner` is who answers for the source now. `held_back` are the seconds that the event waited at most, as the rate of its
    source allowed no more; 0 where it did not. `data`, `meta`, `subject` and `time` are None once values are past their
    time, or where none are kept. `rules` are those of the event's source; where the conditions were not kept, those that
    matched alone. `gone` are ids of notifications that are past their time. `withheld` says why values that are kept are
    left out, `values_missing` why none were kept, `rules_missing` why `rules` are not all. `config_hash_now` and
    `revision_now` are of the configuration in force, the hash empty where no daemon answers that knows it, and of an event
    that another pushbridge took. `device` is None where none was asked for; what it got of each notification stands there.
    """

    source: str
    owner: str
    id: str
    type: str
    at: datetime | None
    held_back: float
    outcome: str
    meaning: str
    stage: str
    reason: str
    detail: str
    config_hash: str
    revision: str
    config_hash_now: str
    revision_now: str
    same_configuration: bool
    traceparent: str
    subject: str | None
    time: str | None
    data: JsonValue
    meta: JsonValue
    values_kept: bool
    withheld: str
    values_missing: str
    rules: list[RuleTrace]
    rules_missing: str
    failures: list[RuleFailure]
    suppressed: list[SuppressedRule]
    cancelled: list[CancelledNotification]
    notifications: list[NotificationTrace]
    gone: list[str]
    device: DeviceTrace | None


async def _trace(call: Call) -> Trace:
    query: TraceQuery = call.query
    store, id_ = call.management.hub.store, query.id or call.path["id"]
    events = await store.journaled(id_, source=query.source, limit=_SAME_ID)
    sources = dict.fromkeys(event.source for event in events)
    if len(sources) > 1:
        raise InvalidRequestError(f"source: say which, for there are events of this id of {known(list(sources))}")
    if events:
        return await _of_event(call, in_one(events))
    digits = id_[:_DIGITS].lower()
    if len(digits) == _DIGITS and set(digits) <= set("0123456789abcdef"):
        notification = await store.notification(digits)
        event = notification.event_id and await store.journaled(
            notification.event_id, source=notification.source, limit=1
        )
        return await _of_event(call, event[0]) if event else await _of_notification(call, notification)
    raise NotFoundError(_unknown(call.management, id_))


def _unknown(management: Management, id_: str) -> str:
    journal = management.settings.journal
    if journal.off:
        return f"no notification {id_[:100]!r} is kept, and events are not, as journal.off says"
    days = journal.events / 86_400
    return (
        f"no event {id_[:100]!r} is kept: events are kept for {days:g} days (journal.events), of those that no rule matched"
        f" {journal.no_match_per_second} a second of each source; what was refused is in the log"
        " alone, which counts what repeats"
    )


async def _of_event(call: Call, event: KeptEvent) -> Trace:
    detail: Mapping[str, Any] = orjson.loads(event.detail)
    content: Mapping[str, Any] | None = None if event.content is None else loads_as_written(event.content)
    is_same = _is_same(call.management, event.configuration)
    is_forwarded = bool(detail.get(FORWARDED))
    forwarded_by = {id_: rule for rule, id_ in detail["notifications"]} if is_forwarded else {}
    flow = FlowTrace.of(event)
    found, gone = [], []
    for id_ in flow.sent_of(detail.get("notifications", ())):
        try:
            kept = await call.management.hub.store.notification(id_)
            found.append(replace(kept, rule=forwarded_by[id_]) if is_forwarded else kept)
        except NotFoundError:
            gone.append(id_)
    withheld = "" if call.sees_values or content is None else _WITHHELD
    values = {} if content is None or withheld else plain(content)
    traced = rules_of(call, event, detail, content, is_same=is_same)
    return Trace(
        source=event.source,
        owner=call.management.settings.owner_of(event.source),
        id=event.event_id,
        type=detail.get("type", ""),
        at=instant(event.at),
        held_back=detail.get("held_back", 0.0),
        outcome=event.outcome,
        meaning=_MEANINGS.get(event.outcome, ""),
        stage=detail.get("stage", ""),
        reason=detail.get("reason", ""),
        detail=detail.get("detail", ""),
        config_hash=event.configuration.hash,
        revision=event.configuration.revision,
        config_hash_now="" if is_forwarded else call.management.config_hash,
        revision_now="" if is_forwarded else call.management.settings.bridge.revision,
        same_configuration=is_same,
        traceparent=event.trace,
        subject=values.get("subject"),
        time=values.get("time"),
        data=values.get("data"),
        meta=values.get("meta"),
        values_kept=content is not None,
        withheld=withheld,
        values_missing=_values_missing(call.management, event, detail),
        rules=traced.rules,
        rules_missing=traced.missing,
        failures=[RuleFailure(**failure) for failure in detail.get("failures", ())],
        suppressed=flow.suppressed,
        cancelled=flow.cancelled,
        notifications=[await _notification(call, each) for each in found],
        gone=gone,
        device=await device_of(call.management, call.query.device),
    )


def _values_missing(management: Management, event: KeptEvent, detail: Mapping[str, Any]) -> str:
    """Why there are no values of an event that had some; empty where there are, or it had none."""
    if event.content is not None or "type" not in detail:
        return ""
    if why := _NOT_KEPT.get(detail.get("not_kept", "")):
        return why
    bodies = management.settings.journal.bodies
    if bodies <= 0:
        return "The values of events are not kept, as journal.bodies says."
    if time.time() - event.at >= bodies:
        return f"The values of events are kept for {bodies / 3600:g} hours, as journal.bodies says."
    return "The values of this event were not kept then, or had to make room as journal.max_bytes says."


async def _of_notification(call: Call, notification: KeptNotification) -> Trace:
    """Of a send of the hub API, or of an event that is not kept."""
    return Trace(
        source=notification.source,
        owner=call.management.settings.owner_of(notification.source),
        id=notification.event_id,
        type="",
        at=None,
        held_back=0.0,
        outcome="",
        meaning="",
        stage="",
        reason="",
        detail="",
        config_hash=notification.configuration.hash,
        revision=notification.configuration.revision,
        config_hash_now=call.management.config_hash,
        revision_now=call.management.settings.bridge.revision,
        same_configuration=_is_same(call.management, notification.configuration),
        traceparent=notification.trace,
        subject=None,
        time=None,
        data=None,
        meta=None,
        values_kept=False,
        withheld="",
        values_missing="",
        rules=[],
        rules_missing="",
        failures=[],
        suppressed=[],
        cancelled=[],
        notifications=[await _notification(call, notification)],
        gone=[],
        device=await device_of(call.management, call.query.device),
    )


def _is_same(management: Management, then: ConfigurationVersion) -> bool:
    return bool(then.hash) and then.hash == management.config_hash


async def _notification(call: Call, kept: KeptNotification) -> NotificationTrace:
    query: TraceQuery = call.query
    device, device_hubs = None, []
    if query.device:
        device = await registrations_of(call.management, kept, query.device)
        device_hubs = [] if device else await hubs_with(call.management, query.device)
    is_open = kept.state in (State.ENQUEUED, State.PROCESSING, State.SCHEDULED)
    return NotificationTrace(
        **(await notification_model(call.management, kept)).model_dump(),
        waits_for=[*_troubles(call.management, kept.hub), *_rates(call.management, kept)] if is_open else [],
        state_meaning=kept.state.meaning,
        unreached_meaning="" if kept.unreached is None else kept.unreached.meaning,
        only_to=str(only_to_of(call.management, kept.hub) or ""),
        device=device,
        device_hubs=device_hubs,
        remote=_is_remote(call.management, kept.hub),
    )


def _is_remote(management: Management, hub: str) -> bool:
    name = hub_named(management, hub)
    return name is not None and management.settings.hubs[name].is_remote


def _rates(management: Management, kept: KeptNotification) -> list[str]:
    """Rates that keep notifications of its hub and rule waiting now, in words; none where no daemon runs."""
    pacing = getattr(management.hub, "pacing", None)
    if pacing is None or kept.started_at is not None:
        return []
    said: list[str] = pacing.said(kept.hub, kept.rule, management.hub.store.paced())
    return said


def _troubles(management: Management, hub: str) -> list[str]:
    """Push services of a hub that do not work now, in the words of readiness."""
    return [
        part.line
        for part in management.health()
        if not part.ok
        and part.kind in ("push service", "remote hub")
        and part.name.partition("/")[0].lower() == hub.lower()
    ]


OPERATIONS: Sequence[Operation] = (
    Operation(
        name="traceEvent",
        method="GET",
        path="/events/{id}/trace",
        summary="Why a push came, or did not: of an event by its id, or of a notification by its own.",
        run=_trace,
        answer=Trace,
        query=TraceQuery,
        missing="Neither an event nor a notification of this id is kept.",
    ),
)
