"""Reading answers: what every service's verdict and the token provider's need."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from hub.outcome import OutcomeName, Reaction
from hub.push import SendResult
from hub.transport.requests import Response


def unreachable(response: Response) -> SendResult:
    """No answer: the service may or may not have taken the push; it has not where its address is forbidden."""
    if response.is_forbidden:
        return SendResult(reaction=Reaction.DROP, outcome=OutcomeName.BAD_CHANNEL, reason=response.failure)
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


def json_object(text: bytes) -> dict[str, Any]:
    """The JSON object in `text`, empty if there is none: an answer may come from anything between us and the service."""
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
