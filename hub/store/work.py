"""Acceptance, leasing and recording in SQL; each function works inside the transaction of its caller."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from pyroaring import BitMap

from hub.errors import NotFoundError
from hub.notification import (
    EVERYONE,
    Content,
    Everyone,
    NativeContent,
    Notification,
    Platform,
    Priority,
    TemplateContent,
)
from hub.outcome import NotificationDetails, OutcomeName, State, final_state
from hub.store.base import (
    AcceptanceResult,
    Arrival,
    Audience,
    DeadLetter,
    Lane,
    PageResult,
    QueueState,
    Recorded,
    RetryPage,
    Work,
)
from hub.store.registry import SLICE, hub_id, known_hub_id, mark_dead
from hub.store.seen import SeenWindow, remember, seen_among, seen_key
from hub.tags import MaxTags, parse

_UNLIMITED = MaxTags(only_or=10**6, only_and=10**6, mixed=10**6)
"""What is in the store was within the limits when it was accepted."""

_NOTIFICATION_COLUMNS = (
    "n.seq, h.name, n.id, n.source, n.event_id, n.rule, n.audience, n.format, n.content, n.headers, n.platforms,"
    " n.priority, n.collapse_key, n.schedule_at, n.expires_at, n.accepted_at"
)
_SELECT_PAGES = (
    f"SELECT {_NOTIFICATION_COLUMNS}, p.lease, p.id, p.platform, p.ordinals, p.attempt"
    " FROM page p JOIN notification n ON n.seq = p.notification JOIN hub h ON h.id = n.hub"
)
_TEMPLATE = "template"


# Accepting


def accept(
    connection: sqlite3.Connection,
    arrivals: Sequence[Arrival],
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
    _insert_dead_letters(connection, [letter for arrival in fresh for letter in arrival.dead_letters], now)
    notifications = [notification for arrival in fresh for notification in arrival.notifications]
    known = _known(connection, notifications)
    (seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM notification").fetchone()
    hubs: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    work: list[Work] = []
    for notification in notifications:
        key = bytes.fromhex(notification.id)
        if key in known:
            continue
        known.add(key)
        seq += 1
        if notification.hub not in hubs:
            hubs[notification.hub] = hub_id(connection, notification.hub)
        schedule_at = _seconds(notification.schedule_at)
        state, due, its_fence = State.ENQUEUED, now, 0
        if schedule_at is not None and schedule_at > now:
            state, due = State.SCHEDULED, schedule_at
        elif len(work) < lease:
            state, due, its_fence = State.PROCESSING, until, fence
            work.append(Work(seq=seq, lease=fence, notification=notification, accepted_at=now))
        rows.append(
            (seq, key, hubs[notification.hub], *_columns(notification), now, schedule_at, state.value, due, its_fence)
        )
    connection.executemany(
        "INSERT INTO notification (seq, id, hub, source, event_id, rule, audience, format, content, headers, platforms,"
        " priority, collapse_key, expires_at, accepted_at, schedule_at, state, due_at, lease)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    return AcceptanceResult(duplicates=frozenset(duplicates), work=work)


def _duplicates(
    connection: sqlite3.Connection, arrivals: Sequence[Arrival], window: SeenWindow, now: float
) -> set[int]:
    """Indices of arrivals seen before, in the store or earlier in the batch; the others are remembered.

    An arrival that notifies nobody is not remembered: repeating it does no harm, and a dead letter that was mended has to
    come through when the broker hands it out again. One without an event id (a send through the API) is known by its
    notification alone.
    """
    keyed = [
        (index, seen_key(arrival.source, arrival.event_id))
        for index, arrival in enumerate(arrivals)
        if arrival.event_id and arrival.notifications
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


def _columns(notification: Notification) -> tuple[Any, ...]:
    content = notification.content
    if isinstance(content, TemplateContent):
        format_, payload, headers = _TEMPLATE, orjson.dumps(dict(content.properties)), None
    else:
        format_, payload = content.platform.value, content.payload
        headers = orjson.dumps(dict(content.headers)).decode() if content.headers else None
    platforms = notification.platforms
    return (
        notification.source,
        notification.event_id,
        notification.rule,
        None if isinstance(notification.audience, Everyone) else str(notification.audience),
        format_,
        payload,
        headers,
        None if platforms is None else ",".join(sorted(platform.value for platform in platforms)),
        notification.priority.value,
        notification.collapse_key,
        _seconds(notification.expires_at),
    )


def _insert_dead_letters(connection: sqlite3.Connection, letters: Sequence[DeadLetter], now: float) -> None:
    connection.executemany(
        "INSERT INTO dead_letter (at, source, event_id, rule, stage, reason, detail, body, content_type, headers, tries,"
        " trace, config_hash, relay) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                now,
                letter.source,
                letter.event_id,
                letter.rule,
                letter.stage,
                letter.reason,
                letter.detail,
                letter.body,
                letter.content_type,
                orjson.dumps(dict(letter.headers)).decode(),
                letter.tries,
                letter.trace,
                letter.config_hash,
                letter.relay,
            )
            for letter in letters
        ],
    )


# Leasing


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


def _lease_notifications(
    connection: sqlite3.Connection, limit: int, *, fence: int, until: float, now: float
) -> tuple[list[Work], int]:
    rows = connection.execute(
        f"SELECT {_NOTIFICATION_COLUMNS}, n.lease FROM notification n JOIN hub h ON h.id = n.hub"
        " WHERE n.due_at <= ? ORDER BY n.due_at, n.seq LIMIT ?",
        (now, limit),
    ).fetchall()
    connection.executemany(
        "UPDATE notification SET due_at = ?, lease = ?, state = ? WHERE seq = ?",
        [(until, fence, State.PROCESSING.value, row[0]) for row in rows],
    )
    work = [Work(seq=row[0], lease=fence, notification=_notification(row), accepted_at=row[15]) for row in rows]
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
            notification=_notification(row),
            accepted_at=row[15],
            lane=lane,
            page=row[17],
            platform=Platform(row[18]),
            ordinals=BitMap.deserialize(row[19]),
            attempt=row[20],
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


def free_all(connection: sqlite3.Connection, *, now: float) -> int:
    """End every lease: for a store that one process has to itself, all of them are a dead process's."""
    freed = 0
    for table in ("notification", "page"):
        cursor = connection.execute(
            f"UPDATE {table} SET due_at = ?, lease = 0 WHERE due_at IS NOT NULL AND lease != 0",
            (now,),
        )
        freed += cursor.rowcount
    return freed


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


