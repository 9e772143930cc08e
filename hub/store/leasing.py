"""Leases in SQL, and what can be done with leased work besides recording it; inside the transaction of the caller."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson
from pyroaring import BitMap

from hub.notification import Platform
from hub.outcome import OutcomeName, State
from hub.store.base import Audience, Work
from hub.store.hubs import hub_id, known_hub_id
from hub.store.notifications import COLUMNS, notification_of
from hub.work import Lane

_SELECT_PAGES = (
    f"SELECT {COLUMNS}, p.lease, p.id, p.platform, p.ordinals, p.attempt, p.due_at"
    " FROM page p JOIN notification n ON n.seq = p.notification JOIN hub h ON h.id = n.hub"
)


def is_due(connection: sqlite3.Connection, *, now: float) -> bool:
    """Whether work of the single lane is due."""
    (due,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM notification WHERE due_at <= :now)"
        " OR EXISTS (SELECT 1 FROM page WHERE lane = :lane AND due_at <= :now)",
        {"now": now, "lane": Lane.SINGLE.value},
    ).fetchone()
    return bool(due)


def are_pages_due(connection: sqlite3.Connection, wanted: Iterable[tuple[str, Platform]], *, now: float) -> bool:
    """Whether a page of the broadcast lane is due for one of these hubs and platforms."""
    lane = Lane.BROADCAST.value
    if not connection.execute("SELECT 1 FROM page WHERE lane = ? AND due_at <= ? LIMIT 1", (lane, now)).fetchone():
        return False
    of_one = "SELECT 1 FROM page WHERE lane = ? AND hub = ? AND platform = ? AND due_at <= ? LIMIT 1"
    return any(
        connection.execute(of_one, (lane, known_hub_id(connection, hub), platform.value, now)).fetchone()
        for hub, platform in wanted
    )


def lease(
    connection: sqlite3.Connection, limit: int, *, fence: int, until: float, now: float
) -> tuple[list[Work], int]:
    """Due work of the single lane, oldest first, and how many leases of it had run out."""
    # Notifications and retries share the limit by age: neither starves the other, however much of it waits.
    oldest = connection.execute(
        "SELECT 0, due_at FROM notification WHERE due_at <= :now"
        " UNION ALL SELECT 1, due_at FROM page WHERE lane = :lane AND due_at <= :now ORDER BY due_at LIMIT :limit",
        {"now": now, "lane": Lane.SINGLE.value, "limit": limit},
    ).fetchall()
    retries = sum(is_page for is_page, _ in oldest)
    work, expired = _lease_notifications(connection, len(oldest) - retries, fence=fence, until=until, now=now)
    rows = connection.execute(
        f"{_SELECT_PAGES} WHERE p.lane = ? AND p.due_at <= ? ORDER BY p.due_at, p.id LIMIT ?",
        (Lane.SINGLE.value, now, retries),
    ).fetchall()
    pages, expired_pages = _lease_rows(connection, Lane.SINGLE, rows, fence=fence, until=until)
    return work + pages, expired + expired_pages


def lease_pages(
    connection: sqlite3.Connection,
    wanted: Mapping[tuple[str, Platform], int],
    *,
    fence: int,
    until: float,
    now: float,
) -> tuple[list[Work], int]:
    """Due pages of the broadcast lane, and how many leases of them had run out."""
    rows: list[tuple[Any, ...]] = []
    for (hub, platform), limit in wanted.items():
        rows += connection.execute(
            f"{_SELECT_PAGES} WHERE p.lane = ? AND p.hub = ? AND p.platform = ? AND p.due_at <= ?"
            " ORDER BY p.due_at, p.id LIMIT ?",
            (Lane.BROADCAST.value, known_hub_id(connection, hub), platform.value, now, limit),
        ).fetchall()
    return _lease_rows(connection, Lane.BROADCAST, rows, fence=fence, until=until)


def lease_orphans(
    connection: sqlite3.Connection,
    served: Collection[tuple[str, Platform]],
    limit: int,
    *,
    begun_before: float,
    fence: int,
    until: float,
    now: float,
) -> tuple[list[Work], int]:
    """Due pages of the broadcast lane that no service takes and that are at their end, and how many leases had run out."""
    known = {(known_hub_id(connection, hub), platform.value) for hub, platform in served}
    waiting = connection.execute(
        "SELECT DISTINCT hub, platform FROM page WHERE lane = ? AND due_at IS NOT NULL", (Lane.BROADCAST.value,)
    ).fetchall()
    rows: list[tuple[Any, ...]] = []
    for hub, platform in waiting:
        if (hub, platform) not in known:
            rows += connection.execute(
                f"{_SELECT_PAGES} WHERE p.lane = ? AND p.hub = ? AND p.platform = ? AND p.due_at <= ?"
                " AND (max(n.accepted_at, coalesce(n.schedule_at, 0)) <= ? OR n.expires_at <= ?)"
                " ORDER BY p.due_at, p.id LIMIT ?",
                (Lane.BROADCAST.value, hub, platform, now, begun_before, now, limit - len(rows)),
            ).fetchall()
    return _lease_rows(connection, Lane.BROADCAST, rows, fence=fence, until=until)


def _lease_notifications(
    connection: sqlite3.Connection, limit: int, *, fence: int, until: float, now: float
) -> tuple[list[Work], int]:
    rows = connection.execute(
        f"SELECT {COLUMNS}, n.lease, n.due_at FROM notification n JOIN hub h ON h.id = n.hub"
        " WHERE n.due_at <= ? ORDER BY n.due_at, n.seq LIMIT ?",
        (now, limit),
    ).fetchall()
    connection.executemany(
        "UPDATE notification SET due_at = ?, lease = ?, state = ? WHERE seq = ?",
        [(until, fence, State.PROCESSING.value, row[0]) for row in rows],
    )
    work = [
        Work(seq=row[0], lease=fence, notification=notification_of(row), accepted_at=row[15], due_at=row[17])
        for row in rows
    ]
    return work, sum(row[16] != 0 for row in rows)


def _lease_rows(
    connection: sqlite3.Connection, lane: Lane, rows: Sequence[tuple[Any, ...]], *, fence: int, until: float
) -> tuple[list[Work], int]:
    connection.executemany(
        "UPDATE page SET due_at = ?, lease = ? WHERE id = ?", [(until, fence, row[17]) for row in rows]
    )
    work = [
        Work(
            seq=row[0],
            lease=fence,
            notification=notification_of(row),
            accepted_at=row[15],
            lane=lane,
            page=row[17],
            platform=Platform(row[18]),
            ordinals=BitMap.deserialize(row[19]),
            attempt=row[20],
            due_at=row[21],
        )
        for row in rows
    ]
    return work, sum(row[16] != 0 for row in rows)


def set_due(connection: sqlite3.Connection, work: Iterable[Work], *, due_at: float, free: bool) -> None:
    """Move the due time of leased work: later to renew the lease, now and `free` to give it back."""
    for piece in work:
        table, key, value = ("notification", "seq", piece.seq) if piece.page is None else ("page", "id", piece.page)
        connection.execute(
            f"UPDATE {table} SET due_at = ?, lease = ? WHERE {key} = ? AND lease = ?",
            (due_at, 0 if free else piece.lease, value, piece.lease),
        )


def take_over(connection: sqlite3.Connection, *, now: float) -> int:
    """End every lease, as a store that one process has to itself holds none but a dead process's; how many there were."""
    newest = connection.execute("SELECT accepted_at FROM notification ORDER BY seq DESC LIMIT 1").fetchone()
    if newest is not None and newest[0] > now:  # the clock was set back in between
        set_back(connection, newest[0] - now)
    freed = 0
    for table in ("notification", "page"):
        cursor = connection.execute(
            f"UPDATE {table} SET due_at = ?, lease = 0 WHERE due_at IS NOT NULL AND lease != 0",
            (now,),
        )
        freed += cursor.rowcount
    return freed


