"""Results of pushes that were not taken; every sender gives them in the same way."""

from collections.abc import Mapping

from hub.outcome import OutcomeName, Reaction
from hub.platforms.verdict_classes import Meaning
from hub.push import SendResult
from hub.transport.answers import retry_after


def refused(outcome: OutcomeName, reason: str) -> SendResult:
    """A push that we do not send, because the service would refuse it or because it would not be safe."""
    return SendResult(reaction=Reaction.DROP, outcome=outcome, reason=reason)


def malformed(reason: str) -> SendResult:
    """As `refused`, for a payload or a header that cannot be."""
    return refused(OutcomeName.INVALID_NOTIFICATION_FORMAT, reason)


def said_no(meaning: Meaning, reason: str, headers: Mapping[str, str], *, suspects: bool = False) -> SendResult:
    """A push that its service refused. What concerns the credential or its quota holds for all pushes of the hub.

    With `suspects` a channel that is called dead may be alive: the credential may be another app's.
    """
    reaction, outcome = meaning
    return SendResult(
        reaction=reaction,
        outcome=outcome,
        reason=reason,
        retry_after=retry_after(headers),
        lane_wide=reaction in (Reaction.CONFIG, Reaction.THROTTLED),
        suspect=suspects and reaction is Reaction.GONE,
    )
