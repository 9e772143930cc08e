"""Where a hub's registrations are, and what is reserved before it is used: numbers of hubs, ordinals, templates.

Each is made in a transaction of its own, and known here only once that is durable: a write that fails later loses nothing
but a gap in the ordinals.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import orjson
from pyroaring import BitMap

from hub.errors import InvalidRequestError
from hub.installation import Template
from hub.store.connection import Connection, Database
from hub.store.decide.device import template_id
from hub.store.registry import statements
from hub.store.registry.rows import template_row
from hub.target import StoredTemplate

SHARD = 0
"""The one shard of each hub."""

REUSED_AFTER = 30 * 24 * 3600.0
"""Seconds before a free ordinal is given out again: pages under way and results keep naming it."""

_BLOCK = 1024
"""Ordinals that are reserved together."""
_KNOWN_TEMPLATES = 100_000


class Place(NamedTuple):
    """A shard of a hub."""

    hub: int
    shard: int = SHARD


class Ordinals(NamedTuple):
    """Free ordinals, and those among them that were a registration's before."""

    numbers: Sequence[int]
    used: frozenset[int] = frozenset()


class Places:
    """`before_reuse` is called before ordinals are given out that were a registration's before."""

    def __init__(
        self, database: Database, *, now: Callable[[], float], before_reuse: Callable[[Place], Awaitable[object]]
    ) -> None:
        self._database = database
        self._before_reuse = before_reuse
        self._now = now
        self._hubs: dict[str, Place] = {}
        self._free: dict[Place, deque[int]] = defaultdict(deque)
        self._used: dict[Place, BitMap] = defaultdict(BitMap)
        self._reserving: dict[Place, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._templates: set[int] = set()

    async def find(self, hub: str) -> Place | None:
        """None: nothing was ever registered there."""
        if hub not in self._hubs:
            await self.all()
        return self._hubs.get(hub)

    async def make(self, hub: str) -> Place:
        """The place of a hub, which is made where it is missing.

        Another process may make another hub in the same moment, and take the number that was free: then with the next one.
        """
        while (place := await self.find(hub)) is None:
            await self._database.write(lambda connection: _add_hub(connection, hub))
            await self.all()
        return place

    async def all(self) -> Mapping[str, Place]:
        """As they are now: a hub that comes while the caller goes through them is not among them."""
        rows = await self._database.read(lambda connection: connection.read(statements.HUBS))
        self._hubs |= {name: Place(number) for number, name in rows}
        return dict(self._hubs)

    async def take_ordinals(self, place: Place, count: int) -> Ordinals:
        """For the caller alone."""
        free = self._free[place]
        if len(free) < count:
            async with self._reserving[place]:
                while len(free) < count:
                    wanted = max(_BLOCK, count - len(free))
                    reserve = partial(reserve_ordinals, place=place, count=wanted, now=self._now())
                    reserved = await self._database.write(reserve)
                    if reserved.used:
                        await self._before_reuse(place)
                    free.extend(reserved.numbers)
                    self._used[place] |= BitMap(reserved.used)
        numbers = [free.popleft() for _ in range(count)]
        used = self._used[place]  # those that were used once stay there
        return Ordinals(numbers, frozenset([each for each in numbers if each in used]) if used else frozenset())

    async def take_new_ordinals(self, place: Place, count: int) -> Ordinals:
        """Neighbouring ordinals that never were a registration's."""
        return Ordinals(await self._database.write(lambda connection: reserve_new_ordinals(connection, place, count)))

    def give_back(self, place: Place, ordinals: Sequence[int]) -> None:
        """What was taken and is in no row."""
        self._free[place].extendleft(reversed(ordinals))

    async def keep_templates(self, templates: Iterable[Template]) -> None:
        """Have these in the store. Raises: InvalidRequestError: two texts have one hash, so that one of them cannot be."""
        unknown = {
            number: template for template in templates if (number := template_id(template)) not in self._templates
        }
        if unknown:
            await self._database.write(lambda connection: _add_templates(connection, unknown))
            if len(self._templates) > _KNOWN_TEMPLATES:
                self._templates.clear()
            self._templates |= unknown.keys()


def reserve_ordinals(connection: Connection, place: Place, count: int, *, now: float) -> Ordinals:
    """Those that are free for long enough, in order; else a block of new ones."""
    freed = connection.write(
        statements.CLAIM_FREE_ORDINALS, hub=place.hub, shard=place.shard, before=now - REUSED_AFTER, limit=count
    )
    if freed:
        numbers = sorted([ordinal for (ordinal,) in freed])
        return Ordinals(numbers, frozenset(numbers))
    return Ordinals(reserve_new_ordinals(connection, place, count))


def reserve_new_ordinals(connection: Connection, place: Place, count: int) -> Sequence[int]:
    ((following,),) = connection.write(statements.RESERVE_ORDINALS, hub=place.hub, shard=place.shard, count=count)
    return range(following - count, following)


def read_templates(connection: Connection, ids: Iterable[int]) -> dict[int, StoredTemplate]:
    return {
        number: StoredTemplate(body=body, headers=orjson.loads(headers), expiry=expiry)
        for number, body, headers, expiry in connection.read_by_keys(statements.TEMPLATES, sorted(set(ids)))
    }


def _add_hub(connection: Connection, hub: str) -> None:
    connection.write(statements.ADD_HUB, name=hub)
    connection.write(statements.ADD_SHARDS, name=hub, shard=SHARD)


def _add_templates(connection: Connection, templates: Mapping[int, Template]) -> None:
    rows = {number: template_row(template) for number, template in templates.items()}
    connection.insert_many(statements.ADD_TEMPLATES, [(number, *row) for number, row in rows.items()])
    for number, *kept in connection.read_by_keys(statements.TEMPLATES, list(rows)):
        if tuple(kept) != rows[number]:
            raise InvalidRequestError("this template cannot be kept: its hash is that of another one; change its body")
