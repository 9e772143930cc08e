"""What is asked of phones after a push: whether its user opened it in time. `hub.report` is what sinks are told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hub.explained import Explained
from hub.notification import Notification, Platform
from hub.outcome import OutcomeName, Unreached

MOST_PHONES: Final = 1000
"""Registrations that a notification may be for so that each of its phones is followed: one page."""


class FollowUpOutcome(Explained):
    """What a follow-up finds; the label `outcome` of `pushbridge_follow_ups_total`."""

    OPENED = "opened", "The phone reported in time that its user opened the notification; no sink is told."
    NOT_OPENED = (
        "not_opened",
        "A push service took the push, and the phone did not report in time that its user opened it.",
    )
    FAILED = "failed", "The push ended, and no push service took it; a sink is told at once."
    NO_PHONE = (
        "no_phone",
        "The notification reached no phone, because there was none to push to; a sink is told at once.",
    )
    UNREGISTERED = (
        "unregistered",
        "Every phone that got the notification was deleted from the hub, and none had opened it.",
    )
    TOO_MANY = (
        "too_many",
        "The notification was for more than 1,000 registrations: its phones are not followed, and no sink is told.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """`sinks` are told of each phone that has not opened a push within `after` seconds of its delivery."""

    after: float
    sinks: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnopenedPush:
    """A phone that did not open a push, for `sinks`; times are in seconds since 1970 UTC.

    A phone has an `installation_id`, or else a `registration_id`; neither is set where no single phone is meant.
    `user_id` is empty where the phone has no user, or was registered again since. `sent_at` is when a push service took
    the push, `received_at` when the app said that it came; `failure` and `detail` say why none took it. Of the other phones
    of the notification `others_delivered` got it by now, and `others_opened` said that it was opened.
    """

    notification: Notification
    sinks: Sequence[str]
    outcome: FollowUpOutcome
    at: float
    installation_id: str = ""
    registration_id: str = ""
    user_id: str = ""
    platform: Platform | None = None
    sent_at: float | None = None
    received_at: float | None = None
    failure: OutcomeName | None = None
    detail: str = ""
    why: Unreached | None = None
    others_delivered: int = 0
    others_opened: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedUp:
    """What follow-ups came to, by hub; `too_many` are notifications whose phones are not followed.

    With `is_more` others are due already.
    """

    counts: Mapping[tuple[str, FollowUpOutcome], int] = field(default_factory=dict)
    too_many: Sequence[Notification] = ()
    is_more: bool = False


class FollowedPushes(Explained):
    """Which pushes of a page a follow-up is about."""

    DELIVERED = "delivered", "pushes that a push service took"
    FAILED = "failed", "pushes that no push service took"
    EXPANDED = "expanded", "all pushes of a notification that is for more phones than are followed"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFollowUp:
    """A look at the phones of a page: due, or done at `ended_at`. Then sinks were `told` of so many, and so many had
    `opened` the notification; times are in seconds since 1970 UTC."""

    about: FollowedPushes
    sinks: Sequence[str]
    sent_at: float
    due: float | None
    ended_at: float | None
    told: int
    opened: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpUsage:
    """How many follow-ups wait in the queues of this process, and for how many seconds the first has been due."""

    waiting: int = 0
    overdue: float = 0.0
