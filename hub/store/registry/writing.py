"""Changes of the registry: read the devices that a change may concern, decide, write. Three to five round trips each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hub.installation import Installation, Registration, Template
from hub.store.connection import Connection, Row
from hub.store.contracts.outbox import Failed
from hub.store.decide.registering import Changes, Registering, StoredDevice, id_key, template_id
from hub.store.registry import statements
from hub.store.registry.index import Place
from hub.store.registry.rows import channel_key, device_of, device_row, template_row

SHARD = 0
"""A hub has one shard in this version."""


def put_installations(
    connection: Connection,
    place: Place,
    installations: Sequence[Installation],
    ordinals: Iterator[int],
    *,
    now: float,
) -> None:
    """Create or replace documents and what derives from them. Raises: InvalidRequestError."""
    where = place._asdict()
    known = [
        *connection.read_by_keys(
            statements.DEVICES_BY_INSTALLATION, [id_key(one.id) for one in installations], **where
        ),
        *connection.read_by_keys(
            statements.DEVICES_BY_CHANNEL,
            [channel_key(one.platform, one.push_channel) for one in installations],
            **where,
        ),
    ]
    registering = Registering(map(device_of, known), ordinals=ordinals, now=now)
    for installation in installations:
        registering.put_installation(installation)
    made = (template for one in installations for template in one.templates.values())
    write(connection, place, registering.changes(), templates=made, now=now)


def put_registration(
    connection: Connection,
    place: Place,
    registration: Registration,
    registration_id: str,
    if_match: int | None,
    ordinals: Iterator[int],
    *,
    now: float,
) -> Registration:
    """Create or replace a single registration. Raises: NotFoundError, PreconditionError."""
    where = place._asdict()
    known = [
        *connection.read_by_keys(statements.DEVICES_BY_REGISTRATION, [registration_id], **where),
        *connection.read_by_keys(
            statements.DEVICES_BY_CHANNEL, [channel_key(registration.platform, registration.push_channel)], **where
        ),
    ]
    registering = Registering(map(device_of, known), ordinals=ordinals, now=now)
    stored = registering.put_registration(registration, registration_id, if_match)
    made = () if registration.template is None else (registration.template,)
    write(connection, place, registering.changes(), templates=made, now=now)
    return stored


def delete_installation(connection: Connection, place: Place, installation_id: str, *, now: float) -> bool:
    """Whether there was one."""
    rows = connection.read_by_keys(statements.DEVICES_BY_INSTALLATION, [id_key(installation_id)], **place._asdict())
    registering = Registering(map(device_of, rows), ordinals=iter(()), now=now)
    was_there = registering.drop_installation(installation_id)
    write(connection, place, registering.changes(), now=now)
    return was_there


def delete_registration(
    connection: Connection, place: Place, registration_id: str, if_match: int | None, *, now: float
) -> None:
    """Raises: NotFoundError, PreconditionError."""
    rows = connection.read_by_keys(statements.DEVICES_BY_REGISTRATION, [registration_id], **place._asdict())
    registering = Registering(map(device_of, rows), ordinals=iter(()), now=now)
    registering.drop_registration(registration_id, if_match)
    write(connection, place, registering.changes(), now=now)


def drop(connection: Connection, place: Place, devices: Iterable[StoredDevice], *, now: float) -> int:
    """Forget these devices; how many registrations they were."""
    known = list({device.ordinal: device for device in devices}.values())
    registering = Registering(known, ordinals=iter(()), now=now)
    for device in known:
        registering.drop(device)
    changes = registering.changes()
    write(connection, place, changes, now=now)
    return len(changes.freed)


def mark_dead(connection: Connection, hub: str, gone: Sequence[Failed], *, now: float) -> int:
    """Hide the devices of these registrations' push channels, but for those registered since; how many registrations."""
    failures: Mapping[int, Failed] = {failed.ordinal: failed for failed in gone}
    rows = connection.read_by_keys(statements.DEVICES_OF_SAME_CHANNEL, list(failures), name=hub, shard=SHARD)
    if not rows:
        return 0
    place = Place(rows[0][1], SHARD)
    devices = {row[2]: device_of(row[2:]) for row in rows}
    registering = Registering(devices.values(), ordinals=iter(()), now=now)
    hidden = 0
    for ordinal, _, first, *_ in rows:
        failed, device = failures[ordinal], devices[first]
        if device.dead_at is None and (failed.gone_since is None or device.registered_at <= failed.gone_since):
            hidden += registering.die(device, failed.reason or failed.outcome.value)
            device.dead_at = now  # another of its registrations may be among the rows
    write(connection, place, registering.changes(), now=now)
    return hidden


def write(
    connection: Connection, place: Place, changes: Changes, *, templates: Iterable[Template] = (), now: float
) -> None:
    """What a decision came to."""
    texts = {template_id(template): template_row(template) for template in templates}
    registrations: list[Row] = [
        (*place, ordinal, device, template, None) for ordinal, device, template in changes.registrations
    ]
    registrations += [(*place, ordinal, None, None, now) for ordinal in changes.freed]
    connection.write_all(
        [
            (statements.ADD_TEMPLATES, [(number, *row) for number, row in texts.items()]),
            (statements.DROP_DEVICES, [(*place, device.ordinal) for device in changes.dropped]),
            (statements.PUT_DEVICES, [device_row(*place, device) for device in changes.put]),
            (statements.PUT_REGISTRATIONS, registrations),
            (statements.CHANGE_TAGS, [(*place, *row) for row in changes.tags]),
        ]
    )
