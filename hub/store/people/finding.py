"""What is kept of a person, in SQL: by the person's key, by the tag of the user, and by the tags of the user's phones."""

import base64
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import orjson
from pyroaring import BitMap

from hub.people import installation_person
from hub.registry.documents import document_of
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.people import Kept, KeptOfPerson
from hub.store.decide.device import StoredDevice
from hub.store.decide.tag_index import tag_id
from hub.store.registry import statements
from hub.store.registry.places import Place, read_templates
from hub.store.registry.rows import device_of, installation_of, registration_of
from hub.store.registry.tags import TagSets
from hub.tags import user_tag
from hub.target import StoredTemplate

_KEYS = (("person", "text"),)
_MINE = "queue = :queue AND person IN (:keys)"

_NOTIFICATION = (
    "t.n, t.id, t.hub, t.source, t.event_id, t.rule, t.audience, t.format, t.content, t.headers, t.priority,"
    " t.collapse_key, t.state, t.accepted_at, t.schedule_at, t.expires_at, t.started_at, t.ended_at, t.counts,"
    " t.content_size"
)
_LETTER = (
    "t.n, t.at, t.source, t.event_id, t.rule, t.stage, t.reason, t.detail, t.content_type, t.headers, t.tries, t.trace,"
    " t.envelope, t.relay, t.replayed_at, t.replay, b.body, t.withheld"
)
_EVENT = "t.n, t.at, t.source, t.event_id, t.outcome, t.detail, t.content, t.trace"
_SINK = "t.n, t.at, t.sink, t.due, t.attempt, t.body, t.content_type, t.headers"

_REPORT = "t.n, t.at, t.hub, t.platform, t.phone, t.event, t.action, e.id"
_SUBSCRIPTION = "t.n, t.hub, t.phone, t.topics, t.at, p.registration, p.sign_in, p.changed_at, p.expires_at"

_NEXT = " AND t.n > :after ORDER BY t.n LIMIT :limit"
_OF_ADDRESSEES = (
    "FROM addressee a JOIN notification t ON t.queue = a.queue AND t.n = a.notification"
    " WHERE a.queue = :queue AND a.person IN (:keys)"
)
NOTIFICATIONS = Statement(
    "person.notifications",
    f"SELECT {_NOTIFICATION} FROM notification t WHERE t.queue = :queue AND t.person IN (:keys){_NEXT}",
    _KEYS,
)
ADDRESSED = Statement("person.addressed", f"SELECT {_NOTIFICATION} {_OF_ADDRESSEES}{_NEXT}", _KEYS)
LETTERS = Statement(
    "person.letters",
    f"SELECT {_LETTER} FROM dead_letter t JOIN dead_letter_body b ON b.digest = t.digest"
    f" WHERE t.queue = :queue AND t.person IN (:keys){_NEXT}",
    _KEYS,
)
SUBSCRIPTIONS = Statement(
    "person.subscriptions",
    f"SELECT {_SUBSCRIPTION} FROM subscription t"
    " LEFT JOIN phone p ON p.hub = t.hub AND p.phone = t.phone AND p.person = t.person"
    f" WHERE t.person IN (:keys){_NEXT}",
    _KEYS,
)
EVENTS = Statement(
    "person.events", f"SELECT {_EVENT} FROM journal t WHERE t.queue = :queue AND t.person IN (:keys){_NEXT}", _KEYS
)
REPORTS = Statement(
    "person.reports",
    f"SELECT {_REPORT} FROM report t LEFT JOIN notification e ON e.queue = t.queue AND e.n = t.notification"
    f" WHERE t.queue = :queue AND t.person IN (:keys){_NEXT}",
    _KEYS,
)
SINKS = Statement(
    "person.sinks", f"SELECT {_SINK} FROM sink t WHERE t.queue = :queue AND t.person IN (:keys){_NEXT}", _KEYS
)
COUNTS = {
    Kept.SUBSCRIPTION: [
        Statement("person.count_subscriptions", "SELECT count(*) FROM subscription WHERE person IN (:keys)", _KEYS)
    ],
    Kept.NOTIFICATION: [
        Statement("person.count_notifications", f"SELECT count(*) FROM notification WHERE {_MINE}", _KEYS),
        Statement(
            "person.count_addressed",
            f"SELECT count(*) {_OF_ADDRESSEES} AND (t.person IS NULL OR t.person <> a.person)",
            _KEYS,
        ),
    ],
    Kept.DEAD_LETTER: [Statement("person.count_letters", f"SELECT count(*) FROM dead_letter WHERE {_MINE}", _KEYS)],
    Kept.EVENT: [Statement("person.count_events", f"SELECT count(*) FROM journal WHERE {_MINE}", _KEYS)],
    Kept.REPORT: [Statement("person.count_reports", f"SELECT count(*) FROM report WHERE {_MINE}", _KEYS)],
    Kept.SINK: [Statement("person.count_sinks", f"SELECT count(*) FROM sink WHERE {_MINE}", _KEYS)],
}


class _Table(NamedTuple):
    """How rows of a kind are read, each by statements of its own, and what their columns are called. `taken_out` are the
    column of what may be taken out before its row goes, the column of how large that was, and what a person reads of it."""

    statements: Sequence[Statement]
    columns: str
    taken_out: tuple[str, str, str] | None = None


