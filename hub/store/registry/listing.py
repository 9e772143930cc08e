"""What operators and the wire API read of the registry, in SQL: lists in parts, so that each costs the same."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from pyroaring import BitMap

from hub.errors import InvalidRequestError, NotFoundError
from hub.installation import Installation, Registration
from hub.notification import Audience, Everyone, Platform
from hub.store.connection import Connection, Row
from hub.store.contracts.listing import ListPage
from hub.store.contracts.registry import DeadChannel, Device, DeviceRegistration
from hub.store.decide.audience import matching
from hub.store.decide.device import StoredDevice, derived_id, id_key, ordinal_of
from hub.store.decide.registering import MOVED
from hub.store.decide.tag_index import DEAD, key_id, kind_id, tag_id
from hub.store.registry import statements
from hub.store.registry.places import Place, read_templates
from hub.store.registry.rows import (
    CHANNEL_END,
    channel_key,
    device_of,
    installation_of,
    packed_ends,
    registration_of,
)
from hub.store.registry.tags import TagSets
from hub.tags import tag_key, tag_keys

_ALL_KINDS = ("native", "template")
_LAST_CHARACTER = "\U0010ffff"
"""Texts are compared by their bytes: what begins with a text comes before the text and this."""


def get_device(connection: Connection, place: Place, installation_id: str, *, now: float) -> StoredDevice | None:
    """None: there is none, or it has expired."""
    rows = connection.read_by_keys(
        statements.DEVICES_BY_INSTALLATION, [id_key(installation_id)], hub=place.hub, shard=place.shard
    )
    found = [device_of(row) for row in rows]
    return next((each for each in found if each.installation_id == installation_id and _is_current(each, now)), None)


def get_installation(connection: Connection, place: Place, installation_id: str, *, now: float) -> Installation:
    """Raises: NotFoundError."""
    found = get_device(connection, place, installation_id, now=now)
    if found is None:
        raise NotFoundError("Installation not found.")
    tiles = tiles_of(connection, place, [found])
    return installation_of(found, read_templates(connection, _templates_of([found, *tiles])), tiles)


def tiles_of(connection: Connection, place: Place, devices: Iterable[StoredDevice]) -> list[StoredDevice]:
    """The secondary tiles that installations have."""
    keys = [key for each in devices for key in each.tile_keys]
    rows = connection.read_by_keys(statements.DEVICES_BY_REGISTRATION, keys, hub=place.hub, shard=place.shard)
    return [device_of(row) for row in rows]


def get_registration(connection: Connection, place: Place, registration_id: str, *, now: float) -> Registration:
    """Raises: NotFoundError: there is none, it has expired, or its push channel is dead."""
    rows = connection.read_by_keys(
        statements.DEVICES_BY_REGISTRATION, [registration_id], hub=place.hub, shard=place.shard
    )
    devices = [device for device in map(device_of, rows) if not device.is_tile]
    found = [(device.ordinal, device) for device in devices] or derived(connection, place, registration_id)
    if not found or not found[0][1].lives_at(now):
        raise NotFoundError(f"registration {registration_id!r} not found")
    return _listed_registrations(connection, found)[0]


def derived(connection: Connection, place: Place, registration_id: str) -> list[tuple[int, StoredDevice]]:
    """The registration of this id that derives from an installation, with its ordinal; none if there is none."""
    ordinal = ordinal_of(registration_id)
    if ordinal is None:
        return []
    rows = connection.read_by_keys(statements.DEVICES_BY_ORDINAL, [ordinal], hub=place.hub, shard=place.shard)
    found = [(row[0], device_of(row[1:])) for row in rows]
    return [
        (number, device)
        for number, device in found
        if device.installation_id is not None and derived_id(device, number) == registration_id
    ]


def registrations(
    connection: Connection, place: Place, *, tag: str | None, after: str, limit: int, now: float
) -> ListPage[Registration]:
    """Those that live, by ordinal; with `tag` those that carry it."""
    start = _ordinal(after)
    if tag is not None:
        return _registrations_tagged(connection, place, tag, start, limit, now)
    rows = connection.read(
        statements.REGISTRATIONS_LISTED, hub=place.hub, shard=place.shard, after=start, now=now, limit=limit + 1
    )
    found = [(row[0], device_of(row[1:])) for row in rows[:limit]]
    more = len(rows) > limit
    return ListPage(items=_listed_registrations(connection, found), next=str(found[-1][0]) if more else "")


def _registrations_tagged(
    connection: Connection, place: Place, tag: str, start: int, limit: int, now: float
) -> ListPage[Registration]:
    sets = TagSets(connection, place)
    wanted = tag_id(tag)
    sets.load([DEAD], [tag_key(tag)])
    carry = sets.members(wanted) - sets.members(DEAD)
    first = carry.rank(start)
    window = carry[first : first + limit]
    rows = connection.read_by_keys(statements.DEVICES_BY_ORDINAL, list(window), hub=place.hub, shard=place.shard)
    found = sorted((row[0], row) for row in rows)
    devices = [(number, device_of(row[1:])) for number, row in found]
    alive = [(number, device) for number, device in devices if device.lives_at(now) and not device.is_direct]
    more = first + len(window) < len(carry)
    return ListPage(items=_listed_registrations(connection, alive), next=str(window.max()) if more else "")


def registrations_of(
    connection: Connection,
    place: Place,
    channels: Collection[tuple[Platform, str]],
    *,
    after: str,
    limit: int,
    now: float,
) -> ListPage[Registration]:
    """Those of these push channels that live, by ordinal."""
    start = _ordinal(after)
    channels = set(channels)
    keys = [channel_key(*channel) for channel in channels]
    rows = connection.read_by_keys(statements.DEVICES_BY_CHANNEL, keys, hub=place.hub, shard=place.shard)
    devices = [
        device
        for device in map(device_of, rows)
        if (device.platform, device.push_channel) in channels and device.lives_at(now) and not device.is_direct
    ]
    by_ordinal = {ordinal: device for device in devices for ordinal, _ in device.registrations() if ordinal > start}
    ordinals = sorted(by_ordinal)
    part = [(ordinal, by_ordinal[ordinal]) for ordinal in ordinals[:limit]]
    more = len(ordinals) > limit
    return ListPage(items=_listed_registrations(connection, part), next=str(part[-1][0]) if more else "")


def dead_channels(connection: Connection, place: Place, *, after: str, limit: int) -> ListPage[DeadChannel]:
    """By the time of their death; what another user's phone took over is not dead, and no send has died of it."""
    since, _, ordinal = after.partition(" ")
    rows = connection.read(
        statements.DEVICES_DEAD_LISTED,
        hub=place.hub,
        shard=place.shard,
        since=_seconds(since),
        after=_ordinal(ordinal),
        limit=limit,
    )
    devices = [device_of(row) for row in rows]
    told = [each for each in devices if not each.is_direct and each.dead_reason != MOVED]
    registrations = _listed_registrations(connection, [(each.ordinal, each) for each in told])
    items = [
        DeadChannel(registration=registration, dead_at=each.dead_at or 0.0, reason=each.dead_reason or "")
        for registration, each in zip(registrations, told, strict=True)
    ]
    return ListPage(items=items, next=f"{devices[-1].dead_at!r} {devices[-1].ordinal}" if len(rows) == limit else "")


