"""The way of a batch, from messages to settlements; everything else in the bridge serves this."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import Any, Protocol

from bridge.decode import Decoded, Decoder
from bridge.decode.split import Split
from bridge.errors import EventError, Reason, Stage
from bridge.intake.disposition import disposition_for, disposition_of_records
from bridge.intake.envelope import envelope_of
from bridge.intake.flow import flow_with_letters, follow_flow
from bridge.intake.journaling import Journaling
from bridge.intake.message_schemas import MessageSchemas, Readable
from bridge.intake.offload import Offload, TimeLimitError
from bridge.observe.facts import EventOutcome, EventsStored, InFlightEvent, IntakeObserver, MessagesGivenUp
from bridge.observe.tracing.spans import EventTrace
from connectors.base import NACK, Disposition, Message, Settlement
from hub.acceptance import (
    NO_CONFIGURATION,
    ConfigurationVersion,
    DeadLetter,
    HandedOver,
    Ingest,
    JournalEntry,
    Partition,
    Refusal,
)
from hub.errors import StoreError, WithdrawnError
from hub.facts import Crashed
from hub.flow import RuleFlow
from hub.frozen import frozen_dataclass
from hub.identity import joined
from hub.notification import Notification
from hub.people import people_of
from hub.precedence import Precedence
from hub.slices import TimeSlice
from hub.store.contracts.outbox import AcceptanceResult
from hub.trace_context import TraceContext
from rules.decision import Decision, Failure
from rules.engine import RuleSet
from rules.errors import RenderError
from rules.event import Event
from rules.text import text_of

_REPORTED_TOGETHER = 50
"""Messages that are reported in one fact: counting, showing and logging one takes 25 µs (measured)."""

_LARGE = 16 * 1024
"""Bytes of a body above which it is read and matched beside the event loop: 16 KiB of nested arrays cost it 30 ms
(measured), and a thread 0.1 ms."""

_MOST_TOGETHER = 5_000
"""Events after which what was routed goes to the store before more messages are taken apart into records."""

_REJECT = Settlement.REJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How the messages of one source are read.

    `on_no_match` says what an event is that no rule matches: done, or a dead letter. What cannot be decoded is a dead
    letter, or only counted when not `keep_undecodable`. `native` dead-letters with the broker's own means besides keeping
    the row, with `native_in_part` also a message of which one rule or record fails; `relay` names the publisher that sends
    dead letters on. A sender that `sender_waits` for its answer (HTTP) has the message still: what cannot be read is
    refused and not kept. `owner` is who answers for the source. With `split` a message is taken apart into records, each
    of them an event. `schemas` are those that its bodies name, and that are looked up before they are decoded. Of what is
    `sensitive` no body or value is kept.
    """

    decode: Decoder
    to_event: Callable[[Message, Decoded, datetime], Event]
    split: Split | None = None
    on_no_match: Settlement = Settlement.ACK
    keep_undecodable: bool = True
    native: bool = False
    native_in_part: bool = False
    relay: str | None = None
    sender_waits: bool = False
    owner: str = ""
    schemas: MessageSchemas | None = None
    sensitive: bool = False


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class RoutedMessage:
    """A message and what it holds: one event, or one for each record, which are accepted and settled together."""

    message: Message
    events: Sequence[InFlightEvent]
    is_split: bool = False


class Accepting(Protocol):
    """What the pipeline asks of the hub."""

    async def full_for(self, notifications: Sequence[Notification]) -> Collection[str]:
        """Ids of those that are for push services alone for which no more may wait. Raises: StoreError."""

    async def hand_over(
        self,
        notifications: Sequence[Notification],
        *,
        arrivals: Callable[[], Sequence[Ingest]],
        withdrawn: Callable[[], bool],
    ) -> HandedOver:
        """Hand over those that have to be at their hub before anything is settled, but for those of events among
        `arrivals` that were accepted before. Raises: WithdrawnError, as `accept`."""

    async def accept(self, arrivals: Sequence[Ingest], *, withdrawn: Callable[[], bool]) -> AcceptanceResult:
        """Durable when it returns. Raises: WithdrawnError, when `withdrawn` came true while the store failed."""


