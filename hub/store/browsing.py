"""Lists for operators, in SQL: paged by key, so that a page costs the same wherever it is, and however many rows there are.

Each function works inside the transaction of its caller.
"""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

import orjson
from pyroaring import BitMap

from hub.acceptance import NO_CONFIGURATION, AuditEntry, ConfigurationVersion, DeadLetter
from hub.errors import InvalidRequestError, NotFoundError
from hub.notification import Audience, Platform
from hub.outcome import State
from hub.store.audience import kind_key, matching
from hub.store.base import Device, DeviceRegistration, KeptAudit, KeptLetter, KeptNotification, ListPage
from hub.store.first_registry import installation_of
from hub.store.hubs import known_hub_id
from hub.store.tag_index import members

SCANNED = 20_000
"""Rows that a page with filters looks at, at most: others read with the same thread."""

_FAILURES = 10_000
"""Failures of one notification that are looked at, at most: a broadcast may have one for each phone there is."""

T = TypeVar("T")


# Devices


def devices(
    connection: sqlite3.Connection, hub: str, *, audience: Audience | None, after: str, limit: int, now: float
) -> ListPage[Device]:
    """All documents by id, or those with a registration that an audience means, by when they were first registered."""
    number = known_hub_id(connection, hub)
    if number is None:
        return ListPage(items=())
    if audience is not None:
        return _devices_of(connection, number, audience, _number(after, first=0, most=2**32 - 1), limit, now)
    rows = connection.execute(
        "SELECT id, document, updated_at FROM installation WHERE hub = ? AND id > ?"
        " AND (expires_at IS NULL OR expires_at > ?) ORDER BY id LIMIT ?",
        (number, after, now, limit),
    ).fetchall()
    found = [_device(connection, number, *row) for row in rows]
    return ListPage(items=found, next=found[-1].installation.id if len(found) == limit else "")


def _devices_of(
    connection: sqlite3.Connection, hub: int, audience: Audience, after: int, limit: int, now: float
) -> ListPage[Device]:
    """A document with several matching registrations is listed once, at the first of them."""
    of_tag = lru_cache(maxsize=None)(partial(members, connection, hub))
    everyone = BitMap.union(
        BitMap(), *(of_tag(kind_key(kind, p)) for kind in ("native", "template") for p in Platform.declared())
    )
    matched = matching(audience, of_tag, everyone)
    start = matched.rank(after)
    found: list[Device] = []
    looked_at = 0
    for ordinal in matched[start : start + SCANNED]:
        if len(found) == limit:
            break
        looked_at += 1
        after = ordinal
        row = connection.execute(
            "SELECT i.id, i.document, i.updated_at FROM registration r JOIN installation i"
            " ON i.hub = r.hub AND i.id = r.installation_id WHERE r.ordinal = ?"
            " AND (i.expires_at IS NULL OR i.expires_at > ?)",
            (ordinal, now),
        ).fetchone()
        if row is not None and _is_first(connection, hub, row[0], ordinal, matched):
            found.append(_device(connection, hub, *row))
    return ListPage(items=found, next=str(after) if start + looked_at < len(matched) else "")


def _is_first(connection: sqlite3.Connection, hub: int, installation_id: str, ordinal: int, matched: BitMap) -> bool:
    rows = connection.execute(
        "SELECT ordinal FROM registration WHERE hub = ? AND installation_id = ? AND ordinal < ?",
        (hub, installation_id, ordinal),
    )
    return not any(other in matched for (other,) in rows)


def device(connection: sqlite3.Connection, hub: str, installation_id: str, *, now: float) -> Device:
    """One document with its registrations. Raises: NotFoundError: there is none, or it has expired."""
    number = known_hub_id(connection, hub)
    row = connection.execute(
        "SELECT id, document, updated_at FROM installation WHERE hub = ? AND id = ?"
        " AND (expires_at IS NULL OR expires_at > ?)",
        (number, installation_id, now),
    ).fetchone()
    if number is None or row is None:
        raise NotFoundError(f"device {installation_id!r} not found")
    return _device(connection, number, *row)


def _device(connection: sqlite3.Connection, hub: int, installation_id: str, document: str, updated_at: float) -> Device:
    registrations = [
        DeviceRegistration(
            template=template,
            tags=tuple(orjson.loads(tags)),
            registered_at=registered_at,
            dead_at=dead_at,
            dead_reason=dead_reason or "",
        )
        for template, tags, registered_at, dead_at, dead_reason in connection.execute(
            "SELECT template_name, tags, registered_at, dead_at, dead_reason FROM registration"
            " WHERE hub = ? AND installation_id = ? ORDER BY ordinal",
            (hub, installation_id),
        )
    ]
    is_dead = any(registration.dead_at is not None for registration in registrations)
    installation = installation_of(installation_id, document, expired=is_dead)
    return Device(installation=installation, updated_at=updated_at, registrations=registrations)


# Notifications

_FROM_NOTIFICATION = (
    "FROM notification n JOIN hub h ON h.id = n.hub LEFT JOIN configuration c ON c.id = n.configuration"
)
_NOTIFICATION = (
    "n.seq, n.id, h.name, n.source, n.event_id, n.rule, n.audience, n.format, n.priority, length(n.content), n.state,"
    " n.accepted_at, n.schedule_at, n.expires_at, n.started_at, n.ended_at, n.counts,"
    " c.revision, c.hash"
)