def _listed_registrations(connection: Connection, found: Sequence[tuple[int, StoredDevice]]) -> list[Registration]:
    templates = read_templates(connection, _templates_of(device for _, device in found))
    return [registration_of(device, ordinal, templates) for ordinal, device in found]


def device(connection: Connection, place: Place, installation_id: str, *, now: float) -> Device:
    """Raises: NotFoundError."""
    found = get_device(connection, place, installation_id, now=now)
    if found is None:
        raise NotFoundError(f"device {installation_id!r} not found")
    return _listed(connection, place, [found])[0]


def all_devices(connection: Connection, place: Place, *, after: str, limit: int, now: float) -> ListPage[Device]:
    """By the key of the id."""
    rows = connection.read(
        statements.DEVICES_LISTED, hub=place.hub, shard=place.shard, after=after, now=now, limit=limit
    )
    items = _listed(connection, place, [device_of(row) for row in rows])
    return ListPage(items=items, next=rows[-1][1] if len(rows) == limit else "")


def devices_beginning(
    connection: Connection, place: Place, beginning: str, *, after: str, limit: int, now: float
) -> ListPage[Device]:
    """Those whose id begins so, whatever its case, by the key of the id."""
    first = id_key(beginning)
    rows = connection.read(
        statements.DEVICES_BEGINNING,
        hub=place.hub,
        shard=place.shard,
        after=after,
        first=max(first, after, key=_bytes),  # one bound: of two, SQLite searches by one, and it may be the wrong one
        last=first + _LAST_CHARACTER,
        now=now,
        limit=limit,
    )
    items = _listed(connection, place, [device_of(row) for row in rows])
    return ListPage(items=items, next=rows[-1][1] if len(rows) == limit else "")


