"""Certificates of listeners by their times: what `check` and `doctor` say of one that clients refuse, or soon will."""

from collections.abc import Iterator
from datetime import UTC, datetime

from bridge.config.models.listeners import Listeners

SOON = 21 * 86_400.0
"""Seconds before its end from which on a certificate is to be renewed, as the alert has it."""


def ends_of(listeners: Listeners) -> Iterator[tuple[str, float, float]]:
    """Each listener with TLS, and from when to when its certificate is good, in seconds since 1970."""
    for name, listener in listeners.by_name().items():
        if listener.tls is not None:
            yield name, listener.tls.begins_at, listener.tls.expires_at


def refused(begins: float, ends: float, now: float) -> str:
    """Why clients refuse it at `now`; empty where they do not."""
    if now >= ends:
        return f"the certificate has ended on {_day(ends)}: clients refuse it"
    if now < begins:
        return f"the certificate begins on {_day(begins)}: clients refuse it until then; see that the clock is right"
    return ""


def good_until(ends: float, now: float) -> str:
    """How long it is good."""
    days = int((ends - now) // 86_400)
    return f"good until {_day(ends)}, {days} {'day' if days == 1 else 'days'}"


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
