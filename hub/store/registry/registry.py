"""The contract `Registry` over a database, and what a store reads of it for pushes."""

import secrets
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from pyroaring import BitMap

from hub.errors import NotFoundError
from hub.installation import Installation, Registration
from hub.notification import Audience as AudienceExpression
from hub.notification import Everyone, Notification, Platform
from hub.outcome import Unreached
from hub.store.clock import StoreClock
from hub.store.connection import Connection, Database
from hub.store.contracts.listing import ListPage
from hub.store.contracts.outbox import Audience, Failed
from hub.store.contracts.registry import Device
from hub.store.decide.tag_index import DEAD, kind_id
from hub.store.registry import audience, browsing, statements, writing
from hub.store.registry.index import Place, fold_some, read_members
from hub.store.registry.rows import device_of
from hub.tags import user_tag
from hub.target import StoredTemplate, Target

_ORDINALS = 10_000
"""Ordinals that are reserved at a time, at least."""
_REST = 30 * 24 * 3600.0
"""Seconds after which a free ordinal is given out again: no page names it any more."""
_SLICE = 500
"""Devices that one transaction forgets, at most."""
_FOLDED = 16
"""Tags that one transaction folds, at most."""

T = TypeVar("T")


class SqlRegistry:
    """Devices of all hubs. Everything belongs to one event loop; jobs run in the database's threads."""

    def __init__(self, database: Database, clock: StoreClock) -> None:
        self._database = database
        self._clock = clock
        self._places: dict[str, Place] = {}
        self._ordinals: dict[Place, deque[int]] = {}

    # Documents and registrations

    async def put_installations(self, hub: str, installations: Sequence[Installation]) -> None:
        wanted = sum(1 + len(installation.templates) for installation in installations)
        await self._put(
            hub,
            wanted,
            lambda connection, place, ordinals: writing.put_installations(
                connection, place, installations, ordinals, now=self._clock.now()
            ),
        )

    async def import_installations(self, hub: str, installations: Sequence[Installation]) -> None:
        await self.put_installations(hub, installations)

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        place = await self._place(hub)
        if place is None:
            raise NotFoundError("Installation not found.")
        return await self._database.read(
            lambda connection: browsing.installation(connection, place, installation_id, now=self._clock.now())
        )

    async def delete_installation(self, hub: str, installation_id: str) -> bool:
        place = await self._place(hub)
        if place is None:
            return False
        return await self._database.write(
            lambda connection: writing.delete_installation(connection, place, installation_id, now=self._clock.now())
        )

    async def put_registration(
        self, hub: str, registration: Registration, *, if_match: int | None = None
    ) -> Registration:
        registration_id = registration.registration_id or new_registration_id()
        return await self._put(
            hub,
            1,
            lambda connection, place, ordinals: writing.put_registration(
                connection, place, registration, registration_id, if_match, ordinals, now=self._clock.now()
            ),
        )

    async def get_registration(self, hub: str, registration_id: str) -> Registration:
        place = await self._place(hub)
        if place is None:
            raise NotFoundError(f"registration {registration_id!r} not found")
        return await self._database.read(
            lambda connection: browsing.registration(connection, place, registration_id, now=self._clock.now())
        )

    async def delete_registration(self, hub: str, registration_id: str, *, if_match: int | None = None) -> None:
        place = await self._place(hub)
        if place is None:
            raise NotFoundError(f"registration {registration_id!r} not found")
        await self._database.write(
            lambda connection: writing.delete_registration(
                connection, place, registration_id, if_match, now=self._clock.now()
            )
        )

    # Lists

    async def devices(
        self, hub: str, *, audience: AudienceExpression | None = None, after: str = "", limit: int
    ) -> ListPage[Device]:
        place = await self._place(hub)
        if place is None:
            return ListPage(items=())
        return await self._database.read(
            lambda connection: browsing.devices(
                connection, place, audience=audience, after=after, limit=limit, now=self._clock.now()
            )
        )

    async def device(self, hub: str, installation_id: str) -> Device:
        place = await self._place(hub)
        if place is None:
            raise NotFoundError(f"device {installation_id!r} not found")
        return await self._database.read(
            lambda connection: browsing.device(connection, place, installation_id, now=self._clock.now())
        )

    async def registrations_by_platform(self) -> Mapping[tuple[str, Platform], int]:
        await self._learn_places()
        kinds = {
            kind_id(kind, platform): platform for kind in ("native", "template") for platform in Platform.declared()
        }
        counts: dict[tuple[str, Platform], int] = {}
        for hub, place in self._places.items():
            tags = await self._database.read(partial(read_members, place=place, tags=[*kinds, DEAD]))
            for tag, platform in kinds.items():
                if living := len(tags[tag] - tags[DEAD]):
                    counts[hub, platform] = counts.get((hub, platform), 0) + living
        return counts

    # What pushes need

    async def audiences(self, notifications: Sequence[Notification]) -> Sequence[Audience]:
        """Who each reaches now, in order."""
        by_hub: dict[str, list[int]] = {}
        for number, notification in enumerate(notifications):
            by_hub.setdefault(notification.hub, []).append(number)
        places = {hub: await self._place(hub) for hub in by_hub}

        def read(connection: Connection) -> dict[int, Audience]:
            found: dict[int, Audience] = {}
            for hub, numbers in by_hub.items():
                place, mine = places[hub], [notifications[number] for number in numbers]
                if place is None:
                    found |= {number: _nobody(notifications[number]) for number in numbers}
                else:
                    reached = audience.audiences(connection, place, mine, now=self._clock.now())
                    found |= dict(zip(numbers, reached, strict=True))
            return found

        found = await self._database.read(read)
        return [found[number] for number in range(len(notifications))]

    async def targets(self, hub: str, ordinals: BitMap) -> Sequence[Target]:
        """The live registrations among `ordinals`, by ordinal."""
        place = await self._place(hub)
        if place is None:
            return []
        return await self._database.read(
            lambda connection: audience.targets(connection, place, ordinals, now=self._clock.now())
        )

    async def templates(self, ids: Sequence[int]) -> Mapping[int, StoredTemplate]:
        return await self._database.read(lambda connection: audience.templates(connection, ids))

    def mark_dead(self, connection: Connection, gone: Sequence[tuple[str, Failed]], now: float) -> int:
        """Within the transaction of a record: see `hub.store.outbox.recording.MarkDead`."""
        by_hub: dict[str, list[Failed]] = {}
        for hub, failed in gone:
            by_hub.setdefault(hub, []).append(failed)
        return sum(writing.mark_dead(connection, hub, mine, now=now) for hub, mine in by_hub.items())

    # What goes

    async def erase_user(self, hub: str, user_id: str) -> int:
        place = await self._place(hub)
        if place is None:
            return 0
        tag = user_tag(user_id)
        return await self._database.write(
            lambda connection: writing.drop(
                connection, place, browsing.of_user(connection, place, tag), now=self._clock.now()
            )
        )

    async def fold(self) -> bool:
        await self._learn_places()
        more = [
            await self._database.write(partial(fold_some, place=place, limit=_FOLDED))
            for place in self._places.values()
        ]
        return any(more)

    async def forget_dead(self, hubs: Collection[str] | None = None, *, kept: float) -> bool:
        await self._learn_places()
        chosen = [place for hub, place in self._places.items() if hubs is None or hub in hubs]
        more = [await self._forget(place, kept) for place in chosen]
        return any(more)

    async def _forget(self, place: Place, kept: float) -> bool:
        def job(connection: Connection) -> int:
            now, where = self._clock.now(), place._asdict()
            dead = connection.read(statements.DEVICES_DEAD, before=now - kept, limit=_SLICE, **where)
            expired = connection.read(statements.DEVICES_EXPIRED, now=now, limit=_SLICE, **where)
            devices = list(map(device_of, (*dead, *expired)))
            return writing.drop(connection, place, devices, now=now) and len(devices)

        return await self._database.write(job) >= _SLICE

    # Hubs and ordinals

    async def _place(self, hub: str) -> Place | None:
        """Where a hub is kept; None: no device of it was ever registered."""
        place = self._places.get(hub)
        if place is None:
            await self._learn_places()
            place = self._places.get(hub)
        return place

    async def _learn_places(self) -> None:
        for number, name in await self._database.read(lambda connection: connection.read(statements.HUBS)):
            self._places.setdefault(name, Place(number, writing.SHARD))

    async def _put(self, hub: str, wanted: int, put: Callable[[Connection, Place, "Numbers"], T]) -> T:
        """Run a job that may need so many ordinals; what it does not use is kept for the next."""
        place = await self._place(hub) or await self._add_hub(hub)
        free = self._ordinals.setdefault(place, deque())
        if len(free) < wanted:
            free.extend(await self._reserve(place, max(wanted, _ORDINALS)))
        mine = [free.popleft() for _ in range(wanted)]
        numbers = Numbers(mine)

        def job(connection: Connection) -> T:
            numbers.rewind()  # a job may run twice
            return put(connection, place, numbers)

        try:
            answer = await self._database.write(job)
        except BaseException:
            if not numbers.used:
                free.extendleft(reversed(mine))
            raise
        free.extendleft(reversed(mine[numbers.used :]))
        return answer

    async def _reserve(self, place: Place, wanted: int) -> list[int]:
        def job(connection: Connection) -> list[int]:
            before = self._clock.now() - _REST
            where = place._asdict()
            rows = connection.write(statements.CLAIM_FREE_ORDINALS, before=before, limit=wanted, **where)
            found = sorted(ordinal for (ordinal,) in rows)
            lacking = wanted - len(found)
            if lacking:
                ((following,),) = connection.write(statements.RESERVE_ORDINALS, count=lacking, **where)
                found += range(following - lacking, following)
            return found

        return await self._database.write(job)

    async def _add_hub(self, hub: str) -> Place:
        def job(connection: Connection) -> None:
            connection.write(statements.ADD_HUB, name=hub)
            connection.write(statements.ADD_SHARDS, name=hub, shard=writing.SHARD)

        await self._database.write(job)
        await self._learn_places()
        return self._places[hub]


class Numbers:
    """Hands out numbers in order, and counts them."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers
        self.used = 0

    def rewind(self) -> None:
        self.used = 0

    def __iter__(self) -> "Numbers":
        return self

    def __next__(self) -> int:
        self.used += 1
        return self._numbers[self.used - 1]


def new_registration_id() -> str:
    """An id of the service's own kind: two long numbers and a partition."""
    return f"{secrets.randbits(62)}-{secrets.randbits(62)}-1"


def _nobody(notification: Notification) -> Audience:
    """Of a hub that has no devices."""
    is_for_all = isinstance(notification.audience, Everyone)
    return Audience(unreached=Unreached.NO_REGISTRATION if is_for_all else Unreached.NO_TAG)
