"""Whom the hub tells what it does: metrics, logs and the live page listen here; the hub knows none of them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from hub.notification import Notification, Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.store.base import DeadLetter, Lane


class Observer(Protocol):
    """Every method returns at once and never raises; all are called on the event loop."""

    def sent(self, notification: Notification) -> None:
        """A send of the API is in the store; one that is repeated under the same id is not told again."""

    def targeted(self, notification: Notification, counts: Mapping[Platform, int]) -> None:
        """An audience was found: pushes to be made by platform, all zero when nobody was there."""

    def pushed(
        self,
        notification: Notification,
        platform: Platform,
        outcomes: Mapping[OutcomeName, int],
        *,
        reason: str = "",
    ) -> None:
        """Pushes of one notification came to their end, with these outcomes; most that ended badly did so for `reason`."""

    def unreached(self, notification: Notification, why: Unreached) -> None:
        """A notification came to its end, and no phone got it."""

    def properties_missing(self, notification: Notification, platform: Platform, names: Collection[str]) -> None:
        """A template of the platform uses properties, without a default, that the notification has not; told once for
        each notification and template. Names are in lower case."""

    def forwarded(self, notification: Notification, outcome: OutcomeName, *, reason: str, due_at: float | None) -> None:
        """A hub elsewhere answered to a notification, `reason` in its words; at `due_at` it will be handed over again.

        With None it has come to its end.
        """

    def answered(
        self, hub: str, platform: Platform, seconds: float, results: Mapping[OutcomeName, int], timed_out: int
    ) -> None:
        """A batch of pushes was answered `seconds` after it was handed to the sender; every try counts, ended or not.

        Of those that are PnsUnreachable, `timed_out` were deadlines that passed.
        """

    def delivered(self, platform: Platform, seconds: float, count: int) -> None:
        """`count` pushes succeeded `seconds` after their notification was accepted."""

    def retried(
        self,
        notification: Notification,
        platform: Platform,
        outcomes: Mapping[OutcomeName, int],
        *,
        reason: str,
        due_at: float,
    ) -> None:
        """Pushes of one notification or page will be tried again together at `due_at`; most of them for `reason`."""

    def deferred(self, notification: Notification, platform: Platform | None, *, reason: str, due_at: float) -> None:
        """A notification was not attempted and waits until `due_at`; told once, when it waits for the first time.

        `platform` is None for a hub elsewhere.
        """

    def breaker_opened(self, hub: str, platform: Platform | None, *, cause: str, until: float) -> None:
        """A push service, or with None a hub elsewhere, gets nothing until `until`, and then a few at a time."""

    def breaker_closed(self, hub: str, platform: Platform | None, *, seconds: float, why: str) -> None:
        """Everything goes through again, after so many seconds: it works, or the configuration has changed."""

    def dead_lettered(self, letters: Sequence[DeadLetter]) -> None:
        """The hub made dead letters, and they are in the store."""

    def claimed(self, lane: Lane, count: int, waited: Sequence[float]) -> None:
        """Work was leased, each piece so many seconds after it was accepted or due."""

    def lease_lost(self, lane: Lane, count: int) -> None:
        """Leases ran out before their work was recorded."""

    def ended(self, counts: Mapping[tuple[str, State], int]) -> None:
        """So many notifications of a hub came to their end in a state."""

    def gone(self, hub: str, platform: Platform, count: int) -> None:
        """Push services said of so many pushes that their channels are dead."""

    def store_failed(self, operation: str, error: Exception) -> None:
        """The store could not do it, at this try."""

    def store_recovered(self, seconds: float) -> None:
        """The store does everything again, so many seconds after the first failure."""

    def crashed(self, what: str, error: Exception) -> None:
        """A defect of ours, in work named by `what`; the work is tried again when its lease ends."""
