"""The contract `Mirrors` over a database, but for the rows that wait: those the registry writes, with the device."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import orjson
from pyroaring import BitMap

from hub.store.connection import Connection, Database, Row, Statement
from hub.store.contracts.mirrors import MirrorBacklog, MirroredDevice, MirrorState
from hub.store.contracts.telemetry import TallyKind
from hub.store.mirrors import statements
from hub.store.registry.places import SHARD, Place
from hub.store.telemetry.tallying import ADD, HOUR

_WANTED, _MAY_REMOVE = 1, 2
"""What is asked of the next list."""

_AHEAD = 60.0
"""Seconds by which a time may lie ahead of the store's."""

_NO_QUEUE = 0
"""Sums that are of no queue stand under this number, which no queue has."""


class SqlMirrors:
    """`place_of` finds a hub, `make_place` makes it where it is missing; `now` gives the store's time, from any thread."""

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], float],
        place_of: Callable[[str], Awaitable[Place | None]],
        make_place: Callable[[str], Awaitable[Place]],
    ) -> None:
        self._database = database
        self._now = now
        self._place_of = place_of
        self._make_place = make_place

    async def hold_mirror(self, hub: str, *, owner: str, lease: float) -> MirrorState | None:
        number = (await self._make_place(hub)).hub

        def hold(connection: Connection) -> list[Row]:
            now = self._now()
            connection.write(statements.BEGIN, hub=number, name=hub)
            if not connection.write(statements.HOLD, hub=number, owner=owner, now=now, until=now + lease):
                return []
            for statement in statements.AHEAD:
                connection.write(statement, hub=number, now=now, ahead=now + _AHEAD)
            return [row for row in connection.read(statements.STATES) if row[0] == hub]

        rows = await self._database.write(hold)
        return _state(rows[0]) if rows else None

    async def release_mirror(self, hub: str, *, owner: str) -> None:
        number = await self._number(hub)
        await self._database.write(lambda connection: connection.write(statements.RELEASE, hub=number, owner=owner))

    async def want_listing(self, hub: str, *, may_remove: bool = False) -> None:
        number, wanted = await self._number(hub), _MAY_REMOVE if may_remove else _WANTED
        await self._database.write(lambda connection: connection.write(statements.WANT, hub=number, wanted=wanted))

    async def begin_listing(self, hub: str) -> None:
        number = await self._number(hub)
        await self._database.write(lambda connection: connection.write(statements.BEGIN_LIST, hub=number))

    async def mirror_state(self, hub: str) -> MirrorState:
        rows = await self._database.read(lambda connection: connection.read(statements.STATES))
        return next((_state(row) for row in rows if row[0] == hub), MirrorState())

    async def forget_mirrors(self, kept: Collection[str]) -> bool:
        rows = await self._database.read(lambda connection: connection.read(statements.STATES))
        gone = [row[-1] for row in rows if row[0] not in kept or row[-2]]

        def forget(connection: Connection) -> bool:
            for number in gone:
                connection.write(statements.LEAVE, hub=number)
                if connection.write(statements.FORGET, hub=number, slice=statements.SLICE):
                    return True
                connection.write(statements.END, hub=number)
            return False

        return await self._database.write(forget) if gone else False

    async def due_devices(self, hub: str, *, limit: int) -> Sequence[MirroredDevice]:
        number = await self._number(hub)
        rows = await self._database.read(
            lambda connection: connection.read(statements.DUE, hub=number, now=self._now(), limit=limit)
        )
        return list(map(_device, rows))

    async def name_there(self, hub: str, key: str, there: str) -> None:
        number = await self._number(hub)
        await self._database.write(
            lambda connection: connection.write(statements.NAME, hub=number, key=key, there=there)
        )

    async def written_there(self, hub: str, written: Sequence[MirroredDevice]) -> None:
        number, now = await self._number(hub), self._now()
        rows = [(each.version, each.there, each.said, now, number, each.key) for each in written]
        await self._database.write(lambda connection: connection.write_all([(statements.WRITTEN, rows)]))

    async def postpone_there(self, hub: str, key: str, *, delay: float, reason: str) -> None:
        number, due = await self._number(hub), self._now() + delay
        await self._database.write(
            lambda connection: connection.write(statements.POSTPONE, hub=number, key=key, due=due, reason=reason)
        )

    async def mirror_backlog(self, hub: str) -> MirrorBacklog:
        number = await self._number(hub)
        ((waiting, refused, since, reason),) = await self._database.read(
            lambda connection: connection.read(statements.BACKLOG, hub=number)
        )
        return MirrorBacklog(waiting=waiting, refused=refused, since=since, reason=reason or "")

    async def mirrored(self, hub: str, keys: Sequence[str], *, there: Sequence[str] = ()) -> Sequence[MirroredDevice]:
        number = await self._number(hub)
        reads = [(statements.BY_KEY, list(keys)), (statements.BY_ID_THERE, list(there))]
        found = await self._database.read(lambda connection: connection.read_all_by_keys(reads, hub=number))
        return list({row[0]: _device(row) for rows in found for row in rows}.values())

    async def mirrored_before(
        self, hub: str, before: float, *, after: str = "", limit: int
    ) -> Sequence[MirroredDevice]:
        number = await self._number(hub)
        rows = await self._database.read(
            lambda connection: connection.read(statements.BEFORE, hub=number, before=before, after=after, limit=limit)
        )
        return list(map(_device, rows))

    async def rewrite_mirror(self, hub: str, *, after: str = "", limit: int) -> tuple[int, str]:
        number, now = await self._number(hub), self._now()

        def rewrite(connection: Connection) -> list[str]:
            keys = [key for (key,) in connection.read(statements.KEYS, hub=number, after=after, limit=limit)]
            connection.write_all([(statements.REWRITE, [(now, number, key) for key in keys])])
            return keys

        keys = await self._database.write(rewrite)
        return len(keys), keys[-1] if len(keys) == limit else ""

    async def forget_mirrored(self, hub: str, keys: Sequence[str], *, began: float) -> None:
        number = await self._number(hub)
        rows = [(number, key, began) for key in keys]
        await self._database.write(lambda connection: connection.write_all([(statements.DROP, rows)]))

    async def seed_mirror(self, hub: str) -> int:
        number, count, made = await self._number(hub), 0, statements.SLICE

        def seed(connection: Connection) -> int:
            values = {"hub": number, "shard": SHARD, "now": self._now(), "slice": statements.SLICE, "none": b""}
            return len(connection.write(statements.SEED, **values))

        while made == statements.SLICE:
            made = await self._database.write(seed)
            count += made
        return count

    async def listed(self, hub: str, *, began: float, counts: Mapping[str, int]) -> None:
        values = {"hub": await self._number(hub), "began": began, "counts": orjson.dumps(dict(counts)).decode()}
        await self._database.write(lambda connection: connection.write(statements.LISTED, now=self._now(), **values))

    async def listing_failed(self, hub: str, failure: str) -> None:
        number = await self._number(hub)
        await self._database.write(
            lambda connection: connection.write(statements.FAILED, hub=number, now=self._now(), failure=failure)
        )

    async def newer_here(self, hub: str, since: float) -> BitMap:
        return await self._ordinals(statements.NEWER_HERE, hub, since)

    async def newer_there(self, hub: str, since: float) -> BitMap:
        return await self._ordinals(statements.NEWER_THERE, hub, since)

    async def add_compared(self, counts: Mapping[tuple[str, str], int]) -> None:
        hour = int(self._now() // HOUR)
        kind = TallyKind.MIRROR.value
        rows = [(kind, hour, hub, "", name, _NO_QUEUE, count) for (hub, name), count in counts.items()]
        await self._database.write(lambda connection: connection.write_all([(ADD, rows)]))

    async def _ordinals(self, statement: Statement, hub: str, since: float) -> BitMap:
        number = await self._number(hub)
        rows = await self._database.read(lambda connection: connection.read(statement, hub=number, since=since))
        return BitMap.union(BitMap(), *(BitMap.deserialize(ordinals) for (ordinals,) in rows if ordinals))

    async def _number(self, hub: str) -> int:
        """0, which no hub has, where nothing was ever registered."""
        place = await self._place_of(hub)
        return 0 if place is None else place.hub


def is_mirrored(connection: Connection, place: Place) -> bool:
    """Whether what is written there goes to another hub too, as far as the database knows."""
    return any(row[-1] == place.hub for row in connection.read(statements.STATES))


def _device(row: Row) -> MirroredDevice:
    key, version, since, attempt, reason, there, said, print_, at = row
    return MirroredDevice(
        key=key,
        version=version,
        waits_since=since,
        attempt=attempt,
        reason=reason,
        there=there,
        said=said,
        print=print_,
        at=at,
    )


def _state(row: Row) -> MirrorState:
    _, listed_began, listed_at, failed_at, failure, is_wanted, counts, _, _ = row
    return MirrorState(
        listed_began=listed_began,
        listed_at=listed_at,
        failed_at=failed_at,
        failure=failure,
        is_wanted=bool(is_wanted),
        may_remove=is_wanted == _MAY_REMOVE,
        counts=orjson.loads(counts),
    )
