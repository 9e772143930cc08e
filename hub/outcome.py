"""What becomes of pushes and notifications: the closed sets of names, and how they map to metric labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from hub.explained import Explained
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


class OutcomeName(Explained):
    """Outcome names of the Notification Hubs REST API (notification details, PNS feedback)."""

    SUCCESS = "Success", "The push service took the push."
    ABANDONED = (
        "AbandonedNotificationMessages",
        "The push was given up before a push service took it: its time had passed.",
    )
    BAD_CHANNEL = "BadChannel", "The push service does not know the push channel."
    CHANNEL_DISCONNECTED = (
        "ChannelDisconnected",
        "The phone is not connected, and the push service keeps nothing for it.",
    )
    CHANNEL_THROTTLED = "ChannelThrottled", "The push service takes nothing more for this phone for now."
    DROPPED = "Dropped", "The push service took the push and dropped it."
    EXPIRED_CHANNEL = "ExpiredChannel", "The push channel has expired: the app was removed, or has another channel now."
    INVALID_CREDENTIALS = "InvalidCredentials", "The push service refuses the hub's credential."
    INVALID_NOTIFICATION_FORMAT = (
        "InvalidNotificationFormat",
        "The push service does not take a payload or a header of this form.",
    )
    INVALID_NOTIFICATION_SIZE = "InvalidNotificationSize", "The payload is larger than the push service takes."
    INVALID_TOKEN = "InvalidToken", "The push service refuses the access token made from the hub's credential."
    NO_TARGETS = (
        "NoTargets",
        "There was no phone to push to: the hub's `only_to` lets no registration of the push channel be reached.",
    )
    PNS_INTERFACE_ERROR = "PnsInterfaceError", "The push service gave an answer that is not of its protocol."
    PNS_SERVER_ERROR = "PnsServerError", "The push service failed with an error of its own."
    PNS_UNAVAILABLE = "PnsUnavailable", "The push service says that it is not available for now."
    PNS_UNREACHABLE = "PnsUnreachable", "There was no connection to the push service, or no answer in time."
    REFRESH_TOKEN = "RefreshToken", "The push service took the push and named another push channel for the phone."
    SKIPPED = "Skipped", "Another registration of the audience names the same push channel, and got the push."
    THROTTLED = "Throttled", "The push service takes nothing more from this hub for now."
    TOKEN_PROVIDER_INTERFACE_ERROR = (
        "TokenProviderInterfaceError",
        "The service that gives access tokens gave an answer that is not of its protocol.",
    )
    TOKEN_PROVIDER_UNREACHABLE = (
        "TokenProviderUnreachable",
        "There was no connection to the service that gives access tokens, or no answer in time.",
    )
    UNKNOWN_ERROR = (
        "UnknownError",
        "The push service's answer has no name in the wire contract, or a defect of this program met the push.",
    )
    WRONG_CHANNEL = "WrongChannel", "The push channel belongs to another app, or to another environment of the service."
    WRONG_TOKEN = "WrongToken", "The push channel belongs to another app than the hub's credential."


ENDED_WELL = frozenset([OutcomeName.SUCCESS, OutcomeName.REFRESH_TOKEN, OutcomeName.SKIPPED])
"""Outcomes that need no warning: the phone got the push, this one or another for the same push channel."""


class Unreached(Explained):
    """Why a notification reached no device; the label `reason` of `pushbridge_notifications_unreached_total`.

    The meanings are clauses: the log line of such a notification has them as its `detail`.
    """

    NO_REGISTRATION = "no_registration", "the hub has no registration"
    NO_TAG = "no_tag", "no registration matches the audience"
    NO_TEMPLATE = "no_template", "phones match the audience, and none of them has registered a template"
    NO_NATIVE = "no_native", "phones match the audience, and have templates only, which a native payload does not reach"
    OTHER_PLATFORM = (
        "other_platform",
        "the phones that match the audience are of platforms that this notification is not for",
    )
    ONLY_TO = "only_to", "phones match the audience, and the hub's only_to lets none of them be reached"
    GONE = "gone", "the registrations of this audience were deleted, have expired, or their push channels are dead"
    NO_CREDENTIAL = "no_credential", "no push service of these phones takes a credential of this hub: see the key hubs"
    EXPIRED = "expired", "every push was given up before a push service took it"
    QUIET_HOURS = "quiet_hours", "every phone was in its quiet hours, and the rule drops what would wait for their end"
    REFUSED = "refused", "no push service took a push: see the warning of each platform"


class State(Explained):
    """States of a notification (Notification Hubs REST API, notification details)."""

    ENQUEUED = "Enqueued", "The notification is in the store and waits for its turn."
    SCHEDULED = "Scheduled", "The notification waits for its time."
    HELD = (
        "Held",
        "The notification waits for an approval, being for more phones than go without one, or for a silence to end.",
    )
    PROCESSING = "Processing", "Pushes of the notification are being made."
    COMPLETED = "Completed", "Every push has an outcome; see the outcomes for which."
    NO_TARGET_FOUND = "NoTargetFound", "No phone was there to push to."
    ABANDONED = "Abandoned", "Every push, or the send to a remote hub, was given up."
    CANCELLED = "Cancelled", "The notification was cancelled before its time."
    UNKNOWN = "Unknown", "Nothing is known of the notification."


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


_NOBODY = frozenset([OutcomeName.NO_TARGETS])


def final_state(counts: Mapping[Platform, Mapping[OutcomeName, int]]) -> State:
    """The state a notification ends in, by what became of its pushes: no push at all means that the audience was empty."""
    names = {name for by_outcome in counts.values() for name, count in by_outcome.items() if count}
    if names <= _NOBODY:
        return State.NO_TARGET_FOUND
    return State.ABANDONED if names == {OutcomeName.ABANDONED} else State.COMPLETED


_DEAD = frozenset([OutcomeName.BAD_CHANNEL, OutcomeName.EXPIRED_CHANNEL, OutcomeName.WRONG_CHANNEL])


def why_unreached(counts: Mapping[Platform, Mapping[OutcomeName, int]]) -> Unreached | None:
    """Why none of a notification's pushes reached a phone; None when one did."""
    names = {name for by_outcome in counts.values() for name, count in by_outcome.items() if count}
    names.discard(OutcomeName.SKIPPED)
    if names & ENDED_WELL:
        return None
    if names == _NOBODY:
        return Unreached.ONLY_TO
    if names <= _DEAD:
        return Unreached.GONE
    if names == {OutcomeName.INVALID_CREDENTIALS}:
        return Unreached.NO_CREDENTIAL
    return Unreached.EXPIRED if names == {OutcomeName.ABANDONED} else Unreached.REFUSED


