"""What is told to other systems of notifications and devices: rows of the transaction that makes it true."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.follow_up import FollowUp, UnopenedPush
from hub.notification import Notification, Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.phone_report import ReportedPush


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One message for one sink. `person` is whom it is about, as `Notification.person`."""

    sink: str
    body: bytes
    content_type: str
    person: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedNotification:
    """What became of a notification: its state, and how many pushes had which outcome on which platform.

    `why` is set where no phone got it. `at` is in seconds since 1970 UTC. `actor` is who cancelled it, where that is known.
    """

    notification: Notification
    state: State
    counts: Mapping[Platform, Mapping[OutcomeName, int]]
    at: float
    why: Unreached | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedDevices:
    """The devices of one push channel, which its push service said to be dead: the ids of installations, and of
    registrations by themselves. `user_id` is their user, empty where they have none or several.
    """

    hub: str
    platform: Platform
    installations: Sequence[str]
    registrations: Sequence[str]
    user_id: str
    reason: str


class Reporter(Protocol):
    """Says who is told of what. Its methods are pure, and are called within transactions, in any thread."""

    def sinks_of(self, notification: Notification) -> Collection[str]:
        """Who is told when it ends."""

    def reports_of(self, ended: EndedNotification) -> Sequence[Report]:
        """One for each of `sinks_of`."""

    def sinks_of_devices(self, hub: str) -> Collection[str]:
        """Who is told of devices of this hub that are removed."""

    def reports_of_devices(self, removed: RemovedDevices, *, at: float) -> Sequence[Report]:
        """One for each of `sinks_of_devices`."""

    def reports_of_phone(self, reported: ReportedPush) -> Sequence[Report]:
        """One for each of `sinks_of` of its notification: a phone has said something of its push."""

    def follow_up_of(self, notification: Notification) -> FollowUp | None:
        """Whether and when to look, after a push, who has not opened it; None: nobody asks."""

    def reports_of_unopened(self, unopened: UnopenedPush) -> Sequence[Report]:
        """One for each of its `sinks`."""
