"""Results that every sender gives in the same way."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from hub.outcome import OutcomeName, Reaction
from hub.platforms.base import SendResult
from hub.transport.client import Response


def refused(outcome: OutcomeName, reason: str) -> SendResult:
    """A push that we do not send, because the service would refuse it or because it would not be safe."""
    return SendResult(reaction=Reaction.DROP, outcome=outcome, reason=reason)


def malformed(reason: str) -> SendResult:
    """As `refused`, for a payload or a header that cannot be."""
    return refused(OutcomeName.INVALID_NOTIFICATION_FORMAT, reason)


def unreachable(response: Response) -> SendResult:
    """No answer: the service may or may not have taken the push."""
    return SendResult(
        reaction=Reaction.RETRY,
        outcome=OutcomeName.PNS_UNREACHABLE,
        reason=response.failure,
        timed_out=response.timed_out,
    )


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds to wait by the field `retry-after`, a number or a date (RFC 9110, 10.2.3); None without a usable one."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until
    return max(0.0, math.ceil((until - (now or datetime.now(UTC))).total_seconds()))
