"""Results of pushes that are not sent; every sender gives them in the same way."""

from hub.outcome import OutcomeName, Reaction
from hub.push import SendResult


def refused(outcome: OutcomeName, reason: str) -> SendResult:
    """A push that we do not send, because the service would refuse it or because it would not be safe."""
    return SendResult(reaction=Reaction.DROP, outcome=outcome, reason=reason)


def malformed(reason: str) -> SendResult:
    """As `refused`, for a payload or a header that cannot be."""
    return refused(OutcomeName.INVALID_NOTIFICATION_FORMAT, reason)