class Tracing(Protocol):
    """What is asked where spans are made; see `bridge.observe.tracing`."""

    def received(self, headers: Mapping[str, Any]) -> EventTrace:
        """Of a message that is taken in hand now."""

    def decoded(self, event: EventTrace, parent: TraceContext) -> TraceContext:
        """The event's place in the trace that it names."""

    def routed(self, event: EventTrace) -> None: ...

    def accepting(self, batch: Sequence[InFlightEvent]) -> None: ...

    def stored(self, batch: Sequence[InFlightEvent]) -> None: ...


class Pipeline:
    """Takes batches of any source all the way to the store."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        rules: RuleSet,
        hub: Accepting,
        *,
        observer: IntakeObserver,
        configuration: ConfigurationVersion = NO_CONFIGURATION,
        journaling: Journaling | None = None,
        traces: Tracing | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        offload: Offload | None = None,
        precedence: Precedence | None = None,
    ) -> None:
        self._hub = hub
        self._observer = observer
        self._clock = clock
        self.offload = offload or Offload()
        """Where large messages are read and matched."""
        self._precedence = precedence or Precedence()
        self.exchange(routes, rules, configuration=configuration, journaling=journaling, traces=traces)

    def exchange(
        self,
        routes: Mapping[str, Route],
        rules: RuleSet,
        *,
        configuration: ConfigurationVersion,
        journaling: Journaling | None = None,
        traces: Tracing | None = None,
    ) -> None:
        """Go by another configuration, from the next message on; one that is on its way ends by that it began with."""
        self._routes = routes
        self._rules = rules
        self._configuration = configuration
        self._journaling = journaling
        self._traces = traces

    async def readable(self, messages: Sequence[Message]) -> Readable:
        """How many messages of a batch of one source can be decoded, from the first on; asks for schemas not known yet."""
        route = self._routes[messages[0].source]
        if route.schemas is None:
            return Readable(count=len(messages))
        return await route.schemas.readable(messages, sender_waits=route.sender_waits)

    async def handle(self, messages: Sequence[Message]) -> list[tuple[Message, Disposition]]:
        """Take a batch all the way and return how to settle each message: nothing before it is durable.

        A message that the broker has taken back by then is given up: it comes again.
        """
        settled: list[tuple[Message, Disposition]] = []
        batch: list[RoutedMessage] = []
        size = 0
        turn = self._slice(messages[0].source)
        for message in messages:
            if self._routes[message.source].split is None and not _is_large(message):  # saves an await
                batch.append(RoutedMessage(message=message, events=[self._route_here(message)]))
            else:
                batch.append(await self.routed(message, turn=turn))
            if (size := size + len(batch[-1].events)) >= _MOST_TOGETHER:
                settled += await self._store(batch)
                batch, size = [], 0
            if turn.may_be_spent:
                await turn.yield_if_spent()
        return settled + await self._store(batch)

    def _slice(self, source: str | None) -> TimeSlice:
        return TimeSlice(precedence=self._precedence, flow=source)

    async def _store(self, batch: Sequence[RoutedMessage]) -> list[tuple[Message, Disposition]]:
        if batch:
            await self._precedence.give_way(batch[0].message.source)
        traces = self._traces
        if traces is not None:
            traces.accepting([in_flight for routed in batch for in_flight in routed.events])
        accepted = await self._accept(batch)
        stored = [in_flight for routed in accepted for in_flight in routed.events]
        if traces is not None:
            traces.stored(stored)
        settled = {id(routed): self._disposition(routed) for routed in accepted}
        await self._report(EventsStored, stored)
        given_up = [in_flight for routed in batch if id(routed) not in settled for in_flight in routed.events]
        await self._report(MessagesGivenUp, given_up)
        return [(routed.message, settled.get(id(routed), NACK)) for routed in batch]

    @property
    def configuration(self) -> ConfigurationVersion:
        """By which the next message is decided."""
        return self._configuration

    def knows(self, source: str) -> bool:
        """Whether messages of this source can be routed."""
        return source in self._routes

    def has_rule(self, name: str) -> bool:
        return any(rule.name == name for rule in self._rules.rules)

    async def routed(self, message: Message, *, turn: TimeSlice | None = None) -> RoutedMessage:
        """Route a message, or each of its records if its source's messages are taken apart; store nothing.

        A body without records is an event that no rule matches. One that cannot be taken apart is rejected whole.
        """
        split = self._routes[message.source].split
        if split is None or message.unreadable or not message.has_body:
            return RoutedMessage(message=message, events=[await self.route(message)])
        try:
            records = await self.offload.run(partial(split, message)) if _is_large(message) else split(message)
        except EventError as error:
            return RoutedMessage(message=message, events=[self._not_split(message, error.reason, error.detail)])
        except TimeLimitError:
            return RoutedMessage(
                message=message, events=[self._not_split(message, Reason.TOO_LARGE, self._too_long(message))]
            )
        events = []
        for record in records:
            events.append(await self.route(record))
            if turn is not None:
                await turn.yield_if_spent()
        if not events:
            events = [InFlightEvent(message, outcome=EventOutcome.NO_MATCH, configuration=self._configuration)]
        return RoutedMessage(message=message, events=events, is_split=True)

    def _not_split(self, message: Message, reason: Reason, detail: str) -> InFlightEvent:
        """A message that is no row of records, as one that cannot be decoded."""
        route = self._routes[message.source]
        in_flight = InFlightEvent(
            message,
            native=route.native,
            stage=Stage.DECODE,
            configuration=self._configuration,
            sensitive=route.sensitive,
        )
        if _is_kept(reason, message, route):
            self._dead_letter_whole(in_flight, reason, detail)
        else:
            _end(in_flight, EventOutcome.REJECTED, reason, detail)
        return in_flight

    def _too_long(self, message: Message) -> str:
        return f"reading and matching the body of {len(message.body)} bytes takes longer than {self.offload.limit:g} s"

    async def route(self, message: Message) -> InFlightEvent:
        """Decode, map and route one message, and store nothing; a large one beside the event loop."""
        if not _is_large(message):
            return self._route_here(message)
        in_flight = await self._route_offloaded(message)
        self._tell_of_crash(in_flight)
        return in_flight

    def _route_here(self, message: Message) -> InFlightEvent:
        in_flight = self._route(message)
        self._tell_of_crash(in_flight)
        return in_flight

    def _tell_of_crash(self, in_flight: InFlightEvent) -> None:
        if in_flight.crash is not None:
            work = f"{in_flight.stage.value} of {in_flight.event_id!r} from {in_flight.message.source}"
            self._observer.observe(Crashed(work=work, error=in_flight.crash))

    def _route(self, message: Message) -> InFlightEvent:
        """Decode, map and route one message; a message that fails stops no other."""
        route = self._routes[message.source]
        in_flight = InFlightEvent(
            message,
            native=route.native,
            native_in_part=route.native_in_part,
            configuration=self._configuration,
            sensitive=route.sensitive,
        )
        traces = self._traces
        if traces is not None:
            in_flight.span = traces.received(message.headers)
        now = self._clock()
        try:
            in_flight.stage = Stage.DECODE
            if message.unreadable:
                raise EventError(Reason.DECODE, message.unreadable)
            decoded = route.decode(message)
            if traces is not None and in_flight.span is not None:
                parent = TraceContext(decoded.trace, decoded.tracestate)
                decoded.trace, decoded.tracestate = traces.decoded(in_flight.span, parent)
            in_flight.stage = Stage.MAP
            in_flight.event = route.to_event(message, decoded, now)
            in_flight.person = in_flight.event.person
            in_flight.stage = Stage.RULE
            in_flight.decision = self._decide(in_flight, now)
        except EventError as error:
            in_flight.person = error.person
            if _is_kept(error.reason, message, route):
                self._dead_letter_whole(in_flight, error.reason, error.detail)
            else:
                _end(in_flight, EventOutcome.REJECTED, error.reason, error.detail)
        except Exception as error:
            in_flight.sensitive = in_flight.sensitive or bool(
                self._rules.sensitive
            )  # which rule it was for is not known
            self._dead_letter_whole(
                in_flight, Reason.CRASH, f"{type(error).__name__} while handling the message: a defect of ours"
            )
            in_flight.crash = error
        else:
            self._conclude(in_flight, route)
        if self._journaling is not None:
            in_flight.draft = self._journaling.draft(in_flight)
        if traces is not None and in_flight.span is not None:
            traces.routed(in_flight.span)
        return in_flight

    def _decide(self, in_flight: InFlightEvent, now: datetime) -> Decision:
        """What the rules say; the event is sensitive where one that is says something of it."""
        assert in_flight.event is not None
        decision = self._rules.route(in_flight.event, now=now)
        if in_flight.sensitive:
            intents = [
                replace(each, notification=replace(each.notification, sensitive=True)) for each in decision.intents
            ]
            return replace(decision, intents=tuple(intents))
        if self._rules.sensitive:
            failed = (failure.rule for failure in decision.failures)
            named = {*decision.matched, *failed, *(each.rule for each in decision.observed)}
            in_flight.sensitive = not named.isdisjoint(self._rules.sensitive)
        return decision

    async def _route_offloaded(self, message: Message) -> InFlightEvent:
        """Route a message that may take long, while others have the event loop."""

        def work() -> InFlightEvent:
            in_flight = self._route(message)
            if in_flight.event is not None:  # to let go of a million values takes its time too, and has it here
                in_flight.event = replace(in_flight.event, data=None)
            return in_flight

        try:
            return await self.offload.run(work)
        except TimeLimitError:
            in_flight = InFlightEvent(
                message,
                native=self._routes[message.source].native,
                stage=Stage.RULE,
                configuration=self._configuration,
                sensitive=self._routes[message.source].sensitive or bool(self._rules.sensitive),
            )
            self._dead_letter_whole(in_flight, Reason.TOO_LARGE, self._too_long(message))
            return in_flight

    def _conclude(self, in_flight: InFlightEvent, route: Route) -> None:
        """Name the event's outcome by what the rules decided; a rule that failed costs only itself."""
        decision = in_flight.decision
        if decision.failures:
            in_flight.dead_letters = [
                self._dead_letter(in_flight, failure.reason, failure.detail, failure.rule)
                for failure in decision.failures
            ]
            if not decision.intents:
                first = decision.failures[0]
                _end(in_flight, EventOutcome.DEAD_LETTER, first.reason, f"rule {first.rule}: {first.detail}")
        elif not decision.matched:
            in_flight.outcome = EventOutcome.NO_MATCH
            if route.on_no_match is _REJECT:
                self._dead_letter_whole(in_flight, Reason.NO_MATCH, "no rule matches this event")

    def _dead_letter_whole(self, in_flight: InFlightEvent, reason: Reason, detail: str) -> None:
        """A letter that no rule asked for; one that a sensitive rule may have been meant to match keeps no body.

        What is no event and came from a broker keeps it, which `check` warns of: there is no sender that has it still.
        """
        source = in_flight.message.source
        if (in_flight.event is not None or self._routes[source].sender_waits) and self._rules.has_sensitive(source):
            in_flight.sensitive = True
        _end(in_flight, EventOutcome.DEAD_LETTER, reason, detail)
        in_flight.dead_letters = [self._dead_letter(in_flight, reason, detail)]

    def _dead_letter(self, in_flight: InFlightEvent, reason: Reason, detail: str, rule: str = "") -> DeadLetter:
        message = in_flight.message
        letter = DeadLetter(
            source=message.source,
            event_id=in_flight.event_id,
            rule=rule,
            stage=in_flight.stage.value,
            reason=reason.value,
            detail=detail,
            body=message.body,
            content_type=message.content_type,
            headers={name: _header_text(value) for name, value in message.headers.items()},
            tries=message.delivery_count,
            trace=in_flight.trace,
            envelope=envelope_of(message),
            config_hash=in_flight.configuration.hash,
            revision=in_flight.configuration.revision,
            relay=self._routes[message.source].relay,
            person=in_flight.person or next(iter(_named(in_flight)), ""),
            owner=self._rules.owners.get(rule) or self._routes[message.source].owner,
        )
        return letter.without_body() if in_flight.sensitive else letter

    async def _accept(self, batch: Sequence[RoutedMessage]) -> Sequence[RoutedMessage]:
        """Store the messages that are still ours, retried until stored; return those. All events of one are stored."""
        while ours := [routed for routed in batch if not routed.message.is_lost()]:
            events = [in_flight for routed in ours for in_flight in routed.events]
            try:
                await self.turn_away_full(events)
                arrivals = partial(self._ingests_for, ours)
                await self._hand_over(events, arrivals=arrivals, withdrawn=partial(_any_lost, ours))
                result = await self._hub.accept(arrivals(), withdrawn=partial(_any_lost, ours))
            except WithdrawnError:
                continue
            for index in result.duplicates:
                events[index].outcome = EventOutcome.DUPLICATE
            follow_flow(events, result)
            return ours
        return ()

    async def turn_away_full(self, batch: Sequence[InFlightEvent]) -> None:
        """Let rules fail whose notifications are for push services alone that have as much waiting as may wait.

        A sender that waits for its answer has the event still, and repeats it. A broker would only count a delivery.
        """
        notifications = [intent.notification for in_flight in batch for intent in in_flight.decision.intents]
        try:
            full = await self._hub.full_for(notifications)
        except StoreError:  # which acceptance is about to meet, and waits for
            return
        if full:
            self._fail(batch, dict.fromkeys(full, Refusal(Reason.SERVICE_FULL, Reason.SERVICE_FULL.meaning)))

    async def _hand_over(
        self,
        batch: Sequence[InFlightEvent],
        *,
        arrivals: Callable[[], Sequence[Ingest]],
        withdrawn: Callable[[], bool],
    ) -> None:
        """Give remote hubs what they have to have before anything is settled; let rules fail whose notification is refused.

        Raises: WithdrawnError.
        """
        notifications = [intent.notification for in_flight in batch for intent in in_flight.decision.intents]
        handed_over = await self._hub.hand_over(notifications, arrivals=arrivals, withdrawn=withdrawn)
        if handed_over.refused:
            self._fail(batch, handed_over.refused)
        if handed_over.taken:
            for in_flight in batch:
                in_flight.handed_over = handed_over.taken

    def _fail(self, batch: Sequence[InFlightEvent], refused: Mapping[str, Refusal]) -> None:
        """Let rules fail whose notification is refused."""
        for in_flight in batch:
            decision = in_flight.decision
            failures = [
                Failure(rule=intent.rule, reason=why.reason, detail=why.detail)
                for intent in decision.intents
                if (why := refused.get(intent.notification.id)) is not None
            ]
            if failures:
                left = tuple(intent for intent in decision.intents if intent.notification.id not in refused)
                in_flight.decision = replace(decision, intents=left, failures=(*decision.failures, *failures))
                route = self._routes[in_flight.message.source]
                self._conclude(in_flight, route)
                if route.sender_waits and in_flight.message.is_alone and not left:
                    _end(in_flight, EventOutcome.REJECTED, failures[0].reason, failures[0].detail)
                    in_flight.dead_letters = ()

    def _ingests_for(self, batch: Sequence[RoutedMessage]) -> list[Ingest]:
        return [
            self._ingest_for(in_flight, goes_on=number > 0)
            for routed in batch
            for number, in_flight in enumerate(routed.events)
        ]

    def _ingest_for(self, in_flight: InFlightEvent, *, goes_on: bool) -> Ingest:
        event, source = in_flight.event, in_flight.message.source
        # A sender that repeats an event adds no dead letter; one that found no rule may find one the next time.
        remember = bool(in_flight.dead_letters) and self._routes[source].sender_waits
        if event is None:
            # It has no identity to be known again by, but the bytes that a sender may repeat.
            digest = (
                blake2b(in_flight.message.body, digest_size=16, usedforsecurity=False).hexdigest() if remember else ""
            )
            return Ingest(
                source=source,
                event_id=digest,
                dead_letters=in_flight.dead_letters,
                remember=remember,
                journal=self._journal_entry(in_flight),
                configuration=in_flight.configuration,
                offset=_offset(in_flight.message),
                goes_on=goes_on,
            )
        # What is known by its place in a log is known by the log's offset, and needs no mark.
        is_known_by_offset = in_flight.message.offset is not None and event.id == in_flight.message.position
        caused = [intent.notification for intent in in_flight.decision.intents]
        left = [each for each in caused if each.id not in in_flight.handed_over] if in_flight.handed_over else caused
        return Ingest(
            # An id is unique within the event's own source (CloudEvents 1.0, section 3.1.1).
            source=joined(source, event.source),
            event_id="" if is_known_by_offset else event.id,
            notifications=left,
            dead_letters=in_flight.dead_letters,
            remember=remember or len(left) < len(caused),
            journal=self._journal_entry(in_flight),
            configuration=in_flight.configuration,
            offset=_offset(in_flight.message),
            goes_on=goes_on,
            flow=self.flow_of(in_flight),
        )

    def flow_of(self, in_flight: InFlightEvent) -> Sequence[RuleFlow]:
        """Flow control of the event's rules, for the store to decide."""
        if not in_flight.decision.flow:  # as nearly always
            return ()
        return flow_with_letters(in_flight.decision.flow, partial(self._dead_letter, in_flight))

    def _journal_entry(self, in_flight: InFlightEvent) -> JournalEntry | None:
        return None if self._journaling is None else self._journaling.entry(in_flight)

    def _disposition(self, routed: RoutedMessage) -> Disposition:
        sender_waits = self._routes[routed.message.source].sender_waits
        if routed.is_split:
            return disposition_of_records(routed.message.id, routed.events, sender_waits=sender_waits)
        return disposition_for(routed.events[0], sender_waits=sender_waits)

    async def _report(self, kind: type[EventsStored | MessagesGivenUp], events: Sequence[InFlightEvent]) -> None:
        """Report a batch in slices, as others wait for their turn; all of it, though the source is rebuilt by then."""
        turn = self._slice(events[0].message.source if events else None)
        while events:
            now, events = events[:_REPORTED_TOGETHER], events[_REPORTED_TOGETHER:]
            self._observer.observe(kind(events=now))
            try:
                await turn.yield_if_spent()
            except asyncio.CancelledError:
                self._observer.observe(kind(events=events))
                raise


