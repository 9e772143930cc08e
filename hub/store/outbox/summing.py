"""Notifications whose pages have all ended: summed and ended by the owner of their queue."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from hub.errors import ConflictError
from hub.notification import Notification
from hub.outcome import State, Unreached, final_state, unreached_count, why_unreached
from hub.report import EndedNotification, Reporter
from hub.store.connection import Connection, Statement
from hub.store.decide.recording import Counts, Key, added
from hub.store.outbox.clearing import clear_writes
from hub.store.outbox.queues import Queues
from hub.store.rows import NOTIFICATION, counts_of, counts_text, notification_of
from hub.store.sinks.writing import ended_writes

_KEY = (("queue", "bigint"), ("n", "bigint"))
_HAS_NO_OPEN_PAGE = (
    "n.state = 'Processing' AND n.due IS NULL AND NOT EXISTS"
    " (SELECT 1 FROM page p WHERE p.home = n.queue AND p.notification = n.n AND p.due IS NOT NULL)"
)
ENDED = Statement(
    "notification.pages_ended",
    f"SELECT n.queue, n.n FROM notification n WHERE n.queue = :queue AND n.n = :n AND {_HAS_NO_OPEN_PAGE}",
    columns=_KEY,
)
ALL_ENDED = Statement(
    "notification.all_pages_ended",
    "SELECT n.queue, n.n FROM queue q JOIN notification n ON n.queue = q.queue"
    f" WHERE q.owner = :owner AND {_HAS_NO_OPEN_PAGE} LIMIT :limit",
)
WHOLE = Statement(
    "notification.whole",
    f"SELECT n.queue, n.n, n.counts, {NOTIFICATION} FROM notification n WHERE n.queue = :queue AND n.n = :n",
    columns=_KEY,
)
COUNTS = Statement(
    "page.counts",
    "SELECT home, notification, counts, queue FROM page WHERE home = :queue AND notification = :n",
    columns=_KEY,
)
END = Statement(
    "notification.end",
    "UPDATE notification SET state = :state, counts = :counts, ended_at = :now,"
    " unreached = :why, unreached_count = :count"
    " WHERE queue = :queue AND n = :n AND state = 'Processing' AND due IS NULL",
    columns=(
        ("state", "text"),
        ("counts", "text"),
        ("now", "double precision"),
        ("why", "text"),
        ("count", "bigint"),
        *_KEY,
    ),
)
SLICE = 500
"""Notifications that are ended together, at most."""


class Sum(NamedTuple):
    """A notification whose last page has ended."""

    key: Key
    notification: Notification
    counts: Counts


def sums(connection: Connection, keys: Collection[Key]) -> list[Sum]:
    """Of the notifications that have no open page."""
    ended = connection.read_many(ENDED, list(keys))
    counts: dict[Key, Counts] = {}
    notifications: dict[Key, Notification] = {}
    for queue, n, own, *said in connection.read_many(WHOLE, ended):
        counts[queue, n] = counts_of(own)
        notifications[queue, n] = notification_of(said)
    for home, n, text, _ in connection.read_many(COUNTS, ended):
        if text:
            counts[home, n] = added(counts[home, n], counts_of(text))
    return [Sum(key, notification, counts[key]) for key, notification in notifications.items()]


def all_ended(connection: Connection, owner: str) -> set[Key]:
    """Notifications of an owner's queues that have no open page, a slice of them."""
    return {(queue, n) for queue, n in connection.read(ALL_ENDED, owner=owner, limit=SLICE)}


def end(
    connection: Connection,
    ready: Sequence[Sum],
    queues: Queues,
    numbers: Mapping[int, range],
    *,
    now: float,
    reporter: Reporter | None,
) -> tuple[Counter[tuple[str, State]], list[tuple[Notification, Unreached, int]]]:
    """Write state and counts; those that ended by hub and state, and those that reached no phone.

    `numbers` are for reports, by queue.
    """
    ours = queues.still_ours(connection, {one.key[0] for one in ready})
    mine = [one for one in ready if one.key[0] in ours]
    rows = [(final_state(one.counts).value, counts_text(one.counts), now, *_cause(one), *one.key) for one in mine]
    reports = ended_writes(((one.key[0], _about(one, now)) for one in mine), numbers, reporter, now=now)
    cleared = clear_writes(one.key for one in mine if one.notification.sensitive)
    if connection.write_all([(END, rows), *cleared, *reports])[0] != len(rows):
        raise ConflictError("another transaction ended the same notification")
    ended = Counter((one.notification.hub, final_state(one.counts)) for one in mine)
    return ended, list(_unreached(mine))


def _about(one: Sum, now: float) -> EndedNotification:
    return EndedNotification(
        notification=one.notification,
        state=final_state(one.counts),
        counts=one.counts,
        at=now,
        why=why_unreached(one.counts),
    )


def _cause(one: Sum) -> tuple[str | None, int | None]:
    why = why_unreached(one.counts)
    return (None, None) if why is None else (why.value, unreached_count(one.counts))


def _unreached(ended: Iterable[Sum]) -> Iterable[tuple[Notification, Unreached, int]]:
    for one in ended:
        if (why := why_unreached(one.counts)) is not None:
            yield one.notification, why, unreached_count(one.counts)
