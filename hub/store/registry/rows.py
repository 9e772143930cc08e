"""Devices as rows and back. A row is short: what registrations have in common stands once, APNs tokens are bytes.

Push channels: text as UTF-8, but upper-case hexadecimal (APNs tokens) as a zero byte and the bytes that it spells. Tags:
joined by line feeds, which no tag can hold. Templates: a JSON list of [ordinal, template, name] and, where there are any,
tags; then the ids of secondary tiles, as texts.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from hub.installation import Installation, Registration, SecondaryTile, Template
from hub.notification import PLATFORM_NAMED, Platform
from hub.self_description import with_said
from hub.store.connection import Row
from hub.store.decide.device import DeviceTemplate, StoredDevice, derived_id, id_key
from hub.tags import tag_key
from hub.target import StoredTemplate

_HEX = re.compile(r"(?:[0-9A-F]{2})+")
_PACKED, _TEXT = b"\x00", b"\x01"
_MARKS = (0, 1)


def pack_channel(push_channel: str) -> bytes:
    if _HEX.fullmatch(push_channel):
        return _PACKED + bytes.fromhex(push_channel)
    text = push_channel.encode("utf-8", "surrogatepass")
    return _TEXT + text if text[:1] in (_PACKED, _TEXT) else text


def unpack_channel(packed: bytes) -> str:
    if not packed or packed[0] not in _MARKS:
        return packed.decode("utf-8", "surrogatepass")
    return packed[1:].hex().upper() if packed[:1] == _PACKED else packed[1:].decode("utf-8", "surrogatepass")


_PACKED_HEX = _PACKED.hex()
_BETWEEN = "0A"


def unpack_channels(packed: str) -> list[str]:
    """The push channels of packed ones as upper-case hexadecimal digits, with a space between two of them."""
    count = packed.count(" ") + 1
    if packed.startswith(_PACKED_HEX):
        found = packed[len(_PACKED_HEX) :].split(f" {_PACKED_HEX}")
        if len(found) == count:  # each begins with the mark
            return found
    text = bytes.fromhex(packed.replace(" ", _BETWEEN))
    if text.isascii() and text.count(b"\n") == count - 1 and not any(bytes([mark]) in text for mark in _MARKS):
        return text.decode().split("\n")
    return [unpack_channel(bytes.fromhex(each)) for each in packed.split(" ")]


CHANNEL_END = 4
"""Bytes at the end of a packed channel that are indexed."""


def packed_ends(end: str) -> list[bytes]:
    """The bytes that channels which end with a text may end with as they are kept; the text has 8 characters at least.

    Of an odd number of hexadecimal digits the first is left out, so what is found has to be compared.
    """
    ends = [end.encode("utf-8", "surrogatepass")]
    if _HEX.fullmatch(digits := end.upper()[len(end) % 2 :]):
        ends.append(bytes.fromhex(digits))
    return ends


@lru_cache(maxsize=1 << 12)
def channel_key(platform: Platform, push_channel: str) -> int:
    """8 bytes of a hash, as a signed number: what finds a channel's devices is compared with the channel itself."""
    text = f"{platform.value}\n{push_channel}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, usedforsecurity=False).digest(), signed=True)


def device_row(hub: int, shard: int, device: StoredDevice) -> Row:
    """In the order of `statements.DEVICE_COLUMNS`."""
    given = device.installation_id
    key = None if given is None or device.is_tile else id_key(given)  # a tile is found by its own key
    return (
        hub,
        shard,
        device.ordinal,
        key,
        None if given == key else given,
        device.registration_id,
        device.platform.value,
        pack_channel(device.push_channel),
        channel_key(device.platform, device.push_channel),
        device.user_id,
        "\n".join(device.tags),
        _pack_templates(device.templates, device.tiles) if device.templates or device.tiles else None,
        orjson.dumps(dict(device.push_variables)).decode() if device.push_variables else None,
        device.etag,
        device.registered_at,
        device.expires_at,
        int(device.sibling),
        device.dead_at,
        device.dead_reason,
        device.locale or None,
        device.time_zone or None,
    )


