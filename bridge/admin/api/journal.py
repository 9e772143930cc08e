"""Events of the journal: what became of each, also of those that the daemon's memory has no more."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import AwareDatetime, Field

from bridge.admin.api.events import outcome_asked_for
from bridge.admin.api.operation import Call, Model, Operation, Paged, cursor_of, instant, place_in
from bridge.admin.api.traced_flow import FlowTrace
from bridge.observe.facts import EventOutcome
from hub import exact_json
from hub.errors import NotFoundError
from hub.store.contracts.journal import KeptEvent
from hub.store.contracts.listing import ListPage

_LIST, _EXPORT = "journal", "export"


class JournalEvent(Model):
    """One event that is kept, without its values. `rules` matched it; `notifications` and `dead_letters` are counts."""

    id: str
    source: str
    type: str
    received_at: datetime
    outcome: str
    reason: str
    detail: str
    rules: list[str]
    notifications: int
    dead_letters: int


class JournalEvents(Model):
    """Newest first. With filters a part may hold few, or none, and have a next one."""

    items: list[JournalEvent]
    next: str | None


class JournalQuery(Paged):
    """Which events."""

    source: str = ""
    outcome: str = ""
    id: Annotated[str, Field(description="The id of an event, of whatever source.")] = ""
    installation: Annotated[
        str, Field(max_length=256, description="The id of a device: events with a notification that was for it.")
    ] = ""
    until: Annotated[AwareDatetime | None, Field(description="Received at this time or before.")] = None


class ExportedEvent(Model):
    """An event with its values, by the names that rules have for them; `origin` is the source that brought it."""

    id: str
    origin: str
    source: str
    type: str
    subject: str
    time: str
    received_at: datetime
    data: Any
    meta: Any


class ExportedEvents(Model):
    """Newest first. `without_values` counts events of this part whose values are not kept."""

    items: list[ExportedEvent]
    without_values: int
    next: str | None

    def model_dump_json(self, **_: Any) -> str:
        """As ever, but for the numbers of the events, which have the digits that came."""
        values = {"data", "meta"}
        items = [
            {**each.model_dump(mode="json", exclude=values), "data": each.data, "meta": each.meta}
            for each in self.items
        ]
        whole = {"items": items, "without_values": self.without_values, "next": self.next}
        return exact_json.dumps(whole, str, wide=True).decode()


class ExportQuery(Paged):
    """Which events."""

    source: str = ""
    since: Annotated[AwareDatetime | None, Field(description="Received at this time or after.")] = None
    until: Annotated[AwareDatetime | None, Field(description="Received at this time or before.")] = None


async def _export(call: Call) -> ExportedEvents:
    query: ExportQuery = call.query
    page = await call.management.hub.store.journal(
        source=query.source,
        until=_end_of(query.until),
        after=place_in(_EXPORT, query.cursor),
        limit=query.limit,
    )
    since = 0.0 if query.since is None else query.since.timestamp()
    events = [event for event in page.items if event.at >= since]
    exported = [each for event in events if (each := _exported(event)) is not None]
    more = cursor_of(_EXPORT, page.next) if len(events) == len(page.items) else None
    return ExportedEvents(items=exported, without_values=len(events) - len(exported), next=more)


def _exported(event: KeptEvent) -> ExportedEvent | None:
    detail: Mapping[str, Any] = orjson.loads(event.detail)
    if event.content is None or "type" not in detail:
        return None
    values: Mapping[str, Any] = exact_json.loads_as_written(event.content)
    return ExportedEvent(
        id=event.event_id,
        origin=event.source,
        type=detail["type"],
        received_at=instant(event.at),
        **{name: values[name] for name in ("source", "subject", "time", "data", "meta")},
    )


async def _list(call: Call) -> JournalEvents:
    asked: JournalQuery = call.query
    query = asked.model_copy(update={"outcome": outcome_asked_for(asked.outcome)})
    page = await (_with_id(call, query) if query.id else _part(call, query))
    events = page.items if not query.installation else await _for_device(call, page.items, query.installation)
    return JournalEvents(items=[_item(event) for event in events], next=cursor_of(_LIST, page.next))


async def _for_device(call: Call, events: Sequence[KeptEvent], device: str) -> list[KeptEvent]:
    """Those of which a notification was for the device; what a remote hub knows of it is not known here."""
    return [event for event in events if await _is_for(call, event, device)]


async def _is_for(call: Call, event: KeptEvent, device: str) -> bool:
    for notification in FlowTrace.of(event).sent_of(orjson.loads(event.detail).get("notifications", ())):
        with suppress(NotFoundError):  # it is past its time
            traced = await call.management.hub.store.trace(notification, device)
            if any(each.answer.is_in_audience for each in traced):
                return True
    return False


async def _part(call: Call, query: JournalQuery) -> ListPage[KeptEvent]:
    return await call.management.hub.store.journal(
        source=query.source,
        outcome=query.outcome,
        until=_end_of(query.until),
        after=place_in(_LIST, query.cursor),
        limit=query.limit,
    )


async def _with_id(call: Call, query: JournalQuery) -> ListPage[KeptEvent]:
    """Events of one id are few: they are one part."""
    found = await call.management.hub.store.journaled(query.id, source=query.source, limit=query.limit)
    latest = _end_of(query.until)
    return ListPage(
        items=[
            event for event in found if (latest is None or event.at <= latest) and query.outcome in ("", event.outcome)
        ],
        next="",
    )


def _end_of(moment: datetime | None) -> float | None:
    """The end of its microsecond: a time that the API gave is cut to one."""
    return None if moment is None else moment.timestamp() + 1e-6


def _item(event: KeptEvent) -> JournalEvent:
    detail: Mapping[str, Any] = orjson.loads(event.detail)
    failures = detail.get("failures", ())
    is_whole = event.outcome == EventOutcome.DEAD_LETTER.value and not failures
    return JournalEvent(
        id=event.event_id,
        source=event.source,
        type=detail.get("type", ""),
        received_at=instant(event.at),
        outcome=event.outcome,
        reason=detail.get("reason", ""),
        detail=detail.get("detail", ""),
        rules=detail.get("rules", []),
        notifications=len(FlowTrace.of(event).sent_of(detail.get("notifications", ()))),
        dead_letters=len(failures) or int(is_whole),
    )


OPERATIONS = (
    Operation(
        name="listJournal",
        method="GET",
        path="/journal",
        summary="The events that are kept, newest first, also those of before a restart; `/events/{id}/trace` says why.",
        run=_list,
        answer=JournalEvents,
        query=JournalQuery,
    ),
    Operation(
        name="exportJournal",
        method="GET",
        path="/journal/export",
        summary="The events that are kept with values, newest first, to try another configuration on.",
        run=_export,
        answer=ExportedEvents,
        query=ExportQuery,
        admin_only=True,
    ),
)
