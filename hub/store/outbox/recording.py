"""Pieces of pages recorded: what their results make of the rows that are open, and all that goes with it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from hub.errors import ConflictError
from hub.report import EndedNotification, RemovedDevices, Report, Reporter
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.outbox import Failed, PageResult
from hub.store.decide.recording import Failure, Key, Recording, Retry, Written, decide_recording
from hub.store.follow_ups import writing as following
from hub.store.letters.writing import letter_writes
from hub.store.outbox.clearing import clear_writes
from hub.store.outbox.opening import INSERT_PAGE, ROW_COLUMNS, bytes_of, open_rows
from hub.store.outbox.queues import Queues
from hub.store.outbox.quieting import INSERT_HELD, held_row
from hub.store.rows import LANES, STATES, counts_text, service_key
from hub.store.sinks.writing import report_write


class Hidden(Protocol):
    """How many registrations were hidden, and the devices whose they were, by push channel."""

    @property
    def registrations(self) -> int: ...

    @property
    def devices(self) -> Sequence[RemovedDevices]: ...


MarkDead = Callable[[Connection, Sequence[tuple[str, Failed]], float], Hidden]
"""Marks the push channels of failures dead, each with its hub, as of now."""

RECORD_NOTIFICATION = Statement(
    "notification.record",
    "UPDATE notification SET due = CASE WHEN :is_last = 1 THEN NULL ELSE due END, done = :done, again = :again,"
    " counts = :counts, ordinals = coalesce(:ordinals, ordinals), started_at = coalesce(started_at, :started_at),"
    " state = :state, ended_at = :ended_at"
    " WHERE queue = :queue AND n = :n AND done = :was_done AND due IS NOT NULL",
    columns=(
        ("is_last", "bigint"),
        ("done", "bigint"),
        ("again", "bytea"),
        ("counts", "text"),
        ("ordinals", "bytea"),
        ("started_at", "double precision"),
        ("state", "text"),
        ("ended_at", "double precision"),
        *ROW_COLUMNS,
        ("was_done", "bigint"),
    ),
)
RECORD_PAGE = Statement(
    "page.record",
    "UPDATE page SET due = CASE WHEN :is_last = 1 THEN NULL ELSE due END, done = :done, again = :again, counts = :counts"
    " WHERE queue = :queue AND number = :n AND done = :was_done AND due IS NOT NULL",
    columns=(
        ("is_last", "bigint"),
        ("done", "bigint"),
        ("again", "bytea"),
        ("counts", "text"),
        *ROW_COLUMNS,
        ("was_done", "bigint"),
    ),
)
RECORD_UNREACHED = Statement(
    "notification.unreached",
    "UPDATE notification SET unreached = :why, unreached_count = :count WHERE queue = :queue AND n = :n",
    columns=(("why", "text"), ("count", "bigint"), *ROW_COLUMNS),
)
"""Apart from the record: few end so, and all are recorded."""
INSERT_FAILURE = Statement(
    "failure.insert",
    "INSERT INTO failure (queue, notification, ordinal, outcome, reason, at)"
    " VALUES (:queue, :notification, :ordinal, :outcome, :reason, :at) ON CONFLICT (queue, notification, ordinal)"
    " DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason, at = excluded.at",
    columns=(
        ("queue", "bigint"),
        ("notification", "bigint"),
        ("ordinal", "bigint"),
        ("outcome", "text"),
        ("reason", "text"),
        ("at", "double precision"),
    ),
)


def record(
    connection: Connection,
    results: Sequence[PageResult],
    queues: Queues,
    numbers: range,
    *,
    queue: int,
    now: float,
    mark_dead: MarkDead,
    reporter: Reporter | None,
    trust: bool,
) -> tuple[Recording, int, set[Key]]:
    """Write what of the results is not late; how many registrations were marked dead, and which rows are not open any more.

    `numbers` are for retries, dead letters and reports; they are of `queue`, which letters and reports go into. With
    `trust` most rows are taken for as they were when they were taken, and are not read. Raises: ConflictError: a row stands
    otherwise; without `trust` another transaction came between.
    """
    trusted: set[Key] = set()
    keys = {(result.work.queue, result.work.n) for result in results}
    if trust:
        trusted = keys - {(result.work.queue, result.work.n) for result in results if result.done_before}
    rows = open_rows(connection, [result.work for result in results], queues, trusted=trusted)
    recording = decide_recording(results, rows, now=now)
    free = iter(numbers)
    if recording.written:
        reports = () if reporter is None else _reports(recording, reporter, now)
        follow_ups = () if reporter is None else following.follow_up_rows(recording.written, rows, reporter, now=now)
        _write(connection, recording, reports, follow_ups, free, queue, now)
    gone = [(failure.work.notification.hub, failure.failed) for failure in recording.failures if failure.failed.gone]
    closed = keys - rows.keys()
    if not gone:
        return recording, 0, closed
    hidden = mark_dead(connection, gone, now)
    if reporter is not None:
        of_devices = [report for one in hidden.devices for report in reporter.reports_of_devices(one, at=now)]
        if of_devices:
            connection.write_all([report_write(of_devices, free, queue=queue, now=now)])
    return recording, hidden.registrations, closed


def numbers_needed(results: Sequence[PageResult], reporter: Reporter | None) -> int:
    """At most."""
    needed = sum(len(result.retries) + (result.dead_letter is not None) for result in results)
    if reporter is not None:
        needed += sum(len(reporter.sinks_of(result.work.notification)) for result in results if result.is_last)
        gone = Counter(result.work.notification.hub for result in results for failed in result.failures if failed.gone)
        needed += sum(count * len(reporter.sinks_of_devices(hub)) for hub, count in gone.items())
    return needed


def _reports(recording: Recording, reporter: Reporter, now: float) -> list[Report]:
    """Of the notifications that end with this."""
    return [
        report
        for change in recording.written
        if change.ended_at is not None and change.state is not None
        for report in reporter.reports_of(
            EndedNotification(
                notification=change.work.notification,
                state=change.state,
                counts=change.counts,
                at=now,
                why=change.unreached,
            )
        )
    ]


def _write(
    connection: Connection,
    recording: Recording,
    reports: Sequence[Report],
    follow_ups: Sequence[Row],
    numbers: Iterator[int],
    queue: int,
    now: float,
) -> None:
    notifications = [_notification_row(change) for change in recording.written if not change.work.number]
    pages = [_page_row(change) for change in recording.written if change.work.number]
    writes: list[tuple[Statement, Sequence[Row]]] = [(RECORD_NOTIFICATION, notifications), (RECORD_PAGE, pages)]
    if unreached := [_unreached_row(change) for change in recording.written if change.unreached is not None]:
        writes.append((RECORD_UNREACHED, unreached))
    writes += clear_writes(
        (change.work.queue, change.work.n)
        for change in recording.written
        if change.ended_at is not None and change.work.notification.sensitive
    )
    if recording.retries:
        open_ = [retry for retry in recording.retries if retry.page.quiet is None]
        writes.append((INSERT_PAGE, [_retry_row(retry, next(numbers)) for retry in open_]))
        if len(open_) < len(recording.retries):
            held = [retry for retry in recording.retries if retry.page.quiet is not None]
            writes.append((INSERT_HELD, [_held_row(retry, next(numbers)) for retry in held]))
    if recording.failures:
        writes.append((INSERT_FAILURE, [_failure_row(failure, now) for failure in recording.failures]))
    if recording.dead_letters:
        writes += letter_writes(recording.dead_letters, numbers, queue=queue, now=now)
    if reports:
        writes.append(report_write(reports, numbers, queue=queue, now=now))
    if follow_ups:
        writes.append((following.INSERT, follow_ups))
    counts = connection.write_all(writes)
    if counts[:2] != [len(notifications), len(pages)]:
        raise ConflictError("another transaction recorded the same work")


def _notification_row(change: Written) -> tuple[Any, ...]:
    assert change.state is not None
    return (
        int(change.is_last),
        change.done,
        bytes_of(change.again),
        counts_text(change.counts),
        bytes_of(change.ordinals),
        change.started_at,
        STATES[change.state],
        change.ended_at,
        change.work.queue,
        change.work.n,
        change.was_done,
    )


def _unreached_row(change: Written) -> tuple[Any, ...]:
    assert change.unreached is not None
    return change.unreached.value, change.unreached_count, change.work.queue, change.work.n


def _page_row(change: Written) -> tuple[Any, ...]:
    return (
        int(change.is_last),
        change.done,
        bytes_of(change.again),
        counts_text(change.counts),
        change.work.queue,
        change.work.n,
        change.was_done,
    )


def _retry_row(retry: Retry, number: int) -> tuple[Any, ...]:
    work, page = retry.work, retry.page
    hub = work.notification.hub
    service = service_key((hub, page.platform))
    return (
        number,
        work.queue,
        *retry.home,
        hub,
        LANES[work.lane],
        service,
        retry.due,
        page.attempt,
        page.ordinals.serialize(),
        work.quiet_until or None,
    )


def _held_row(retry: Retry, number: int) -> tuple[Any, ...]:
    work, page = retry.work, retry.page
    assert page.quiet is not None
    return held_row(
        page.quiet,
        number=number,
        queue=work.queue,
        home=retry.home,
        notification=work.notification,
        attempt=page.attempt,
    )


def _failure_row(failure: Failure, now: float) -> tuple[Any, ...]:
    failed = failure.failed
    return (*failure.home, failed.ordinal, failed.outcome.value, failed.reason, now)
