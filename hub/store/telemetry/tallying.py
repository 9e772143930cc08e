"""What happened by the hour: summed from notifications that ended, apart from their record, and kept longer than they are.

Each notification is counted once, in the hour that it ended in: what is summed and how far are one transaction.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import orjson

from hub.errors import ConflictError
from hub.notification import Platform
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.telemetry import Tally, TallyKind

SLICE = 5000
"""Notifications of a queue that one transaction sums, about."""
LAG = 30.0
"""Seconds after its end in which a notification may still be written by a transaction that is under way."""
KEPT = 400 * 24
"""Hours for which sums are kept."""
_LOOKED_BACK = 48
"""Hours in which a count of registrations is looked for that there are none of any more."""
HOUR = 3600.0

MARKS = Statement(
    "tally.marks", "SELECT queue, until FROM tallied WHERE queue = :queue", columns=(("queue", "bigint"),)
)
NEXT = Statement(
    "notification.tally_until",
    "SELECT min(ended_at), max(ended_at) FROM (SELECT ended_at FROM notification WHERE queue = :queue AND ended_at > :since"
    " AND ended_at <= :until ORDER BY ended_at LIMIT :slice) AS next",
)
ENDED = Statement(
    "notification.tally_any",
    "SELECT queue FROM notification WHERE queue = :queue AND ended_at > :since AND ended_at <= :until"
    " ORDER BY ended_at LIMIT 1",
    columns=(("queue", "bigint"), ("since", "double precision"), ("until", "double precision")),
)
SUMS = Statement(
    "notification.tally_sums",
    "SELECT hub, state, counts, count(*) FROM notification WHERE queue = :queue AND ended_at > :since"
    " AND ended_at <= :until GROUP BY hub, state, counts",
    columns=(("queue", "bigint"), ("since", "double precision"), ("until", "double precision")),
)
_ROW = (
    ("kind", "text"),
    ("hour", "bigint"),
    ("hub", "text"),
    ("platform", "text"),
    ("name", "text"),
    ("queue", "bigint"),
    ("count", "bigint"),
)
_INSERT = (
    "INSERT INTO tally (kind, hour, hub, platform, name, queue, count)"
    " VALUES (:kind, :hour, :hub, :platform, :name, :queue, :count)"
    " ON CONFLICT (kind, hour, hub, platform, name, queue) DO UPDATE SET count = "
)
ADD = Statement("tally.add", f"{_INSERT}tally.count + excluded.count", columns=_ROW)
SET = Statement("tally.set", f"{_INSERT}excluded.count", columns=_ROW)
BEGIN = Statement(
    "tally.begin",
    "INSERT INTO tallied (queue, until) VALUES (:queue, :until) ON CONFLICT (queue) DO NOTHING RETURNING queue",
)
MOVE = Statement(
    "tally.move", "UPDATE tallied SET until = :until WHERE queue = :queue AND until = :since RETURNING queue"
)
READ = Statement(
    "tally.read",
    "SELECT kind, hour, hub, platform, name, sum(count), min(queue) FROM tally WHERE kind = :kind AND hour >= :first"
    " AND hour <= :last GROUP BY kind, hour, hub, platform, name ORDER BY hour, hub, platform, name",
    columns=(("kind", "text"), ("first", "bigint"), ("last", "bigint")),
)
FORGET = Statement("tally.forget", "DELETE FROM tally WHERE kind = :kind AND hour < :before RETURNING queue")

Key = tuple[str, int, str, str, str]
"""Kind, hour, hub, platform and name of a sum."""


def marks(connection: Connection, queues: Sequence[int]) -> dict[int, float]:
    """Until when the notifications of each queue are summed."""
    known: dict[int, float] = dict(connection.read_many(MARKS, [(queue,) for queue in queues]))
    return {queue: known.get(queue, 0.0) for queue in queues}


def queues_due(connection: Connection, queues: Sequence[int], *, until: float) -> list[int]:
    """Queues in which notifications have ended that are in no sum."""
    rows = [(queue, since, until) for queue, since in marks(connection, queues).items()]
    return [queue for (queue,) in connection.read_many(ENDED, rows)]


def fold(connection: Connection, queue: int, *, until: float) -> bool:
    """Sum a slice of what ended in a queue, of one hour; whether more may be left.

    Raises: ConflictError: another process, which has the queue now, did so at the same time.
    """
    since = marks(connection, [queue])[queue]
    summed = _next(connection, queue, since=since, until=until)
    if summed is None:
        return False
    sums, end = summed
    connection.write_all([(ADD, [(*key, queue, count) for key, count in sums.items()])])
    moved = (
        connection.write(MOVE, queue=queue, since=since, until=end)
        if since
        else connection.write(BEGIN, queue=queue, until=end)
    )
    if not moved:
        raise ConflictError("another process summed the same")
    return True


def _next(connection: Connection, queue: int, *, since: float, until: float) -> tuple[Counter[Key], float] | None:
    """The sums of the next slice, which ends within one hour, and where it ends; None where nothing ended."""
    ((first, last),) = connection.read(NEXT, queue=queue, since=since, until=until, slice=SLICE)
    if first is None:
        return None
    hour = int(first // HOUR)
    end = min(last, _end_of(hour))
    return of_rows(hour, connection.read(SUMS, queue=queue, since=since, until=end)), end


def _end_of(hour: int) -> float:
    """The last moment of an hour."""
    return math.nextafter((hour + 1) * HOUR, 0.0)


def of_rows(hour: int, rows: Sequence[Row]) -> Counter[Key]:
    """The sums of groups of notifications that ended alike in an hour."""
    sums = Counter[Key]()
    for hub, state, counts, number in rows:
        sums[TallyKind.NOTIFICATION.value, hour, hub, "", state] += number
        by_platform: Mapping[str, Mapping[str, int]] = orjson.loads(counts) if counts else {}
        for platform, by_outcome in by_platform.items():
            for outcome, count in by_outcome.items():
                sums[TallyKind.PUSH.value, hour, hub, platform, outcome] += count * number
    return sums


def operation_rows(counts: Mapping[tuple[str, str], int], *, queue: int, now: float) -> list[Row]:
    """Rows of `ADD`: how often the registry of each hub was asked for what."""
    hour = int(now // HOUR)
    return [(TallyKind.OPERATION.value, hour, hub, "", name, queue, count) for (hub, name), count in counts.items()]


def report_rows(
    hub: str, events: Mapping[tuple[str, Platform], int], value: str | None, *, queue: int, now: float
) -> list[Row]:
    """Rows of `ADD`: what phones reported, by event and platform; with `value` also by that."""
    hour = int(now // HOUR)
    rows: list[Row] = [
        (TallyKind.REPORT.value, hour, hub, platform.value, event, queue, count)
        for (event, platform), count in events.items()
    ]
    if value is not None:
        rows += [
            (TallyKind.REPORT_BY_TAG.value, hour, hub, platform.value, f"{event} {value}", queue, count)
            for (event, platform), count in events.items()
        ]
    return rows


def device_rows(
    connection: Connection, counts: Mapping[tuple[str, Platform], int], *, queue: int, now: float
) -> list[Row]:
    """Rows of `SET`: how many registrations there are in this hour; none is written once, after there were some."""
    kind, hour = TallyKind.DEVICES.value, int(now // HOUR)
    before: dict[tuple[str, str], int] = {}
    for _, _, hub, platform_name, _, count, _ in connection.read_many(READ, [(kind, hour - _LOOKED_BACK, hour)]):
        before[hub, platform_name] = count
    return [
        (kind, hour, hub, platform.value, "", queue, count)
        for (hub, platform), count in counts.items()
        if count or before.get((hub, platform.value))
    ]


def read(
    connection: Connection, queues: Sequence[int], kind: TallyKind, *, first: int, last: int, now: float
) -> list[Tally]:
    """The sums of these hours, with what ended since they were made, which is looked at as it is."""
    rows = connection.read_many(READ, [(kind.value, first, last)])
    sums = Counter[Key]({(of, hour, hub, platform, name): count for of, hour, hub, platform, name, count, _ in rows})
    if kind in (TallyKind.PUSH, TallyKind.NOTIFICATION):
        for queue, since in marks(connection, queues).items():
            while (summed := _next(connection, queue, since=since, until=now)) is not None:
                fresh, since = summed
                sums += Counter(
                    {key: n for key, n in fresh.items() if key[0] == kind.value and first <= key[1] <= last}
                )
    return [
        Tally(kind=kind, hour=hour, hub=hub, platform=platform, name=name, count=count)
        for (_, hour, hub, platform, name), count in sorted(sums.items(), key=lambda item: item[0][1:])
    ]


def forget(connection: Connection, *, now: float) -> None:
    """Drop sums that are too old."""
    for kind in TallyKind:
        connection.write(FORGET, kind=kind.value, before=int(now // HOUR) - KEPT)
