"""Outcomes in SQL: recorded and read; each function works inside the transaction of its caller."""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence

import orjson

from hub.acceptance import DeadLetter
from hub.errors import NotFoundError
from hub.notification import Notification, Platform
from hub.outcome import NotificationDetails, OutcomeName, State, Unreached, final_state, why_unreached
from hub.store.base import PageResult, Recorded, RetryPage, Work
from hub.store.first_registry import mark_dead
from hub.store.hubs import hub_id, known_hub_id
from hub.store.letters import insert_dead_letters
from hub.store.notifications import TEMPLATE, moment, platforms_of


def record(connection: sqlite3.Connection, results: Sequence[PageResult], *, now: float) -> Recorded:
    """Outcomes, retries and dead push channels; a result whose lease was lost changes nothing."""
    plain: list[PageResult] = []
    rest: list[PageResult] = []
    for result in results:
        is_plain = result.work.page is None and not result.retries and not result.failures
        (plain if is_plain else rest).append(result)
    unreached: list[tuple[Notification, Unreached]] = []
    letters: list[DeadLetter] = []
    ended = _end_at_once(connection, plain, now, unreached, letters)
    lost = len(plain) - ended.total()
    gone = 0
    for result in rest:
        state = _record_one(connection, result, now, unreached)
        if state is None:
            lost += 1
            continue
        if state is not State.PROCESSING:
            ended[result.work.notification.hub, state] += 1
        gone += _record_failures(connection, result, now)
    insert_dead_letters(connection, letters, now)
    return Recorded(ended=ended, lost=lost, gone=gone, unreached=unreached, dead_letters=letters)


def _end_at_once(
    connection: sqlite3.Connection,
    results: Sequence[PageResult],
    now: float,
    unreached: list[tuple[Notification, Unreached]],
    letters: list[DeadLetter],
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
            if result.nobody is not None:
                unreached.append((result.work.notification, result.nobody))
            if result.dead_letter is not None:
                letters.append(result.dead_letter)
    return ended


def _record_one(
    connection: sqlite3.Connection, result: PageResult, now: float, unreached: list[tuple[Notification, Unreached]]
) -> State | None:
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
    named = _named(counts)
    state = State.PROCESSING if pages_open else final_state(named)
    if not pages_open and (why := why_unreached(named)):
        unreached.append((work.notification, why))
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
    if format_ != TEMPLATE:
        meant = frozenset([Platform(format_)])
    else:
        meant = frozenset(Platform.declared()) if platforms is None else platforms_of(platforms)
    return NotificationDetails(
        notification_id=notification_id,
        state=State(state),
        enqueued_at=moment(accepted_at),
        started_at=None if started_at is None else moment(started_at),
        ended_at=None if ended_at is None else moment(ended_at),
        body=content.decode("utf-8", "replace"),
        tags=audience or "",
        platforms=tuple(platform for platform in Platform.declared() if platform in meant),
        counts=_named(orjson.loads(counts)) if counts else {},
    )
