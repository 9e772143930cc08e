"""The contract `Registry` over a database, and what the outbox asks of it: audiences, targets, templates, dead channels."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from pyroaring import BitMap

from hub.errors import InvalidRequestError, NotFoundError
from hub.installation import Installation, Registration, new_registration_id
from hub.notification import Notification, Platform
from hub.store.connection import Database
from hub.store.contracts.listing import ListPage
from hub.store.contracts.mirrors import Found
from hub.store.contracts.outbox import Audience
from hub.store.contracts.registry import (
    EVERY_DEVICE,
    AudiencePreview,
    DeadChannel,
    Device,
    DeviceSearch,
    GoneChannel,
    RenamedChannel,
)
from hub.store.decide.device import ordinal_of
from hub.store.registry import audience, listing, previewing, singly, targets, writing
from hub.store.registry.places import Place, Places, read_templates
from hub.store.registry.singly import SingleWrite, SingleWrites
from hub.store.registry.tag_log import TagLog
from hub.store.registry.tags import IndexShape, LogSize, are_marked, fold_tags
from hub.target import StoredTemplate, Target, TargetColumns

IMPORTED = 1000
"""Installations that one transaction of an import writes."""

_ERASED = 1000
"""Registrations that one transaction of an erasure looks at."""

_REVIVED = 1000
"""Devices that one transaction looks at to bring them back."""

_NOTHING = writing.Written(taken=0, log=LogSize(rows=0, entries=0))


class SqlRegistry:
    """`hub.store.contracts.registry.Registry`; `now` gives the store's time, from any thread."""

    def __init__(self, database: Database, *, now: Callable[[], float], shape: IndexShape = IndexShape()) -> None:
        self._database = database
        self._now = now
        self._shape = shape
        self._log = TagLog(database, shape)
        self._places = Places(database, now=now, before_reuse=self._log.fold)  # no entry may name them any more
        self._singly: dict[str, SingleWrites] = {}
        self._through: frozenset[str] = frozenset()

    def write_through(self, hubs: Collection[str]) -> None:
        """See `Mirrors.write_through`."""
        self._through = frozenset(hubs)

    async def make_place(self, hub: str) -> Place:
        """As `place_of`, which is made where it is missing."""
        return await self._places.make(hub)

    async def place_of(self, hub: str) -> Place | None:
        """Where its registrations are; None: nothing was ever registered there."""
        return await self._places.find(hub)

    async def zones(self, hub: str) -> Mapping[str, BitMap]:
        """See `Outbox.zones`."""
        place = await self.place_of(hub)
        if place is None:
            return {}
        return await self._database.read(lambda connection: audience.zones(connection, place))

    # Installations

    async def put_installations(self, hub: str, installations: Sequence[Installation]) -> None:
        if len(installations) == 1:
            await self._places.keep_templates(installations[0].all_templates)
            await self._single_writes(hub).run(singly.put_installation(installations[0]))
            return
        await self._places.keep_templates(each for one in installations for each in one.all_templates)
        place = await self._places.make(hub)
        ordinals = await self._places.take_ordinals(place, _count(installations))
        written = _NOTHING
        try:
            written = await self._database.write(
                lambda connection: writing.put_installations(
                    connection, place, installations, ordinals, now=self._now(), through=hub in self._through
                )
            )
        finally:
            self._places.give_back(place, ordinals.numbers[written.taken :])
        await self._log.grew(place, written.log)

    async def add_installation(self, hub: str, installation: Installation) -> None:
        await self._places.keep_templates(installation.all_templates)
        await self._single_writes(hub).run(singly.add_installation(installation))

    async def change_installation(self, hub: str, installation: Installation) -> None:
        if await self._places.find(hub) is None:
            raise NotFoundError("Installation not found.")
        await self._places.keep_templates(installation.all_templates)
        await self._single_writes(hub).run(singly.change_installation(installation))

    def _single_writes(self, hub: str) -> SingleWrites:
        if hub not in self._singly:
            self._singly[hub] = SingleWrites(partial(self._write_singly, hub))
        return self._singly[hub]

    async def _write_singly(self, hub: str, writes: Sequence[SingleWrite]) -> Sequence[Any]:
        place = await self._places.make(hub)
        ordinals = await self._places.take_ordinals(place, sum([each.ordinals for each in writes]))
        written = _NOTHING
        try:
            answers, written = await self._database.write(
                lambda connection: writing.write_singly(
                    connection, place, writes, ordinals, now=self._now(), through=hub in self._through
                )
            )
        finally:
            self._places.give_back(place, ordinals.numbers[written.taken :])
        await self._log.grew(place, written.log)
        return answers

    async def import_installations(self, hub: str, installations: Sequence[Installation]) -> None:
        """In slices, each a transaction of its own. Raises: InvalidRequestError: the slices before are kept."""
        await self._places.keep_templates(each for one in installations for each in one.all_templates)
        place = await self._places.make(hub)
        for start in range(0, len(installations), IMPORTED):
            await self._import(hub, place, installations[start : start + IMPORTED])

    async def _import(self, hub: str, place: Place, installations: Sequence[Installation]) -> None:
        has_tiles = any(each.secondary_tiles for each in installations)  # they are claimed by no id of their own
        if not has_tiles and len({each.id for each in installations}) == len(installations):
            ordinals = await self._places.take_new_ordinals(place, _count(installations))
            try:
                written = await self._database.write(
                    lambda connection: writing.import_installations(
                        connection, place, installations, ordinals, now=self._now(), through=hub in self._through
                    )
                )
                await self._log.grew(place, written.log)
                return
            except writing.NotNewError:
                self._places.give_back(place, ordinals.numbers)
        await self.put_installations(hub, installations)

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        place = await self._places.find(hub)
        if place is None:
            raise NotFoundError("Installation not found.")
        return await self._database.read(
            lambda connection: listing.get_installation(connection, place, installation_id, now=self._now())
        )

    async def delete_installation(self, hub: str, installation_id: str) -> bool:
        if await self._places.find(hub) is None:
            return False
        was_there: bool = await self._single_writes(hub).run(singly.drop_installation(installation_id))
        return was_there

    async def take_found(self, hub: str, found: Sequence[Found], *, began: float) -> Sequence[bool]:
        """See `Mirrors.take_found`."""
        installations = [each.installation for each in found if each.installation is not None]
        singles = [each.registration for each in found if each.registration is not None]
        templates = [each for one in installations for each in one.all_templates]
        await self._places.keep_templates(templates + [each.template for each in singles if each.template is not None])
        place = await self._places.make(hub)
        ordinals = await self._places.take_ordinals(place, _count(installations) + len(singles))
        written = _NOTHING
        try:
            answers, written = await self._database.write(
                lambda connection: writing.take_what_was_found(
                    connection, place, found, ordinals, began=began, now=self._now()
                )
            )
        finally:
            self._places.give_back(place, ordinals.numbers[written.taken :])
        await self._log.grew(place, written.log)
        return answers

    # Single registrations

    async def put_registration(
        self, hub: str, registration: Registration, *, if_match: int | None = None
    ) -> Registration:
        if registration.template is not None:
            await self._places.keep_templates([registration.template])
        registration_id = registration.registration_id or new_registration_id()
        await self._refuse_derived(hub, registration_id)
        stored: Registration = await self._single_writes(hub).run(
            singly.put_registration(registration, registration_id, if_match)
        )
        return stored

    async def get_registration(self, hub: str, registration_id: str) -> Registration:
        place = await self._places.find(hub)
        if place is None:
            raise NotFoundError(f"registration {registration_id!r} not found")
        return await self._database.read(
            lambda connection: listing.get_registration(connection, place, registration_id, now=self._now())
        )

    async def registrations(
        self, hub: str, *, tag: str | None = None, after: str = "", limit: int
    ) -> ListPage[Registration]:
        place = await self._places.find(hub)
        if place is None:
            return ListPage(items=())
        return await self._database.read(
            lambda connection: listing.registrations(
                connection, place, tag=tag, after=after, limit=limit, now=self._now()
            )
        )

    async def registrations_of(
        self, hub: str, channels: Sequence[tuple[Platform, str]], *, after: str = "", limit: int
    ) -> ListPage[Registration]:
        place = await self._places.find(hub)
        if place is None:
            return ListPage(items=())
        return await self._database.read(
            lambda connection: listing.registrations_of(
                connection, place, channels, after=after, limit=limit, now=self._now()
            )
        )

    async def delete_registration(self, hub: str, registration_id: str, *, if_match: int | None = None) -> None:
        if await self._places.find(hub) is None:
            raise NotFoundError(f"registration {registration_id!r} not found")
        await self._refuse_derived(hub, registration_id)
        await self._single_writes(hub).run(singly.drop_registration(registration_id, if_match))

    async def _refuse_derived(self, hub: str, registration_id: str) -> None:
        """What derives from an installation changes with it alone. Raises: InvalidRequestError."""
        place = None if ordinal_of(registration_id) is None else await self._places.find(hub)
        if place is None:
            return
        if await self._database.read(lambda connection: listing.derived(connection, place, registration_id)):
            raise InvalidRequestError(
                f"registration {registration_id!r} derives from an installation: put, patch or delete that"
            )

    async def dead_channels(self, hub: str, *, after: str = "", limit: int) -> ListPage[DeadChannel]:
        place = await self._places.find(hub)
        if place is None:
            return ListPage(items=())
        return await self._database.read(
            lambda connection: listing.dead_channels(connection, place, after=after, limit=limit)
        )

    async def mark_channels_dead(self, hub: str, channels: Sequence[GoneChannel]) -> int:
        place = await self._places.find(hub)
        if place is None:
            return 0
        return await self._database.write(
            lambda connection: writing.mark_channels_dead(connection, place, channels, self._now())
        )

    async def rename_channels(self, hub: str, channels: Sequence[RenamedChannel]) -> int:
        place = await self._places.find(hub)
        if place is None:
            return 0
        renamed, log = await self._database.write(
            lambda connection: writing.rename_channels(
                connection, place, channels, now=self._now(), through=hub in self._through
            )
        )
        await self._log.grew(place, log)
        return renamed

    async def revive(self, hub: str, *, within: float) -> int:
        place = await self._places.find(hub)
        if place is None:
            return 0
        revived = 0
        after: tuple[float, int] | None = (self._now() - within, 0)
        while after is not None:
            write = partial(
                writing.revive_devices,
                place=place,
                after=after,
                limit=_REVIVED,
                now=self._now(),
                through=hub in self._through,
            )
            count, after, log = await self._database.write(write)
            revived += count
            await self._log.grew(place, log)
        return revived

    async def put_direct(
        self, hub: str, platform: Platform, push_channels: Sequence[str], *, tag: str, kept: float
    ) -> None:
        place = await self._places.make(hub)
        ordinals = await self._places.take_ordinals(place, len(push_channels))
        written = _NOTHING
        try:
            written = await self._database.write(
                lambda connection: writing.put_direct(
                    connection,
                    place,
                    [(platform, each) for each in push_channels],
                    ordinals,
                    tag=tag,
                    now=self._now(),
                    kept=kept,
                )
            )
        finally:
            self._places.give_back(place, ordinals.numbers[written.taken :])
        await self._log.grew(place, written.log)

    # Lists

    async def devices(
        self, hub: str, search: DeviceSearch = EVERY_DEVICE, *, after: str = "", limit: int
    ) -> ListPage[Device]:
        place = await self._places.find(hub)
        if place is None:
            return ListPage(items=())
        read: Callable[..., ListPage[Device]]
        if search.audience is not None:
            read = partial(listing.devices_of, audience=search.audience)
        elif search.channel_end:
            read = partial(listing.devices_ending, channel_end=search.channel_end)
        elif search.id:
            read = partial(listing.devices_beginning, beginning=search.id)
        else:
            read = listing.all_devices
        return await self._database.read(
            lambda connection: read(connection, place, after=after, limit=limit, now=self._now())
        )

    async def device(self, hub: str, installation_id: str) -> Device:
        place = await self._places.find(hub)
        if place is None:
            raise NotFoundError(f"device {installation_id!r} not found")
        return await self._database.read(
            lambda connection: listing.device(connection, place, installation_id, now=self._now())
        )

    async def registrations_by_platform(self) -> Mapping[tuple[str, Platform], int]:
        places = await self._places.all()
        return await self._database.read(lambda connection: listing.registrations_by_platform(connection, places))

    async def places(self) -> Sequence[tuple[str, Place]]:
        """The hubs in which anything was ever registered, by number."""
        return sorted((await self._places.all()).items(), key=lambda item: item[1])

    # Housekeeping

    async def erase_user(self, hub: str, user_id: str) -> int:
        place = await self._places.find(hub)
        if place is None:
            return 0
        await self._log.fold(place)
        erased, more = 0, True
        while more:
            count, more, ids = await self._database.write(
                lambda connection: writing.erase_user(
                    connection, place, user_id, limit=_ERASED, now=self._now(), through=hub in self._through
                )
            )
            erased += count
            forget = partial(writing.forget_users, place=place, user_id=user_id, installation_ids=ids)
            await self._database.write(forget)
        return erased

    async def fold(self) -> bool:
        for place in (await self._places.all()).values():
            if await self._log.fold(place):
                return True
            if await self._database.read(partial(are_marked, place=place)):
                await self._database.write(partial(fold_tags, place=place, shape=self._shape))
                return True
        return False

    async def forget_dead(self, *, kept: float) -> bool:
        for place in (await self._places.all()).values():
            now = self._now()
            if await self._database.read(partial(writing.are_due, place=place, before=now - kept, now=now)):
                await self._log.fold(place)
                await self._database.write(partial(writing.drop_dead, place=place, before=now - kept, now=now))
                return True
        return False

    async def drop_earlier(self, *, kept: float) -> None:
        """Forget which templates registrations had `kept` seconds ago."""
        before = self._now() - kept
        for place in (await self._places.all()).values():
            await self._database.write(partial(writing.drop_earlier, place=place, before=before))

    # What the outbox asks

    async def audiences(self, notifications: Sequence[Notification]) -> Sequence[Audience]:
        """Who each reaches now, in order."""
        places = {hub: await self._places.find(hub) for hub in {each.hub for each in notifications}}
        if len(places) == 1:
            return await self._audiences(next(iter(places.values())), notifications)
        found: list[Audience | None] = [None] * len(notifications)
        for hub, place in places.items():
            numbers = [number for number, each in enumerate(notifications) if each.hub == hub]
            answers = await self._audiences(place, [notifications[number] for number in numbers])
            for number, answer in zip(numbers, answers, strict=True):
                found[number] = answer
        return [answer for answer in found if answer is not None]

    async def _audiences(self, place: Place | None, notifications: Sequence[Notification]) -> Sequence[Audience]:
        if place is None:
            return [audience.nowhere(each) for each in notifications]
        return await self._database.read(
            lambda connection: audience.audiences(connection, place, notifications, now=self._now())
        )

    async def preview(self, notification: Notification, guarded: Notification) -> AudiencePreview:
        place = await self._places.find(notification.hub)
        if place is None:
            return previewing.nowhere(notification)
        return await self._database.read(
            lambda connection: previewing.preview(connection, place, notification, guarded, now=self._now())
        )

    async def targets(self, hub: str, ordinals: BitMap) -> Sequence[Target]:
        """The live registrations among `ordinals`, by ordinal."""
        place = await self._places.find(hub)
        if place is None:
            return ()
        return await self._database.read(
            lambda connection: targets.targets(connection, place, ordinals, now=self._now())
        )

    async def target_columns(self, hub: str, ordinals: BitMap) -> TargetColumns:
        """The live registrations among `ordinals`, by ordinal, as columns."""
        place = await self._places.find(hub)
        if place is None:
            return TargetColumns((), (), ())
        return await self._database.read(
            lambda connection: targets.target_columns(connection, place, ordinals, now=self._now())
        )

    async def templates(self, ids: Sequence[int]) -> Mapping[int, StoredTemplate]:
        return await self._database.read(lambda connection: read_templates(connection, ids))


mark_dead = writing.mark_dead
"""For the outbox, within the transaction of a record."""


def _count(installations: Sequence[Installation]) -> int:
    """Registrations that derive from these."""
    return sum([each.registration_count for each in installations])
