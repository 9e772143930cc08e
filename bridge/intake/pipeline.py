"""The way of a batch, from messages to settlements; everything else in the bridge serves this."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import Any, Protocol

from bridge.decode import Decoded, Decoder
from bridge.errors import EventError, Reason, Stage
from bridge.intake.offload import Offload, TimeLimitError
from bridge.observe.facts import EventOutcome, EventsStored, InFlightEvent, IntakeObserver, MessagesGivenUp
from bridge.slices import TimeSlice
from connectors.base import ACK, NACK, Disposition, Message, Settlement
from hub.acceptance import DeadLetter, Ingest
from hub.errors import WithdrawnError
from hub.facts import Crashed
from hub.identity import joined
from hub.store.base import AcceptanceResult
from rules.engine import RuleSet
from rules.errors import RenderError
from rules.event import Event
from rules.text import text_of

_TOLD = 50
"""Messages that are told of in one go: counting, showing and logging one takes 25 µs (measured)."""

_LARGE = 16 * 1024
"""Bytes of a body above which it is read and matched beside the event loop: 16 KiB of nested arrays cost it 30 ms
(measured), and a thread 0.1 ms."""

_REJECT = Settlement.REJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How the messages of one source are read.

    `on_no_match` says what an event is that no rule matches: done, or a dead letter. What cannot be decoded is a dead
    letter, or only counted when not `keep_undecodable`. `native` dead-letters with the
    broker's own means besides keeping the row; `relay` names the publisher that sends dead letters on. A sender that
    `sender_waits` for its answer (HTTP) has the message still: what cannot be read is refused and not kept.
    """

    decode: Decoder
    to_event: Callable[[Message, Decoded, datetime], Event]
    on_no_match: Settlement = Settlement.ACK
    keep_undecodable: bool = True
    native: bool = False
    relay: str | None = None
    sender_waits: bool = False


class Accepting(Protocol):
    """What the pipeline asks of the hub."""

    async def accept(self, arrivals: Sequence[Ingest], *, withdrawn: Callable[[], bool]) -> AcceptanceResult:
        """Durable when it returns. Raises: WithdrawnError, when `withdrawn` came true while the store failed."""


