"""Puts, deletes and deaths in SQL: read the devices concerned, decide, write. At most six round trips each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pyroaring import BitMap

from hub.errors import HubError
from hub.installation import Installation
from hub.notification import Platform
from hub.report import RemovedDevices
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.mirrors import Found
from hub.store.contracts.outbox import Failed
from hub.store.contracts.registry import GoneChannel, RenamedChannel
from hub.store.decide.changes import Changes
from hub.store.decide.device import StoredDevice, id_key, tile_key
from hub.store.decide.registering import Registering
from hub.store.decide.tag_index import DEAD, TagChanges, key_id, tag_id, words_of
from hub.store.mirrors.statements import BY_KEY, FOUND, MARK
from hub.store.registry import statements
from hub.store.registry.places import SHARD, Ordinals, Place
from hub.store.registry.rows import channel_key, device_of, device_row
from hub.store.registry.singly import SingleWrite, take_found
from hub.store.registry.tags import (
    LogSize,
    TagSets,
    change_rows,
    change_tags,
    gone_rows,
    log_rows_of,
    new_rows,
    size_of,
    take_log,
)
from hub.tags import installation_tag, tag_key, user_tag

SLICE = 500
"""Devices that one transaction of the housekeeping drops, at most."""


class Written(NamedTuple):
    """How many ordinals were taken, from the front, and what the log of tags got."""

    taken: int
    log: LogSize


class _Taken:
    """Counts what is taken of some ordinals."""

    def __init__(self, ordinals: Ordinals) -> None:
        self._numbers = ordinals.numbers
        self.count = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.count += 1
        return self._numbers[self.count - 1]


def put_installations(
    connection: Connection,
    place: Place,
    installations: Sequence[Installation],
    ordinals: Ordinals,
    *,
    now: float,
    through: bool,
) -> Written:
    """Written `through`, to another hub too. Raises: InvalidRequestError."""
    known = _held(connection, place, installations=[each.id for each in installations])
    tiles = [tile_key(each.id, tile) for each in installations for tile in each.secondary_tiles]
    channels = [(each.platform, channel) for each in installations for channel in _channels_of(each)]
    known += _held(connection, place, registrations=tiles + _tile_keys(known), channels=channels)
    taken = _Taken(ordinals)
    registering = Registering(known, ordinals=taken, used=ordinals.used, now=now)
    for installation in installations:
        registering.put_installation(installation)
    log = _write(connection, place, registering.changes(), now, through=through)
    return Written(log=log, taken=taken.count)


def _channels_of(installation: Installation) -> list[str]:
    return [installation.push_channel, *(each.push_channel for each in installation.secondary_tiles.values())]


def _tile_keys(devices: Iterable[StoredDevice]) -> list[str]:
    return [key for each in devices for key in each.tile_keys]


def put_direct(
    connection: Connection,
    place: Place,
    channels: Sequence[tuple[Platform, str]],
    ordinals: Ordinals,
    *,
    tag: str,
    now: float,
    kept: float,
) -> Written:
    """Keep push channels for a direct send."""
    known = _held(connection, place, channels=channels)
    taken = _Taken(ordinals)
    registering = Registering(known, ordinals=taken, used=ordinals.used, now=now)
    for platform, push_channel in channels:
        registering.put_direct(platform, push_channel, tag, now + kept)
    return Written(log=_write(connection, place, registering.changes(), now), taken=taken.count)


def import_installations(
    connection: Connection,
    place: Place,
    installations: Sequence[Installation],
    ordinals: Ordinals,
    *,
    now: float,
    through: bool,
) -> Written:
    """As `put_installations`, for ids that are new: these are claimed by writing them.

    `ordinals` never were a registration's. Raises: NotNewError: an id is there already, and nothing may be kept.
    """
    known = _held(connection, place, channels=[(each.platform, each.push_channel) for each in installations])
    taken = _Taken(ordinals)
    registering = Registering(known, ordinals=taken, used=ordinals.used, now=now)
    for installation in installations:
        registering.put_installation(installation)
    changes = registering.changes()
    old = {device.ordinal for device in known}
    if any(device.ordinal in old for device in changes.put):
        raise NotNewError
    rows = [device_row(*place, device) for device in changes.put]
    log = log_rows_of(place, changes)
    added, *_ = connection.write_all(
        [
            (statements.ADD_DEVICES, rows),
            (statements.PUT_REGISTRATIONS, _registration_rows(place, changes, now)),
            (statements.PUT_BLOCKS, log),
            (statements.CHANGE_TAGS, change_rows(place, changes.tags)),
            *([(MARK, _marks(place, changes, now))] if through else []),
        ]
    )
    if added < len(rows):
        raise NotNewError
    return Written(log=size_of(log), taken=taken.count)


class NotNewError(Exception):
    """An import met what is registered already: the batch is to be put instead."""


def write_singly(
    connection: Connection,
    place: Place,
    writes: Sequence[SingleWrite],
    ordinals: Ordinals,
    *,
    now: float,
    through: bool,
) -> tuple[list[Any], Written]:
    """The answers of single writes, in order, an exception for one that was refused. `through`: see `_write`."""
    registering, taken = _registering(connection, place, writes, ordinals, now)
    answers = [_answer(write, registering) for write in writes]
    log = _write(connection, place, registering.changes(), now, through=through)
    return answers, Written(log=log, taken=taken.count)


def take_what_was_found(
    connection: Connection, place: Place, found: Sequence[Found], ordinals: Ordinals, *, began: float, now: float
) -> tuple[list[bool], Written]:
    """See `Mirrors.take_found`. The devices are held before it is looked at who waits: PostgreSQL lets no other write of
    them come between."""
    writes = [take_found(each) for each in found]
    registering, taken = _registering(connection, place, [each for each in writes if each is not None], ordinals, now)
    known = connection.read_by_keys(BY_KEY, [each.key for each in found], hub=place.hub)
    later = {key for key, _, since, *_, at in known if since is not None or at >= began}
    answers = [
        each.key not in later and (write is None or not isinstance(_answer(write, registering), HubError))
        for each, write in zip(found, writes, strict=True)
    ]
    changes = registering.changes()
    log = _write(connection, place, changes, now)
    sets = _ordinals_by_key(changes)
    rows: list[Row] = []
    for each, is_taken in zip(found, answers, strict=True):
        if is_taken:
            is_change = each.etag is not None
            own = sets.get(each.key, BitMap()).serialize()
            known_of = ("", "", "") if each.gone else (each.there, each.said, each.print)
            due = now if each.again else None
            rows.append((place.hub, each.key, due, *known_of, now, now if is_change else 0.0, own))
    connection.write_all([(FOUND, rows)])
    return answers, Written(log=log, taken=taken.count)


def _answer(write: SingleWrite, registering: Registering) -> Any:
    try:
        return write.play(registering)
    except HubError as error:
        return error


def _registering(
    connection: Connection, place: Place, writes: Sequence[SingleWrite], ordinals: Ordinals, now: float
) -> tuple[Registering, "_Taken"]:
    """With all devices that these writes name."""
    known = _held(connection, place, installations=[each.installation_id for each in writes if each.installation_id])
    named = [each.registration_id for each in writes if each.registration_id] + _tile_keys(known)
    named += [key for each in writes for key in each.tiles]
    channels = [each.channel for each in writes if each.channel] + [
        one for each in writes for one in each.tile_channels
    ]
    known += _held(connection, place, registrations=named, channels=channels)
    taken = _Taken(ordinals)
    return Registering(known, ordinals=taken, used=ordinals.used, now=now), taken


class Hidden(NamedTuple):
    """How many registrations were hidden, and the devices whose they were, by push channel."""

    registrations: int
    devices: Sequence[RemovedDevices]


def mark_dead(connection: Connection, gone: Sequence[tuple[str, Failed]], now: float) -> Hidden:
    """Hide every registration of these ones' push channels, each with its hub, from audiences, unless registered after
    `gone_since`. Three round trips for each hub.

    Rows stay for a while, so that a mistake can be undone and the question "why" answered.
    """
    by_hub: dict[str, dict[int, Failed]] = {}
    for hub, failed in gone:
        by_hub.setdefault(hub, {})[failed.ordinal] = failed
    hidden = 0
    devices: list[RemovedDevices] = []
    for hub, failures in by_hub.items():
        killed = _mark_dead_in(connection, hub, failures, now)
        hidden += killed.registrations
        devices += killed.devices
    return Hidden(hidden, devices)


def _mark_dead_in(connection: Connection, hub: str, failures: dict[int, Failed], now: float) -> Hidden:
    rows = connection.read_by_keys(statements.DEVICES_OF_SAME_CHANNEL, list(failures), name=hub, shard=SHARD)
    killed: dict[int, tuple[StoredDevice, str]] = {}
    for ordinal, number, *row in rows:
        place, device, failed = Place(number), device_of(row), failures[ordinal]
        if failed.gone_since is None or device.registered_at <= failed.gone_since:
            killed.setdefault(device.ordinal, (device, failed.reason))
    hidden = _kill(connection, place, killed, now) if killed else 0
    return Hidden(hidden, list(_removed(hub, killed.values())))


def _removed(hub: str, killed: Iterable[tuple[StoredDevice, str]]) -> Iterator[RemovedDevices]:
    by_channel: dict[tuple[Platform, str], list[tuple[StoredDevice, str]]] = {}
    for device, reason in killed:
        if not device.is_direct:
            by_channel.setdefault((device.platform, device.push_channel), []).append((device, reason))
    for (platform, _), devices in by_channel.items():
        users = {device.user_id for device, _ in devices if device.user_id}
        yield RemovedDevices(
            hub=hub,
            platform=platform,
            installations=[device.installation_id for device, _ in devices if device.installation_id is not None],
            registrations=[device.registration_id for device, _ in devices if device.registration_id is not None],
            user_id=users.pop() if len(users) == 1 else "",
            reason=devices[0][1],
        )


def mark_channels_dead(connection: Connection, place: Place, channels: Sequence[GoneChannel], now: float) -> int:
    """As `mark_dead`, of push channels by themselves."""
    gone = {(each.platform, each.push_channel): each for each in channels}
    killed: dict[int, tuple[StoredDevice, str]] = {}
    for device in _held(connection, place, channels=gone):
        said = gone.get((device.platform, device.push_channel))
        if said is None or device.dead_at is not None:
            continue
        if said.gone_since is None or device.registered_at <= said.gone_since:
            killed[device.ordinal] = device, said.reason
    return _kill(connection, place, killed, now) if killed else 0


def rename_channels(
    connection: Connection, place: Place, channels: Sequence[RenamedChannel], *, now: float, through: bool
) -> tuple[int, LogSize]:
    """How many devices have another push channel now, and what the log of tags got."""
    named = [(each.platform, channel) for each in channels for channel in (each.old, each.new)]
    registering = Registering(_held(connection, place, channels=named), ordinals=iter(()), now=now)
    renamed = sum(registering.rename_channel(each.platform, each.old, each.new) for each in channels)
    return renamed, _write(connection, place, registering.changes(), now, through=through)


def revive_devices(
    connection: Connection, place: Place, *, after: tuple[float, int], limit: int, now: float, through: bool
) -> tuple[int, tuple[float, int] | None, LogSize]:
    """Bring back a slice of the devices whose push channels are dead since `after` (a time and an ordinal).

    How many registrations live again, where the next slice begins, and what the log of tags got.
    """
    since, ordinal = after
    rows = connection.read(
        statements.DEVICES_DEAD_LISTED, hub=place.hub, shard=place.shard, since=since, after=ordinal, limit=limit
    )
    dead = [device_of(row) for row in rows]
    held = _held(connection, place, channels=[(each.platform, each.push_channel) for each in dead])
    registering = Registering(held, ordinals=iter(()), now=now)
    revived = sum(registering.revive(each) for each in dead)
    log = _write(connection, place, registering.changes(), now, through=through)
    behind = (dead[-1].dead_at or 0.0, dead[-1].ordinal) if len(rows) == limit else None
    return revived, behind, log


def _kill(connection: Connection, place: Place, killed: Mapping[int, tuple[StoredDevice, str]], now: float) -> int:
    """How many registrations that hides."""
    connection.update_many(
        statements.KILL_DEVICES, [(*place, ordinal, now, reason) for ordinal, (_, reason) in killed.items()]
    )
    changes = TagChanges()
    hidden = 0
    for device, _ in killed.values():
        ordinals = [each for each, _ in device.registrations()]
        changes.add([([DEAD], words_of(ordinals))])
        hidden += len(ordinals)
    change_tags(connection, place, changes)
    return hidden


def drop_earlier(connection: Connection, place: Place, *, before: float) -> None:
    """Forget which templates registrations had until then."""
    connection.write(statements.DROP_EARLIER, hub=place.hub, shard=place.shard, before=before)


def are_due(connection: Connection, place: Place, *, before: float, now: float) -> bool:
    """Whether `drop_dead` finds any."""
    hub, shard = place
    return bool(
        connection.read(statements.DEVICES_DEAD, hub=hub, shard=shard, before=before, limit=1)
        or connection.read(statements.DEVICES_EXPIRED, hub=hub, shard=shard, now=now, limit=1)
    )


def drop_dead(connection: Connection, place: Place, *, before: float, now: float) -> int:
    """Forget a slice of devices whose push channel died before, or that have expired; how many, of each up to a slice.

    The tags that only they carried are forgotten too.
    """
    hub, shard = place
    rows = connection.read(statements.DEVICES_DEAD, hub=hub, shard=shard, before=before, limit=SLICE)
    rows += connection.read(statements.DEVICES_EXPIRED, hub=hub, shard=shard, now=now, limit=SLICE - len(rows))
    devices = {row[0]: device_of(row) for row in rows}
    _drop(connection, place, devices.values(), now)
    return len(rows)


def erase_user(
    connection: Connection, place: Place, user_id: str, *, limit: int, now: float, through: bool
) -> tuple[int, bool, list[str]]:
    """Delete up to `limit` devices of a user; how many registrations that were, whether there are more, and the ids of
    the installations.

    The tags that only they carried are forgotten too; hashes of the user and the installations stay in the index until
    `forget_users`.
    """
    tag = tag_id(user_tag(user_id))
    connection.read(statements.HOLD_INDEX, hub=place.hub, shard=place.shard)
    sets = TagSets(connection, place)
    sets.load([tag])
    ordinals = sets.members(tag)
    rows = connection.read_by_keys(
        statements.DEVICES_BY_ORDINAL, list(ordinals[:limit]), hub=place.hub, shard=place.shard
    )
    devices = {row[1]: device_of(row[1:]) for row in rows}
    _drop(connection, place, devices.values(), now, through=through)
    count = sum(1 for device in devices.values() for _ in device.registrations())
    ids = [device.installation_id for device in devices.values() if device.installation_id is not None]
    return count, len(ordinals) > limit, ids


def forget_users(connection: Connection, place: Place, user_id: str, installation_ids: Iterable[str]) -> None:
    """Drop what the index holds of a user that was erased, and of the user's installations, unless they are back."""
    keys = [tag_key(tag) for tag in (user_tag(user_id), *map(installation_tag, installation_ids))]
    tags = [key_id(key) for key in keys]
    connection.read(statements.HOLD_INDEX, hub=place.hub, shard=place.shard)
    log = take_log(connection, place, {tag[0] >> 4 for tag in tags})
    connection.write_all(
        [(statements.ADD_NEW, new_rows(place, log.new)), (statements.CHANGE_TAGS, gone_rows(place, log.gone))]
    )
    sets = TagSets(connection, place)
    sets.load(tags, keys)
    gone = [(*place, tag) for tag in tags if not sets.members(tag)]
    connection.write_all([(statements.DROP_CHANGES, gone), (statements.DROP_BLOCKS, gone)])


