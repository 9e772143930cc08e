"""What is known of notifications, one by one and in lists, and what operators changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from hub.acceptance import NO_CONFIGURATION, AuditEntry, ConfigurationVersion
from hub.errors import NotFoundError
from hub.notification import PLATFORM_NAMED, Notification, Platform
from hub.outcome import NotificationDetails, State, Unreached
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.listing import ListPage
from hub.store.contracts.telemetry import KeptAudit, KeptNotification
from hub.store.decide.recording import Counts, Key, added
from hub.store.follow_ups.reading import follow_ups_of
from hub.store.reports.reading import counts_of_reports
from hub.store.rows import NOTIFICATION as NOTIFICATION_COLUMNS
from hub.store.rows import TEMPLATE, counts_of, moment, notification_of, platforms_of
from hub.store.telemetry.listing import listing, part
from hub.store.telemetry.quieting import held_in_parts, held_whole
from hub.trace_context import parted_trace

_FAILURES = 10_000
"""Failures of one notification that are looked at, at most: a broadcast may have one for each phone there is."""

_COLUMNS = (
    "t.n, t.queue, t.id, t.hub, t.source, t.event_id, t.rule, t.audience, t.format, t.priority,"
    " coalesce(t.content_size, length(t.content)), t.state,"
    " t.accepted_at, t.schedule_at, t.expires_at, t.started_at, t.ended_at, t.counts, t.unreached,"
    " t.unreached_count, c.revision, c.hash, t.trace, t.content_size, t.cancelled_by, t.silence,"
    " t.quiet, t.quiet_until"
)
_SOURCE = "notification t LEFT JOIN configuration c ON c.id = t.configuration"

NOTIFICATIONS = listing(
    "notification",
    _COLUMNS,
    _SOURCE,
    where=" AND (:hub = '' OR t.hub = :hub) AND (:state = '' OR t.state = :state)"
    " AND (:event_id = '' OR t.event_id = :event_id)",
    filters={"hub": "text", "state": "text", "event_id": "text"},
)
AUDIT = listing("audit", "t.n, t.at, t.actor, t.action, t.target, t.detail", "audit t")
BY_ID = Statement("notification.by_id", f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE t.id = :id")
"""An id is one notification's in all queues."""
DETAILS = Statement(
    "notification.details",
    "SELECT n, queue, state, accepted_at, started_at, ended_at, content, audience, platforms, format, counts,"
    " content_size"
    " FROM notification WHERE id = :id AND hub = :hub",
)
SENT = Statement("notification.sent", f"SELECT n.queue, {NOTIFICATION_COLUMNS} FROM notification n WHERE n.id = :id")
FAILURES = Statement(
    "failure.reasons",
    "SELECT outcome, reason, count(*) FROM (SELECT outcome, reason FROM failure"
    " WHERE queue = :queue AND notification = :n LIMIT :most) AS newest"
    " GROUP BY outcome, reason ORDER BY 3 DESC, 1, 2 LIMIT 100",
)
PAGE_COUNTS = Statement(
    "page.counts_of_one", "SELECT counts, queue FROM page WHERE home = :queue AND notification = :n"
)


def details(connection: Connection, hub: str, notification_id: str) -> tuple[tuple[int, int], NotificationDetails]:
    """Queue and number of its row, and what is known; a running broadcast has the sums of its pages until now.

    Raises: NotFoundError.
    """
    rows = connection.read(DETAILS, id=bytes.fromhex(notification_id), hub=hub)
    if not rows:
        raise NotFoundError(f"notification {notification_id} not found")
    ((n, queue, state, accepted_at, started_at, ended_at, content, audience, platforms, format_, counts, cleared),) = (
        rows
    )
    if format_ != TEMPLATE:
        meant = frozenset([PLATFORM_NAMED[format_]])
    else:
        meant = frozenset(Platform.declared()) if platforms is None else platforms_of(platforms)
    return (queue, n), NotificationDetails(
        notification_id=notification_id,
        state=State(state),
        enqueued_at=moment(accepted_at),
        started_at=None if started_at is None else moment(started_at),
        ended_at=None if ended_at is None else moment(ended_at),
        body=content.decode("utf-8", "replace") if cleared is None else "",
        tags=audience or "",
        platforms=tuple(platform for platform in Platform.known() if platform in meant),
        counts=_counts(connection, queue, n, counts, has_pages=ended_at is None and state == State.PROCESSING.value),
    )


