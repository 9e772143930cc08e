"""What an event would do: decoded, mapped, decided and rendered by the daemon's own code; nothing is kept or sent."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from bridge.config.models.document import Settings
from bridge.errors import EventError, Reason, Stage
from bridge.intake.pipeline import Accepting, Pipeline, Route
from bridge.observe.facts import EventOutcome, EventsStored, InFlightEvent, IntakeFact
from bridge.trial.keeping_back import KeepingBack
from bridge.trial.payloads import Payload, Payloads
from bridge.wiring import guards_of, routes_of
from connectors.base import Message
from hub.acceptance import DeadLetter, HandedOver, Ingest
from hub.content.rendering import Templates
from hub.delivery import audiences
from hub.flow import Suppression, Withdrawal
from hub.follow_up import FollowUp
from hub.guards import only_to
from hub.notification import Notification, Platform
from hub.outcome import Unreached
from hub.store.contracts.outbox import AcceptanceResult
from hub.tags import TagExpression
from rules.decision import Failure
from rules.event import Event
from rules.explain import Explanation

SHOWN = 20
"""Templates whose payloads are shown of one notification, at most."""

_SAMPLE = 1000
"""Registrations of one platform of a large audience that are looked at for their templates."""


class Registrations(Templates, audiences.Registrations, Protocol):
    """What a trial asks of a store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedNotification:
    """What a rule would send. `audience` counts registrations by platform; None where no registrations are known.

    `unreached` says why the audience is empty. `payloads` has one for each template of the audience, SHOWN at most.
    `remote` is whether the hub is remote: it knows its audience itself. `only_to` is joined with every audience.
    `kept_back` says in words what quiet hours and rates do with it. `report_to` and `unless_opened` say which sinks are
    told of it.
    """

    rule: str
    notification: Notification
    remote: bool
    only_to: TagExpression | None = None
    audience: Mapping[Platform, int] | None = None
    unreached: Unreached | None = None
    payloads: Sequence[Payload] = ()
    kept_back: Sequence[str] = ()
    report_to: Sequence[str] = ()
    unless_opened: FollowUp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedEvent:
    """What would become of a message, as far as it went. `decoded` and `event` are None where it ended before.

    `explanations` has one for each rule, in their order. Values are data of the event. `flow` says in words what flow
    control holds for it, by rule; `suppressed` and `withdrawn` what it did, where the trial accepts events.
    """

    message: Message
    decoded: Any
    is_decoded: bool
    event: Event | None
    outcome: EventOutcome
    stage: Stage
    reason: Reason | None
    detail: str
    explanations: Sequence[Explanation] = ()
    failures: Sequence[Failure] = ()
    flow: Mapping[str, Sequence[str]] = field(default_factory=dict)
    suppressed: Sequence[Suppression] = ()
    withdrawn: Sequence[Withdrawal] = ()
    dead_letters: Sequence[DeadLetter] = ()
    notifications: Sequence[TriedNotification] = ()