def _drop(
    connection: Connection, place: Place, devices: Iterable[StoredDevice], now: float, *, through: bool = False
) -> None:
    """Of the tags that they lose, those that no other device carries are forgotten. Tiles go with their installation.

    What the log says of these tags, and of others in the same parts, goes into the index first: what is dropped there must
    not come back out of the log.
    """
    by_ordinal = {device.ordinal: device for device in devices}
    by_ordinal |= {
        each.ordinal: each for each in _held(connection, place, registrations=_tile_keys(by_ordinal.values()))
    }
    registering = Registering(by_ordinal.values(), ordinals=iter(()), now=now, at_once=True)
    for device in by_ordinal.values():
        registering.drop(device)
    changes = registering.changes()
    log = take_log(connection, place, {tag[0] >> 4 for tag in changes.tags.removed})
    lost = [(*place, tag, word) for tag, word, _, removed in changes.tags.rows() if removed]
    for tag, words in log.gone.items():
        changes.tags.removed[tag] += words
    _write(connection, place, changes, now, brought_up=new_rows(place, log.new), lost=lost, through=through)


def _write(
    connection: Connection,
    place: Place,
    changes: Changes,
    now: float,
    *,
    brought_up: Sequence[Row] = (),
    lost: Sequence[Row] = (),
    through: bool = False,
) -> LogSize:
    """What the log of tags got. Written `through`, the devices wait to be written to another hub from now on."""
    log = log_rows_of(place, changes)
    connection.write_all(
        [
            # First: an id that was dropped may have been put again since.
            (statements.DROP_DEVICES, [(*place, device.ordinal) for device in changes.dropped]),
            (statements.PUT_DEVICES, [device_row(*place, device) for device in changes.put]),
            (statements.PUT_REGISTRATIONS, _registration_rows(place, changes, now)),
            (statements.PUT_EARLIER, [(*place, ordinal, now, template) for ordinal, template in changes.earlier]),
            (statements.PUT_BLOCKS, log),
            (statements.ADD_NEW, brought_up),
            (statements.CHANGE_TAGS, change_rows(place, changes.tags)),
            (statements.FORGET_TAGS, lost),
            *([(MARK, _marks(place, changes, now))] if through else []),
        ]
    )
    return size_of(log)


