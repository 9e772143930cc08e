"""What a phone is refused for.

RefusedError               root: `outcome` names it in metrics and in the answer
└── EngineError            the engine, which may be remote, did not take the phone: the same again may work
"""

from hub.phone import PhoneOutcome


class RefusedError(Exception):
    """A request that is refused; the message is for the app's developer, and holds nothing of another user."""

    def __init__(self, outcome: PhoneOutcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.retry_after: float | None = None
        """Seconds, where the same may be asked again."""


def throttled(message: str, wait: float) -> RefusedError:
    """Heard again in `wait` seconds."""
    error = RefusedError(PhoneOutcome.THROTTLED, message)
    error.retry_after = wait
    return error


class EngineError(RefusedError):
    """The engine did not take the phone; `cause` is for the log."""

    def __init__(self, cause: str) -> None:
        super().__init__(PhoneOutcome.UNAVAILABLE, "The hub cannot be reached at the moment")
        self.cause = cause
