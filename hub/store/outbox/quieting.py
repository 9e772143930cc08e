"""What quiet hours hold: whole notifications, and parts of them that are to be tried at a later time of day.

A notification whose hours are the same for all phones waits as a scheduled one does, before its audience is looked for. Of
the others, parts wait as pages in the lane of what is scheduled, one for each end of quiet hours and push service, however
large; when their time has come they become pages that can be sent.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pyroaring import BitMap

from hub.notification import Notification
from hub.outcome import OutcomeName, State
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.outbox import PAGE_SIZE, DroppedPart, HeldPart, QuietUsage, Service, Work
from hub.store.decide.audience import pages_of
from hub.store.outbox.opening import INSERT_PAGE, PAGE_COLUMNS, ROW_COLUMNS
from hub.store.outbox.queues import Queues
from hub.store.rows import BROADCAST, SCHEDULED, SINGLE, counts_text, service_key, service_of

SLICE = 200
"""Parts that one transaction lets go on, at most."""

HOLD = Statement(
    "notification.hold_until",
    "UPDATE notification SET state = :state, lane = :lane, service = '', due = :due, schedule_at = :due,"
    " quiet_until = :due"
    " WHERE queue = :queue AND n = :n AND due IS NOT NULL AND done = 0",
    columns=(("state", "text"), ("lane", "bigint"), ("due", "double precision"), *ROW_COLUMNS),
)
"""Out of the place of a rate or of a closed push service: what waits for a time of day is looked for in none."""
_HELD_COLUMNS = (
    *PAGE_COLUMNS,
    ("quiet_zones", "text"),
    ("quiet_count", "bigint"),
    ("quiet_service", "text"),
)
INSERT_HELD = Statement(
    "page.hold_quiet",
    f"INSERT INTO page ({', '.join(name for name, _ in _HELD_COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name, _ in _HELD_COLUMNS)})",
    columns=_HELD_COLUMNS,
)
_DROPPED_COLUMNS = (
    *_HELD_COLUMNS[:7],
    ("ordinals", "bytea"),
    ("done", "bigint"),
    ("counts", "text"),
    ("quiet_fate", "text"),
)
INSERT_DROPPED = Statement(
    "page.drop_quiet",
    f"INSERT INTO page ({', '.join(name for name, _ in _DROPPED_COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name, _ in _DROPPED_COLUMNS)})",
    columns=_DROPPED_COLUMNS,
)
DUE = Statement(
    "page.held_due",
    "SELECT number, home, notification, hub, quiet_service, attempt, ordinals, quiet_until, quiet_count FROM page"
    " WHERE queue = :queue AND lane = :waiting AND service = '' AND due <= :time_of_day ORDER BY due, number LIMIT :slice",
    columns=(("queue", "bigint"), ("waiting", "bigint"), ("time_of_day", "double precision"), ("slice", "bigint")),
)
RELEASE = Statement(
    "page.release",
    "UPDATE page SET lane = :lane, service = :service, due = :due"
    " WHERE queue = :queue AND number = :n AND lane = :waiting AND due IS NOT NULL RETURNING number",
    columns=(
        ("lane", "bigint"),
        ("service", "text"),
        ("due", "double precision"),
        *ROW_COLUMNS,
        ("waiting", "bigint"),
    ),
)
COUNT_NOTIFICATIONS = Statement(
    "notification.count_quiet",
    "SELECT hub, count(*) FROM notification WHERE queue IN (SELECT queue FROM queue WHERE owner = :owner)"
    " AND lane = :waiting AND service = '' AND due IS NOT NULL AND quiet_until IS NOT NULL GROUP BY hub",
)
COUNT_PUSHES = Statement(
    "page.count_quiet",
    "SELECT hub, sum(quiet_count) FROM page WHERE queue IN (SELECT queue FROM queue WHERE owner = :owner)"
    " AND lane = :waiting AND service = '' AND due IS NOT NULL GROUP BY hub",
)


def hold_until(connection: Connection, held: Sequence[tuple[Work, float]], queues: Queues) -> list[Work]:
    """Hold whole notifications, each until a time of day; those that were, as their queues are ours still."""
    ours = queues.still_ours(connection, {piece.queue for piece, _ in held})
    mine = [(piece, until) for piece, until in held if piece.queue in ours]
    rows = [(State.SCHEDULED.value, SCHEDULED, until, piece.queue, piece.n) for piece, until in mine]
    connection.write_all([(HOLD, rows)])
    return [piece for piece, _ in mine]


def held_row(
    part: HeldPart, *, number: int, queue: int, home: tuple[int, int], notification: Notification, attempt: int
) -> Row:
    """Of `INSERT_HELD`."""
    return (
        number,
        queue,
        *home,
        notification.hub,
        SCHEDULED,
        "",
        part.until,
        attempt,
        part.ordinals.serialize(),
        part.until,
        ", ".join(part.zones),
        len(part.ordinals),
        service_key((notification.hub, part.platform)),
    )


def dropped_row(
    part: DroppedPart, *, number: int, queue: int, home: tuple[int, int], notification: Notification
) -> Row:
    """Of `INSERT_DROPPED`: a page that has ended."""
    count = len(part.ordinals)
    return (
        number,
        queue,
        *home,
        notification.hub,
        BROADCAST,
        service_key((notification.hub, part.platform)),
        part.ordinals.serialize(),
        count,
        counts_text({part.platform: {OutcomeName.ABANDONED: count}}),
        part.fate.value,
    )


class Due(NamedTuple):
    """A part whose quiet hours have ended."""

    number: int
    home: int
    notification: int
    hub: str
    service: str
    attempt: int
    ordinals: bytes
    until: float
    pushes: int

    @property
    def page_count(self) -> int:
        """How many pages it becomes; one that fits into a page is that page itself."""
        return 0 if self.pushes <= PAGE_SIZE else -(-self.pushes // PAGE_SIZE)


class Released(NamedTuple):
    """Pages that are due now, by queue, lane and service, and the pushes in them, by hub."""

    pages: Sequence[tuple[int, int, Service]]
    pushes: Mapping[str, int]
    parts: int


def due(connection: Connection, queue: int, *, time_of_day: float) -> list[Due]:
    """A slice of the parts of a queue whose time has come, the earliest first."""
    rows = connection.read(DUE, queue=queue, waiting=SCHEDULED, time_of_day=time_of_day, slice=SLICE)
    return [Due(*row) for row in rows]


def release(
    connection: Connection,
    queue: int,
    parts: Sequence[Due],
    queues: Queues,
    numbers: range,
    deal: Callable[[int], Sequence[int]],
    *,
    now: float,
) -> Released:
    """Let parts go on: each becomes a page that is due now, or is cut into pages, in queues that `deal` says."""
    if queue not in queues.still_ours(connection, [queue]):
        return Released((), {}, 0)
    rows: list[Row] = []
    for part in parts:
        lane, due = (BROADCAST, None) if part.page_count else (SINGLE, now)
        rows.append((lane, part.service, due, queue, part.number, SCHEDULED))
    # Only what waits still: a part may have been withdrawn since it was read, and none of its pages is to be sent then.
    waiting = {number for (number,) in connection.update_many(RELEASE, rows)}
    cut: list[Row] = []
    free = iter(numbers)
    pages: list[tuple[int, int, Service]] = []
    pushes = Counter[str]()
    for part in parts:
        if part.number not in waiting:
            continue
        service = service_of(part.service)
        assert service is not None
        pushes[part.hub] += part.pushes
        if not part.page_count:
            pages.append((queue, SINGLE, service))
            continue
        ordinals = list(pages_of(BitMap.deserialize(part.ordinals), PAGE_SIZE))
        for into, each in zip(deal(len(ordinals)), ordinals, strict=True):
            key = (next(free), into, part.home, part.notification, part.hub, BROADCAST, part.service, now, part.attempt)
            cut.append((*key, each.serialize(), part.until))
            pages.append((into, BROADCAST, service))
    connection.write_all([(INSERT_PAGE, cut)])
    return Released(pages, pushes, len(waiting))


def usage(connection: Connection, owner: str) -> QuietUsage:
    """What waits in the queues of an owner."""
    return QuietUsage(
        notifications=dict(connection.read(COUNT_NOTIFICATIONS, owner=owner, waiting=SCHEDULED)),
        pushes={hub: int(count) for hub, count in connection.read(COUNT_PUSHES, owner=owner, waiting=SCHEDULED)},
    )
