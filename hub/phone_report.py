"""What a phone says of a push that it got: received, opened, acted on. `hub.report` is what other systems are told."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hub.explained import Explained
from hub.notification import Notification, Platform
from hub.rate import Rate
from hub.tags import tag_key

MOST_REPORTS: Final = 100
"""Reports of one request, at most."""
MOST_ACTIONS: Final = 8
"""Different actions of one phone on one push that are kept."""
ACTION: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What an action may be called."""

OTHER, NO_VALUE = "_other", "_none"
"""What stands for a value that is not configured, and for a phone without a tag of the prefix."""


class PhoneEvent(Explained):
    """What a phone may say of a push; the label `event` of `pushbridge_push_reports_total`."""

    RECEIVED = "received", "The app got the push."
    OPENED = "opened", "The user opened the notification."
    ACTED = "acted", "The user chose an action of the notification; the report names it."


class ReportOutcome(Explained):
    """What became of a phone's report; the label `outcome` of `pushbridge_push_reports_total`."""

    ACCEPTED = "accepted", "The report is kept and counted."
    REPEATED = "repeated", "The same report of this phone was kept before, and is counted once."
    UNKNOWN = "unknown", "The hub has no such push, or has forgotten it."
    FOREIGN = "foreign", "The push was not for this phone."
    LATE = "late", "The push is older than the hub's key reports.accept_for allows."
    TOO_MANY = "too_many", "The phone has reported as many different actions of this push as are kept."


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneReport:
    """One report. `notification_id` has 32 hex digits in lower case; `action` is empty but for `ACTED`."""

    notification_id: str
    event: PhoneEvent
    action: str = ""


class ReportLimit(Explained):
    """Why reports are to come later; the label `limit` of `pushbridge_push_reports_limited_total`."""

    PHONE = "phone", "One phone reports too often: up to 60 requests at once, and one more every 2 seconds."
    HUB = (
        "hub",
        "The phones of a hub that report with its key send more requests than the hub's key reports.rate allows.",
    )


USUAL_RATE: Final = Rate(per_second=1000, burst=10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPolicy:
    """How a hub takes reports.

    A push is reported on for `accept_for` seconds after its notification was accepted. Reports are counted by the values of
    tags that begin with `tag_prefix`, of which `tag_values`, in lower case, are told apart. With `payload_key` each JSON
    payload names its notification under that key, and templates may name it as a property. `rate` is of requests that a key
    is good for, which all phones of an app share.
    """

    accept_for: float = 7 * 86_400.0
    tag_prefix: str = ""
    tag_values: Sequence[str] = ()
    payload_key: str = ""
    rate: Rate = USUAL_RATE

    def value_of(self, tags: Collection[str]) -> str | None:
        """What a phone with these tags is counted under; None: reports are not counted by a tag."""
        if not self.tag_prefix:
            return None
        prefix = tag_key(self.tag_prefix)
        own = sorted(tag_key(tag).removeprefix(prefix) for tag in tags if tag_key(tag).startswith(prefix))
        if not own:
            return NO_VALUE
        return next((value for value in own if value in self.tag_values), OTHER)

    @property
    def values(self) -> Sequence[str]:
        """All that `value_of` may say."""
        return (*self.tag_values, OTHER, NO_VALUE) if self.tag_prefix else ()


USUAL_POLICY: Final = ReportPolicy()
ReportPolicies = Mapping[str, ReportPolicy]
"""By hub, for hubs that have one of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenReports:
    """What became of the reports of one phone, in their order, and what the phone is counted as."""

    platform: Platform
    outcomes: Sequence[ReportOutcome]
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPush:
    """A report that was kept, for sinks. `user_id` is empty where the phone has no user; `at` in seconds since 1970 UTC."""

    notification: Notification
    installation_id: str
    user_id: str
    platform: Platform
    event: PhoneEvent
    action: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReport:
    """A report as it is kept; `at` is when it came, in seconds since 1970 UTC."""

    event: PhoneEvent
    action: str
    at: float
