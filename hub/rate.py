"""How much may pass in a second: the settings, and the token bucket that keeps to them."""

import math
import time
from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_WORTH_A_BATCH = 0.1
"""Seconds whose share is waited for once all has passed that may: batches of one would cost a transaction each."""

UNLIMITED = 1_000_000_000


class Rate(BaseModel):
    """So many a second on average, of which `burst` may pass at once; without `burst`, as many as a second has."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    per_second: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
    """How many may pass a second on average; 0.5 is one in two seconds."""
    burst: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """How many may pass at once after a pause; without it as many as pass in a second, one at least."""

    @property
    def size(self) -> int:
        """The most that passes at once."""
        return self.burst or max(1, math.ceil(self.per_second))


class RateLimiter:
    """A token bucket. It begins full; without a rate everything passes. Not frozen: what passes counts.

    The rate and its burst are divided evenly among so many as `sharers` says at the moment, of which this is one: processes
    that take from one source keep to its rate together.

    `take` may go below zero, for what cannot be divided; what comes next then waits for the longer.
    """

    def __init__(
        self,
        rate: Rate | None = None,
        *,
        sharers: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._sharers = sharers
        self._rate = rate
        self._tokens = float(UNLIMITED if rate is None else rate.size)
        self._filled_at = clock()

    @property
    def rate(self) -> Rate | None:
        """What is kept to; None where everything passes."""
        return self._rate

    def change(self, rate: Rate | None) -> None:
        """Keep to another rate from now on. What has passed already counts: a change gives no second burst."""
        if rate == self._rate:
            return
        self._fill()
        had_rate, self._rate = self._rate is not None, rate
        if rate is not None:
            self._tokens = min(self._tokens, rate.size) if had_rate else float(rate.size)

    @property
    def available(self) -> int:
        """How many may pass now; 0 where none may."""
        if self._rate is None:
            return UNLIMITED
        self._fill()
        return max(0, math.floor(self._tokens + 1e-9))

    def take(self, count: int) -> None:
        """So many pass."""
        if self._rate is not None:
            self._fill()
            self._tokens -= count

    def admit(self, count: int) -> float:
        """Let all of `count` pass where one may, and return 0; else let none pass, and return the seconds until one may.

        What cannot be divided, such as the events of one request, passes whole, and what comes next waits for it.
        """
        if not (seconds := self.wait()):
            self.take(count)
        return seconds

    def wait(self) -> float:
        """Seconds until one may pass; 0 where one may now."""
        return self._seconds_until(1)

    def wait_for_batch(self) -> float:
        """Seconds until so many may pass that to take them pays; 0 where one may pass now."""
        if self._rate is None or self.available:
            return 0.0
        per_second, size = self._share(self._rate)
        return self._seconds_until(max(1, min(math.floor(size), math.floor(per_second * _WORTH_A_BATCH))))

    def _seconds_until(self, tokens: int) -> float:
        if self._rate is None:
            return 0.0
        self._fill()
        per_second, _ = self._share(self._rate)
        return max(0.0, (tokens - self._tokens) / per_second)

    def _fill(self) -> None:
        now = self._clock()
        if self._rate is not None:
            per_second, size = self._share(self._rate)
            self._tokens = min(size, self._tokens + (now - self._filled_at) * per_second)
        self._filled_at = now

    def _share(self, rate: Rate) -> tuple[float, float]:
        """What passes here a second and at once: one at a time passes, however many share."""
        sharers = max(1, self._sharers())
        return rate.per_second / sharers, max(1.0, rate.size / sharers)