def set_back(connection: sqlite3.Connection, seconds: float) -> None:
    """Move due times with a clock that was set back: a wait of a minute stays one, whatever the clock says.

    Leases stay: one that was given since, by the new clock, would be over, and its work pushed by two.
    """
    connection.execute(
        "UPDATE notification SET due_at = due_at - ? WHERE due_at IS NOT NULL AND lease = 0 AND state != ?",
        (seconds, State.SCHEDULED.value),
    )
    connection.execute("UPDATE page SET due_at = due_at - ? WHERE due_at IS NOT NULL AND lease = 0", (seconds,))


def expand(connection: sqlite3.Connection, work: Work, audience: Audience, *, started_at: float) -> bool:
    """Turn a leased notification into pages that are due at once; False when the lease was lost meanwhile."""
    counts = {
        platform.value: {OutcomeName.SKIPPED.value: len(doubles)} for platform, doubles in audience.skipped.items()
    }
    cursor = connection.execute(
        "UPDATE notification SET due_at = NULL, lease = 0, pages_open = ?, started_at = ?, counts = ?"
        " WHERE seq = ? AND lease = ?",
        (len(audience.pages), started_at, orjson.dumps(counts).decode(), work.seq, work.lease),
    )
    if not cursor.rowcount:
        return False
    hub = hub_id(connection, work.notification.hub)
    connection.executemany(
        "INSERT INTO page (notification, hub, platform, lane, ordinals, due_at) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (work.seq, hub, platform.value, Lane.BROADCAST.value, ordinals.serialize(), started_at)
            for platform, ordinals in audience.pages
        ],
    )
    return True
