"""The latest events and sends, from receipt to outcome: kept in memory, and gone with the process."""

from datetime import datetime
from itertools import islice
from typing import Any

from bridge.admin.api.operation import Call, Model, Operation, Paged, cursor_of, none_of, place_in
from bridge.observe.facts import EventOutcome
from bridge.observe.recent import Entry
from hub.errors import InvalidRequestError, NotFoundError

_LIST = "events"


class EventSummary(Model):
    """One event, or a send of the hub API. `outcome` says how it ended here, `reason` and `detail` why when not well;
    `silenced` says which silence holds or has dropped its notifications, if any."""

    number: int
    id: str
    source: str
    type: str
    received_at: datetime
    outcome: str
    reason: str
    detail: str
    silenced: str
    rules: list[str]
    notifications: int
    dead_letters: int


class Wait(Model):
    """Why pushes are put off, and until when."""

    reason: str
    until: datetime


class EventNotification(Model):
    """One notification of an event: whom it is for, and its pushes by platform and outcome. `targeted` is None until its
    audience is known; `unreached` says why no phone got it."""

    id: str
    rule: str
    hub: str
    expression: str
    schedule_at: datetime | None
    targeted: int | None
    pushes: dict[str, int]
    outcomes: dict[str, dict[str, int]]
    waits: dict[str, Wait]
    reason: str
    unreached: str


class EventDeadLetter(Model):
    """A share of the event that could not become a notification."""

    rule: str
    stage: str
    reason: str
    detail: str


class EventSuppression(Model):
    """A rule that fired and sent nothing by itself; `digest` is the notification that the event is counted into, if any."""

    rule: str
    cause: str
    digest: str


class Event(Model):
    """One event with all that is known of it, as in the list; `more` counts notifications and dead letters left out of a
    long list."""

    number: int
    id: str
    source: str
    type: str
    received_at: datetime
    outcome: str
    reason: str
    detail: str
    silenced: str
    rules: list[str]
    notifications: list[EventNotification]
    dead_letters: list[EventDeadLetter]
    suppressed: list[EventSuppression]
    more: int


class Events(Model):
    """Newest first."""

    items: list[EventSummary]
    next: str | None


class EventQuery(Paged):
    """Which events."""

    source: str = ""
    outcome: str = ""
    id: str = ""
    rule: str = ""


def outcome_asked_for(text: str) -> str:
    """The outcome by its name of today; empty means any. Raises: InvalidRequestError: an event has no such outcome."""
    outcomes = [outcome.value for outcome in EventOutcome]
    if text and text not in outcomes:
        raise none_of("outcome", text, outcomes)
    return text


async def _list(call: Call) -> Events:
    query: EventQuery = call.query
    after = place_in(_LIST, query.cursor)
    if after and not (after.isascii() and after.isdigit()):
        raise InvalidRequestError("cursor: not one of this list")
    asked = {"source": query.source, "outcome": outcome_asked_for(query.outcome), "id": query.id}
    before = int(after) if after else None
    wanted = {name: value for name, value in asked.items() if value}
    chosen = (
        entry
        for entry in (kept.as_dict() for kept in reversed(call.management.recent_events.entries()))
        if (before is None or entry["number"] < before)
        and all(entry[name] == value for name, value in wanted.items())
        and (not query.rule or query.rule in entry["rules"])
    )
    found = list(islice(chosen, query.limit + 1))
    items = [
        EventSummary(
            **entry | {name: len(entry[name]) for name in ("notifications", "dead_letters")},
        )
        for entry in (_without(entry, "more", "suppressed") for entry in found[: query.limit])
    ]
    return Events(items=items, next=cursor_of(_LIST, str(items[-1].number)) if len(found) > query.limit else None)


async def _show(call: Call) -> Event:
    number = call.path["number"]
    for entry in call.management.recent_events.entries():
        if str(entry.number) == number:
            return event_of(entry)
    raise NotFoundError(f"event {number} is none of the latest {len(call.management.recent_events.entries())}")


def event_of(entry: Entry) -> Event:
    """An entry as the API and the live stream of the console show it."""
    return Event(**entry.as_dict())


def _without(entry: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in names}


OPERATIONS = (
    Operation(
        name="listEvents",
        method="GET",
        path="/events",
        summary="The latest events and sends of the hub API, newest first.",
        run=_list,
        answer=Events,
        query=EventQuery,
    ),
    Operation(
        name="showEvent",
        method="GET",
        path="/events/{number}",
        summary="One of the latest events, with its notifications and dead letters.",
        run=_show,
        answer=Event,
        missing="no event of that number is kept",
    ),
)
