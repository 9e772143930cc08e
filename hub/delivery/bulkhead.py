"""What keeps one push service's trouble from the others: a budget and a breaker for each (hub, platform)."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Generic, Protocol, TypeVar

from hub.backoff import Backoff
from hub.delivery.guard import BrakeListener, MassInvalidationGuard, RemovalBrake
from hub.delivery.hosts import HostBreakers
from hub.delivery.quota import QuotaMeter
from hub.delivery.window import PieceWindow
from hub.outcome import OutcomeName, Reaction
from hub.push import DELIVERED, PageVerdict, SendResult
from hub.work import Lane

_TRIPS_AFTER = 20
"""Failures in a row, without one success between, that open the breaker."""

_PROBE = 10
"""Pushes let through at a time when the pause is over, until one succeeds."""

_RAMP = 2 * _PROBE
"""Pushes let through at a time once the service works again; each that goes well lets two follow."""

_PUSHES_EACH = 10
"""Pushes under way for each notification that the limit allows, at most: a bound on memory, not on pace."""

PAGES = 3
"""Broadcast pages under way at a time: one being answered, one being sent, one being read."""

_UNLIMITED = 2**31
_PIECES = 100

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_CONFIG_PAUSE = 60.0
_THROTTLED_PAUSE = 30.0
_LATELY = 10.0
"""Seconds after a verdict for which a service counts as one that works."""

_LONGEST_WAIT = 3600.0
"""Seconds after which a few are let through, whatever a service has asked for."""


B = TypeVar("B", bound=Sized)
C = TypeVar("C", contravariant=True)


class BreakerListener(BrakeListener, Protocol):
    """Hears of a breaker, once when it opens and once when it closes; returns at once and never raises.

    A cause of another kind, or another host, while the breaker is open, is reported as another opening.
    """

    def opened(self, cause: str, until: float) -> None:
        """Nothing is let through until `until`, in seconds since 1970 UTC, and then a few at a time."""

    def closed(self, seconds: float, why: str) -> None:
        """Everything goes through again, so many seconds after the breaker opened."""


class Destination(Protocol[C]):
    """What is behind a bulkhead: a sender that takes pages of pushes, or a remote hub that takes whole notifications."""

    async def send(self, batch: C, /) -> PageVerdict:
        """A verdict on each of the batch; never raises for what the other side answers."""

    async def close(self) -> None:
        """May be called twice."""


class Bulkhead(Generic[B]):
    """A sender with a limit on what is under way for each lane, and a breaker before it.

    `single` bounds the notifications of the single lane that have pushes here, so that a service which does not answer
    holds its share of the work and no more; one notification may be many pushes. The breaker opens when the service
    fails many times in a row, asks for a wait, or refuses our credential. It then lets nothing through until
    `closed_until`, and after that a few at a time until one goes well. What the service says is reported without the
    `secret_of` what was sent at a position, which the service may repeat.

    Where push channels are addresses, `host_of` says at which host a position is: what fails there opens the breaker of
    that host alone. A credential that is refused, and a wait that is asked of all pushes, close the whole service.
    """

    def __init__(
        self,
        sender: Destination[B],
        *,
        single: int = 2000,
        clock: Callable[[], float] = time.time,
        listener: BreakerListener | None = None,
        secret_of: Callable[[B, int], str] = lambda batch, position: "",
        host_of: Callable[[B, int], str] = lambda batch, position: "",
    ) -> None:
        self._sender = sender
        self._clock = clock
        self._listener = listener
        self._secret_of = secret_of
        self._host_of = host_of
        self._hosts = HostBreakers()
        self._opened_at: float | None = None
        self._cause: OutcomeName | None = None
        self._reported: OutcomeName | str | None = None
        # Broadcasts are bounded by the pages leased; one that was leased goes out whole.
        self._most = _PUSHES_EACH * single
        self._room = {Lane.SINGLE: single, Lane.BROADCAST: PAGES + 1}
        self._failures = 0
        self._worked_at = clock()  # a backlog met at the start is no sign that the service fails
        self._heard_at = clock()
        self._ramp: int | None = None
        self._backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        self._reserved = dict.fromkeys(Lane, 0)
        self.doubt = MassInvalidationGuard()
        self.brake = RemovalBrake()
        self.window = PieceWindow(most=_PIECES)
        """The pieces of large pages that are with the service at a time."""
        self.quota = QuotaMeter(clock=clock)
        self._idle = asyncio.Event()
        self.closed_until = 0.0
        self.throttled_until = 0.0
        self.in_flight = 0
        self.has_queue = False
        """Whether notifications of the single lane wait in the store for a place here; a new one goes behind them."""
        self.trouble = ""
        """What the service last said that concerns all pushes, or what kept us from it; empty once something went well."""

    @property
    def opened_at(self) -> float | None:
        """Since when the breaker is open, None while it is closed."""
        return self._opened_at

    @property
    def is_open(self) -> bool:
        """Whether a breaker is open, the service's or that of a host: its pushes are deferred instead of sent."""
        return self.is_service_open or bool(self._hosts.open_host)

    @property
    def is_braked(self) -> bool:
        """Whether no phone is removed, as the service calls too many of them gone."""
        return self.brake.is_on

    @property
    def quota_per_minute(self) -> float:
        """Pushes a minute that the service takes, as its refusals taught; 0 while none is known."""
        return self.quota.limit or 0.0

    @property
    def reopens_at(self) -> float:
        """Until when the breaker that is open lets nothing through; in the past while it probes."""
        return self.closed_until if self.is_service_open else self._hosts.reopens_at(self._hosts.open_host)

    @property
    def cause(self) -> str:
        """What is wrong with the service, else with one of its hosts; empty once something went well."""
        return self.trouble or self._hosts.trouble

    @property
    def is_service_open(self) -> bool:
        """Whether the service's own breaker is open; while it probes, too."""
        return self._failures >= _TRIPS_AFTER or self._clock() < self.closed_until

    @property
    def is_working(self) -> bool:
        """Whether the service gave a verdict of late and no breaker keeps pushes from it: what waits for it goes on.

        One that was asked nothing of late works too, as far as this process knows: others of a fleet may have all the work.
        """
        return not self.is_service_open and (self._is_unasked or self._clock() - self._worked_at < _LATELY)

    @property
    def _is_unasked(self) -> bool:
        """Whether nothing is under way, and nothing was of late."""
        return not any(self._reserved.values()) and self._clock() - self._heard_at >= _LATELY

    @property
    def is_paused(self) -> bool:
        """Whether nothing at all is let through, until `closed_until`; an open breaker lets a few through after that."""
        return self._clock() < self.closed_until

    def admit(self, lane: Lane, wanted: int = 1, *, has_place: bool = False, has_waited: bool = True) -> int:
        """Reserve places for up to `wanted` pushes of one notification, to be used by `send`; the rest is deferred.

        `has_place` says that pushes of the same notification were admitted before, and no `send` has ended with them.
        One that has not `has_waited` in the store is not admitted before those that wait there.
        """
        if self.is_paused:
            return 0
        if not has_place and (self._room[lane] <= 0 or (self.has_queue and not has_waited)):
            return 0
        reserved = self._reserved[lane]
        if lane is Lane.SINGLE and reserved and reserved + wanted > self._most:
            return 0
        wanted = min(wanted, self._allowed)
        if lane is Lane.SINGLE and wanted > 0:
            wanted = self.quota.admit(wanted)
        if wanted <= 0:
            return 0
        if self._is_unasked:
            self._worked_at = self._clock()  # it has time to answer from now on
        self._room[lane] -= not has_place
        self._reserved[lane] += wanted
        return wanted

    @property
    def takes_any(self) -> bool:
        """Whether no breaker is open, the service's or a host's, and nothing waits in the store for a place here."""
        return not (self.is_service_open or self._hosts or self.has_queue)

    def admit_each(self, count: int) -> int:
        """Reserve places for one push each of up to `count` notifications that have not waited in the store, of a service
        that `takes_any`; for how many. Each is used by `send`."""
        room = min(count, self._room[Lane.SINGLE], self._most - self._reserved[Lane.SINGLE], self._allowed)
        if room > 0:
            room = self.quota.admit(room)
        if room <= 0:
            return 0
        if self._is_unasked:
            self._worked_at = self._clock()  # it has time to answer from now on
        self._room[Lane.SINGLE] -= room
        self._reserved[Lane.SINGLE] += room
        return room

    @property
    def _allowed(self) -> int:
        """How many more pushes a service gets at a time; few while it is tried, and more with each that goes well."""
        if self._failures >= _TRIPS_AFTER:
            return _PROBE - sum(self._reserved.values())
        return _UNLIMITED if self._ramp is None else self._ramp - sum(self._reserved.values())

    def split_by_host(self, batch: B) -> tuple[Sequence[int], Mapping[str, Sequence[int]]]:
        """The positions whose hosts take pushes now, and by host those that have to wait for its breaker."""
        if not self._hosts:
            return range(len(batch)), {}
        by_host: dict[str, list[int]] = {}
        for position in range(len(batch)):
            by_host.setdefault(self._host_of(batch, position), []).append(position)
        allowed: list[int] = []
        waiting: dict[str, list[int]] = {}
        for host, positions in by_host.items():
            count = self._hosts.let_through(host, len(positions), self._clock())
            allowed += positions[:count]
            if count < len(positions):
                waiting[host] = positions[count:]
        return sorted(allowed), waiting

    def is_open_at(self, host: str) -> bool:
        """Whether a breaker keeps pushes from a host: its own, or the service's."""
        return self.is_service_open or self._clock() < self._hosts.reopens_at(host)

    def closed_until_at(self, host: str) -> float:
        """Until when nothing goes to a host, or to the whole service."""
        return max(self.closed_until, self._hosts.reopens_at(host))

    def wanted(self, lane: Lane, held: int = 0) -> int:
        """How many pieces of work of a lane may be taken beside the `held` ones, which are pages or have no place yet.

        Pages are taken one at a time while few pushes are let through.
        """
        if self.is_paused or self.quota.is_spent:
            return 0
        if lane is Lane.BROADCAST:
            is_tried = self._failures >= _TRIPS_AFTER or self._ramp is not None or self.quota.waiting
            return max(0, (1 if is_tried else PAGES) - held)
        if self._reserved[lane] >= self._most:
            return 0
        room = min(self._room[lane], self._allowed) - held
        if self.has_queue and self.quota.available < room:
            self.quota.want()
        return max(0, min(room, self.quota.available))

    async def send(self, lane: Lane, batch: B, *, size: int | None = None) -> PageVerdict:
        """The verdict on what was admitted for `size` notifications: one for each of the batch unless it is given.

        Pushes of the broadcast lane have their places in `quota`.
        """
        count = len(batch)
        self.in_flight += count
        verdict = PageVerdict()
        try:
            verdict = await self._sender.send(batch)
        finally:
            self._leave(lane, count, size=count if size is None else size)
            self.in_flight -= count
            self._spend(count, verdict)
        verdict = self.brake.weigh(self.doubt.weigh(verdict))
        self._learn(batch, verdict)
        return verdict

    def withdraw(self, lane: Lane, count: int, *, size: int) -> None:
        """Give back the places of so many pushes of `size` notifications, which are not sent after all."""
        self._leave(lane, count, size=size)
        self.quota.give_back(count)

    def _spend(self, count: int, verdict: PageVerdict) -> None:
        """Count what the service took, or looked at, towards its quota."""
        over = [
            result
            for result in verdict.exceptions.values()
            if result.reaction is Reaction.THROTTLED and result.lane_wide
        ]
        waits = [result.retry_after for result in over if result.retry_after is not None]
        self.quota.answered(count, refused=len(over), retry_after=max(waits, default=None))

    def _leave(self, lane: Lane, count: int, *, size: int) -> None:
        self._room[lane] += size
        self._reserved[lane] -= count
        if not any(self._reserved.values()):
            self._idle.set()

    def look(self) -> None:
        """Report if a breaker or the brake came on or ended; a pause may end without another push."""
        now = self._clock()
        self._hosts.forget(now)
        if self._listener is not None:
            self.brake.report(self._listener, now)
        if not self.is_open:
            self._end_opening("the service works")
            return
        cause = self._cause if self.is_service_open else self._hosts.open_host
        if self._reported != cause and now < self.reopens_at:
            self._reported = cause
            self._opened_at = now if self._opened_at is None else self._opened_at
            if self._listener is not None:
                self._listener.opened(self.cause, self.reopens_at)

    def retire(self) -> None:
        """Another takes its place: nothing more is reported of this one."""
        why = "the configuration has changed"
        self._end_opening(why)
        if self._listener is not None:
            self.brake.report_end(self._listener, why)
        self._listener = None

    async def close(self) -> None:
        """May be called twice."""
        await self._sender.close()

    async def close_when_idle(self) -> None:
        """Close once everything under way is answered, which takes no longer than a push's deadline."""
        self._idle.clear()
        if any(self._reserved.values()):
            await self._idle.wait()
        await self.close()

    def _learn(self, batch: B, verdict: PageVerdict) -> None:
        self._heard_at = now = self._clock()
        following = 0
        if self._ramp is not None:
            self._widen(self._ramp + verdict.delivered + sum(map(_shows_work, verdict.exceptions.values())))
        for position, result in verdict.exceptions.items():
            self._learn_delivered(batch, range(following, position), now)
            self._learn_one(batch, position, result, now)
            following = position + 1
        self._learn_delivered(batch, range(following, len(verdict)), now)
        if self._failures >= _TRIPS_AFTER and now >= self.closed_until:
            self.closed_until = now + self._backoff.next()
        self.look()

    def _learn_delivered(self, batch: B, positions: range, now: float) -> None:
        if not positions:
            return
        for position in positions if self._hosts else positions[:1]:
            self._learn_one(batch, position, DELIVERED, now)

    def _learn_one(self, batch: B, position: int, result: SendResult, now: float) -> None:
        host = self._host_of(batch, position)
        if result.reaction is Reaction.RETRY or result.lane_wide:
            words = self._without_secret(batch, position, result.reason) or result.outcome.value
            if host and not result.lane_wide:
                self._hosts.failed(host, words, now)
                return
            self.trouble = words
            self._cause = result.outcome
        if result.reaction is Reaction.RETRY:
            self._failures += 1
            if self._failures >= _TRIPS_AFTER:
                self._ramp = _RAMP
        elif result.lane_wide:
            self._stop(result, now)
        elif result.host_wide and host:
            words = self._without_secret(batch, position, result.reason) or result.outcome.value
            self._hosts.throttled(host, words, _waits_until(result, now), now)
        elif result.reaction is not Reaction.THROTTLED:
            # Any verdict on a single channel, dead ones included, shows a service that works.
            self._hosts.succeeded(host)
            self._failures = 0
            self._worked_at = now
            self._backoff.reset()
            if now >= self.closed_until:  # else it is why the breaker is open
                self.trouble = ""

    def _widen(self, ramp: int) -> None:
        self._ramp = ramp if ramp < self._most else None

    def _without_secret(self, batch: B, position: int, words: str) -> str:
        secret = self._secret_of(batch, position)
        return words.replace(secret, "[push channel]") if secret and secret in words else words

    def _end_opening(self, why: str) -> None:
        opened_at, self._opened_at, self._reported = self._opened_at, None, None
        if self._listener is not None and opened_at is not None:
            self._listener.closed(max(0.0, self._clock() - opened_at), why)

    def _stop(self, result: SendResult, now: float) -> None:
        if result.reaction is Reaction.THROTTLED:
            until = now + (_THROTTLED_PAUSE if result.retry_after is None else result.retry_after)
            self.throttled_until = max(self.throttled_until, until)
        else:
            until = now + _CONFIG_PAUSE
        self.quota.release()
        self.closed_until = max(self.closed_until, min(until, now + _LONGEST_WAIT))
        self._failures = max(self._failures, _TRIPS_AFTER)  # afterwards a few go first
        self._ramp = _RAMP


def _waits_until(result: SendResult, now: float) -> float:
    """Until when a service that throttles wants nothing, an hour at most."""
    return now + min(_THROTTLED_PAUSE if result.retry_after is None else result.retry_after, _LONGEST_WAIT)


def _shows_work(result: SendResult) -> bool:
    """Whether a verdict is on a single channel: a dead one too shows a service that works."""
    return not (result.lane_wide or result.reaction in (Reaction.RETRY, Reaction.THROTTLED))