# Recording


def record(connection: sqlite3.Connection, results: Sequence[PageResult], *, now: float) -> Recorded:
    """Outcomes, retries and dead push channels; a result whose lease was lost changes nothing."""
    plain: list[PageResult] = []
    rest: list[PageResult] = []
    for result in results:
        is_plain = result.work.page is None and not result.retries and not result.failures
        (plain if is_plain else rest).append(result)
    ended = _end_at_once(connection, plain, now)
    lost = len(plain) - ended.total()
    gone = 0
    for result in rest:
        state = _record_one(connection, result, now)
        if state is None:
            lost += 1
            continue
        if state is not State.PROCESSING:
            ended[result.work.notification.hub, state] += 1
        gone += _record_failures(connection, result, now)
    return Recorded(ended=ended, lost=lost, gone=gone)


def _end_at_once(
    connection: sqlite3.Connection, results: Sequence[PageResult], now: float
) -> Counter[tuple[str, State]]:
    """The common case, in one statement: a notification that was its own page and went well. Returns those that ended."""
    ended = Counter[tuple[str, State]]()
    cursor = connection.cursor()
    for result in results:
        state = result.state or final_state(result.counts)
        cursor.execute(
            "UPDATE notification SET due_at = NULL, lease = 0, state = ?, started_at = ?, ended_at = ?, counts = ?,"
            " ordinals = ? WHERE seq = ? AND lease = ?",
            (
                state.value,
                result.started_at,
                now,
                _counts_text(result.counts),
                None if result.ordinals is None else result.ordinals.serialize(),
                result.work.seq,
                result.work.lease,
            ),
        )
        if cursor.rowcount:
            ended[result.work.notification.hub, state] += 1
            if result.dead_letter is not None:
                _insert_dead_letters(connection, [result.dead_letter], now)
    return ended


