"""What is past its time is dropped: a slice a transaction, so that other writes get their turn in between."""

from collections.abc import Sequence

from hub.store.connection import Connection, Row, Statement

SLICE = 500
"""Notifications and audit rows that one transaction drops, at most."""
PAGES = 1000
FAILURES = 10_000
"""A broadcast may have a failure for each phone there is, and a page for each thousand."""
AUDIT_KEPT = 400 * 24 * 3600.0
"""Seconds: what operators did stays for more than a year."""

ENDED = Statement(
    "notification.ended",
    "SELECT n FROM notification WHERE queue = :queue AND ended_at < :before ORDER BY ended_at LIMIT :slice",
)
ANY_ENDED = Statement(
    "notification.any_ended",
    "SELECT queue FROM notification WHERE queue = :queue AND ended_at < :before LIMIT 1",
    columns=(("queue", "bigint"), ("before", "double precision")),
)
ANY_AUDIT = Statement(
    "audit.any_old",
    "SELECT queue FROM audit WHERE queue = :queue AND at < :before LIMIT 1",
    columns=(("queue", "bigint"), ("before", "double precision")),
)
FAILURES_OF = Statement(
    "failure.of",
    "SELECT queue, notification, ordinal FROM failure WHERE queue = :queue AND notification IN (:keys) LIMIT :slice",
    columns=(("notification", "bigint"),),
)
PAGES_OF = Statement(
    "page.of",
    "SELECT queue, number FROM page WHERE home = :queue AND notification IN (:keys) LIMIT :slice",
    columns=(("notification", "bigint"),),
)
REPORTS_OF = Statement(
    "report.of",
    "SELECT queue, notification, phone, event, action FROM report"
    " WHERE queue = :queue AND notification IN (:keys) LIMIT :slice",
    columns=(("notification", "bigint"),),
)
DROP_REPORT = Statement(
    "report.drop",
    "DELETE FROM report WHERE queue = :queue AND notification = :notification AND phone = :phone AND event = :event"
    " AND action = :action",
    columns=(
        ("queue", "bigint"),
        ("notification", "bigint"),
        ("phone", "text"),
        ("event", "text"),
        ("action", "text"),
    ),
)
DROP_FAILURE = Statement(
    "failure.drop",
    "DELETE FROM failure WHERE queue = :queue AND notification = :notification AND ordinal = :ordinal",
    columns=(("queue", "bigint"), ("notification", "bigint"), ("ordinal", "bigint")),
)
DROP_PAGE = Statement(
    "page.drop",
    "DELETE FROM page WHERE queue = :queue AND number = :number",
    columns=(("queue", "bigint"), ("number", "bigint")),
)
DROP = Statement(
    "notification.drop",
    "DELETE FROM notification WHERE queue = :queue AND n = :n",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
DROP_ADDRESSEES = Statement(
    "addressee.drop",
    "DELETE FROM addressee WHERE queue = :queue AND notification = :n",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
DROP_APPROVALS = Statement(
    "approval.drop",
    "DELETE FROM approval WHERE queue = :queue AND notification = :n",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
DROP_FOLLOW_UPS = Statement(
    "follow_up.drop_all",
    "DELETE FROM follow_up WHERE queue = :queue AND notification = :n",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
DROP_AUDIT = Statement(
    "audit.drop",
    "DELETE FROM audit WHERE queue = :queue AND n IN"
    " (SELECT n FROM audit WHERE queue = :queue AND at < :before ORDER BY at LIMIT :slice) RETURNING n",
)


def queues_due(
    connection: Connection, queues: Sequence[int], *, before: float, now: float
) -> tuple[list[int], list[int]]:
    """Those of which notifications ended before, and those of which audit rows are too old."""
    ended = connection.read_many(ANY_ENDED, [(queue, before) for queue in queues])
    old = connection.read_many(ANY_AUDIT, [(queue, now - AUDIT_KEPT) for queue in queues])
    return [queue for (queue,) in ended], [queue for (queue,) in old]


def forget_ended(connection: Connection, queue: int, *, before: float, failures: int = FAILURES) -> bool:
    """Drop notifications that ended before, with their pages and up to so many `failures`; whether more is left."""
    ended = [n for (n,) in connection.read(ENDED, queue=queue, before=before, slice=SLICE)]
    if not ended:
        return False
    return not drop(connection, queue, ended, failures=failures) or len(ended) == SLICE


def drop(connection: Connection, queue: int, numbers: Sequence[int], *, failures: int = FAILURES) -> bool:
    """Drop notifications with all that is theirs; False: they have so much that some of it, and they, are left."""
    failed, reports = connection.read_all_by_keys(
        [(FAILURES_OF, numbers), (REPORTS_OF, numbers)], queue=queue, slice=failures
    )
    pages = connection.read_by_keys(PAGES_OF, numbers, queue=queue, slice=PAGES)
    is_whole = max(len(failed), len(reports)) < failures and len(pages) < PAGES
    rows: list[Row] = [(queue, n) for n in numbers] if is_whole else []
    of_each = [(statement, rows) for statement in (DROP_ADDRESSEES, DROP_APPROVALS, DROP_FOLLOW_UPS, DROP)]
    connection.write_all([(DROP_FAILURE, failed), (DROP_PAGE, pages), (DROP_REPORT, reports), *of_each])
    return is_whole


def forget_audit(connection: Connection, queue: int, *, now: float) -> bool:
    """Drop what operators did more than `AUDIT_KEPT` ago; whether more is left."""
    return len(connection.write(DROP_AUDIT, queue=queue, before=now - AUDIT_KEPT, slice=SLICE)) == SLICE
