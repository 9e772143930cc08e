"""Reports into rows, within the transaction of what they tell of."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hub.notification import Notification
from hub.people import person_key
from hub.report import EndedNotification, Report, Reporter
from hub.store.connection import Row, Statement

INSERT = Statement(
    "sink.insert",
    "INSERT INTO sink (n, queue, sink, at, due, body, content_type, person)"
    " VALUES (:n, :queue, :sink, :at, :at, :body, :content_type, :person)",
    columns=(
        ("n", "bigint"),
        ("queue", "bigint"),
        ("sink", "text"),
        ("at", "double precision"),
        ("body", "bytea"),
        ("content_type", "text"),
        ("person", "text"),
    ),
)


def report_write(
    reports: Iterable[Report], numbers: Iterator[int], *, queue: int, now: float
) -> tuple[Statement, Sequence[Row]]:
    """The rows of new reports, for `write_all`; `numbers` are their own."""
    return INSERT, [
        (
            next(numbers),
            queue,
            report.sink,
            now,
            report.body,
            report.content_type,
            person_key(report.person) if report.person else None,
        )
        for report in reports
    ]


def numbers_needed(ending: Iterable[tuple[int, Notification]], reporter: Reporter | None) -> Mapping[int, int]:
    """How many numbers the reports of notifications take that end, each with its queue; by queue."""
    needed = Counter[int]()
    if reporter is not None:
        for queue, notification in ending:
            needed[queue] += len(reporter.sinks_of(notification))
    return +needed


def ended_writes(
    ended: Iterable[tuple[int, EndedNotification]],
    numbers: Mapping[int, range],
    reporter: Reporter | None,
    *,
    now: float,
) -> list[tuple[Statement, Sequence[Row]]]:
    """The reports of notifications that end, each with its queue, for `write_all`."""
    if reporter is None:
        return []
    reports: dict[int, list[Report]] = {}
    for queue, about in ended:
        reports.setdefault(queue, []).extend(reporter.reports_of(about))
    return [
        report_write(of_queue, iter(numbers[queue]), queue=queue, now=now)
        for queue, of_queue in reports.items()
        if of_queue
    ]