_TABLES = {
    Kept.SUBSCRIPTION: _Table([SUBSCRIPTIONS], _SUBSCRIPTION),
    Kept.NOTIFICATION: _Table(
        [NOTIFICATIONS, ADDRESSED], _NOTIFICATION, ("content", "content_size", "content_cleared")
    ),
    Kept.DEAD_LETTER: _Table([LETTERS], _LETTER, ("body", "withheld", "body_withheld")),
    Kept.EVENT: _Table([EVENTS], _EVENT),
    Kept.REPORT: _Table([REPORTS], _REPORT),
    Kept.SINK: _Table([SINKS], _SINK),
}
_JSON = frozenset(["headers", "counts", "envelope", "topics", "sign_in"])


def queues_of(kind: Kept, queues: Sequence[int]) -> Sequence[int]:
    """Those to look into for rows of a kind: what is of no queue is found in any, once."""
    return queues[:1] if kind is Kept.SUBSCRIPTION else queues


def count(connection: Connection, queues: Sequence[int], keys: Sequence[str]) -> dict[Kept, int]:
    """Rows of work and of what is known afterwards."""
    return {
        kind: sum(
            number
            for each, queue in product(counts, queues_of(kind, queues))
            for (number,) in connection.read_by_keys(each, keys, queue=queue)
        )
        for kind, counts in COUNTS.items()
    }


def rows(
    connection: Connection, queue: int, kind: Kept, keys: Sequence[str], *, after: int, limit: int
) -> list[tuple[int, KeptOfPerson]]:
    """The next up to `limit` rows of a kind, by their numbers; devices are read by `devices`."""
    table = _TABLES[kind]
    names = [column.strip().partition(".")[2] for column in table.columns.split(",")]
    found: dict[int, Row] = {}
    for statement in table.statements:
        found |= {
            row[0]: row for row in connection.read_by_keys(statement, keys, queue=queue, after=after, limit=limit)
        }
    return [
        (
            n,
            KeptOfPerson(
                kind=kind,
                content=_told({name: _plain(name, value) for name, value in zip(names, row, strict=True)}, table),
            ),
        )
        for n, row in sorted(found.items())[:limit]
    ]


def _told(content: dict[str, Any], table: _Table) -> dict[str, Any]:
    """A row whose content was taken out says so, and how many bytes it had, in the place of the content."""
    if table.taken_out is None:
        return content
    name, size_name, said = table.taken_out
    size = content.pop(size_name)
    if size is None:
        return {**content, said: False}
    return {**content, name: None, said: True, f"{name}_size": size}


def _plain(name: str, value: Any) -> Any:
    """A column as JSON types."""
    if isinstance(value, bytes):
        if name == "id":
            return value.hex()
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    return orjson.loads(value) if name in _JSON and value else value


# Devices


def ordinals_of(connection: Connection, place: Place, person: str) -> BitMap:
    """Registrations of a user in a hub, dead and expired ones too."""
    tag = tag_id(user_tag(person))
    sets = TagSets(connection, place)
    sets.load([tag])
    return sets.members(tag)


def devices_of(
    connection: Connection, place: Place, person: str, *, after: int, limit: int
) -> tuple[list[StoredDevice], int]:
    """Devices of a user in a hub, of up to `limit` registrations behind an ordinal, and the last of these; 0: no more."""
    ordinals = ordinals_of(connection, place, person)
    first = ordinals.rank(after)
    chosen = list(ordinals[first : first + limit])
    found = connection.read_by_keys(statements.DEVICES_BY_ORDINAL, chosen, hub=place.hub, shard=place.shard)
    # The registration that a device is named by carries the user's tag as all its others do.
    devices = [device_of(row[1:]) for row in sorted(found) if row[0] == row[1]]
    return devices, chosen[-1] if len(chosen) == limit else 0


def installation_people(
    connection: Connection, place: Place, person: str, *, after: int, limit: int
) -> tuple[list[str], int]:
    """Keys of what is for one installation of a user alone; the rest as `devices_of`."""
    devices, last = devices_of(connection, place, person, after=after, limit=limit)
    return [
        installation_person(each.installation_id)
        for each in devices
        if each.installation_id is not None and not each.is_tile
    ], last


def devices(
    connection: Connection, hub: str, place: Place, person: str, *, after: int, limit: int
) -> tuple[list[KeptOfPerson], int]:
    """As `devices_of`, to be read by the person."""
    found, last = devices_of(connection, place, person, after=after, limit=limit)
    templates = read_templates(connection, (template.template for each in found for template in each.templates))
    return [KeptOfPerson(kind=Kept.DEVICE, content=_device(hub, each, templates)) for each in found], last


def _device(hub: str, device: StoredDevice, templates: Mapping[int, StoredTemplate]) -> dict[str, Any]:
    known: dict[str, Any] = {"hub": hub, "registered_at": device.registered_at}
    if device.dead_at is not None:
        known |= {"dead_at": device.dead_at, "dead_reason": device.dead_reason}
    if device.installation_id is not None and not device.is_tile:
        return {**known, **document_of(installation_of(device, templates))}
    registration = registration_of(device, device.ordinal, templates)
    template = registration.template
    return {
        **known,
        "registrationId": registration.registration_id,
        **({} if registration.secondary_tile is None else {"secondaryTileName": registration.secondary_tile}),
        "platform": registration.platform.value,
        "pushChannel": registration.push_channel,
        "tags": list(registration.tags),
        "template": None if template is None else {"name": registration.template_name, "body": template.body},
        "pushVariables": dict(registration.push_variables),
        "expires_at": device.expires_at,
    }
