"""Keeps one source running: connects, takes batches as there is room, watches progress, rebuilds after any loss."""

import asyncio
import random
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from bridge.intake.message_schemas import Readable
from bridge.intake.sharing import BatchSizes
from bridge.observe.facts import IntakeObserver, SourceChanged, SourceState, SourceStatus
from connectors.base import NACK, Backlog, Disposition, Message, Source
from connectors.errors import AuthenticationError, NotConnectedError, SourceClosedError, SourceError, TopologyError
from hub.backoff import Backoff
from hub.facts import Crashed
from hub.precedence import Precedence
from hub.rate import Rate, RateLimiter

_CONNECT_TIMEOUT = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_OPERATOR_PAUSE = 30.0
"""Seconds between tries when only an operator can help: credentials refused, settings that differ."""

_FULL_PAUSE = 0.05
_SCHEMA_PAUSE = 1.0
"""Seconds between two looks whether the schemas of messages that wait for one are there."""

_PAUSED_AFTER = 1.0
"""Seconds without room after which the source is called paused."""

_LIMITED_AFTER, _LIMITED_FOR = 1.0, 10.0
"""Seconds for which messages wait for the rate until the source is called limited, and for which it stays so after one."""

_LONGEST_LIMITED = 1.0
"""Seconds after which another rate is in force."""

_WATCH_EVERY = 5.0

_LATELY = 600.0
"""Seconds for which a rebalance is one of late, as the alert on them has it."""
_MAX_REBALANCES = 1000

_VARYING = re.compile(r"\b(?=[\w-]*\d)[\w-]+")
"""Words with a digit: ports, times, the identities that a broker gives each of its errors."""

_MAX_REPORTED = 20
"""Causes of one trouble that are reported."""


async def _all_readable(messages: Sequence[Message]) -> Readable:
    return Readable(count=len(messages))


class _StalledError(Exception):
    """The watchdog found a backlog that does not move."""