def _marks(place: Place, changes: Changes, now: float) -> list[Row]:
    """Rows of `MARK`. They are in one order, so that two transactions wait for each other in one direction alone."""
    return [(place.hub, key, now, own.serialize()) for key, own in sorted(_ordinals_by_key(changes).items())]


def _ordinals_by_key(changes: Changes) -> dict[str, BitMap]:
    """The registrations of what was put or dropped, by the key that a mirror knows it by; a tile is its installation's."""
    found: dict[str, BitMap] = {}
    for device in (*changes.dropped, *changes.put):
        if not device.is_direct:
            found.setdefault(device.key, BitMap()).update(ordinal for ordinal, _ in device.registrations())
    return found


def _registration_rows(place: Place, changes: Changes, now: float) -> list[Row]:
    hub, shard = place
    rows: list[Row] = [(hub, shard, *registration, None) for registration in changes.registrations]
    return rows + [(hub, shard, ordinal, None, None, now) for ordinal in changes.freed]


def _held(
    connection: Connection,
    place: Place,
    *,
    installations: Iterable[str] = (),
    registrations: Iterable[str] = (),
    channels: Iterable[tuple[Platform, str]] = (),
) -> list[StoredDevice]:
    """The devices with one of these ids or push channels, for writing them: one round trip. One may be there twice."""
    reads: list[tuple[Statement, Sequence[Any]]] = [
        (statements.HELD_BY_INSTALLATION, list({id_key(each) for each in installations})),
        (statements.HELD_BY_REGISTRATION, list(set(registrations))),
        (statements.HELD_BY_CHANNEL, list({channel_key(*each) for each in channels})),
    ]
    found = connection.read_all_by_keys(reads, hub=place.hub, shard=place.shard)
    return [device_of(row) for rows in found for row in rows]
