"""Acceptance in SQL; works inside the transaction of its caller."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from hub.acceptance import NO_CONFIGURATION, ConfigurationVersion, Ingest
from hub.notification import Notification
from hub.outcome import State
from hub.store.auditing import insert_audit
from hub.store.base import AcceptanceResult, Work
from hub.store.hubs import hub_id
from hub.store.letters import insert_dead_letters
from hub.store.notifications import columns_of, seconds
from hub.store.seen import SeenWindow, remember, seen_among, seen_key


def accept(
    connection: sqlite3.Connection,
    arrivals: Sequence[Ingest],
    *,
    lease: int,
    fence: int,
    until: float,
    window: SeenWindow,
    now: float,
) -> AcceptanceResult:
    """Take what is new; the first `lease` notifications that are due are leased under `fence` in the same breath."""
    duplicates = _duplicates(connection, arrivals, window, now)
    fresh = [arrival for index, arrival in enumerate(arrivals) if index not in duplicates]
    insert_dead_letters(connection, [letter for arrival in fresh for letter in arrival.dead_letters], now)
    notifications = [notification for arrival in fresh for notification in arrival.notifications]
    known = _known(connection, notifications)
    repeated: set[str] = set()
    (seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM notification").fetchone()
    hubs: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    work: list[Work] = []
    for notification, configuration in _decided(connection, fresh):
        key = bytes.fromhex(notification.id)
        if key in known:
            repeated.add(notification.id)
            continue
        known.add(key)
        seq += 1
        if notification.hub not in hubs:
            hubs[notification.hub] = hub_id(connection, notification.hub)
        schedule_at = seconds(notification.schedule_at)
        state, due, its_fence = State.ENQUEUED, now, 0
        if schedule_at is not None and schedule_at > now:
            state, due = State.SCHEDULED, schedule_at
        elif len(work) < lease:
            state, due, its_fence = State.PROCESSING, until, fence
            work.append(Work(seq=seq, lease=fence, notification=notification, accepted_at=now))
        rows.append(
            (
                seq,
                key,
                hubs[notification.hub],
                *columns_of(notification),
                now,
                schedule_at,
                state.value,
                due,
                its_fence,
                configuration,
            )
        )
    connection.executemany(
        "INSERT INTO notification (seq, id, hub, source, event_id, rule, audience, format, content, headers, platforms,"
        " priority, collapse_key, expires_at, accepted_at, schedule_at, state, due_at, lease, configuration)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    audits = [
        arrival.audit
        for arrival in fresh
        if arrival.audit is not None and any(one.id not in repeated for one in arrival.notifications)
    ]
    if audits:
        insert_audit(connection, audits, now=now)
    return AcceptanceResult(duplicates=frozenset(duplicates), work=work, repeated=frozenset(repeated))


def _decided(connection: sqlite3.Connection, arrivals: Sequence[Ingest]) -> Iterator[tuple[Notification, int | None]]:
    """Each notification with the number of the configuration that decided; a batch has hardly ever more than one."""
    version, number = NO_CONFIGURATION, None
    for arrival in arrivals:
        if arrival.notifications and arrival.configuration is not version:
            version = arrival.configuration
            number = None if version == NO_CONFIGURATION else _number_of(connection, version)
        for notification in arrival.notifications:
            yield notification, number


def _number_of(connection: sqlite3.Connection, version: ConfigurationVersion) -> int:
    key = (version.hash, version.revision)
    row = connection.execute("SELECT id FROM configuration WHERE hash = ? AND revision = ?", key).fetchone()
    if row is None:
        add = "INSERT INTO configuration (hash, revision) VALUES (?, ?) RETURNING id"
        row = connection.execute(add, key).fetchone()
    return int(row[0])


def _duplicates(connection: sqlite3.Connection, arrivals: Sequence[Ingest], window: SeenWindow, now: float) -> set[int]:
    """Indices of arrivals seen before, in the store or earlier in the batch; the others are remembered.

    An arrival that notifies nobody is not remembered, unless it says so: repeating it does no harm, and a dead letter
    that was mended has to come through when the broker hands it out again. One without an event id (a send through the
    API) is known by its notification alone.
    """
    keyed = [
        (index, seen_key(arrival.source, arrival.event_id))
        for index, arrival in enumerate(arrivals)
        if arrival.event_id and (arrival.notifications or arrival.remember)
    ]
    if not keyed:
        return set()
    seen = seen_among(connection, [key for _, key in keyed], window=window, now=now)
    duplicates: set[int] = set()
    fresh: list[bytes] = []
    for index, key in keyed:
        if key in seen:
            duplicates.add(index)
        else:
            seen.add(key)
            fresh.append(key)
    if fresh:
        remember(connection, fresh, window=window, now=now)
    return duplicates


def _known(connection: sqlite3.Connection, notifications: Sequence[Notification]) -> set[bytes]:
    """Ids among these that the store has: a sender that repeats its idempotency key, an event older than the window."""
    known: set[bytes] = set()
    for start in range(0, len(notifications), 400):
        ids = [bytes.fromhex(notification.id) for notification in notifications[start : start + 400]]
        marks = ",".join("?" * len(ids))
        known.update(key for (key,) in connection.execute(f"SELECT id FROM notification WHERE id IN ({marks})", ids))
    return known
