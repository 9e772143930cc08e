"""What becomes of pushes and notifications: the closed sets of names, and how they map to metric labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from hub.notification import Platform


class Reaction(Enum):
    """What the engine does after one push was answered; wire names alone cannot say it."""

    DELIVERED = "delivered"  # the service took it
    RETRY = "retry"  # service or network trouble: again later, the lane's breaker counts it
    THROTTLED = "throttled"  # too fast: again later, not before Retry-After
    GONE = "gone"  # the push channel is dead: mark the registration
    CONFIG = "config"  # our credential, topic or environment is wrong: stop the lane, touch no registration
    DROP = "drop"  # permanent for this push, the channel is fine

    __hash__ = object.__hash__  # members are singletons; Enum's own hash runs Python code for each look-up


class OutcomeName(Enum):
    """Outcome names of the Notification Hubs REST API (notification details, PNS feedback)."""

    SUCCESS = "Success"
    ABANDONED = "AbandonedNotificationMessages"
    BAD_CHANNEL = "BadChannel"
    CHANNEL_DISCONNECTED = "ChannelDisconnected"
    CHANNEL_THROTTLED = "ChannelThrottled"
    DROPPED = "Dropped"
    EXPIRED_CHANNEL = "ExpiredChannel"
    INVALID_CREDENTIALS = "InvalidCredentials"
    INVALID_NOTIFICATION_FORMAT = "InvalidNotificationFormat"
    INVALID_NOTIFICATION_SIZE = "InvalidNotificationSize"
    INVALID_TOKEN = "InvalidToken"  # noqa: S105 - a name of the wire contract
    NO_TARGETS = "NoTargets"
    PNS_INTERFACE_ERROR = "PnsInterfaceError"
    PNS_SERVER_ERROR = "PnsServerError"
    PNS_UNAVAILABLE = "PnsUnavailable"
    PNS_UNREACHABLE = "PnsUnreachable"
    REFRESH_TOKEN = "RefreshToken"  # noqa: S105
    SKIPPED = "Skipped"
    THROTTLED = "Throttled"
    TOKEN_PROVIDER_INTERFACE_ERROR = "TokenProviderInterfaceError"  # noqa: S105
    TOKEN_PROVIDER_UNREACHABLE = "TokenProviderUnreachable"  # noqa: S105
    UNKNOWN_ERROR = "UnknownError"
    WRONG_CHANNEL = "WrongChannel"
    WRONG_TOKEN = "WrongToken"  # noqa: S105

    __hash__ = object.__hash__  # members are singletons; Enum's own hash runs Python code for each look-up


ENDED_WELL = frozenset([OutcomeName.SUCCESS, OutcomeName.REFRESH_TOKEN, OutcomeName.SKIPPED])
"""Outcomes that need no warning: the phone got the push, this one or another for the same push channel."""


class Unreached(Enum):
    """Why a notification reached nobody; the label `reason` of `pushbridge_notifications_unreached_total`."""

    NO_REGISTRATION = "no_registration"  # the hub has no live registration
    NO_TAG = "no_tag"  # no registration matches the tags
    NO_TEMPLATE = "no_template"  # phones match, and none of them has registered a template
    NO_NATIVE = "no_native"  # phones match, and have registered templates only
    OTHER_PLATFORM = "other_platform"  # phones match, of platforms that the notification is not for
    GONE = "gone"  # the phones that matched have expired, were deleted, or their push channels are dead
    NO_CREDENTIAL = "no_credential"  # no push service takes our credential, or none is configured
    EXPIRED = "expired"  # every push was given up before a service took it
    REFUSED = "refused"  # the push services took none of the pushes

    __hash__ = object.__hash__  # members are singletons; Enum's own hash runs Python code for each look-up


class State(Enum):
    """States of a notification (Notification Hubs REST API, notification details)."""

    ENQUEUED = "Enqueued"
    SCHEDULED = "Scheduled"
    PROCESSING = "Processing"
    COMPLETED = "Completed"
    NO_TARGET_FOUND = "NoTargetFound"
    ABANDONED = "Abandoned"
    CANCELLED = "Cancelled"
    UNKNOWN = "Unknown"


DELIVERY_LABELS: Mapping[OutcomeName, str] = {
    OutcomeName.SUCCESS: "success",
    OutcomeName.ABANDONED: "expired",
    OutcomeName.BAD_CHANNEL: "invalid_token",
    OutcomeName.CHANNEL_DISCONNECTED: "bad_request",
    OutcomeName.CHANNEL_THROTTLED: "throttled",
    OutcomeName.DROPPED: "bad_request",
    OutcomeName.EXPIRED_CHANNEL: "invalid_token",
    OutcomeName.INVALID_CREDENTIALS: "unauthorized",
    OutcomeName.INVALID_NOTIFICATION_FORMAT: "bad_request",
    OutcomeName.INVALID_NOTIFICATION_SIZE: "payload_too_large",
    OutcomeName.INVALID_TOKEN: "unauthorized",
    OutcomeName.NO_TARGETS: "expired",
    OutcomeName.PNS_INTERFACE_ERROR: "server_error",
    OutcomeName.PNS_SERVER_ERROR: "server_error",
    OutcomeName.PNS_UNAVAILABLE: "server_error",
    OutcomeName.PNS_UNREACHABLE: "unreachable",
    OutcomeName.REFRESH_TOKEN: "success",
    OutcomeName.SKIPPED: "deduplicated",
    OutcomeName.THROTTLED: "throttled",
    OutcomeName.TOKEN_PROVIDER_INTERFACE_ERROR: "server_error",
    OutcomeName.TOKEN_PROVIDER_UNREACHABLE: "unreachable",
    OutcomeName.UNKNOWN_ERROR: "server_error",
    OutcomeName.WRONG_CHANNEL: "invalid_token",
    OutcomeName.WRONG_TOKEN: "unauthorized",
}
"""The label `outcome` of `pushbridge_pns_deliveries_total`; a timeout has its own label, see `SendResult.timed_out`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a notification: its state, and pushes by platform and outcome name."""

    notification_id: str
    state: State
    counts: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationDetails:
    """All that is known of a notification (Notification Hubs REST API, "Get notification message telemetry").

    `body` is what was sent, `tags` the tag expression, empty for a broadcast. Times are aware UTC; `started_at` and
    `ended_at` are None until known.
    """

    notification_id: str
    state: State
    enqueued_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    body: str
    tags: str = ""
    platforms: tuple[Platform, ...] = ()
    counts: Mapping[Platform, Mapping[OutcomeName, int]]


def final_state(counts: Mapping[Platform, Mapping[OutcomeName, int]]) -> State:
    """The state a notification ends in, by what became of its pushes: no push at all means nobody was there."""
    names = {name for by_outcome in counts.values() for name, count in by_outcome.items() if count}
    if not names:
        return State.NO_TARGET_FOUND
    return State.ABANDONED if names == {OutcomeName.ABANDONED} else State.COMPLETED


_DEAD = frozenset([OutcomeName.BAD_CHANNEL, OutcomeName.EXPIRED_CHANNEL, OutcomeName.WRONG_CHANNEL])


def why_unreached(counts: Mapping[Platform, Mapping[OutcomeName, int]]) -> Unreached | None:
    """Why none of a notification's pushes reached a phone; None when one did."""
    names = {name for by_outcome in counts.values() for name, count in by_outcome.items() if count}
    names.discard(OutcomeName.SKIPPED)
    if names & ENDED_WELL:
        return None
    if names <= _DEAD:
        return Unreached.GONE
    if names == {OutcomeName.INVALID_CREDENTIALS}:
        return Unreached.NO_CREDENTIAL
    return Unreached.EXPIRED if names == {OutcomeName.ABANDONED} else Unreached.REFUSED
