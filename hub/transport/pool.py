"""The connections to one origin, and the requests that wait for room on them."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from hub.egress import Proxy
from hub.requests import RequestGroup
from hub.transport.carrier import Carrier
from hub.transport.feed import Feed
from hub.transport.http2.connection import Begun
from hub.transport.http2.wire import Carried, Http2Wire
from hub.transport.requests import Batch, Response

_TRIES: Final = 16
"""Times that a request is sent which the other side says it has not looked at."""

_FRUITLESS: Final = 3
"""Connections in a row that ended without any answer, after which what waits fails instead of opening one more."""
_MAX_RETIRED: Final = 8
"""Connections that only finish what they have, from which on no other is opened."""
_AGAIN_AFTER: Final = 1.0
"""Seconds after which a connection beside others is tried again that could not be opened."""


class PoolOwner(Protocol):
    """What a pool tells and asks of the transport."""

    def open_http2(self, carried: Carried, origin: str, proxy: Proxy | None) -> Http2Wire:
        """A connection that is being opened. Raises: ValueError: there can be none, and why."""

    def open_http1(self, pool: "OriginPool") -> Carrier:
        """All HTTP/1.1 connections to the origin."""

    def moved(self, pool: "OriginPool") -> None:
        """Something was answered, has ended or may be begun."""


class OriginPool:
    """HTTP/2: up to `connections`. HTTP/1.1, where the peer does not offer it: one carrier for all connections."""

    def __init__(self, origin: str, owner: PoolOwner, *, http2: bool, connections: int, proxy: Proxy | None) -> None:
        self.origin = origin
        self.proxy = proxy
        """On the way there."""
        self.waiting: deque[Feed] = deque()
        """Feeds take turns; of those that go in order the oldest alone is here."""
        self._behind: deque[Feed] = deque()
        self.carriers: list[Carrier] = []
        """These take new requests."""
        self.is_queued = False
        """Whether the pool waits for its turn to begin requests; the transport's mark."""
        self._owner = owner
        self._http2 = http2
        self._connections = connections
        self._retired: list[Carrier] = []  # these only finish what they have
        self._fruitless = 0
        self._not_before = 0.0  # no connection beside others is tried before, in the loop's time

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or is under way."""
        return not self.waiting and not any(each.in_flight for each in self.all_carriers())

    @property
    def waiting_batches(self) -> Iterator[Batch]:
        """The batches with requests that wait."""
        return (feed.batch for feed in (*self.waiting, *self._behind))

    def all_carriers(self) -> tuple[Carrier, ...]:
        """Those that only finish what they have included."""
        return (*self.carriers, *self._retired)

    # Requests that wait

    def add(self, batch: Batch, group: RequestGroup, *, in_order: bool = False) -> None:
        """Let the requests of a group wait; batches take turns, and those that go `in_order` have one turn together."""
        for feed in (*self.waiting, *self._behind):
            if feed.batch is batch and not feed.is_again:
                feed.groups.append(group)
                return
        is_behind = in_order and any(feed.in_order for feed in self.waiting)
        (self._behind if is_behind else self.waiting).append(Feed(batch, in_order, deque([group])))

    def end_turn(self) -> None:
        """The first of `waiting` has had its turn: the next is another's, and what is used up makes room."""
        feed = self.waiting[0]
        if feed.left or feed.groups:
            self.waiting.rotate(-1)
        else:
            self._remove(feed)

    def withdraw(self, batch: Batch) -> list[int]:
        """The positions of a batch that wait here; none of them is begun any more."""
        mine = [feed for feed in (*self.waiting, *self._behind) if feed.batch is batch]
        for feed in mine:
            self._remove(feed)
        return [position for feed in mine for position in feed.unstarted()]

    def _remove(self, feed: Feed) -> None:
        if feed in self._behind:
            self._behind.remove(feed)
            return
        self.waiting.remove(feed)
        if feed.in_order and self._behind:
            self.waiting.append(self._behind.popleft())

    # Connections

    def carrier_with_room(self) -> Carrier | None:
        """Where a request may be begun now; opens what may be opened for it."""
        for carrier in self.carriers:
            if carrier.room > 0:
                return carrier
        if self._http2:
            if len(self.carriers) < self._connections and not any(each.is_new for each in self.carriers):
                self._open_http2()
        elif not self.carriers:
            self.carriers.append(self._owner.open_http1(self))
            return self.carriers[0]
        return None

    def _open_http2(self) -> None:
        if self.carriers and asyncio.get_running_loop().time() < self._not_before:
            return
        if len(self._retired) >= _MAX_RETIRED:
            return
        try:
            self.carriers.append(self._owner.open_http2(self, self.origin, self.proxy))
        except ValueError as error:
            self._fail_waiting(Response(0, failure=str(error)))
            self._owner.moved(self)

    def retire(self, carriers: Iterable[Carrier]) -> None:
        """Begin nothing more on these; they close when what is under way on them has finished."""
        for carrier in list(carriers):
            if carrier in self.carriers:
                self.carriers.remove(carrier)
                self._retired.append(carrier)
        self.close_finished()

    @property
    def has_finished(self) -> bool:
        """Whether there is something for `close_finished`."""
        return any(not each.in_flight for each in self._retired)

    def close_finished(self) -> None:
        """Close what was retired and has finished."""
        for carrier in [each for each in self._retired if not each.in_flight]:
            self._retired.remove(carrier)
            carrier.close()

    def is_retired(self, carrier: Carrier) -> bool:
        """Whether nothing more is begun on it."""
        return carrier in self._retired

    # What an HTTP/2 connection tells

    def opened(self, _wire: Http2Wire) -> None:
        """See `Carried.opened`."""
        self._owner.moved(self)

    def speaks_http1(self, wire: Http2Wire) -> None:
        """See `Carried.speaks_http1`."""
        self._http2 = False
        self._drop(wire)
        self._owner.moved(self)

    def failed(self, wire: Http2Wire, failure: Response) -> None:
        """See `Carried.failed`."""
        was_in_use = wire in self.carriers
        self._drop(wire)
        broken = wire.abandon()
        for begun in broken:
            begun.batch.settle(begun.row[0], failure)
        if was_in_use or broken:
            self._ended(wire, failure)
        for batch in {begun.batch for begun in broken}:
            batch.end_if_answered()
        self._owner.moved(self)

    def progressed(self, wire: Http2Wire, finished: Sequence[Batch], not_processed: Sequence[Begun]) -> None:
        """See `Carried.progressed`."""
        for batch in finished:
            batch.end_if_answered()
        if not_processed:
            self._again(not_processed)
        if wire.is_leaving and wire in self.carriers:
            self.carriers.remove(wire)
            self._retired.append(wire)
            if not wire.in_flight:
                self._ended(wire, Response(0, failure=wire.why_gone()))
        self._owner.moved(self)

    def _ended(self, wire: Http2Wire, failure: Response) -> None:
        """A connection takes nothing more: count those that were in vain, and do not open one after the other."""
        self._fruitless = 0 if wire.has_answered else self._fruitless + 1
        if not wire.was_open or self._fruitless >= _FRUITLESS:
            self._not_before = asyncio.get_running_loop().time() + _AGAIN_AFTER
            if not self.carriers:
                self._fail_waiting(failure)

    def _drop(self, wire: Http2Wire) -> None:
        for carriers in (self.carriers, self._retired):
            if wire in carriers:
                carriers.remove(wire)

    def _again(self, not_processed: Sequence[Begun]) -> None:
        """Let requests wait again, before all others."""
        groups: dict[tuple[int, int, int], list[Begun]] = {}
        for begun in not_processed:
            groups.setdefault((id(begun.batch), id(begun.group), begun.tries), []).append(begun)
        for members in reversed(groups.values()):
            batch, group, _, tries = members[0]
            if tries + 1 >= _TRIES:
                for begun in members:
                    batch.settle(begun.row[0], Response(0, failure=f"the service refused the request {_TRIES} times"))
                batch.end_if_answered()
                continue
            batch.open -= len(members)
            batch.waiting += len(members)
            rows = iter([begun.row for begun in members])
            self.waiting.appendleft(Feed(batch, group=group, rows=rows, left=len(members), tries=tries + 1))

    def _fail_waiting(self, failure: Response) -> None:
        """There is no connection: what waits for one need not wait until its deadline."""
        for batch in dict.fromkeys(self.waiting_batches):
            positions = self.withdraw(batch)
            batch.others.update(dict.fromkeys(positions, failure))
            batch.waiting -= len(positions)
            batch.end_if_answered()