def device_of(row: Sequence[Any]) -> StoredDevice:
    """Of `statements.DEVICE`, without hub and shard."""
    (ordinal, key, given, registration_id, platform, channel, user_id, tags, templates, variables) = row[:10]
    etag, registered_at, expires_at, sibling, dead_at, dead_reason, locale, time_zone = row[10:18]
    return StoredDevice(
        ordinal=ordinal,
        platform=PLATFORM_NAMED[platform],
        push_channel=unpack_channel(channel),
        installation_id=key if given is None else given,
        registration_id=registration_id,
        user_id=user_id,
        tags=tuple(tags.split("\n")) if tags else (),
        templates=unpack_templates(templates),
        tiles=_unpack_tiles(templates),
        push_variables=orjson.loads(variables) if variables else {},
        etag=etag,
        registered_at=registered_at,
        expires_at=expires_at,
        sibling=bool(sibling),
        dead_at=dead_at,
        dead_reason=dead_reason,
        locale=locale or "",
        time_zone=time_zone or "",
    )


def _pack_templates(templates: Sequence[DeviceTemplate], tiles: Sequence[str]) -> str:
    return orjson.dumps(
        [
            (each.ordinal, each.template, each.name, each.tags)
            if each.tags
            else (each.ordinal, each.template, each.name)
            for each in templates
        ]
        + list(tiles)
    ).decode()


def unpack_templates(text: str | None) -> tuple[DeviceTemplate, ...]:
    if text is None:
        return ()
    packed = orjson.loads(text)
    if _has_tiles(text):
        packed = [each for each in packed if isinstance(each, list)]
    return tuple(
        [
            DeviceTemplate(ordinal, template, name, tuple(tags[0]) if tags else ())
            for ordinal, template, name, *tags in packed
        ]
    )


def _unpack_tiles(text: str | None) -> tuple[str, ...]:
    if text is None or not _has_tiles(text):
        return ()
    return tuple([each for each in orjson.loads(text) if isinstance(each, str)])


def _has_tiles(packed: str) -> bool:
    """Whether a text ends the list, and not a template."""
    return packed.endswith('"]')


def template_row(template: Template) -> tuple[str, str, str | None]:
    """(body, headers, expiry)"""
    return template.body, _headers_text(tuple(template.headers.items())), template.expiry


@lru_cache(maxsize=1 << 8)
def _headers_text(headers: tuple[tuple[str, str], ...]) -> str:
    return orjson.dumps(dict(headers)).decode()


def installation_of(
    device: StoredDevice, templates: Mapping[int, StoredTemplate], tiles: Sequence[StoredDevice] = ()
) -> Installation:
    """The document as it was put, which also says whether its push channel is dead; `tiles` are those that it has."""
    assert device.installation_id is not None
    return Installation(
        id=device.installation_id,
        platform=device.platform,
        push_channel=device.push_channel,
        user_id=device.user_id,
        tags=device.tags,
        templates=_templates(device, templates),
        push_variables=device.push_variables,
        secondary_tiles={
            each.tiles[0]: SecondaryTile(
                push_channel=each.push_channel,
                tags=each.tags,
                templates=_templates(each, templates),
                push_channel_expired=each.dead_at is not None,
            )
            for each in sorted(tiles, key=lambda tile: device.tiles.index(tile.tiles[0]))
        },
        locale=device.locale,
        time_zone=device.time_zone,
        expires_at=_moment(device.expires_at),
        push_channel_expired=device.dead_at is not None,
        etag=device.etag,
    )


def _templates(device: StoredDevice, templates: Mapping[int, StoredTemplate]) -> dict[str, Template]:
    return {each.name: _template(templates[each.template], each.tags) for each in device.templates}


def registration_of(device: StoredDevice, ordinal: int, templates: Mapping[int, StoredTemplate]) -> Registration:
    """One registration of a device: a single one as it was put, or what derives from an installation."""
    template = next((each for each in device.templates if each.ordinal == ordinal), None)
    single = None if device.is_tile else device.registration_id
    return Registration(
        registration_id=single or derived_id(device, ordinal),
        platform=device.platform,
        push_channel=device.push_channel,
        tags=_distinct_tags(device.native_tags, () if template is None else device.tags_of(template))
        if single is None
        else device.tags,
        template_name=None if template is None else template.name,
        template=None if template is None else _template(templates[template.template], ()),
        push_variables=with_said(device.push_variables, device.locale, device.time_zone),
        installation_id=device.installation_id,
        secondary_tile=device.tiles[0] if device.tiles and device.registration_id is not None else None,
        etag=device.etag,
        expires_at=_moment(device.expires_at),
    )


def _distinct_tags(tags: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    """Without those that differ in case only from one before."""
    by_key: dict[str, str] = {}
    for tag in (*tags, *more):
        by_key.setdefault(tag_key(tag), tag)
    return tuple(by_key.values())


def _template(stored: StoredTemplate, tags: tuple[str, ...]) -> Template:
    return Template(body=stored.body, headers=stored.headers, expiry=stored.expiry, tags=tags)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
