"""`delivery`: how pushes go out, and how long they are tried again."""

from typing import Self

from pydantic import Field, model_validator

from bridge.config.section import NotNegative, Positive, Section


class Backoff(Section):
    """The n-th retry comes up to `base` * 2^(n-1) after the failure, `cap` at most (full jitter)."""

    base: Positive = 2.0
    """The longest wait before the first new try; it doubles with each."""
    cap: Positive = 120.0
    """No wait is longer than this."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.cap < self.base:
            raise ValueError("cap is below base")
        return self


class Retry(Section):
    """Pushes are tried again until `max_age` after acceptance, or until their own time to live has passed."""

    max_age: Positive = 1_800.0
    """A push is given up when its event was accepted so long ago."""
    backoff: Backoff = Backoff()
    """How long to wait between tries."""


class Delivery(Section):
    """How pushes go out; `max_in_flight` bounds the single pushes under way for each hub and platform."""

    retry: Retry = Retry()
    """How long and how often a push is tried again."""
    max_in_flight: int = Field(default=2_000, ge=1)
    """Single pushes under way at once, for each hub and push service."""
    keep_content: NotNegative = 86_400.0
    """How long what a notification said is kept after its end, for `why` and `devices show`; what became of it is kept
    for 30 days. The content of sensitive pushes is cleared at their end."""