class Pipeline:
    """Takes batches of any source all the way to the store."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        rules: RuleSet,
        hub: Accepting,
        *,
        observer: IntakeObserver,
        config_hash: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        offload: Offload | None = None,
    ) -> None:
        self._hub = hub
        self._observer = observer
        self._clock = clock
        self._offload = offload or Offload()
        self.exchange(routes, rules, config_hash=config_hash)

    def exchange(self, routes: Mapping[str, Route], rules: RuleSet, *, config_hash: str) -> None:
        """Go by another configuration, from the next message on; one that is on its way ends by that it began with."""
        self._routes = routes
        self._rules = rules
        self._config_hash = config_hash

    async def handle(self, messages: Sequence[Message]) -> list[tuple[Message, Disposition]]:
        """Take a batch all the way and return how to settle each message: nothing before it is durable.

        A message that the broker has taken back by then is given up: it comes again.
        """
        passages = []
        turn = TimeSlice()
        for message in messages:
            passage = await self._route_beside(message) if _is_large(message) else self._route(message)
            if passage.crash is not None:
                work = f"{passage.stage.value} of {passage.event_id!r} from {message.source}"
                self._observer.observe(Crashed(work=work, error=passage.crash))
            passages.append(passage)
            await turn.yield_if_spent()
        accepted = await self._accept(passages)
        answers = {id(passage): self._answer(passage) for passage in accepted}
        await self._tell(EventsStored, accepted)
        await self._tell(MessagesGivenUp, [passage for passage in passages if id(passage) not in answers])
        return [(passage.message, answers.get(id(passage), NACK)) for passage in passages]

    async def _tell(self, kind: type[EventsStored | MessagesGivenUp], events: Sequence[InFlightEvent]) -> None:
        """Report a batch in slices, as others wait for their turn; all of it, though the source is rebuilt by then."""
        turn = TimeSlice()
        while events:
            now, events = events[:_TOLD], events[_TOLD:]
            self._observer.observe(kind(events=now))
            try:
                await turn.yield_if_spent()
            except asyncio.CancelledError:
                self._observer.observe(kind(events=events))
                raise

    async def _accept(self, passages: Sequence[InFlightEvent]) -> Sequence[InFlightEvent]:
        """Take to the store what is still ours, however often the store fails meanwhile; return that."""
        while ours := [passage for passage in passages if not passage.message.is_lost()]:
            try:
                arrivals = [self._arrival(passage) for passage in ours]
                result = await self._hub.accept(arrivals, withdrawn=partial(_any_lost, ours))
            except WithdrawnError:
                continue
            for index in result.duplicates:
                ours[index].outcome = EventOutcome.SUPPRESSED
            return ours
        return ()

    def _route(self, message: Message) -> InFlightEvent:
        """Decode, map and route one message; whatever it holds, the next one gets its turn."""
        route = self._routes[message.source]
        passage = InFlightEvent(message, native=route.native)
        now = self._clock()
        try:
            passage.stage = Stage.DECODE
            if message.unreadable:
                raise EventError(Reason.DECODE, message.unreadable)
            decoded = route.decode(message)
            passage.stage = Stage.MAP
            passage.event = route.to_event(message, decoded, now)
            passage.stage = Stage.RULE
            passage.decision = self._rules.route(passage.event, now=now)
        except EventError as error:
            self._reject(passage, error.reason, error.detail)
            is_refused = route.sender_waits and message.is_alone
            if is_refused or (error.reason is Reason.DECODE and not route.keep_undecodable):
                passage.dead_letters = ()
        except Exception as error:
            self._reject(passage, Reason.CRASH, f"{type(error).__name__} while handling the message: a defect of ours")
            passage.crash = error
        else:
            self._conclude(passage, route)
        return passage

    async def _route_beside(self, message: Message) -> InFlightEvent:
        """Route a message that may take long, while others have the event loop."""

        def work() -> InFlightEvent:
            passage = self._route(message)
            if passage.event is not None:  # to let go of a million values takes its time too, and has it here
                passage.event = replace(passage.event, data=None)
            return passage

        try:
            return await self._offload.run(work)
        except TimeLimitError:
            passage = InFlightEvent(message, native=self._routes[message.source].native, stage=Stage.RULE)
            self._reject(
                passage,
                Reason.TOO_LARGE,
                f"reading and matching the body of {len(message.body)} bytes takes longer than {self._offload.limit:g} s",
            )
            return passage

    def _conclude(self, passage: InFlightEvent, route: Route) -> None:
        """Name the event's end by what the rules decided; a rule that failed costs only itself."""
        decision = passage.decision
        if decision.failures:
            passage.dead_letters = [
                self._dead_letter(passage, Reason(failure.reason.value), failure.detail, rule=failure.rule)
                for failure in decision.failures
            ]
            if not decision.intents:
                first = decision.failures[0]
                passage.outcome, passage.reason = EventOutcome.DEAD_LETTER, Reason(first.reason.value)
                passage.detail = f"rule {first.rule}: {first.detail}"
        elif not decision.matched:
            passage.outcome = EventOutcome.NO_MATCH
            if route.on_no_match is _REJECT:
                self._reject(passage, Reason.NO_MATCH, "no rule matches this event")

    def _reject(self, passage: InFlightEvent, reason: Reason, detail: str) -> None:
        passage.outcome, passage.reason, passage.detail = EventOutcome.DEAD_LETTER, reason, detail
        passage.dead_letters = [self._dead_letter(passage, reason, detail)]

    def _dead_letter(self, passage: InFlightEvent, reason: Reason, detail: str, *, rule: str = "") -> DeadLetter:
        message = passage.message
        return DeadLetter(
            source=message.source,
            event_id=passage.event_id,
            rule=rule,
            stage=passage.stage.value,
            reason=reason.value,
            detail=detail,
            body=message.body,
            content_type=message.content_type,
            headers={name: _header_text(value) for name, value in message.headers.items()},
            tries=message.delivery_count,
            trace="" if passage.event is None else passage.event.trace,
            config_hash=self._config_hash,
            relay=self._routes[message.source].relay,
        )

    def _arrival(self, passage: InFlightEvent) -> Ingest:
        event, source = passage.event, passage.message.source
        # A sender that repeats an event adds no dead letter; one that found no rule may find one the next time.
        remember = bool(passage.dead_letters) and self._routes[source].sender_waits
        if event is None:
            # It has no identity to be known again by, but the bytes that a sender may repeat.
            digest = (
                blake2b(passage.message.body, digest_size=16, usedforsecurity=False).hexdigest() if remember else ""
            )
            return Ingest(source=source, event_id=digest, dead_letters=passage.dead_letters, remember=remember)
        return Ingest(
            # An id is unique within the event's own source (CloudEvents 1.0, section 3.1.1).
            source=joined(source, event.source),
            event_id=event.id,
            notifications=[intent.notification for intent in passage.decision.intents],
            dead_letters=passage.dead_letters,
            remember=remember,
        )

    def _answer(self, passage: InFlightEvent) -> Disposition:
        if self._routes[passage.message.source].sender_waits:
            return _answer_to_sender(passage)
        if passage.outcome is not EventOutcome.DEAD_LETTER:
            return ACK
        assert passage.reason is not None
        # What is not kept is not for the broker to keep either.
        native = passage.native and passage.dead_letters
        return Disposition(
            settlement=_REJECT if native else Settlement.ACK, reason=passage.reason.value, detail=passage.detail
        )


