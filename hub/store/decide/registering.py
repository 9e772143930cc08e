"""What changes in the registry when documents are put, channels die and devices go. No database; the time is an argument.

A write reads the devices concerned, lets a `Registering` play the changes on them in order, and writes its `changes()`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from hub.errors import GoneError, InvalidRequestError, NotFoundError, PreconditionError
from hub.installation import ANY_ETAG, Installation, Registration, SecondaryTile, Template
from hub.notification import Platform
from hub.store.decide.changes import Changes
from hub.store.decide.device import DeviceTemplate, StoredDevice, id_key, template_id, tile_key

MOVED = "another user registered this push channel"


class Registering:
    """Plays changes on the devices that are known, in order.

    `known` are all devices with an id or a push channel that the changes name; `ordinals` are free ones, taken in order.
    `used` are those among them that were a registration's before; None: any may be. What is dropped leaves the index later,
    by way of its log, or `at_once`.
    """

    def __init__(
        self,
        known: Iterable[StoredDevice],
        *,
        ordinals: Iterator[int],
        now: float,
        used: Collection[int] | None = None,
        at_once: bool = False,
    ) -> None:
        self._ordinals = ordinals
        self._used = used
        self._at_once = at_once
        self._now = now
        self._devices: dict[int, StoredDevice] = {}
        self._by_tile: dict[str, int] = {}
        self._before: dict[int, StoredDevice | None] = {}
        self._by_installation: dict[str, int] = {}
        self._by_registration: dict[str, int] = {}
        self._by_channel: dict[tuple[Platform, str], list[int]] = {}
        for device in known:
            if device.ordinal not in self._devices:
                self._add(device)

    def put_installation(self, installation: Installation) -> None:
        """Create or replace a document and what derives from it; what it no longer has goes.

        Ordinals of what stays (same template name) stay, so that pages under way still mean the same phone. A push channel
        that another user's installation had is this one's from now on: that installation no longer reaches it.

        Raises: InvalidRequestError: an id that tags cannot tell from the id of another installation.
        """
        old = self._installation(installation.id)
        device = self._derive(installation, old)
        self._register(old, device)
        for id, key in zip(() if old is None else old.tiles, [] if old is None else old.tile_keys, strict=True):
            if id not in installation.secondary_tiles and (tile := self._tile(key)) is not None:
                self.drop(tile)
        for id, of_tile in installation.secondary_tiles.items():
            tile = self._tile(tile_key(installation.id, id))
            self._register(tile, self._derive_tile(installation, id, of_tile, tile))

    def _register(self, old: StoredDevice | None, device: StoredDevice) -> None:
        self._replace(old, device)
        self._take_from_other_users(device)
        self._flag_siblings(device)

    def add_installation(self, installation: Installation) -> None:
        """As `put_installation`, for an id that is new. Raises: PreconditionError: there is one; InvalidRequestError."""
        old = self._installation(installation.id)
        if old is not None and not (old.expires_at is not None and old.expires_at <= self._now):
            raise PreconditionError(f"installation {installation.id!r} exists")
        self.put_installation(installation)

    def change_installation(self, installation: Installation) -> None:
        """As `put_installation`, for a document made from one that was read: a dead push channel stays dead.

        Raises: NotFoundError, PreconditionError: it was written since; InvalidRequestError.
        """
        old = self._installation(installation.id)
        if old is None or (old.expires_at is not None and old.expires_at <= self._now):
            raise NotFoundError("Installation not found.")
        _check_etag(old, installation.etag)
        before = [old, *filter(None, map(self._tile, old.tile_keys))]
        self.put_installation(installation)
        for one in before:
            device = self._devices.get(one.ordinal)
            if one.dead_at is not None and device is not None and device.push_channel == one.push_channel:
                self._change(device, replace(device, dead_at=one.dead_at, dead_reason=one.dead_reason))

    def put_registration(self, registration: Registration, registration_id: str, if_match: int | None) -> Registration:
        """Create or replace a single registration. Raises: NotFoundError, PreconditionError, GoneError."""
        old = self._registration(registration_id)
        if old is not None and not old.lives_at(self._now):
            raise GoneError(f"registration {registration_id!r} is gone; ask for a new registration id")
        if old is None and if_match is not None:
            raise NotFoundError(f"registration {registration_id!r} not found")
        if old is not None:
            _check_etag(old, if_match)
        etag = 1 if old is None else old.etag + 1
        ordinal = next(self._ordinals) if old is None else old.ordinal
        template = registration.template
        device = StoredDevice(
            ordinal=ordinal,
            registration_id=registration_id,
            platform=registration.platform,
            push_channel=registration.push_channel,
            tags=tuple(registration.tags),
            templates=()
            if template is None
            else (DeviceTemplate(ordinal, template_id(template), registration.template_name or ""),),
            tiles=() if registration.secondary_tile is None else (registration.secondary_tile,),
            push_variables=registration.push_variables,
            etag=etag,
            registered_at=self._now,
            expires_at=None if registration.expires_at is None else registration.expires_at.timestamp(),
        )
        self._replace(old, device)
        self._flag_siblings(device)
        return replace(registration, registration_id=registration_id, etag=etag)

    def take_registration(self, registration: Registration, etag: int) -> Registration:
        """As `put_registration`, for what another hub says now: it also brings back what is dead here.

        Raises: PreconditionError: it is not as it was read any more; with 0 there was none that lives.
        """
        id = registration.registration_id
        old = self._registration(id)
        if old is not None and not old.lives_at(self._now):
            self.drop(old)
            old = None
        if (0 if old is None else old.etag) != etag:
            raise PreconditionError(f"registration {id!r} was written since")
        return self.put_registration(registration, id, None)

    def put_direct(self, platform: Platform, push_channel: str, tag: str, expires_at: float) -> None:
        """Keep a push channel for the direct send that `tag` stands for; once, though it is put again."""
        known = (self._devices[ordinal] for ordinal in self._by_channel.get((platform, push_channel), ()))
        if any(device.is_direct and tag in device.tags for device in known):
            return
        device = StoredDevice(
            ordinal=next(self._ordinals),
            platform=platform,
            push_channel=push_channel,
            tags=(tag,),
            registered_at=self._now,
            expires_at=expires_at,
        )
        self._replace(None, device)

    def drop_installation(self, installation_id: str, if_match: int | None = None) -> bool:
        """Whether there was one. Raises: PreconditionError."""
        key = id_key(installation_id)
        device = self._devices.get(self._by_installation.get(key, -1))
        if device is None or device.installation_id != installation_id:
            return False
        _check_etag(device, if_match)
        for tile in filter(None, map(self._tile, device.tile_keys)):
            self.drop(tile)
        self.drop(device)
        return True

    def drop_registration(self, registration_id: str, if_match: int | None) -> None:
        """Raises: NotFoundError, PreconditionError."""
        device = self._registration(registration_id)
        if device is None:
            raise NotFoundError(f"registration {registration_id!r} not found")
        _check_etag(device, if_match)
        self.drop(device)

    def drop(self, device: StoredDevice) -> None:
        """Its ordinals are free from now on."""
        self._before.setdefault(device.ordinal, device)
        self._remove(device)

    def changes(self) -> Changes:
        """What all that was played comes to."""
        changes = Changes()
        for ordinal, before in self._before.items():
            after = self._devices.get(ordinal)
            if before is not None:
                changes.change(before, after, at_once=self._at_once)
            elif after is not None:
                changes.create(after, used=self._used)
        return changes

    # The devices at hand

    def _add(self, device: StoredDevice) -> None:
        self._devices[device.ordinal] = device
        if device.is_tile:
            self._by_tile[device.registration_id or ""] = device.ordinal
        elif device.installation_id is not None:
            self._by_installation[id_key(device.installation_id)] = device.ordinal
        elif device.registration_id is not None:
            self._by_registration[device.registration_id] = device.ordinal
        self._by_channel.setdefault((device.platform, device.push_channel), []).append(device.ordinal)

    def _remove(self, device: StoredDevice) -> None:
        del self._devices[device.ordinal]
        if device.is_tile:
            del self._by_tile[device.registration_id or ""]
        elif device.installation_id is not None:
            del self._by_installation[id_key(device.installation_id)]
        elif device.registration_id is not None:
            del self._by_registration[device.registration_id]
        self._by_channel[device.platform, device.push_channel].remove(device.ordinal)

    def _replace(self, old: StoredDevice | None, device: StoredDevice) -> None:
        self._before.setdefault(device.ordinal, old)
        if old is not None:
            self._remove(old)
        self._add(device)

    def _change(self, device: StoredDevice, changed: StoredDevice) -> None:
        """A device of the same id and push channel in its place."""
        self._before.setdefault(device.ordinal, device)
        self._devices[device.ordinal] = changed

    def _installation(self, installation_id: str) -> StoredDevice | None:
        """Two ids that compare alike would share `$InstallationId:{id}`, and each phone what is meant for the other."""
        device = self._devices.get(self._by_installation.get(id_key(installation_id), -1))
        if device is not None and device.installation_id != installation_id:
            raise InvalidRequestError(
                f"installationId {installation_id!r} differs from one that is registered in case only, and ids compare"
                " without"
            )
        return device

    def _tile(self, key: str) -> StoredDevice | None:
        return self._devices.get(self._by_tile.get(key, -1))

    def _registration(self, registration_id: str) -> StoredDevice | None:
        return self._devices.get(self._by_registration.get(registration_id, -1))

    def rename_channel(self, platform: Platform, old: str, new: str) -> int:
        """Put `new` in the place of a push channel wherever it lives; in how many devices.

        It is the same app on the same phone, so registration times stay. What is registered with `new` already is as much
        a sibling as if both had registered with it.
        """
        renamed = 0
        for ordinal in list(self._by_channel.get((platform, old), ())):
            device = self._devices[ordinal]
            if device.dead_at is None and not device.is_direct:
                changed = replace(device, push_channel=new)
                self._replace(device, changed)
                self._flag_siblings(changed)
                renamed += 1
        return renamed

    def revive(self, device: StoredDevice) -> int:
        """Bring back one whose push channel is dead; how many registrations.

        One that another user's phone took over, or that has expired, stays as it is.
        """
        known = self._devices.get(device.ordinal)
        if known is None or known.dead_at is None or known.dead_reason == MOVED or known.is_direct:
            return 0
        alive = replace(known, dead_at=None, dead_reason=None)
        if not alive.lives_at(self._now) or any(
            other.user_key() != alive.user_key() for other in self._others_of(alive)
        ):
            return 0
        self._change(known, alive)
        self._flag_siblings(alive)
        return len(list(alive.registrations()))

    # Decisions

    def _derive(self, installation: Installation, old: StoredDevice | None) -> StoredDevice:
        """Writing an installation again brings a dead one back: its phone has spoken for it."""
        return self._derived(installation, installation, old, tiles=tuple(installation.secondary_tiles))

    def _derive_tile(
        self, installation: Installation, id: str, tile: SecondaryTile, old: StoredDevice | None
    ) -> StoredDevice:
        return self._derived(installation, tile, old, tiles=(id,), registration_id=tile_key(installation.id, id))

    def _derived(
        self,
        installation: Installation,
        part: Installation | SecondaryTile,
        old: StoredDevice | None,
        *,
        tiles: tuple[str, ...],
        registration_id: str | None = None,
    ) -> StoredDevice:
        """The device of an installation or of one of its tiles: channel, tags and templates are the part's own."""
        return StoredDevice(
            ordinal=next(self._ordinals) if old is None else old.ordinal,
            installation_id=installation.id,
            registration_id=registration_id,
            platform=installation.platform,
            push_channel=part.push_channel,
            user_id=installation.user_id,
            tags=part.tags,
            templates=self._derive_templates(part.templates, old),
            tiles=tiles,
            push_variables=installation.push_variables,
            locale=installation.locale,
            time_zone=installation.time_zone,
            etag=1 if old is None else old.etag + 1,
            registered_at=self._now,
            expires_at=None if installation.expires_at is None else installation.expires_at.timestamp(),
        )

    def _derive_templates(
        self, templates: Mapping[str, Template], old: StoredDevice | None
    ) -> tuple[DeviceTemplate, ...]:
        known = {} if old is None else {template.name: template.ordinal for template in old.templates}
        return tuple(
            [
                DeviceTemplate(
                    known[name] if name in known else next(self._ordinals),
                    template_id(template),
                    name,
                    template.tags,
                )
                for name, template in templates.items()
            ]
        )

    def _others_of(self, device: StoredDevice) -> list[StoredDevice]:
        """Other devices of the same push channel that live."""
        ordinals = self._by_channel[device.platform, device.push_channel]
        if len(ordinals) == 1:
            return []
        others = [self._devices[ordinal] for ordinal in ordinals if ordinal != device.ordinal]
        return [other for other in others if other.dead_at is None and not other.is_direct]

    def _take_from_other_users(self, device: StoredDevice) -> None:
        """Hide what other users' installations registered for this push channel: the phone is this user's now."""
        for other in self._others_of(device):
            if other.installation_id is not None and other.user_key() != device.user_key():
                self._change(other, replace(other, dead_at=self._now, dead_reason=MOVED))

    def _flag_siblings(self, device: StoredDevice) -> None:
        """Mark native registrations that share a push channel, so that a send looks for doubles among them alone."""
        if not device.has_native:
            return
        others = [other for other in self._others_of(device) if other.has_native]
        for sibling in (device, *others) if others else ():
            if not sibling.sibling:
                self._change(sibling, replace(sibling, sibling=True))


def _check_etag(device: StoredDevice, if_match: int | None) -> None:
    if if_match not in (None, ANY_ETAG, device.etag):
        raise PreconditionError(f"the ETag is {device.etag}, not {if_match}")