def _record_one(connection: sqlite3.Connection, result: PageResult, now: float) -> State | None:
    """The notification's state with this; None when the lease was lost."""
    work = result.work
    if work.page is None:
        cursor = connection.execute(
            "UPDATE notification SET due_at = NULL, lease = 0, started_at = ?, ordinals = ? WHERE seq = ? AND lease = ?",
            (
                result.started_at,
                None if result.ordinals is None else result.ordinals.serialize(),
                work.seq,
                work.lease,
            ),
        )
    else:
        cursor = connection.execute(
            "UPDATE page SET due_at = NULL, lease = 0 WHERE id = ? AND lease = ?", (work.page, work.lease)
        )
    if not cursor.rowcount:
        return None
    _insert_retries(connection, work, result.retries)
    open_before, kept = connection.execute(
        "SELECT pages_open, counts FROM notification WHERE seq = ?", (work.seq,)
    ).fetchone()
    pages_open = open_before + len(result.retries) - (work.page is not None)
    counts = _merged(orjson.loads(kept) if kept else {}, result.counts)
    state = State.PROCESSING if pages_open else final_state(_named(counts))
    connection.execute(
        "UPDATE notification SET pages_open = ?, counts = ?, state = ?, ended_at = ? WHERE seq = ?",
        (pages_open, orjson.dumps(counts).decode(), state.value, None if pages_open else now, work.seq),
    )
    return state


def _insert_retries(connection: sqlite3.Connection, work: Work, retries: Sequence[RetryPage]) -> None:
    if not retries:
        return
    hub = hub_id(connection, work.notification.hub)
    connection.executemany(
        "INSERT INTO page (notification, hub, platform, lane, ordinals, attempt, due_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                work.seq,
                hub,
                retry.platform.value,
                work.lane.value,
                retry.ordinals.serialize(),
                retry.attempt,
                retry.due_at,
            )
            for retry in retries
        ],
    )


def _record_failures(connection: sqlite3.Connection, result: PageResult, now: float) -> int:
    """Rows for pushes that did not go well, and their push channels marked dead; how many registrations that hid."""
    connection.executemany(
        "INSERT OR REPLACE INTO failure (notification, ordinal, outcome, reason, at) VALUES (?, ?, ?, ?, ?)",
        [(result.work.seq, failed.ordinal, failed.outcome.value, failed.reason, now) for failed in result.failures],
    )
    return sum(
        mark_dead(
            connection,
            failed.ordinal,
            reason=failed.reason or failed.outcome.value,
            gone_since=failed.gone_since,
            now=now,
        )
        for failed in result.failures
        if failed.gone
    )


def _merged(
    kept: dict[str, dict[str, int]], more: Mapping[Platform, Mapping[OutcomeName, int]]
) -> dict[str, dict[str, int]]:
    for platform, by_outcome in more.items():
        mine = kept.setdefault(platform.value, {})
        for outcome, count in by_outcome.items():
            mine[outcome.value] = mine.get(outcome.value, 0) + count
    return kept


def _counts_text(counts: Mapping[Platform, Mapping[OutcomeName, int]]) -> str:
    return orjson.dumps(_merged({}, counts)).decode()


def _named(counts: Mapping[str, Mapping[str, int]]) -> dict[Platform, dict[OutcomeName, int]]:
    return {
        Platform(platform): {OutcomeName(outcome): count for outcome, count in by_outcome.items()}
        for platform, by_outcome in counts.items()
    }


# Reading


def details(connection: sqlite3.Connection, hub: str, notification_id: str) -> NotificationDetails:
    """Raises: NotFoundError."""
    row = connection.execute(
        "SELECT n.state, n.accepted_at, n.started_at, n.ended_at, n.content, n.audience, n.platforms, n.format, n.counts"
        " FROM notification n WHERE n.id = ? AND n.hub = ?",
        (bytes.fromhex(notification_id), known_hub_id(connection, hub)),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"notification {notification_id} not found")
    state, accepted_at, started_at, ended_at, content, audience, platforms, format_, counts = row
    if format_ != _TEMPLATE:
        meant = frozenset([Platform(format_)])
    else:
        meant = frozenset(Platform) if platforms is None else _platforms(platforms)
    return NotificationDetails(
        notification_id=notification_id,
        state=State(state),
        enqueued_at=_moment(accepted_at),
        started_at=None if started_at is None else _moment(started_at),
        ended_at=None if ended_at is None else _moment(ended_at),
        body=content.decode("utf-8", "replace"),
        tags=audience or "",
        platforms=tuple(platform for platform in Platform if platform in meant),
        counts=_named(orjson.loads(counts)) if counts else {},
    )


def pending(connection: sqlite3.Connection) -> int:
    (notifications,) = connection.execute("SELECT count(*) FROM notification WHERE due_at IS NOT NULL").fetchone()
    (pages,) = connection.execute("SELECT count(*) FROM page WHERE due_at IS NOT NULL").fetchone()
    return int(notifications + pages)


