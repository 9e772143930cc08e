"""What became of a notification for one device: its rows, its pages and their failures, and what the device is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hub.errors import NotFoundError
from hub.notification import PLATFORM_NAMED
from hub.outcome import DeviceAnswer, State
from hub.quiet import Fate, quiet_of
from hub.store.connection import Connection, Statement
from hub.store.contracts.telemetry import TracedRegistration
from hub.store.decide.tracing import Failure, QuietPage, Sent, TracedNotification, answer_for
from hub.store.registry.listing import get_device
from hub.store.registry.places import Place
from hub.store.reports.reading import reports_of_phone
from hub.store.rows import SCHEDULED, TEMPLATE, audience_of, platforms_of
from hub.tags import TagExpression

NOTIFICATION = Statement(
    "notification.traced",
    "SELECT queue, n, hub, audience, format, platforms, state, due, started_at, ordinals, done, again,"
    " service, quiet, quiet_until, headers"
    " FROM notification WHERE id = :id",
)
PAGES = Statement(
    "page.traced",
    "SELECT due, attempt, ordinals, done, again, quiet_until, quiet_zones, quiet_fate, lane FROM page"
    " WHERE home = :queue AND notification = :n AND queue = queue",
)
"""Pages are dealt to all queues."""
FAILURE = Statement(
    "failure.traced",
    "SELECT ordinal, outcome, reason, at FROM failure"
    " WHERE queue = :queue AND notification = :n AND ordinal IN (:keys)",
    columns=(("ordinal", "bigint"),),
)

_SENT = frozenset([DeviceAnswer.DELIVERED, DeviceAnswer.FAILED, DeviceAnswer.WAITING, DeviceAnswer.UNDER_WAY])
"""Answers of registrations that there is a push for."""

PlaceOf = Callable[[str], Place | None]


def hub_of(connection: Connection, notification_id: str) -> str:
    """Raises: NotFoundError."""
    return str(_row(connection, notification_id)[2])


def trace(
    connection: Connection,
    place: Place | None,
    notification_id: str,
    installation_id: str,
    *,
    only_to: TagExpression | None,
    now: float,
) -> list[TracedRegistration]:
    """Raises: NotFoundError: there is no such notification."""
    row = _row(connection, notification_id)
    device = None if place is None else get_device(connection, place, installation_id, now=now)
    if device is None:
        return []
    queue, n = row[:2]
    ordinals = [ordinal for ordinal, _ in device.registrations()]
    failures = {
        ordinal: Failure(outcome, reason, at)
        for ordinal, outcome, reason, at in connection.read_by_keys(FAILURE, ordinals, queue=queue, n=n)
    }
    notification = _notification(connection, row, only_to=only_to, now=now)
    names = {each.ordinal: each.name for each in device.templates}
    said = reports_of_phone(connection, [(queue, n)], installation_id).get((queue, n), ())
    answers = (
        answer_for(notification, device, ordinal, names.get(ordinal), failures.get(ordinal)) for ordinal in ordinals
    )
    return [replace(answer, reports=said) if answer.answer in _SENT else answer for answer in answers]


def _row(connection: Connection, notification_id: str) -> tuple[Any, ...]:
    rows = connection.read(NOTIFICATION, id=bytes.fromhex(notification_id))
    if not rows:
        raise NotFoundError(f"notification {notification_id} not found")
    return rows[0]


def quiet_page_of(until: float | None, zones: str | None, fate: str | None, lane: int) -> QuietPage | None:
    """What quiet hours do with a page, None: nothing, or nothing any more."""
    if fate is not None:
        return QuietPage(None, (), Fate(fate))
    return QuietPage(until, (zones or "").split(", ")) if lane == SCHEDULED else None


def _notification(
    connection: Connection, row: tuple[Any, ...], *, only_to: TagExpression | None, now: float
) -> TracedNotification:
    queue, n, _, audience, format_, platforms, state, due, started_at, ordinals, done, again, service, *of_quiet = row
    quiet, quiet_until, headers = of_quiet
    sent = [] if ordinals is None else [Sent.of(due, 0, ordinals, done, again)]
    for due_, attempt, all_, done_, again_, *of_page in connection.read(PAGES, queue=queue, n=n):
        sent.append(Sent.of(due_, attempt, all_, done_, again_, quiet_page_of(*of_page)))
    is_template = format_ == TEMPLATE
    meant = None if platforms is None else platforms_of(platforms)
    return TracedNotification(
        audience=audience_of(audience),
        only_to=only_to,
        is_template=is_template,
        has_text=is_template and headers is not None,
        platforms=meant if is_template else frozenset([PLATFORM_NAMED[format_]]),
        state=State(state),
        started_at=started_at,
        sent=sent,
        is_deferred=bool(service) or (due is not None and due > now),
        deferred_until=due if due is not None and due > now else None,
        quiet=None if quiet is None else quiet_of(quiet),
        quiet_until=quiet_until,
    )