def _is_kept(reason: Reason, message: Message, route: Route) -> bool:
    """Whether a message that is no event becomes a dead letter: not if its sender has it still, or its source drops it."""
    has_sender = route.sender_waits and message.is_alone
    return not has_sender and (reason is not Reason.DECODE or route.keep_undecodable)


def _named(in_flight: InFlightEvent) -> Iterator[str]:
    """Keys of those for whom an event's notifications are: the body of its dead letter may be about them too."""
    for intent in in_flight.decision.intents:
        yield from people_of(intent.notification)


def _end(in_flight: InFlightEvent, outcome: EventOutcome, reason: Reason, detail: str) -> None:
    in_flight.outcome, in_flight.reason, in_flight.detail = outcome, reason, detail


def _offset(message: Message) -> tuple[Partition, int] | None:
    if message.offset is None:
        return None
    partition, offset = message.offset
    return Partition(*partition), offset


def _is_large(message: Message) -> bool:
    return len(message.body) > _LARGE


def _header_text(value: object) -> str:
    """A header as text that keeps its digits; what has no text, such as null, as Python shows it."""
    try:
        return text_of(value)
    except RenderError:
        return str(value)


def _any_lost(batch: Sequence[RoutedMessage]) -> bool:
    return any(routed.message.is_lost() for routed in batch)
