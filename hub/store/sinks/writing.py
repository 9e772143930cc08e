"""Reports into rows, within the transaction of what they tell of."""

from collections.abc import Iterable, Iterator, Sequence

from hub.people import person_key
from hub.report import Report
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
