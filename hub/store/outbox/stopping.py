"""A notification ended by an operator, whoever owns its queue and those of its pages."""

from collections.abc import Sequence
from typing import NamedTuple

from hub.notification import Notification
from hub.outcome import State
from hub.report import EndedNotification, Reporter
from hub.store.connection import Connection, Row, Statement
from hub.store.decide.recording import Counts, added
from hub.store.outbox.clearing import clear_writes
from hub.store.outbox.summing import COUNTS
from hub.store.rows import counts_of, counts_text, notification_of
from hub.store.sinks.writing import report_write
from hub.store.telemetry.browsing import SENT

STOP = Statement(
    "notification.stop",
    "UPDATE notification SET state = :cancelled, due = NULL, ended_at = :now"
    " WHERE id = :id AND ended_at IS NULL RETURNING queue, n, hub, counts, sensitive",
)
STOP_PAGES = Statement(
    "page.stop",
    "UPDATE page SET due = NULL WHERE home = :queue AND notification = :n AND due IS NOT NULL",
)
STOPPED_COUNTS = Statement(
    "notification.stopped_counts", "UPDATE notification SET counts = :counts WHERE queue = :queue AND n = :n"
)


class Stopped(NamedTuple):
    """A notification that was ended, and what was recorded of its pushes until then."""

    hub: str
    counts: Counts


class Cancelled(NamedTuple):
    """Who is told that a notification was cancelled, by whom; nobody without a `reporter`."""

    notification: Notification | None
    reporter: Reporter | None
    actor: str

    @property
    def numbers(self) -> int:
        """How many the reports need."""
        if self.notification is None or self.reporter is None:
            return 0
        return len(self.reporter.sinks_of(self.notification))

    def writes(
        self, counts: Counts, numbers: Sequence[int], *, queue: int, now: float
    ) -> list[tuple[Statement, Sequence[Row]]]:
        """The reports, for `write_all`; `counts` are what was recorded of its pushes."""
        if self.notification is None or self.reporter is None:
            return []
        about = EndedNotification(
            notification=self.notification, state=State.CANCELLED, counts=counts, at=now, actor=self.actor
        )
        reports = self.reporter.reports_of(about)
        return [report_write(reports, iter(numbers), queue=queue, now=now)] if reports else []


def find(connection: Connection, notification_id: str) -> Notification | None:
    """What is to be ended, for reports of it; None: there is no such one."""
    rows = connection.read(SENT, id=bytes.fromhex(notification_id))
    return notification_of(rows[0][1:]) if rows else None


def stop(connection: Connection, notification_id: str, *, now: float) -> Stopped | None:
    """End a notification and all its pages, with what is recorded of them; None where it had ended.

    What owners have in hand of it they record no more.
    """
    rows = connection.write(STOP, id=bytes.fromhex(notification_id), cancelled=State.CANCELLED.value, now=now)
    if not rows:
        return None
    queue, n, hub, own, sensitive = rows[0]
    connection.write(STOP_PAGES, queue=queue, n=n)  # waits for records under way: the next statement sees them
    counts: Counts = counts_of(own)
    for _, _, text, _ in connection.read_many(COUNTS, [(queue, n)]):
        if text:
            counts = added(counts, counts_of(text))
    connection.write(STOPPED_COUNTS, queue=queue, n=n, counts=counts_text(counts))
    if sensitive:
        connection.write_all(clear_writes([(queue, n)]))
    return Stopped(hub, counts)