class Supervisor:
    """One source's life. `handle` takes a batch to the store; `capacity` says how many more messages may come in.

    A message that is not `readable` yet waits unsettled, and all behind it in the batch wait with it.
    A message that `limiter` does not allow yet is not received: it waits where the broker keeps it. `sizes` and
    `precedence` are shared by all sources. `clock` gives the time of day, for the status alone; what has to last some time
    goes by `steady`, which nobody sets.
    """

    def __init__(
        self,
        source: Source,
        handle: Callable[[Sequence[Message]], Awaitable[Sequence[tuple[Message, Disposition]]]],
        *,
        capacity: Callable[[], int],
        observer: IntakeObserver,
        readable: Callable[[Sequence[Message]], Awaitable[Readable]] = _all_readable,
        limiter: RateLimiter | None = None,
        sizes: BatchSizes | None = None,
        precedence: Precedence | None = None,
        watchdog_suspended: Callable[[], bool] = lambda: False,
        stall_after: float = 120.0,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._handle = handle
        self._capacity = capacity
        self._readable = readable
        self._observer = observer
        self._limiter = RateLimiter() if limiter is None else limiter
        self._sizes = BatchSizes() if sizes is None else sizes
        self._precedence = precedence or Precedence()
        self._watchdog_suspended = watchdog_suspended
        self._stall_after = stall_after
        self._clock = clock
        self._steady = steady
        self._stopping = asyncio.Event()
        self._interruptible: asyncio.Timeout | None = None
        self._connections = 0
        self._connected_at: float | None = None
        self._waits_for_rate = False
        self._held_back = 0.0
        self._limited_since: float | None = None
        self._limited_at: float | None = None
        self._reported: set[tuple[SourceState, str]] = set()
        self._progressed_at = steady()
        self._rebalanced = deque[float](maxlen=_MAX_REBALANCES)
        self.status = SourceStatus(source.name, since=clock())

    async def run(self) -> None:
        """Until the source ends or `stop` is called; never raises for what a broker does."""
        backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        while not self._stopping.is_set():
            self._connected_at = None
            only_an_operator_helps = False
            try:
                await self._live()
            except SourceClosedError:
                break
            except (AuthenticationError, TopologyError) as error:
                self._become(SourceState.DEGRADED, str(error))
                only_an_operator_helps = True
            except _StalledError:
                self._become(SourceState.STALLED, f"a backlog, and no progress for {self._stall_after:g} s: rebuilding")
            except SourceError as error:
                self._become(SourceState.CONNECTING, str(error))
            except Exception as error:  # its text may hold what the message held, and status is shown
                self._become(SourceState.CONNECTING, f"{type(error).__name__}: a defect of ours")
                self._observer.observe(Crashed(work=f"source {self.status.name}", error=error))
            if self._connected_at is not None and self._steady() - self._connected_at > _LONGEST_PAUSE:
                backoff.reset()
            pause = _OPERATOR_PAUSE if only_an_operator_helps else backoff.next()
            await self._wait(pause * random.uniform(0.5, 1.0))
        self._become(SourceState.STOPPED, "")

    def stop(self) -> None:
        """Take no more; `run` returns when the batch under way is settled."""
        self._stopping.set()
        if self._interruptible is not None:
            self._interruptible.reschedule(0)
            self._interruptible = None

    async def _live(self) -> None:
        """One connection, from its beginning to its end."""
        try:
            await self._connect()
            if self._stopping.is_set():
                return
            self._connected_at = self._steady()
            self._progress()
            self._connections += 1
            self.status.rebuilds = self._connections - 1
            self._become(SourceState.RUNNING, "; ".join(self._source.warnings))
            await self._consume_watched()
        finally:
            await self._source.close()

    async def _connect(self) -> None:
        try:
            async with self._until_stopped(_CONNECT_TIMEOUT):
                await self._source.connect()
        except TimeoutError:
            raise NotConnectedError(f"no connection within {_CONNECT_TIMEOUT:g} s") from None

    async def _consume_watched(self) -> None:
        """Consume until the source breaks or the watchdog does; either ends the other."""
        consuming = asyncio.ensure_future(self._consume())
        watching = asyncio.ensure_future(self._watch())
        try:
            done, _ = await asyncio.wait([consuming, watching], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (consuming, watching):
                task.cancel()
            await asyncio.gather(consuming, watching, return_exceptions=True)
        for task in done:
            task.result()

    async def _consume(self) -> None:
        while not self._stopping.is_set():
            limit = min(self._sizes.most(self.status.name), self._capacity())
            if limit <= 0:
                await self._wait_for_capacity()
                continue
            if (allowed := self._limiter.available) <= 0:
                await self._wait_for_rate()
                continue
            limit = min(limit, allowed)
            messages: Sequence[Message] = ()
            await self._precedence.give_way(self.status.name)
            async with self._until_stopped(None):
                messages = await self._source.receive(limit)
            self._limiter.take(len(messages))
            self._tell_limited(len(messages))
            if not messages:
                continue
            if self._held_for >= _LIMITED_AFTER:
                messages = [replace(message, held_back=self._held_for) for message in messages]
            self._sizes.took(self.status.name)
            self._precedence.did(self.status.name, len(messages))
            self.status.unsettled_since = self._clock()
            try:
                with self._precedence.ahead(self.status.name):
                    await self._handle_readable(messages)
            finally:
                self.status.unsettled_since = 0.0
            self.status.last_message = self._clock()
            self._progress()

    async def _handle_readable(self, messages: Sequence[Message]) -> None:
        """Take a batch to the store and settle it; wait for schemas where there is one that cannot be decoded yet."""
        while messages:
            found = Readable(count=0)
            async with self._until_stopped(None):
                found = await self._readable(messages)
            ready, messages = messages[: found.count], messages[found.count :]
            if ready:
                await self._source.settle(await self._handle(ready))
                self._progress()
            if messages and (found.sender_waits or self._stopping.is_set()):
                await self._source.settle([(message, NACK) for message in messages])
                return
            if messages:
                self._become(SourceState.AWAITING_SCHEMA, found.missing)
                await self._wait(_SCHEMA_PAUSE)
                messages = [message for message in messages if not message.is_lost()]
        if self.status.state is SourceState.AWAITING_SCHEMA:
            self._become(SourceState.RUNNING, "; ".join(self._source.warnings))

    async def _wait_for_capacity(self) -> None:
        """A short wait is a busy process, and no news; one that lasts is."""
        full_since = self._steady()
        while self._capacity() <= 0 and not self._stopping.is_set():
            if self._steady() - full_since >= _PAUSED_AFTER:
                self._become(SourceState.PAUSED, "no room: as many notifications wait as store.max_pending allows")
            await self._wait(_FULL_PAUSE)
        self._become(SourceState.RUNNING, "; ".join(self._source.warnings))

    async def _wait_for_rate(self) -> None:
        """Take nothing until the rate allows a batch. Whether a message waited is known by the next `receive`."""
        started = self._steady()
        self._waits_for_rate = True
        try:
            while (seconds := self._limiter.wait_for_batch()) and not self._stopping.is_set():
                await self._wait(min(seconds, _LONGEST_LIMITED))
        finally:
            self._waits_for_rate = False
        self._held_back = self._steady() - started

    def turned_away(self, rate: Rate) -> None:
        """A sender that waits for its answer was told to come again, as `rate` allows no more."""
        self.status.limited_requests += 1
        self._limited(rate, 0.0)

    @property
    def _held_for(self) -> float:
        """Seconds for which the source has been held to its rate; 0 where nothing has waited for a while."""
        return 0.0 if self._limited_since is None else self._steady() - self._limited_since

    def _tell_limited(self, received: int) -> None:
        """Count the wait before messages that were there behind it, and end the state once none has waited for a while."""
        held_back, self._held_back = self._held_back, 0.0
        rate = self._limiter.rate
        if held_back and received and rate is not None:
            self.status.limited_seconds += held_back
            self._limited(rate, held_back)
        else:
            self._end_limited()

    def _end_limited(self) -> None:
        """Where nothing has waited for the rate for a while. A source may have no next message that would show it."""
        if self._limited_at is not None and self._steady() - self._limited_at > _LIMITED_FOR:
            self._limited_since = self._limited_at = None
            if self.status.state is SourceState.LIMITED:
                self._become(SourceState.RUNNING, "; ".join(self._source.warnings))

    def _limited(self, rate: Rate, seconds: float) -> None:
        """Something has waited for the rate, the last `seconds`; a wait of a moment is no news."""
        self._limited_at = self._steady()
        if self._limited_since is None:
            self._limited_since = self._limited_at - seconds
        if self.status.ready and self._limited_at - self._limited_since >= _LIMITED_AFTER:
            self._become(SourceState.LIMITED, f"more messages come than rate allows: {rate.per_second:g} a second")

    @asynccontextmanager
    async def _until_stopped(self, seconds: float | None) -> AsyncIterator[None]:
        """Leave the block as soon as `stop` is called. Raises: TimeoutError: it took longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds) as self._interruptible:
                yield
        except TimeoutError:
            if not self._stopping.is_set():
                raise
        finally:
            self._interruptible = None

    async def _watch(self) -> None:
        """Raise when there is a backlog and nothing has moved for too long, unless the reason is known to be ours."""
        while True:
            await asyncio.sleep(min(_WATCH_EVERY, self._stall_after / 4))
            found = await self._backlog()
            self._take(found)
            self._end_limited()
            if not self.status.backlog or self._may_wait():
                self._progress()
            elif self._steady() - self._progressed_at > self._stall_after:
                raise _StalledError

    def _take(self, found: Backlog) -> None:
        status, now = self.status, self._steady()
        self._rebalanced.extend([now] * min(_MAX_REBALANCES, max(0, found.rebalances - status.rebalances)))
        while self._rebalanced and now - self._rebalanced[0] > _LATELY:
            self._rebalanced.popleft()
        status.backlog, status.rebalances, status.rebalanced_lately = (
            found.messages,
            found.rebalances,
            len(self._rebalanced),
        )

    def _may_wait(self) -> bool:
        """Whether nothing moves for a reason of ours."""
        waits = self.status.state in (SourceState.PAUSED, SourceState.AWAITING_SCHEMA)
        return waits or self._waits_for_rate or self._watchdog_suspended()

    async def _backlog(self) -> Backlog:
        """Raises: NotConnectedError, also when there is no answer: it is asked because nothing else may be moving."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                return await self._source.backlog()
        except TimeoutError:
            raise NotConnectedError(f"no answer within {_CONNECT_TIMEOUT:g} s to what waits") from None

    def _progress(self) -> None:
        self._progressed_at = self._steady()

    def _become(self, state: SourceState, detail: str) -> None:
        """Take the state over, and report the state unless it was reported in the same trouble.

        A broker that is down has several words for it by turns, and numbers that are others with every try.
        """
        status = self.status
        if (state, detail) == (status.state, status.detail):
            return
        was_ready = status.ready
        status.state, status.detail = state, detail
        if was_ready or status.ready:
            status.since = self._clock()
            self._reported.clear()
        cause = (state, _VARYING.sub("#", detail))
        if cause not in self._reported and len(self._reported) < _MAX_REPORTED:
            self._reported.add(cause)
            self._observer.observe(SourceChanged(status=status))

    async def _wait(self, seconds: float) -> None:
        """Sleep, but not beyond `stop`."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