def queue_states(connection: sqlite3.Connection, *, now: float) -> dict[Lane, QueueState]:
    tallies: dict[Lane, list[float]] = defaultdict(lambda: [0, 0, 0, 0.0])
    sources = [(Lane.SINGLE, "notification", ""), *((lane, "page", f" AND lane = '{lane.value}'") for lane in Lane)]
    for lane, table, only in sources:
        ready, leased, delayed, oldest = connection.execute(
            "SELECT coalesce(sum(lease = 0 AND due_at <= :now), 0), coalesce(sum(lease != 0), 0),"
            " coalesce(sum(lease = 0 AND due_at > :now), 0), coalesce(min(CASE WHEN lease = 0 THEN due_at END), 0)"
            f" FROM {table} WHERE due_at IS NOT NULL{only}",
            {"now": now},
        ).fetchone()
        tally = tallies[lane]
        tally[0] += ready
        tally[1] += leased
        tally[2] += delayed
        if 0 < oldest <= now:
            tally[3] = min(tally[3] or oldest, oldest)
    return {
        lane: QueueState(ready=int(ready), leased=int(leased), delayed=int(delayed), oldest_ready=oldest)
        for lane, (ready, leased, delayed, oldest) in tallies.items()
    }


def dead_letters(
    connection: sqlite3.Connection, *, limit: int, relay: str | None
) -> list[tuple[int, float, DeadLetter]]:
    """Newest first; of a relay, oldest first."""
    order = "WHERE relay = :relay ORDER BY id" if relay is not None else "ORDER BY id DESC"
    rows = connection.execute(
        "SELECT id, at, source, event_id, rule, stage, reason, detail, body, content_type, headers, tries, trace,"
        f" config_hash, relay FROM dead_letter {order} LIMIT :limit",
        {"relay": relay, "limit": limit},
    )
    return [
        (
            row[0],
            row[1],
            DeadLetter(
                source=row[2],
                event_id=row[3],
                rule=row[4],
                stage=row[5],
                reason=row[6],
                detail=row[7],
                body=row[8],
                content_type=row[9],
                headers=orjson.loads(row[10]),
                tries=row[11],
                trace=row[12],
                config_hash=row[13],
                relay=row[14],
            ),
        )
        for row in rows
    ]


# Housekeeping


def drop_ended(connection: sqlite3.Connection, *, before: float) -> int:
    """Forget up to a slice of notifications that ended before; how many."""
    rows = connection.execute("SELECT seq FROM notification WHERE ended_at < ? LIMIT ?", (before, SLICE)).fetchall()
    connection.executemany("DELETE FROM failure WHERE notification = ?", rows)
    connection.executemany("DELETE FROM page WHERE notification = ?", rows)
    connection.executemany("DELETE FROM notification WHERE seq = ?", rows)
    return len(rows)


def drop_dead_letters(connection: sqlite3.Connection, *, before: float, keep: int) -> int:
    """Forget up to a slice of dead letters that are older than `before` or beyond the newest `keep`; how many."""
    cursor = connection.execute(
        "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter WHERE at < ? OR id <= (SELECT max(id) - ?"
        " FROM dead_letter) ORDER BY id LIMIT ?)",
        (before, keep, SLICE),
    )
    return cursor.rowcount


def _notification(row: Sequence[Any]) -> Notification:
    (
        _,
        hub,
        key,
        source,
        event_id,
        rule,
        audience,
        format_,
        content,
        headers,
        platforms,
        priority,
        collapse,
        at,
        until,
        _,
    ) = row[:16]
    parsed: Content
    if format_ == _TEMPLATE:
        parsed = TemplateContent(properties=orjson.loads(content))
    else:
        parsed = NativeContent(
            platform=Platform(format_), payload=content, headers=orjson.loads(headers) if headers else {}
        )
    return Notification(
        id=key.hex(),
        hub=hub,
        audience=EVERYONE if audience is None else parse(audience, max_tags=_UNLIMITED),
        content=parsed,
        platforms=None if platforms is None else _platforms(platforms),
        schedule_at=None if at is None else _moment(at),
        expires_at=None if until is None else _moment(until),
        priority=Priority(priority),
        collapse_key=collapse,
        source=source,
        event_id=event_id,
        rule=rule,
    )


def _platforms(names: str) -> frozenset[Platform]:
    return frozenset(Platform(name) for name in names.split(",") if name)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
