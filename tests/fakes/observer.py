"""An observer that keeps what it hears, and that a test can wait for."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from hub.notification import Notification, Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.store.base import DeadLetter, Lane


class FakeObserver:
    """What the hub told, added up."""

    def __init__(self) -> None:
        self.sends: list[Notification] = []
        self.audiences: list[tuple[Notification, Mapping[Platform, int]]] = []
        self.reasons: list[str] = []
        self.nobody: list[tuple[str, Unreached]] = []
        self.missing: list[tuple[str, Platform, list[str]]] = []
        self.outcomes = Counter[tuple[Platform, OutcomeName]]()
        self.handovers: list[tuple[Notification, OutcomeName, bool]] = []
        self.answers = Counter[tuple[str, Platform, OutcomeName]]()
        self.timeouts = 0
        self.deliveries: list[tuple[Platform, float, int]] = []
        self.retries = Counter[tuple[Platform, OutcomeName]]()
        self.retry_lines: list[tuple[str, float]] = []
        self.deferrals: list[tuple[str, Platform | None, str, float]] = []
        self.breakers: list[tuple[str, Platform | None, str | None]] = []
        self.letters: list[DeadLetter] = []
        self.claims = Counter[Lane]()
        self.waits: list[float] = []
        self.lost = Counter[Lane]()
        self.states = Counter[tuple[str, State]]()
        self.dead_channels = Counter[tuple[str, Platform]]()
        self.store_failures: list[str] = []
        self.crashes: list[Exception] = []
        self._news = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is looked at whenever something was told."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def until_ended(self, count: int) -> None:
        await self.until(lambda: self.states.total() >= count)

    def sent(self, notification: Notification) -> None:
        self.sends.append(notification)
        self._news.set()

    def targeted(self, notification: Notification, counts: Mapping[Platform, int]) -> None:
        self.audiences.append((notification, counts))
        self._news.set()

    def pushed(
        self,
        notification: Notification,
        platform: Platform,
        outcomes: Mapping[OutcomeName, int],
        *,
        reason: str = "",
    ) -> None:
        if reason:
            self.reasons.append(reason)
        self.outcomes.update({(platform, outcome): count for outcome, count in outcomes.items()})
        self._news.set()

    def unreached(self, notification: Notification, why: Unreached) -> None:
        self.nobody.append((notification.id, why))
        self._news.set()

    def properties_missing(self, notification: Notification, platform: Platform, names: Collection[str]) -> None:
        self.missing.append((notification.id, platform, sorted(names)))
        self._news.set()

    def forwarded(self, notification: Notification, outcome: OutcomeName, *, reason: str, due_at: float | None) -> None:
        self.handovers.append((notification, outcome, due_at is None))
        self._news.set()

    def answered(
        self, hub: str, platform: Platform, seconds: float, results: Mapping[OutcomeName, int], timed_out: int
    ) -> None:
        self.answers.update({(hub, platform, outcome): count for outcome, count in results.items()})
        self.timeouts += timed_out
        self._news.set()

    def delivered(self, platform: Platform, seconds: float, count: int) -> None:
        self.deliveries.append((platform, seconds, count))
        self._news.set()

    def retried(
        self,
        notification: Notification,
        platform: Platform,
        outcomes: Mapping[OutcomeName, int],
        *,
        reason: str,
        due_at: float,
    ) -> None:
        self.retries.update({(platform, outcome): count for outcome, count in outcomes.items()})
        self.retry_lines.append((reason, due_at))
        self._news.set()

    def deferred(self, notification: Notification, platform: Platform | None, *, reason: str, due_at: float) -> None:
        self.deferrals.append((notification.id, platform, reason, due_at))
        self._news.set()

    def breaker_opened(self, hub: str, platform: Platform | None, *, cause: str, until: float) -> None:
        self.breakers.append((hub, platform, cause))
        self._news.set()

    def breaker_closed(self, hub: str, platform: Platform | None, *, seconds: float) -> None:
        self.breakers.append((hub, platform, None))
        self._news.set()

    def dead_lettered(self, letters: Sequence[DeadLetter]) -> None:
        self.letters += letters
        self._news.set()

    def claimed(self, lane: Lane, count: int, waited: Sequence[float]) -> None:
        self.claims[lane] += count
        self.waits += waited
        self._news.set()

    def lease_lost(self, lane: Lane, count: int) -> None:
        self.lost[lane] += count
        self._news.set()

    def ended(self, counts: Mapping[tuple[str, State], int]) -> None:
        self.states.update(counts)
        self._news.set()

    def gone(self, hub: str, platform: Platform, count: int) -> None:
        self.dead_channels[hub, platform] += count
        self._news.set()

    def store_failed(self, operation: str, error: Exception) -> None:
        self.store_failures.append(operation)
        self._news.set()

    def crashed(self, what: str, error: Exception) -> None:
        self.crashes.append(error)
        self._news.set()