def unreached_count(counts: Mapping[Platform, Mapping[OutcomeName, int]]) -> int:
    """How many registrations a notification was for, of a phone that has several under one channel one."""
    return sum(
        count for by_outcome in counts.values() for name, count in by_outcome.items() if name is not OutcomeName.SKIPPED
    )


class DeviceAnswer(Explained):
    """What became of one registration of a device for a notification. Each meaning is a clause about the registration."""

    DELIVERED = "delivered", "its push service took the push"
    FAILED = "failed", "its push ended, and not well"
    WAITING = "waiting", "its push waits to be tried"
    UNDER_WAY = "under_way", "its push is on its way"
    HELD = "held", "the notification is held: it waits for an approval, or for the end of a silence"
    QUIET_HOURS = "quiet_hours", "quiet hours hold its push"
    AUDIENCE_UNKNOWN = "audience_unknown", "the audience has not been looked for yet"
    DEAD = "dead", "its push channel is dead"
    CHANGED_SINCE = "changed_since", "it was registered, or registered again, after the audience was found"
    TAGS = "tags", "its tags do not match the audience"
    ONLY_TO = "only_to", "the hub's only_to does not let it be reached"
    NO_TEMPLATE = "no_template", "it has no template, and the notification is for templates"
    TEMPLATE = "template", "it has a template, and the notification is a native payload"
    OTHER_PLATFORM = "other_platform", "the notification is not for its platform"
    NOT_MEANT = "not_meant", "it matches now, and was not in the audience when that was found"

    @property
    def is_in_audience(self) -> bool:
        """Whether the notification was for the registration, or may have been, had it what the content needs."""
        return self not in _NOT_FOR_IT


_NOT_FOR_IT = frozenset([DeviceAnswer.TAGS, DeviceAnswer.ONLY_TO, DeviceAnswer.OTHER_PLATFORM, DeviceAnswer.NOT_MEANT])
