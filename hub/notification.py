"""What goes into the hub: a notification, who it is for and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from hub.tags import TagExpression


class Platform(Enum):
    """The push services, by the names used in installations (Notification Hubs REST API)."""

    APNS = "apns"
    FCM = "fcmv1"
    WNS = "wns"

    __hash__ = object.__hash__  # members are singletons; Enum's own hash runs Python code for each look-up


class Priority(Enum):
    """How urgent. HIGH wakes the phone; NORMAL may be held by the platform to save power."""

    HIGH = "high"
    NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class Everyone:
    """All registrations of the hub; a broadcast has to be asked for by name."""

    def __str__(self) -> str:
        return "everyone"


EVERYONE = Everyone()
Audience = TagExpression | Everyone


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateContent:
    """Properties for the templates that phones registered; names compare without case."""

    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeContent:
    """A payload as it goes to one push service, with that service's headers (`apns-*`, `X-WNS-*`)."""

    platform: Platform
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Content = TemplateContent | NativeContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One thing to say to an audience.

    `id` is 32 lower-case hex digits; the same event and rule give the same id, so saying it twice is saying it once.
    `platforms` limits a template notification (None: all). `expires_at` ends every try. `source`, `event_id` and `rule`
    say where it came from; they are empty for a send through the API.
    """

    id: str
    hub: str
    audience: Audience
    content: Content
    platforms: frozenset[Platform] | None = None
    schedule_at: datetime | None = None
    expires_at: datetime | None = None
    priority: Priority = Priority.HIGH
    collapse_key: str | None = None
    source: str = ""
    event_id: str = ""
    rule: str = ""
