"""What one phone was sent last: notifications whose pages have a registration of it, as they were then."""

from collections.abc import Mapping, Sequence

from pyroaring import BitMap

from hub.outcome import State
from hub.people import installation_person, person_key
from hub.phone_report import KeptReport
from hub.self_description import locale_of, time_zone_of
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.telemetry import ReceivedPush, ReceivedPushes
from hub.store.decide.device import StoredDevice
from hub.store.decide.recording import Key
from hub.store.decide.tracing import Failure, Sent, TracedNotification, answer_for
from hub.store.registry.places import Place
from hub.store.reports.reading import reports_of_phone
from hub.store.rows import NOTIFICATION, notification_of
from hub.store.telemetry.tracing import FAILURE, quiet_page_of

LOOKED_AT = 2000
"""The newest notifications of each queue that are looked at, at most, and the pages of broadcasts altogether."""
PAGES = 20_000

_ROW = (
    "n.n, n.queue, n.state, n.due, n.accepted_at, n.started_at, n.ended_at, n.ordinals, n.done, n.again, n.content_size"
)
_COLUMNS = f"{_ROW}, {NOTIFICATION}"
NEWEST = Statement(
    "notification.newest_of_hub",
    f"SELECT {_COLUMNS} FROM notification n WHERE n.queue = :queue AND n.hub = :hub AND n.started_at IS NOT NULL"
    " AND n.n > (SELECT coalesce(max(m.n), 0) FROM notification m WHERE m.queue = :queue) - :most"
    " ORDER BY n.n DESC LIMIT :most",
    columns=(("queue", "bigint"), ("hub", "text"), ("most", "bigint")),
)
OF_PERSON = Statement(
    "notification.newest_of_person",
    f"SELECT {_COLUMNS} FROM notification n WHERE n.person = :person AND n.hub = :hub AND n.queue = :queue"
    " AND n.started_at IS NOT NULL ORDER BY n.n DESC LIMIT :most",
    columns=(("person", "text"), ("hub", "text"), ("queue", "bigint"), ("most", "bigint")),
)
PAGES_OF = Statement(
    "page.received",
    "SELECT home, notification, due, attempt, ordinals, done, again, quiet_until, quiet_zones, quiet_fate, lane, queue"
    " FROM page"
    " WHERE home = :queue AND notification = :n LIMIT :most",
    columns=(("queue", "bigint"), ("n", "bigint"), ("most", "bigint")),
)
EARLIER = Statement(
    "registry_earlier_templates",
    "SELECT ordinal, until, template FROM earlier_template WHERE hub = :hub AND shard = :shard AND ordinal IN (:keys)",
    (("ordinal", "bigint"),),
)


def received(
    connection: Connection, place: Place, device: StoredDevice, hub: str, queues: Sequence[int], *, most: int
) -> ReceivedPushes:
    """The newest first."""
    ordinals = [ordinal for ordinal, _ in device.registrations()]
    mine = BitMap(ordinals)
    rows = _candidates(connection, device, hub, queues, most=most)
    pages, is_whole = _pages(connection, [(row[1], row[0]) for row in rows if row[7] is None], mine)
    found: list[tuple[Row, list[Sent]]] = []
    for row in sorted(rows, key=_when, reverse=True):
        n, queue, _, due, _, _, _, own, done, again = row[:10]
        sent = pages.get((queue, n), [])
        if own is not None and mine & (whole := Sent.of(due, 0, own, done, again)).ordinals:
            sent = [whole, *sent]
        if sent:
            found.append((row, sent))
        if len(found) == most:
            break
    earlier = _earlier(connection, place, ordinals)
    failures = _failures(connection, found, ordinals)
    said = reports_of_phone(connection, [(row[1], row[0]) for row, _ in found], device.installation_id or "")
    pushes = [push for row, sent in found for push in _of_one(device, row, sent, failures, earlier, said)]
    return ReceivedPushes(pushes=pushes, is_whole=is_whole and len(rows) < LOOKED_AT)


def _when(row: Row) -> float:
    return float(row[6] or row[5] or row[4])


