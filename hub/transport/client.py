"""Requests to push services in batches: HTTP/2 where offered, many streams a connection.

Everything is done for many requests at once: they are begun as there is room for them, answers are read in bulk, a
batch has one timer and one future. A plain 200 is only counted.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from hub.addresses import PublicAddresses
from hub.egress import Egress, Proxy
from hub.requests import RequestGroup
from hub.tls import Tls
from hub.transport.carrier import Carrier
from hub.transport.contexts import Contexts
from hub.transport.http2.wire import DOUBT, Carried, Http2Wire
from hub.transport.pool import OriginPool
from hub.transport.requests import MAX_IDLE, Answers, Batch, Response

if TYPE_CHECKING:
    from hub.transport.handles import Handles

_SLICE: Final = 256  # requests begun before the loop has a turn: 1 to 3 ms of CPU
_TURN: Final = 64  # requests begun for one batch before another has a turn
_GROUPS: Final = 16  # groups read in a turn
_SILENCE: Final = 1.0  # seconds without any answer that make a connection suspect once a request on it has timed out

_TIMED_OUT: Final = Response(0, failure="no answer within the deadline", timed_out=True)
_CLOSED: Final = Response(0, failure="the transport was closed")


class Transport:
    """POSTs batches of requests; connections open with the first.

    HTTP/2 where the peer offers it: up to `connections` to an origin, each with up to `streams` requests at once; a lower
    limit of the peer is obeyed (RFC 9113, 5.1.2), and the next connection is opened when those there are full. With
    `http2=False`, or where the peer offers no HTTP/2, it is HTTP/1.1, one request at a time on each connection.
    `answer_headers` asks for all headers of answers. Redirects are not followed, proxies of the environment not used:
    `egress` names one. Nothing is repeated that may have been taken: only what the peer says it has not looked at
    (REFUSED_STREAM, above the last stream of a GOAWAY) is sent again.

    Each origin has connections of its own, so that one that does not answer holds up no other. There are connections to up
    to `origins` at a time: requests to one more take the place of the origin that is idle the longest, or wait for one to
    become idle. What has been idle for `close_after` seconds is closed. An HTTP/2 connection that owes answers and is
    silent for `doubt` seconds is asked by a PING whether it is there, and given up after as many more.

    `identity` gives the contexts of HTTP/2 connections a certificate to show that is in no file of `egress.tls`.

    With `only_to`, for origins that others name, each connection goes to one of its addresses or is not made: an answer
    says so by `is_forbidden`.
    """

    def __init__(
        self,
        egress: Egress | None = None,
        *,
        http2: bool = True,
        connections: int = 2,
        streams: int = 1000,
        answer_headers: bool = False,
        origins: int = 256,
        close_after: float = MAX_IDLE,
        doubt: float = DOUBT,
        only_to: PublicAddresses | None = None,
        identity: Callable[[ssl.SSLContext], None] | None = None,
    ) -> None:
        self._egress = egress or Egress()
        self._contexts = Contexts(self._egress.tls or Tls(), identity=identity)
        self._handles: Handles | None = None
        self._http2 = http2
        self._answer_headers = answer_headers
        self._connections = connections
        self._streams = streams
        self._origins = origins
        self._close_after = close_after
        self._doubt = doubt
        self._only_to = only_to
        self._reading: deque[Batch] = deque()  # batches with groups not yet read; of those in order the oldest alone
        self._behind: deque[Batch] = deque()  # the others of those in order
        self._pools: dict[str, OriginPool] = {}
        self._hungry: deque[OriginPool] = deque()  # pools with requests that wait, and perhaps room
        self._idle_since: dict[str, float] = {}  # origins, the one that is idle the longest first
        self._blocked: dict[str, list[tuple[Batch, RequestGroup]]] = {}  # origins that wait for a pool
        self._next_feed: asyncio.Handle | None = None
        self._next_closing: asyncio.TimerHandle | None = None
        self._closed = False
        self.generation = 0
        """Counts the renewals; see `renew`."""

    @property
    def open_origins(self) -> int:
        """To how many origins there are connections."""
        return len(self._pools)

    async def post(self, groups: Iterable[RequestGroup], *, deadline: float, in_order: bool = False) -> Answers:
        """An answer to every request, at most `deadline` seconds later; what has not answered then is given up.

        `groups` may be a generator: it is read a few at a time, so that the loop has its turns, and may not raise. Batches
        under way take turns, so a small one does not wait for a large one; those that go `in_order` begin one after the
        other, and have one turn together.
        """
        loop = asyncio.get_running_loop()
        batch = Batch(iter(groups), loop.create_future(), in_order)
        if self._closed:
            self._give_up(batch, _CLOSED)
            return Answers(0, batch.others)
        timer = loop.call_later(deadline, self._expire, batch, min(_SILENCE, deadline / 2))
        is_behind = in_order and any(each.in_order for each in self._reading)
        (self._behind if is_behind else self._reading).append(batch)
        self._feed()
        try:
            await batch.done
        finally:
            timer.cancel()
            if batch.done.cancelled():
                self._give_up(batch, _CLOSED)
        return Answers(batch.plain, batch.others)

    def renew(self, *, since: int) -> None:
        """Use new connections from now on; the old ones close when what is under way on them has finished.

        Does nothing if `generation` is no longer `since`: many callers may see the same trouble and ask for this once.
        """
        if since == self.generation:
            self.generation += 1
            for pool in self._pools.values():
                pool.retire(pool.carriers)
                self._queue(pool)  # what waited for one that was being opened
            self._feed_soon()

    async def close(self) -> None:
        """Close all connections; requests under way end with a failure. May be called twice."""
        self._closed = True
        batches = {*self._reading, *self._behind}
        for pool in self._pools.values():
            batches.update(pool.waiting_batches, *(each.batches() for each in pool.all_carriers()))
        batches |= {batch for waiting in self._blocked.values() for batch, _ in waiting}
        for batch in batches:
            self._give_up(batch, _CLOSED)
        for timer in (self._next_feed, self._next_closing):
            if timer is not None:
                timer.cancel()
        for pool in self._pools.values():
            pool.retire(pool.carriers)
        self._pools.clear()
        if self._handles is not None:
            self._handles.close()

    # Starting requests

    def _feed(self) -> None:
        """Read groups and start requests where there is room, batches and origins by turns, a slice at a time."""
        self._next_feed = None
        used = []
        room = _SLICE - self._read(_GROUPS)
        while room > 0 and self._hungry:
            pool = self._hungry.popleft()
            carrier = pool.carrier_with_room() if pool.waiting else None
            if carrier is None:
                pool.is_queued = False
                continue
            room -= self._start_turn(pool, carrier, min(room, _TURN, carrier.room))
            used.append(carrier)
            self._hungry.append(pool)
        for carrier in dict.fromkeys(used):
            carrier.start()
        self._feed_soon()

    def _feed_soon(self) -> None:
        if self._next_feed is None and (self._reading or self._hungry):
            self._next_feed = asyncio.get_running_loop().call_soon(self._feed)

    def _read(self, limit: int) -> int:
        """Let the requests of up to `limit` groups wait at their origins; how many groups that were."""
        read = 0
        while read < limit and self._reading:
            batch = self._reading.popleft()
            group = next(batch.groups, None)
            if group is None:
                batch.is_read = True
                batch.end_if_answered()
                self._read_next_after(batch)
                continue
            read += 1
            self._reading.append(batch)
            batch.waiting += len(group.ids)
            self._offer(batch, group)
        return read

    def _read_next_after(self, batch: Batch) -> None:
        if batch.in_order and self._behind:
            self._reading.append(self._behind.popleft())

    def _offer(self, batch: Batch, group: RequestGroup) -> None:
        pool = self._pools.get(group.origin) or self._open_pool(group.origin)
        if pool is None:
            self._blocked.setdefault(group.origin, []).append((batch, group))
            return
        self._idle_since.pop(group.origin, None)
        pool.add(batch, group, in_order=batch.in_order)
        self._queue(pool)

    def _queue(self, pool: OriginPool) -> None:
        if pool.waiting and not pool.is_queued:
            pool.is_queued = True
            self._hungry.append(pool)

    def _start_turn(self, pool: OriginPool, carrier: Carrier, limit: int) -> int:
        """Begin up to `limit` requests of the batch whose turn it is; how many were begun."""
        feed = pool.waiting[0]
        started = 0
        while started < limit and (group := feed.next_group()) is not None:
            begun = carrier.begin(feed, group, limit - started)
            feed.left -= begun
            feed.batch.waiting -= begun
            feed.batch.open += begun
            started += begun
        pool.end_turn()
        return started

    # Answers

    def moved(self, pool: OriginPool) -> None:
        """See `PoolOwner.moved`."""
        if self._closed:
            return
        if pool.has_finished:
            asyncio.get_running_loop().call_soon(pool.close_finished)  # not while it calls us
        if pool.is_idle:
            asyncio.get_running_loop().call_soon(self._rest, pool)
        self._queue(pool)
        self._feed_soon()

    def _expire(self, batch: Batch, silence: float) -> None:
        since = asyncio.get_running_loop().time() - silence
        # It may be a black hole. Slowness alone is no reason to connect again.
        for carrier, pool in self._give_up(batch, _TIMED_OUT).items():
            if carrier.answered_at < since and not pool.is_retired(carrier):
                self.generation += 1
                pool.retire([carrier])
        self._feed_soon()

    def _give_up(self, batch: Batch, response: Response) -> dict[Carrier, OriginPool]:
        """End what is under way of a batch (HTTP/2: by RST_STREAM, so the peer frees the stream) and what is not begun.

        Returns where something was under way.
        """
        used: dict[Carrier, OriginPool] = {}
        for pool in self._pools.values():
            for carrier in pool.all_carriers():
                if positions := carrier.give_up(batch):
                    used[carrier] = pool
                    for position in positions:
                        batch.settle(position, response)
        self._withdraw(batch, response)
        for pool in dict.fromkeys(used.values()):
            pool.close_finished()
            self._queue(pool)
        for pool in list(self._pools.values()):  # also one where requests only waited
            if pool.is_idle and pool.origin not in self._idle_since:
                self._rest(pool)
        for carrier in used:
            if carrier.in_flight:
                carrier.start()  # what waited inside may have a place now
        return used

    def _withdraw(self, batch: Batch, response: Response) -> None:
        """Answer what is not begun of a batch."""
        unstarted = [position for pool in self._pools.values() for position in pool.withdraw(batch)]
        for origin, waiting in list(self._blocked.items()):
            unstarted += [position for each, group in waiting if each is batch for position in group.positions]
            if kept := [pair for pair in waiting if pair[0] is not batch]:
                self._blocked[origin] = kept
            else:
                del self._blocked[origin]
        unstarted += [position for group in batch.groups for position in group.positions]
        batch.others.update(dict.fromkeys(unstarted, response))
        if batch in self._behind:
            self._behind.remove(batch)
        elif batch in self._reading:
            self._reading.remove(batch)
            self._read_next_after(batch)
        batch.is_read = True
        batch.waiting = 0
        batch.end_if_answered()
        if not self._closed:  # what was behind it may have its turn now
            for pool in self._pools.values():
                self._queue(pool)
            self._feed_soon()

    # Origins

    def _open_pool(self, origin: str) -> OriginPool | None:
        """A pool for an origin, in the place of one that is idle if need be; None if all are at work."""
        if len(self._pools) >= self._origins:
            if not self._idle_since:
                return None
            self._close_pool(next(iter(self._idle_since)))
        proxy = self._egress.proxy_for(urlsplit(origin).hostname or "")
        pool = OriginPool(origin, self, http2=self._http2, connections=self._connections, proxy=proxy)
        self._pools[origin] = pool
        return pool

    def open_http2(self, carried: Carried, origin: str, proxy: Proxy | None) -> Http2Wire:
        """See `PoolOwner.open_http2`."""
        parts = urlsplit(origin)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError(f"Protocol {parts.scheme!r} is not supported: only https")
        return Http2Wire(
            carried,
            host=parts.hostname,
            port=parts.port or 443,
            proxy=proxy,
            context=self._contexts.current,
            streams=self._streams,
            answer_headers=self._answer_headers,
            doubt=self._doubt,
            only_to=self._only_to,
        )

    def open_http1(self, pool: OriginPool) -> Carrier:
        """See `PoolOwner.open_http1`. libcurl and what it links take 9 MB: no daemon has them that speaks HTTP/2 alone."""
        from hub.transport.curl import CurlCarrier
        from hub.transport.handles import HandleOptions, Handles

        if self._handles is None:
            options = HandleOptions(
                tls=self._egress.tls or Tls(), answer_headers=self._answer_headers, only_to=self._only_to
            )
            self._handles = Handles(options)
        return CurlCarrier(self._handles, lambda: self.moved(pool), connections=self._connections, proxy=pool.proxy)

    def _close_pool(self, origin: str) -> None:
        pool = self._pools.pop(origin)
        self._idle_since.pop(origin, None)
        pool.retire(pool.carriers)

    def _rest(self, pool: OriginPool) -> None:
        """A pool may have become idle: give its place to an origin that waits, or note the time."""
        if self._pools.get(pool.origin) is not pool or not pool.is_idle or self._closed:
            return
        loop = asyncio.get_running_loop()
        self._idle_since.pop(pool.origin, None)
        self._idle_since[pool.origin] = loop.time()
        if self._blocked:
            for batch, group in self._blocked.pop(next(iter(self._blocked))):
                self._offer(batch, group)
            self._feed_soon()
        if self._next_closing is None:
            self._next_closing = loop.call_later(self._close_after, self._close_idle)

    def _close_idle(self) -> None:
        self._next_closing = None
        loop = asyncio.get_running_loop()
        before = loop.time() - self._close_after
        for origin in [origin for origin, since in self._idle_since.items() if since <= before]:
            self._close_pool(origin)
        if self._idle_since:
            oldest = next(iter(self._idle_since.values()))
            self._next_closing = loop.call_at(oldest + self._close_after, self._close_idle)
