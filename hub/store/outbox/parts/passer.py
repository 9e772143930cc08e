"""Work that other processes serve and this one does not, handed to them; and what none of them serves."""

import math
import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from hub.store.connection import Connection, Database
from hub.store.contracts.outbox import PACED, Service, Work
from hub.store.decide.recording import Key
from hub.store.outbox import passing, taking
from hub.store.outbox.in_hand import Candidate, Place
from hub.store.outbox.open_work import OpenWork
from hub.store.outbox.orphans import Orphans
from hub.store.outbox.ownership import Ownership
from hub.store.outbox.parts.recorder import Recorder
from hub.store.outbox.parts.taker import Taker
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.rows import LANES, hub_of, service_key

_PASSED_AT_ONCE = 500
"""Rows of work that move to other processes in one transaction."""
_LONGEST_PAUSE = 32.0
"""Seconds between two looks at work of a hub that no live process knows."""


class _Sorted(NamedTuple):
    """What is to become of work: passed on, postponed by so many seconds, or ended."""

    moves: list[tuple[Work, passing.Move]]
    waiting: dict[float, list[Work]]
    ended: list[Work]


class Passer:
    """`taker` reads what no live process serves, `recorder` postpones it."""

    def __init__(self, database: Database, queues: SqlQueues, work: OpenWork, taker: Taker, recorder: Recorder) -> None:
        self._database = database
        self._queues = queues
        self._own = queues.own
        self._work = work
        self._taker = taker
        self._recorder = recorder
        self._orphans = Orphans()

    async def take_orphans(self, served: Collection[Service], limit: int, *, waited: float) -> Sequence[Work]:
        async with self._work.taking:
            strangers = self._waiting_services() - {service_key(service) for service in served}
            if (ownership := self._queues.ownership) is not None:
                mine = set(ownership.serves())  # and closed: nobody else takes what waits for it in our queues
                strangers = {
                    key for key in strangers if key in mine or _is_orphaned(ownership, key, hub_of(key), waited)
                }
            places = self._places(strangers)
            if not places:
                return []
            hand = self._work.hand
            look = hand.look([], {})

            def read(connection: Connection) -> taking.Taken:
                now = self._queues.now()
                return self._orphans.take(connection, places, hand, limit, now=now, begun=now - waited)

            return await self._taker.read(look, read)

    async def pass_on(self, work: Sequence[Work], *, waited: float) -> Sequence[Work]:
        ownership = self._queues.ownership
        if ownership is None:
            return work
        moves, waiting, ended = self._sort(ownership, work, waited)
        if moves:
            passed = await self._move([move for _, move in moves])
            await self._recorder.give_back([piece for piece, move in moves if (move.queue, move.n) not in passed])
            for piece, _ in moves:
                self._work.leave(piece)
                if (piece.queue, piece.n) in passed:
                    self._work.uncount(piece)
        for delay, pieces in waiting.items():
            await self._recorder.postpone(pieces, delay=delay)
        return ended

    def _sort(self, ownership: Ownership, work: Sequence[Work], waited: float) -> _Sorted:
        moves: list[tuple[Work, passing.Move]] = []
        waiting: dict[float, list[Work]] = defaultdict(list)
        ended: list[Work] = []
        now = self._queues.now()
        for piece in work:
            if piece.is_withdrawn:
                continue
            key, hub = service_key(piece.service), piece.notification.hub
            if places := ownership.places_for(key, hub):
                to, owner = random.choice(places)
                moves.append((piece, passing.Move(piece.queue, piece.n, bool(piece.number), to, owner)))
            elif _is_old(piece, now, waited) and _is_orphaned(ownership, key, hub, waited):
                ended.append(piece)
            else:
                waiting[_pause(now - piece.accepted_at)].append(piece)
        return _Sorted(moves, waiting, ended)

    async def pass_on_strange(self) -> None:
        """Pass on work that waits in own queues for push services that others serve and this process does not.
        Raises: StoreError."""
        if (ownership := self._queues.ownership) is None:
            return
        strange = ownership.strange(self._waiting_services())
        is_full = bool(strange)
        while is_full:
            async with self._work.taking:
                is_full = await self._pass_some_on(ownership, strange)

    async def _pass_some_on(self, ownership: Ownership, strange: Collection[str]) -> bool:
        """Whether more of it may wait."""
        places, hand = self._places(strange), self._work.hand

        def read(connection: Connection) -> list[Candidate]:
            return taking.find_due(connection, places, hand, _PASSED_AT_ONCE, now=self._queues.now())

        found = await self._database.read(read)
        moves = [
            passing.Move(one.place.queue, one.n, one.is_page, *random.choice(targets))
            for one in found
            if (targets := ownership.places_for(one.place.service, hub_of(one.place.service)))
        ]
        passed = await self._move(moves) if moves else set()
        for one in found:
            if (one.place.queue, one.n) in passed:
                self._work.tally.add(one.place.lane, one.place.service, -1)
        return len(found) == _PASSED_AT_ONCE and bool(passed)

    async def _move(self, moves: Sequence[passing.Move]) -> set[Key]:
        return await self._queues.write(
            lambda connection: passing.pass_on(connection, moves, self._own, now=self._queues.now())
        )

    def _waiting_services(self) -> set[str]:
        """Keys of push services for which something waits."""
        return {key for key in self._work.tally.services() if not key.startswith(PACED)}

    def _places(self, services: Collection[str]) -> list[Place]:
        return [
            Place(queue, lane, key)
            for queue in self._own.taken_from
            for lane in LANES.values()
            for key in sorted(services)
        ]


def _is_orphaned(ownership: Ownership, service: str, hub: str, waited: float) -> bool:
    """Whether no live process has served it for so many seconds."""
    return not ownership.is_served(service, hub) and ownership.unserved_for(service, hub) >= waited


def _is_old(work: Work, now: float, waited: float) -> bool:
    """Whether the work could have been sent so many seconds ago, or has expired."""
    notification = work.notification
    if notification.expires_at is not None and notification.expires_at.timestamp() <= now:
        return True
    schedule_at = 0.0 if notification.schedule_at is None else notification.schedule_at.timestamp()
    return now - max(work.accepted_at, schedule_at, work.quiet_until) >= waited


def _pause(age: float) -> float:
    """Seconds until work that no process serves is looked at again: a power of two, so that what waits is postponed in few
    transactions, and each row a few times."""
    return 2.0 ** math.floor(math.log2(min(max(age / 2, 1.0), _LONGEST_PAUSE)))