def _candidates(
    connection: Connection, device: StoredDevice, hub: str, queues: Sequence[int], *, most: int
) -> list[Row]:
    """The newest of the hub, and those that name this phone or its user, however old they are."""
    people = [installation_person(device.installation_id or "")]
    people += [] if device.user_id is None else [person_key(device.user_id)]
    each = max(100, LOOKED_AT // len(queues))
    rows = connection.read_many(NEWEST, [(queue, hub, each) for queue in queues])
    rows += connection.read_many(OF_PERSON, [(person, hub, queue, most) for person in people for queue in queues])
    return list({(row[1], row[0]): row for row in rows}.values())


def _pages(
    connection: Connection, keys: Sequence[tuple[int, int]], mine: BitMap
) -> tuple[dict[tuple[int, int], list[Sent]], bool]:
    """The pages of each that have a registration of the phone; whether all pages were looked at."""
    rows = connection.read_many(PAGES_OF, [(queue, n, PAGES) for queue, n in keys[:100]]) if keys else []
    found: dict[tuple[int, int], list[Sent]] = {}
    for home, n, due, attempt, ordinals, done, again, *quiet, _ in rows[:PAGES]:
        sent = Sent.of(due, attempt, ordinals, done, again, quiet_page_of(*quiet))
        if mine & sent.ordinals:
            found.setdefault((home, n), []).append(sent)
    return found, len(rows) <= PAGES and len(keys) <= 100


def _earlier(connection: Connection, place: Place, ordinals: Sequence[int]) -> Mapping[int, list[tuple[float, int]]]:
    found: dict[int, list[tuple[float, int]]] = {}
    rows = connection.read_by_keys(EARLIER, list(ordinals), hub=place.hub, shard=place.shard)
    for ordinal, until, template in sorted(rows):
        found.setdefault(ordinal, []).append((until, template))
    return found


def _failures(
    connection: Connection, found: Sequence[tuple[Row, list[Sent]]], ordinals: Sequence[int]
) -> dict[tuple[int, int, int], Failure]:
    failures: dict[tuple[int, int, int], Failure] = {}
    for row, _ in found:
        n, queue = row[:2]
        for ordinal, outcome, reason, at in connection.read_by_keys(FAILURE, list(ordinals), queue=queue, n=n):
            failures[queue, n, ordinal] = Failure(outcome, reason, at)
    return failures


def _of_one(
    device: StoredDevice,
    row: Row,
    sent: Sequence[Sent],
    failures: Mapping[tuple[int, int, int], Failure],
    earlier: Mapping[int, Sequence[tuple[float, int]]],
    said: Mapping[Key, Sequence[KeptReport]],
) -> list[ReceivedPush]:
    """A push for each registration of the phone that the notification was for."""
    n, queue, state = row[:3]
    notification = notification_of(row[11:])
    at = _when(row)
    traced = TracedNotification(
        audience=notification.audience,
        is_template=True,
        platforms=None,
        state=State(state),
        started_at=row[5],
        sent=sent,
        quiet=notification.quiet,
    )
    names = {each.ordinal: each.name for each in device.templates}
    pushes = []
    for ordinal, template in device.registrations():
        if any(ordinal in each.ordinals for each in sent):
            answer = answer_for(traced, device, ordinal, names.get(ordinal), failures.get((queue, n, ordinal)))
            then = next((id_ for until, id_ in earlier.get(ordinal, ()) if until > at), template)
            pushes.append(
                ReceivedPush(
                    notification=notification,
                    has_content=row[10] is None,
                    at=at,
                    answer=answer.answer,
                    outcome=answer.outcome,
                    reason=answer.reason,
                    template=names.get(ordinal),
                    template_id=then,
                    platform=device.platform,
                    reports=said.get((queue, n), ()),
                    variables=frozenset(name.lower() for name in device.push_variables),
                    locale=locale_of(device.locale, device.push_variables),
                    time_zone=time_zone_of(device.time_zone, device.push_variables),
                )
            )
    return pushes