def devices_ending(
    connection: Connection, place: Place, channel_end: str, *, after: str, limit: int, now: float
) -> ListPage[Device]:
    """Those whose push channel ends so, hexadecimal digits in either case, by ordinal."""
    start, rows = _ordinal(after), list[Row]()
    for end in packed_ends(channel_end):
        rows += connection.read(
            statements.DEVICES_ENDING,
            hub=place.hub,
            shard=place.shard,
            channel_end=end[-CHANNEL_END:],
            longer_end=end,
            after=start,
            now=now,
            limit=limit,
        )
    window = sorted({row[0]: row for row in rows}.values(), key=lambda row: int(row[0]))[:limit]
    ends = {channel_end, channel_end.upper()}
    found = [each for each in map(device_of, window) if each.push_channel.endswith(tuple(ends))]
    return ListPage(items=_listed(connection, place, found), next=str(window[-1][0]) if len(window) == limit else "")


def devices_of(
    connection: Connection, place: Place, audience: Audience, *, after: str, limit: int, now: float
) -> ListPage[Device]:
    """Documents with a registration that an audience means and that lives, by the first of those."""
    start = _ordinal(after)
    sets = TagSets(connection, place)
    kinds = [kind_id(kind, platform) for kind in _ALL_KINDS for platform in Platform.known()]
    sets.load([DEAD, *kinds], () if isinstance(audience, Everyone) else tag_keys(audience))
    everyone = BitMap.union(BitMap(), *map(sets.members, kinds)) - sets.members(DEAD)
    matched = matching(audience, lambda key: sets.members(key_id(key)), everyone)
    first = matched.rank(start)
    # Each has one registration that is its first: those of up to `limit` devices are among so many times the most.
    window = matched[first : first + 4 * limit]
    rows = connection.read_by_keys(statements.DEVICES_BY_ORDINAL, list(window), hub=place.hub, shard=place.shard)
    by_ordinal = {row[0]: row[1:] for row in rows}
    found: list[StoredDevice] = []
    last = start
    looked_at = 0
    for ordinal in window:
        if len(found) == limit:
            break
        last, looked_at = ordinal, looked_at + 1
        if (row := by_ordinal.get(ordinal)) is None:
            continue
        one = device_of(row)
        is_first = all(each >= ordinal or each not in matched for each, _ in one.registrations())
        if is_first and one.installation_id is not None and not one.is_tile and _is_current(one, now):
            found.append(one)
    more = first + looked_at < len(matched)
    return ListPage(items=_listed(connection, place, found), next=str(last) if more else "")


def registrations_by_platform(connection: Connection, places: Mapping[str, Place]) -> dict[tuple[str, Platform], int]:
    """Live ones, by bitmaps: two round trips a hub."""
    counts = {}
    for hub, place in places.items():
        sets = TagSets(connection, place)
        kinds = {platform: [kind_id(kind, platform) for kind in _ALL_KINDS] for platform in Platform.known()}
        sets.load([DEAD, *(kind for each in kinds.values() for kind in each)])
        dead = sets.members(DEAD)
        for platform, each in kinds.items():
            counts[hub, platform] = sum(len(sets.members(kind) - dead) for kind in each)
    return counts


def _listed(connection: Connection, place: Place, devices: Sequence[StoredDevice]) -> list[Device]:
    by_key = {tile.registration_id: tile for tile in tiles_of(connection, place, devices)}
    templates = read_templates(connection, _templates_of([*devices, *by_key.values()]))
    return [
        Device(
            installation=installation_of(each, templates, [by_key[key] for key in each.tile_keys if key in by_key]),
            updated_at=each.registered_at,
            registrations=_registrations(each),
        )
        for each in devices
    ]


def _registrations(device: StoredDevice) -> list[DeviceRegistration]:
    of_each: list[tuple[str | None, tuple[str, ...]]] = [(None, device.native_tags)]
    of_each += [(each.name, (*device.native_tags, *device.tags_of(each))) for each in device.templates]
    return [
        DeviceRegistration(
            template=name,
            tags=tags,
            registered_at=device.registered_at,
            dead_at=device.dead_at,
            dead_reason=device.dead_reason or "",
        )
        for name, tags in of_each
    ]


def _templates_of(devices: Iterable[StoredDevice]) -> Iterable[int]:
    return (template.template for device in devices for template in device.templates)


def _is_current(device: StoredDevice, now: float) -> bool:
    return device.expires_at is None or device.expires_at > now


def _bytes(text: str) -> bytes:
    """What databases compare texts by."""
    return text.encode("utf-8", "surrogatepass")


def _seconds(text: str) -> float:
    """Raises: InvalidRequestError: it is the place in another list."""
    try:
        return float(text or 0)
    except ValueError:
        raise InvalidRequestError("the cursor is not one of this list") from None


def _ordinal(after: str) -> int:
    """Raises: InvalidRequestError: it is the place in another list."""
    if not after:
        return 0
    if not (after.isascii() and after.isdigit() and len(after) <= 10 and int(after) < 2**32):
        raise InvalidRequestError("the cursor is not one of this list")
    return int(after)
