"""A device as the registry keeps it, and the ids that are made of it. No database."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import orjson

from hub.installation import Template
from hub.notification import Platform
from hub.self_description import time_zone_of
from hub.store.decide.tag_index import DEAD, Carried, kind_id, tag_id, words_of, zone_id
from hub.tags import installation_tag, tag_key, user_tag

_DERIVED = 2
"""The last number in the id of a registration that derives from an installation; a minted id of others ends with 1."""
_DERIVED_ID = re.compile(rf"[0-9]{{1,19}}-([0-9]{{1,10}})-{_DERIVED}")


@dataclass(frozen=True, slots=True)
class DeviceTemplate:
    """A template registration of a device: its ordinal, the id of the template, and its tags beyond the device's.

    A template of an installation has its name among its tags.
    """

    ordinal: int
    template: int
    name: str
    tags: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class StoredDevice:
    """A device as it is kept: an installation, or a single registration, which has an id of its own instead.

    One with neither id is a push channel that a direct send named: it carries the tag of that send and is of no kind, so
    nothing else reaches it and no list shows it. One with both is a secondary tile of the installation: `registration_id`
    is its key (`tile_key`).

    `tiles` are the ids of the secondary tiles that an installation has, each a device of its own; of a tile, and of a
    single registration of one, its own id alone.

    `ordinal` is that of its native registration; of the template's, where it is a single template registration.
    """

    ordinal: int
    platform: Platform
    push_channel: str
    installation_id: str | None = None
    registration_id: str | None = None
    user_id: str | None = None
    tags: tuple[str, ...] = ()
    templates: tuple[DeviceTemplate, ...] = ()
    tiles: tuple[str, ...] = ()
    push_variables: Mapping[str, str] = field(default_factory=dict)
    etag: int = 1
    registered_at: float = 0.0
    expires_at: float | None = None
    sibling: bool = False
    dead_at: float | None = None
    dead_reason: str | None = None
    locale: str = ""
    time_zone: str = ""

    def lives_at(self, now: float) -> bool:
        """Whether its push channel is alive and its time has not passed."""
        return self.dead_at is None and (self.expires_at is None or self.expires_at > now)

    @property
    def zone(self) -> str:
        """The time zone that the phone says it is in, empty where it says none."""
        return time_zone_of(self.time_zone, self.push_variables) if self.time_zone or self.push_variables else ""

    @property
    def has_native(self) -> bool:
        return self.installation_id is not None or not self.templates

    @property
    def is_direct(self) -> bool:
        return self.installation_id is None and self.registration_id is None

    @property
    def is_tile(self) -> bool:
        return self.installation_id is not None and self.registration_id is not None

    @property
    def key(self) -> str:
        """What it is called where it may be an installation, with its tiles, or a single registration."""
        return f"r:{self.registration_id}" if self.installation_id is None else f"i:{self.installation_id}"

    @property
    def tile_keys(self) -> list[str]:
        """Of the tiles that an installation has."""
        own = self.installation_id
        return [] if own is None or self.is_tile else [tile_key(own, each) for each in self.tiles]

    @property
    def native_tags(self) -> tuple[str, ...]:
        """The tags of its native registration, service tags first; one that repeats another may be there twice."""
        if self.installation_id is None:
            return self.tags
        own = installation_tag(self.installation_id)
        return (own, *self.tags) if self.user_id is None else (own, user_tag(self.user_id), *self.tags)

    def registrations(self) -> Iterator[tuple[int, int | None]]:
        """(ordinal, template) of each, the native one first."""
        if self.has_native:
            yield self.ordinal, None
        for template in self.templates:
            yield template.ordinal, template.template

    def carried(self) -> list[Carried]:
        """Under what its registrations stand in the index of tags.

        The tag of an installation is among it for a tile alone: who else carries that, the installation itself says.
        """
        common = [tag_id(tag) for tag in self.tags]
        if self.user_id is not None and self.installation_id is not None:
            common.append(tag_id(user_tag(self.user_id)))
        if self.installation_id is not None and self.is_tile:
            common.append(tag_id(installation_tag(self.installation_id)))
        if self.dead_at is not None:
            common.append(DEAD)
        if zone := self.zone:
            common.append(zone_id(zone))
        ordinals = [each.ordinal for each in self.templates]
        has_native = self.has_native
        carried: list[Carried] = [(common, words_of([self.ordinal, *ordinals] if has_native else ordinals))]
        if has_native and not self.is_direct:
            kinds = [kind_id("native", self.platform)]
            if self.sibling:
                kinds.append(kind_id("sibling", self.platform))
            carried.append((kinds, words_of((self.ordinal,))))
        for each in self.templates:
            own = [kind_id("template", self.platform), *[tag_id(tag) for tag in self.tags_of(each)]]
            carried.append((own, words_of((each.ordinal,))))
        return carried

    def left_behind(self) -> list[Carried]:
        """What the index keeps to know by when it is gone: that there was such an installation."""
        own = self.installation_id
        return [] if own is None or self.is_tile else [((tag_id(installation_tag(own)),), words_of((self.ordinal,)))]

    def carries_as(self, other: "StoredDevice") -> bool:
        """Whether `carried` of both is the same, for two states of one device."""
        return (
            self.tags == other.tags
            and self.user_id == other.user_id
            and self.platform is other.platform
            and self.sibling is other.sibling
            and (self.dead_at is None) is (other.dead_at is None)
            and self.templates == other.templates
            and self.zone == other.zone
        )

    def user_key(self) -> str | None:
        """The key of the tag that names the user, if one does."""
        return next((key for key in map(tag_key, self.native_tags) if key.startswith("$userid:")), None)

    def tags_of(self, template: DeviceTemplate) -> tuple[str, ...]:
        """What a template registration carries beyond the tags of the device."""
        return template.tags if self.installation_id is None else (*template.tags, template.name)


def derived_id(device: StoredDevice, ordinal: int) -> str:
    """The registration id of what derives from an installation, stable while its ordinal is: see `ordinal_of`."""
    text = f"{device.installation_id}\n{ordinal}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=8, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest) >> 2}-{ordinal}-{_DERIVED}"


def ordinal_of(registration_id: str) -> int | None:
    """The ordinal in an id that `derived_id` may have made; None: it did not."""
    found = _DERIVED_ID.fullmatch(registration_id)
    return None if found is None else int(found[1])


def tile_key(installation_id: str, tile: str) -> str:
    """Under what a secondary tile is kept; no registration id holds a line feed, and no tile's id does."""
    return f"{id_key(installation_id)}\n{tile}"


@lru_cache(maxsize=1 << 12)
def id_key(installation_id: str) -> str:
    """What ids of installations are compared by: that of their tag."""
    return tag_key("$" + installation_id)[1:]


def template_id(template: Template) -> int:
    """8 bytes of the hash of what a template says, as a signed number."""
    return _template_id(template.body, tuple(template.headers.items()), template.expiry)


@lru_cache(maxsize=1 << 12)
def _template_id(body: str, headers: tuple[tuple[str, str], ...], expiry: str | None) -> int:
    text = orjson.dumps([body, dict(headers), expiry])
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, usedforsecurity=False).digest(), signed=True)
