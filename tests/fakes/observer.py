"""An observer that keeps what it hears, and that a test can wait for."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from hub.acceptance import DeadLetter
from hub.facts import (
    AudienceFound,
    AudiencesFound,
    BreakerClosed,
    BreakerOpened,
    ChannelsGone,
    Crashed,
    DeadLettersStored,
    HubFact,
    NotificationHeld,
    NotificationsEnded,
    NotificationUnreached,
    PageAnswered,
    PropertiesMissing,
    PushesDeferred,
    PushesDelivered,
    PushesEnded,
    PushesRetried,
    QuietHoursKept,
    RemoteAnswered,
    ResultsLate,
    SendAccepted,
    StoreFailed,
    StoreRecovered,
    WorkTaken,
)
from hub.notification import Notification, Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.work import Lane


class FakeObserver:
    """The facts of the hub, added up."""

    def __init__(self) -> None:
        self.sends: list[Notification] = []
        self.audiences: list[tuple[Notification, Mapping[Platform, int]]] = []
        self.reasons: list[str] = []
        self.held: list[tuple[Notification, int]] = []
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
        self.late = Counter[Lane]()
        self.states = Counter[tuple[str, State]]()
        self.dead_channels = Counter[tuple[str, Platform]]()
        self.store_failures: list[str] = []
        self.store_recoveries: list[float] = []
        self.crashes: list[Exception] = []
        self.quiet: list[QuietHoursKept] = []
        self._news = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is looked at with each fact."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def until_ended(self, count: int) -> None:
        await self.until(lambda: self.states.total() >= count)

    def observe(self, fact: HubFact) -> None:
        self._keep(fact)
        self._news.set()

    def _keep(self, fact: HubFact) -> None:
        match fact:
            case SendAccepted():
                self.sends.append(fact.notification)
            case AudienceFound():
                self.audiences.append((fact.notification, fact.counts))
            case AudiencesFound():
                self.audiences += fact.found
            case PropertiesMissing():
                self.missing.append((fact.notification.id, fact.platform, sorted(fact.names)))
            case PageAnswered():
                self.answers.update({(fact.hub, fact.platform, name): count for name, count in fact.outcomes.items()})
                self.timeouts += fact.timed_out
            case PushesEnded():
                self.reasons += filter(None, [fact.reason])
                self.outcomes.update({(fact.platform, name): count for name, count in fact.outcomes.items()})
                if succeeded := fact.outcomes.get(OutcomeName.SUCCESS):
                    self.deliveries.append((fact.platform, fact.seconds, succeeded))
            case PushesDelivered():
                self.outcomes[fact.platform, OutcomeName.SUCCESS] += len(fact.pushes)
                self.deliveries += [(fact.platform, seconds, 1) for _, seconds in fact.pushes]
            case PushesRetried():
                self.retries.update({(fact.platform, name): count for name, count in fact.outcomes.items()})
                self.retry_lines.append((fact.reason, fact.due_at))
            case PushesDeferred():
                self.deferrals.append((fact.notification.id, fact.platform, fact.reason, fact.due_at))
            case RemoteAnswered():
                self.handovers.append((fact.notification, fact.outcome, fact.due_at is None))
            case NotificationUnreached():
                self.nobody.append((fact.notification.id, fact.why))
            case QuietHoursKept():
                self.quiet.append(fact)
            case NotificationHeld():
                self.held.append((fact.notification, fact.count))
            case NotificationsEnded():
                self.states.update(fact.counts)
            case ChannelsGone():
                self.dead_channels[fact.hub, fact.platform] += fact.count
            case BreakerOpened():
                self.breakers.append((fact.hub, fact.platform, fact.cause))
            case BreakerClosed():
                self.breakers.append((fact.hub, fact.platform, None))
            case DeadLettersStored():
                self.letters += fact.dead_letters
            case WorkTaken():
                self.claims[fact.lane] += fact.count
                self.waits += fact.waited
            case ResultsLate():
                self.late[fact.lane] += fact.count
            case StoreFailed():
                self.store_failures.append(fact.operation)
            case StoreRecovered():
                self.store_recoveries.append(fact.seconds)
            case Crashed():
                self.crashes.append(fact.error)
