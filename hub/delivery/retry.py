"""Whether a push that did not go through is tried again, and when; pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from hub.backoff import doubled


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter; all in seconds.

    The n-th retry comes up to `base` * 2^(n-1) after the failure, `cap` at most, and none comes later than `max_age`
    after acceptance.
    """

    base: float = 2.0
    cap: float = 120.0
    max_age: float = 30 * 60.0

    def gives_up_at(self, accepted_at: float, expires_at: float | None) -> float:
        """When trying ends: after `max_age`, or when the notification's own time to live has passed if that is sooner."""
        aged_out = accepted_at + self.max_age
        return aged_out if expires_at is None else min(aged_out, expires_at)

    def next_try(
        self,
        attempt: int,
        *,
        now: float,
        gives_up_at: float,
        retry_after: float | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> float | None:
        """When to try again after `attempt` tries, None for never.

        What the service asked for (`retry_after`, seconds) wins over the backoff: never earlier, and a little later so
        that not all come back at once.
        """
        window = doubled(attempt, first=self.base, longest=self.cap)
        wait = jitter() * window if retry_after is None else retry_after + jitter() * min(window, 1.0)
        due_at = now + wait
        return due_at if due_at < gives_up_at else None