class Trial:
    """Tries messages on a configuration; with `registrations` also whom its notifications reach, and with what.

    With `hub`, which has to store at the first try, events are accepted there, so that a repeated one is known. `routes`
    are those of the configuration unless given; `most` bounds the payloads of one notification.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        registrations: Registrations | None = None,
        hub: Accepting | None = None,
        routes: Mapping[str, Route] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        most: int = SHOWN,
    ) -> None:
        self._settings = settings
        self._registrations = registrations
        self._guards = guards_of(settings.hubs)
        self._most = most
        self._accepts = hub is not None
        self._routes = routes_of(settings) if routes is None else routes
        self._stored = _StoredEvents()
        self._pipeline = Pipeline(
            self._routes, settings.rules, _NoHub() if hub is None else hub, observer=self._stored, clock=clock
        )
        self._keeping_back = KeepingBack(settings, clock=clock)
        self._payloads = None if registrations is None else Payloads(settings.hubs, registrations)

    async def each(self, message: Message) -> Sequence[TriedEvent]:
        """A message, or each of its records where its source's messages are taken apart.

        Raises: KeyError: the configuration has no source of the message's; StoreError.
        """
        await self._pipeline.readable([message])  # a schema that is missing is the reason why it cannot be decoded
        return [await self._of(in_flight) for in_flight in await self._taken(message)]

    async def _of(self, in_flight: InFlightEvent) -> TriedEvent:
        message = in_flight.message
        is_new = in_flight.outcome is not EventOutcome.DUPLICATE  # a repeated event causes nothing
        is_decoded, decoded = self._decoded(message)
        event = in_flight.event
        if event is not None and event.data is None:  # a large event leaves its data behind when it is routed
            event = replace(event, data=decoded)
        return TriedEvent(
            message=message,
            decoded=decoded,
            is_decoded=is_decoded,
            event=event,
            outcome=in_flight.outcome,
            stage=in_flight.stage,
            reason=in_flight.reason,
            detail=in_flight.detail,
            explanations=() if event is None else self._settings.rules.explain(event),
            failures=in_flight.decision.failures if is_new else (),
            flow={} if event is None or not is_new else self._flow_of(in_flight, event),
            suppressed=in_flight.suppressed,
            withdrawn=in_flight.withdrawn,
            dead_letters=in_flight.dead_letters if is_new else (),
            notifications=[
                await self._tried(intent.rule, intent.notification)
                for intent in (in_flight.decision.intents if is_new else ())
            ],
        )

    def _flow_of(self, in_flight: InFlightEvent, event: Event) -> Mapping[str, Sequence[str]]:
        fired = {flow.rule for flow in in_flight.decision.flow}
        return {
            rule.name: rule.flow.said(event)
            for rule in self._settings.rules.rules
            if rule.flow is not None and rule.name in fired
        }

    async def tried(self, notification: Notification) -> TriedNotification:
        """A notification that came of events before, as those of an event are tried."""
        return await self._tried(notification.rule, notification)

    async def _taken(self, message: Message) -> Sequence[InFlightEvent]:
        if not self._accepts:
            return (await self._pipeline.routed(message)).events
        await self._pipeline.handle([message])
        events, self._stored.events = self._stored.events, []
        return events

    async def close(self) -> None:
        """Let go of the senders, of which nothing was asked but their requests."""
        if self._payloads is not None:
            await self._payloads.close()

    def _decoded(self, message: Message) -> tuple[bool, Any]:
        if message.unreadable:
            return False, None
        try:
            return True, self._routes[message.source].decode(message).data
        except EventError:
            return False, None

    async def _tried(self, rule: str, notification: Notification) -> TriedNotification:
        rules = self._settings.rules
        tried = await self._reached(rule, notification)
        return replace(tried, report_to=rules.report_to.get(rule, ()), unless_opened=rules.follow_ups.get(rule))

    async def _reached(self, rule: str, notification: Notification) -> TriedNotification:
        is_remote = self._settings.hubs[notification.hub].is_remote
        joined = only_to(notification, self._guards)
        if is_remote or self._registrations is None or self._payloads is None:
            kept_back = self._keeping_back.said(notification)
            return TriedNotification(
                rule=rule, notification=notification, remote=is_remote, only_to=joined, kept_back=kept_back
            )
        (audience,) = await audiences.guarded_audiences(self._registrations, [notification], self._guards)
        counts, sample = await audiences.counted_and_sampled(
            self._registrations, notification.hub, audience, most=_SAMPLE
        )
        zones = Counter((target.platform, target.time_zone) for target in sample)
        return TriedNotification(
            rule=rule,
            notification=notification,
            remote=False,
            only_to=joined,
            audience=counts,
            unreached=audience.unreached,
            kept_back=self._keeping_back.said(notification, pushes=sum(counts.values()), zones=zones),
            payloads=await self._payloads.of(notification, sample, most=self._most),
        )


class _NoHub:
    """A trial accepts nothing."""

    async def full_for(self, notifications: Sequence[Notification]) -> Collection[str]:
        return ()

    async def hand_over(
        self,
        notifications: Sequence[Notification],
        *,
        arrivals: Callable[[], Sequence[Ingest]],
        withdrawn: Callable[[], bool],
    ) -> HandedOver:
        return HandedOver()

    async def accept(self, arrivals: Sequence[Ingest], *, withdrawn: Callable[[], bool]) -> AcceptanceResult:
        raise NotImplementedError("a trial accepts nothing")


class _StoredEvents:
    """Keeps the events that the pipeline says are stored; a trial reports by its result."""

    def __init__(self) -> None:
        self.events: list[InFlightEvent] = []

    def observe(self, fact: IntakeFact) -> None:
        if isinstance(fact, EventsStored):
            self.events += fact.events