def _answer_to_sender(passage: InFlightEvent) -> Disposition:
    """What became of a message whose sender waits to hear of it; rejected is what is not kept here."""
    told: dict[str, Any] = {"id": passage.event_id} if passage.event_id else {}
    reason = "" if passage.reason is None else passage.reason.value
    match passage.outcome:
        case EventOutcome.SUPPRESSED:
            told["outcome"] = "duplicate"
        case EventOutcome.NO_MATCH:
            told["outcome"] = "no_rule"
        case EventOutcome.DEAD_LETTER if not passage.dead_letters:
            told |= {"outcome": "rejected", "reason": reason, "detail": passage.detail}
            settlement = Settlement.REJECT if passage.message.is_alone else Settlement.ACK
            return Disposition(settlement=settlement, reason=reason, detail=passage.detail, told=told)
        case EventOutcome.DEAD_LETTER:
            told |= {"outcome": "dead_letter", "reason": reason, "detail": passage.detail}
        case EventOutcome.ACCEPTED:
            told |= {
                "outcome": "accepted",
                "rules": list(passage.decision.matched),
                "notifications": [
                    {"id": intent.notification.id, "rule": intent.rule} for intent in passage.decision.intents
                ],
            }
    if passage.outcome is not EventOutcome.SUPPRESSED and passage.decision.failures:
        told["failures"] = [
            {"rule": failure.rule, "reason": failure.reason.value, "detail": failure.detail}
            for failure in passage.decision.failures
        ]
    return Disposition(settlement=Settlement.ACK, reason=reason, detail=passage.detail, told=told)


def _is_large(message: Message) -> bool:
    return len(message.body) > _LARGE


def _header_text(value: object) -> str:
    """A header as text that keeps its digits; what has no text, such as null, as Python shows it."""
    try:
        return text_of(value)
    except RenderError:
        return str(value)


def _any_lost(passages: Sequence[InFlightEvent]) -> bool:
    return any(passage.message.is_lost() for passage in passages)
