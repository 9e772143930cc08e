"""A notification ended by an operator, whoever owns its queue and those of its pages."""

from hub.outcome import State
from hub.store.connection import Connection, Statement
from hub.store.decide.recording import Counts, added
from hub.store.outbox.summing import COUNTS
from hub.store.rows import counts_of, counts_text

STOP = Statement(
    "notification.stop",
    "UPDATE notification SET state = :cancelled, due = NULL, ended_at = :now"
    " WHERE id = :id AND ended_at IS NULL RETURNING queue, n, hub, counts",
)
STOP_PAGES = Statement(
    "page.stop",
    "UPDATE page SET due = NULL WHERE home = :queue AND notification = :n AND due IS NOT NULL",
)
STOPPED_COUNTS = Statement(
    "notification.stopped_counts", "UPDATE notification SET counts = :counts WHERE queue = :queue AND n = :n"
)


def stop(connection: Connection, notification_id: str, *, now: float) -> str | None:
    """End a notification and all its pages, with what is recorded of them; its hub, None where it had ended.

    What owners have in hand of it they record no more.
    """
    rows = connection.write(STOP, id=bytes.fromhex(notification_id), cancelled=State.CANCELLED.value, now=now)
    if not rows:
        return None
    queue, n, hub, own = rows[0]
    connection.write(STOP_PAGES, queue=queue, n=n)  # waits for records under way: the next statement sees them
    counts: Counts = counts_of(own)
    for _, _, text, _ in connection.read_many(COUNTS, [(queue, n)]):
        if text:
            counts = added(counts, counts_of(text))
    connection.write(STOPPED_COUNTS, queue=queue, n=n, counts=counts_text(counts))
    return str(hub)