def _counts(connection: Connection, queue: int, n: int, own: str | None, *, has_pages: bool) -> Counts:
    counts: Counts = counts_of(own)
    if has_pages:
        for text, _ in connection.read(PAGE_COUNTS, queue=queue, n=n):
            if text:
                counts = added(counts, counts_of(text))
    return counts


def notifications(
    connection: Connection,
    queues: Sequence[int],
    *,
    hub: str | None,
    state: State | None,
    event_id: str | None,
    after: str,
    limit: int,
    scanned: int,
) -> ListPage[KeptNotification]:
    """Newest first."""
    rows, following = part(
        connection,
        NOTIFICATIONS,
        queues=queues,
        after=after,
        limit=limit,
        scanned=scanned,
        hub=hub or "",
        state="" if state is None else state.value,
        event_id=event_id or "",
    )
    return ListPage(items=_notifications(connection, rows), next=following)


def notification(connection: Connection, notification_id: str) -> KeptNotification:
    """By 32 hex digits, with what its failures were. Raises: NotFoundError."""
    rows = connection.read(BY_ID, id=bytes.fromhex(notification_id))
    if not rows:
        raise NotFoundError(f"notification {notification_id} not found")
    n, queue = rows[0][:2]
    failures = connection.read(FAILURES, queue=queue, n=n, most=_FAILURES)
    (kept,) = _notifications(connection, rows)
    return replace(
        kept,
        failures=[(outcome, reason, count) for outcome, reason, count in failures],
        reports=counts_of_reports(connection, queue, n),
        follow_ups=follow_ups_of(connection, queue, n),
    )


def sent(connection: Connection, notification_id: str) -> Notification:
    """Raises: NotFoundError."""
    rows = connection.read(SENT, id=bytes.fromhex(notification_id))
    if not rows:
        raise NotFoundError(f"notification {notification_id} not found")
    return notification_of(rows[0][1:])


def _notifications(connection: Connection, rows: Sequence[Row]) -> list[KeptNotification]:
    """Each with what quiet hours hold of it, which is read for those alone that have such hours and go on."""
    found = [(_key_of(row), row[-2], _notification(row)) for row in rows]
    open_ = [(key, quiet) for key, quiet, kept in found if quiet is not None and kept.ended_at is None]
    parts = held_in_parts(connection, open_)
    return [replace(kept, quiet_hold=parts[key]) if key in parts else kept for key, _, kept in found]


def _key_of(row: Row) -> Key:
    n, queue = row[:2]
    return queue, n


def _notification(row: Row) -> KeptNotification:
    _, _, key, hub, source, event_id, rule, audience, format_, priority, size, state = row[:12]
    accepted, schedule, expires, started, ended, counts, unreached, unreached_count, *rest = row[12:]
    revision, config_hash, trace, cleared, cancelled_by, silence, quiet, quiet_until = rest
    version = NO_CONFIGURATION if config_hash is None else ConfigurationVersion(revision=revision, hash=config_hash)
    kept_counts: Mapping[str, Mapping[str, int]] = orjson.loads(counts) if counts else {}
    return KeptNotification(
        id=key.hex(),
        hub=hub,
        source=source,
        event_id=event_id,
        rule=rule,
        audience=audience,
        format=format_,
        priority=priority,
        size=size,
        state=State(state),
        accepted_at=accepted,
        schedule_at=schedule,
        expires_at=expires,
        started_at=started,
        ended_at=ended,
        counts=kept_counts,
        unreached=None if unreached is None else Unreached(unreached),
        unreached_count=unreached_count or 0,
        configuration=version,
        trace=parted_trace(trace).trace,
        has_content=cleared is None,
        cancelled_by=cancelled_by or "",
        silence=silence or "",
        quiet_hold=held_whole(State(state), quiet, quiet_until),
    )


def audit(connection: Connection, queues: Sequence[int], *, after: str, limit: int) -> ListPage[KeptAudit]:
    """Newest first."""
    rows, following = part(connection, AUDIT, queues=queues, after=after, limit=limit)
    items = [
        KeptAudit(id=n, at=at, entry=AuditEntry(actor=actor, action=action, target=target, detail=detail))
        for n, at, actor, action, target, detail in rows
    ]
    return ListPage(items=items, next=following)