def notifications(
    connection: sqlite3.Connection,
    *,
    hub: str | None,
    state: State | None,
    event_id: str | None,
    after: str,
    limit: int,
) -> ListPage[KeptNotification]:
    """Newest first."""
    number = None if hub is None else known_hub_id(connection, hub)
    if hub is not None and number is None:
        return ListPage(items=())
    rows, following = _newest(
        connection,
        f"SELECT {_NOTIFICATION} {_FROM_NOTIFICATION}",
        ("notification", "n.seq"),
        {"n.hub": number, "n.state": None if state is None else state.value, "n.event_id": event_id},
        after,
        limit,
    )
    return ListPage(items=[_notification(row) for row in rows], next=following)


def notification(connection: sqlite3.Connection, notification_id: str) -> KeptNotification:
    """By 32 hex digits, with what its failures were. Raises: NotFoundError."""
    row = connection.execute(
        f"SELECT {_NOTIFICATION} {_FROM_NOTIFICATION} WHERE n.id = ?",
        (bytes.fromhex(notification_id),),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"notification {notification_id} not found")
    failures = connection.execute(
        "SELECT outcome, reason, count(*) FROM (SELECT outcome, reason FROM failure WHERE notification = ? LIMIT ?)"
        " GROUP BY outcome, reason ORDER BY 3 DESC, 1, 2 LIMIT 100",
        (row[0], _FAILURES),
    ).fetchall()
    return _notification(row, failures)


def _notification(row: Sequence[Any], failures: Sequence[tuple[str, str, int]] = ()) -> KeptNotification:
    _, key, hub, source, event_id, rule, audience, format_, priority, size, state, accepted, schedule, expires = row[
        :14
    ]
    started, ended, counts, revision, config_hash = row[14:]
    version = NO_CONFIGURATION if config_hash is None else ConfigurationVersion(revision=revision, hash=config_hash)
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
        counts=orjson.loads(counts) if counts else {},
        failures=failures,
        configuration=version,
    )


# Dead letters

_LETTER = (
    "id, at, source, event_id, rule, stage, reason, detail, content_type, headers, tries, trace, config_hash, relay,"
    " length(body), revision"
)


def letters(
    connection: sqlite3.Connection, *, source: str | None, reason: str | None, after: str, limit: int
) -> ListPage[KeptLetter]:
    """Newest first, without bodies."""
    rows, following = _newest(
        connection,
        f"SELECT {_LETTER}, '' FROM dead_letter",
        ("dead_letter", "id"),
        {"source": source, "reason": reason},
        after,
        limit,
    )
    return ListPage(items=[_letter(row) for row in rows], next=following)


def letter(connection: sqlite3.Connection, letter_id: int) -> KeptLetter:
    """With its body. Raises: NotFoundError."""
    row = connection.execute(f"SELECT {_LETTER}, body FROM dead_letter WHERE id = ?", (letter_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"dead letter {letter_id} not found")
    return _letter(row)


def _letter(row: Sequence[Any]) -> KeptLetter:
    return KeptLetter(
        id=row[0],
        at=row[1],
        size=row[14],
        letter=DeadLetter(
            source=row[2],
            event_id=row[3],
            rule=row[4],
            stage=row[5],
            reason=row[6],
            detail=row[7],
            body=row[16] or b"",
            content_type=row[8],
            headers=orjson.loads(row[9]),
            tries=row[10],
            trace=row[11],
            config_hash=row[12],
            relay=row[13],
            revision=row[15],
        ),
    )


# What operators did


def audit(connection: sqlite3.Connection, *, after: str, limit: int) -> ListPage[KeptAudit]:
    """Newest first."""
    rows, following = _newest(
        connection,
        "SELECT id, at, actor, action, target, detail FROM audit",
        ("audit", "id"),
        {},
        after,
        limit,
    )
    items = [
        KeptAudit(id=row[0], at=row[1], entry=AuditEntry(actor=row[2], action=row[3], target=row[4], detail=row[5]))
        for row in rows
    ]
    return ListPage(items=items, next=following)


# Paging


def _newest(
    connection: sqlite3.Connection,
    select: str,
    table_and_key: tuple[str, str],
    filters: dict[str, str | int | None],
    after: str,
    limit: int,
) -> tuple[list[tuple[Any, ...]], str]:
    """Up to `limit` rows with keys below `after`, largest first, among the next `SCANNED` keys; where to go on, if there
    may be more."""
    table, key = table_and_key
    column = key.rpartition(".")[2]
    newest = f"SELECT max({column}) FROM {table} WHERE {column} < ?"
    (top,) = connection.execute(newest, (_number(after, first=2**63 - 1),)).fetchone()
    if top is None:
        return [], ""
    bottom = top - SCANNED
    given = {column: value for column, value in filters.items() if value is not None}
    conditions = "".join(f" AND {column} = ?" for column in given)
    rows = connection.execute(
        f"{select} WHERE {key} <= ? AND {key} > ?{conditions} ORDER BY {key} DESC LIMIT ?",
        (top, bottom, *given.values(), limit),
    ).fetchall()
    reached = rows[-1][0] if len(rows) == limit else bottom + 1
    (more,) = connection.execute(newest, (reached,)).fetchone()
    return rows, "" if more is None else str(reached)


def _number(after: str, *, first: int, most: int = 2**63 - 1) -> int:
    """Raises: InvalidRequestError: it is the place in another list."""
    if not after:
        return first
    if not (after.isascii() and after.isdigit() and len(after) <= 18 and int(after) <= most):
        raise InvalidRequestError("the cursor is not one of this list")
    return int(after)
