"""Devices as operators and clients read them, one by one and in lists."""

from collections.abc import Iterable, Sequence

from pyroaring import BitMap

from hub.errors import InvalidRequestError, NotFoundError
from hub.installation import Installation, Registration
from hub.notification import Audience as AudienceExpression
from hub.notification import Everyone, Platform
from hub.store.connection import Connection
from hub.store.contracts.listing import ListPage
from hub.store.contracts.registry import Device, DeviceRegistration
from hub.store.decide.audience import matching
from hub.store.decide.registering import StoredDevice, id_key
from hub.store.decide.tag_index import DEAD, key_id, kind_id
from hub.store.registry import statements
from hub.store.registry.audience import all_tags, everyone, of_tag, templates
from hub.store.registry.index import Place, read_members
from hub.store.registry.rows import device_of, installation_of, registration_of
from hub.tags import tag_key

SCANNED = 20_000
"""Registrations that a part of a list looks at, at most: others read with the same thread."""

_KINDS = ("native", "template")


def installation(connection: Connection, place: Place, installation_id: str, *, now: float) -> Installation:
    """Raises: NotFoundError: there is none, or it has expired."""
    device = _installation(connection, place, installation_id, now)
    if device is None:
        raise NotFoundError("Installation not found.")
    return installation_of(device, templates(connection, [each.template for each in device.templates]))


def registration(connection: Connection, place: Place, registration_id: str, *, now: float) -> Registration:
    """Raises: NotFoundError."""
    rows = connection.read_by_keys(statements.DEVICES_BY_REGISTRATION, [registration_id], **place._asdict())
    device = device_of(rows[0]) if rows else None
    if device is None or not _is_shown(device, now) or device.dead_at is not None:
        raise NotFoundError(f"registration {registration_id!r} not found")
    return registration_of(device, templates(connection, [each.template for each in device.templates]))


def device(connection: Connection, place: Place, installation_id: str, *, now: float) -> Device:
    """Raises: NotFoundError."""
    found = _installation(connection, place, installation_id, now)
    if found is None:
        raise NotFoundError(f"device {installation_id!r} not found")
    return _devices(connection, [found])[0]


def devices(
    connection: Connection,
    place: Place,
    *,
    audience: AudienceExpression | None,
    after: str,
    limit: int,
    now: float,
) -> ListPage[Device]:
    """All installations by id, or those that an audience means and that live, the first registered first."""
    if audience is not None:
        return _devices_of(connection, place, audience, _ordinal(after), limit, now)
    rows = connection.read(statements.DEVICES_LISTED, after=after, now=now, limit=limit, **place._asdict())
    found = list(map(device_of, rows))
    following = id_key(found[-1].installation_id or "") if len(found) == limit else ""
    return ListPage(items=_devices(connection, found), next=following)


def _devices_of(
    connection: Connection, place: Place, audience: AudienceExpression, after: int, limit: int, now: float
) -> ListPage[Device]:
    """A device with several matching registrations is listed once, at the first of them."""
    wanted = {kind_id(kind, platform) for kind in _KINDS for platform in Platform.declared()} | {DEAD}
    if not isinstance(audience, Everyone):
        wanted |= {key_id(key) for key in all_tags(audience)}
    tags = read_members(connection, place, wanted)
    living = BitMap.union(
        BitMap(), *(everyone(tags, kind, platform) for kind in _KINDS for platform in Platform.declared())
    )
    matched = matching(audience, of_tag(tags), living)
    start = matched.rank(after)
    looked_at = matched[start : start + SCANNED]
    rows = connection.read_by_keys(statements.DEVICES_BY_ORDINAL, list(looked_at[: 4 * limit]), **place._asdict())
    rows.sort(key=lambda row: row[0])
    found: list[StoredDevice] = []
    reached = after
    for ordinal, *columns in rows:
        if len(found) == limit:
            break
        reached = ordinal
        one = device_of(columns)
        if one.installation_id is None or not _is_shown(one, now):
            continue
        if min(each for each, _ in one.registrations() if each in matched) == ordinal:
            found.append(one)
    more = matched.rank(reached) < len(matched)
    return ListPage(items=_devices(connection, found), next=str(reached) if more and rows else "")


def of_user(connection: Connection, place: Place, user_tag: str) -> list[StoredDevice]:
    """All devices of which a registration carries a tag, dead ones too."""
    tag = key_id(tag_key(user_tag))
    ordinals = read_members(connection, place, [tag])[tag]
    rows = connection.read_by_keys(statements.DEVICES_BY_ORDINAL, list(ordinals), **place._asdict())
    return list({row[1]: device_of(row[1:]) for row in rows}.values())


def _installation(connection: Connection, place: Place, installation_id: str, now: float) -> StoredDevice | None:
    rows = connection.read_by_keys(statements.DEVICES_BY_INSTALLATION, [id_key(installation_id)], **place._asdict())
    found = device_of(rows[0]) if rows else None
    if found is None or found.installation_id != installation_id or not _is_shown(found, now):
        return None
    return found


def _is_shown(device: StoredDevice, now: float) -> bool:
    return device.expires_at is None or device.expires_at > now


def _devices(connection: Connection, found: Sequence[StoredDevice]) -> list[Device]:
    texts = templates(connection, [each.template for one in found for each in one.templates])
    return [
        Device(
            installation=installation_of(one, texts),
            updated_at=one.registered_at,
            registrations=list(_registrations(one)),
        )
        for one in found
    ]


def _registrations(device: StoredDevice) -> Iterable[DeviceRegistration]:
    names: list[tuple[str | None, tuple[str, ...]]] = [(None, ())] if device.has_native else []
    names += [(each.name, device.tags_of(each)) for each in device.templates]
    for name, more in names:
        yield DeviceRegistration(
            template=name,
            tags=_distinct((*device.native_tags, *more)),
            registered_at=device.registered_at,
            dead_at=device.dead_at,
            dead_reason=device.dead_reason or "",
        )


def _distinct(tags: Iterable[str]) -> tuple[str, ...]:
    by_key: dict[str, str] = {}
    for tag in tags:
        by_key.setdefault(tag_key(tag), tag)
    return tuple(by_key.values())


def _ordinal(after: str) -> int:
    """Raises: InvalidRequestError: it is the place in another list."""
    if not after:
        return 0
    if not (after.isascii() and after.isdigit() and int(after) < 2**32):
        raise InvalidRequestError("the cursor is not one of this list")
    return int(after)
