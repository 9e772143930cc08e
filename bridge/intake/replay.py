"""Dead letters once more: by today's configuration, the way that a message goes, with what would change shown first."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from bridge.errors import Reason, Stage
from bridge.intake.envelope import message_of
from bridge.intake.pipeline import Pipeline
from bridge.observe.facts import DeadLetterReplayed, InFlightEvent, IntakeObserver, ReplayOutcome
from bridge.observe.replay import Replay
from connectors.base import Message
from hub.acceptance import Ingest
from hub.delivery.refused import notification_from
from hub.errors import NotFoundError
from hub.facts import DeadLettersStored
from hub.notification import Notification
from hub.store.contracts.dead_letters import KeptLetter
from hub.store.contracts.outbox import AcceptanceResult
from hub.store.contracts.store import Store

_DONE = "accepted"
"""What a letter is marked with that is not replayed a second time."""

NO_SOURCE = "no_source"
NO_HUB = "no_hub"
WITHHELD = "withheld"


class Replaying(Protocol):
    """What a replay asks of the hub."""

    store: Store

    async def full_for(self, notifications: Sequence[Notification]) -> Collection[str]:
        """Ids of those that are for push services alone for which no more may wait. Raises: StoreError."""

    async def replay(self, letter_id: int, ingest: Ingest, *, outcome: str, actor: str) -> AcceptanceResult | None:
        """Raises: CapacityError, NotFoundError, StoreError."""


class Replayer:
    """Replays letters one by one. `hubs` are the names of those that the configuration has, in lower case."""

    def __init__(
        self,
        pipeline: Pipeline,
        hub: Replaying,
        *,
        hubs: Callable[[], Collection[str]],
        observer: IntakeObserver,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pipeline = pipeline
        self._hub = hub
        self._hubs = hubs
        self._observer = observer
        self._clock = clock

    async def preview(self, letter_id: int) -> Replay:
        """What a replay would do; nothing is changed. Raises: NotFoundError, StoreError."""
        planned = await self._plan(await self._hub.store.letter(letter_id))
        known = [one.id for one in planned.notifications if await self._is_known(one.id)]
        return _told(planned, known)

    async def replay(self, letter_id: int, *, actor: str) -> Replay:
        """Do it; a letter that was accepted by a replay before causes nothing, and one that fails stays, with its reason.

        Raises: CapacityError, NotFoundError; StoreError: not done.
        """
        planned = await self._plan(await self._hub.store.letter(letter_id))
        if planned.outcome is not ReplayOutcome.REPEATED:
            mark = _mark_of(planned)
            result = await self._hub.replay(letter_id, planned.ingest, outcome=mark, actor=actor)
            if result is None:
                planned = _repeated(planned.letter)
            else:
                planned = _flowed(_told(planned, result.repeated), result)
                if planned.ingest.dead_letters:
                    self._observer.observe(DeadLettersStored(dead_letters=planned.ingest.dead_letters))
        letter = planned.letter.letter
        self._observer.observe(
            DeadLetterReplayed(
                id=letter_id,
                source=letter.source,
                event_id=letter.event_id,
                outcome=planned.outcome,
                reason=planned.reason,
                actor=actor,
            )
        )
        return planned

    async def _plan(self, kept: KeptLetter) -> Replay:
        if kept.replay == _DONE:
            return _repeated(kept)
        if kept.letter.withheld is not None:
            return _failed(
                kept, WITHHELD, "the body is not kept: the source or a rule is sensitive; send the event again"
            )
        if kept.letter.stage == Stage.HUB.value:
            return await self._plan_of_notification(kept)
        if not self._pipeline.knows(kept.letter.source):
            return _failed(kept, NO_SOURCE, f"the configuration has no source {kept.letter.source}")
        message = _message_of(kept)
        if missing := (await self._pipeline.readable([message])).missing:
            return _failed(kept, Reason.SCHEMA.value, missing)
        in_flight = await self._pipeline.route(message)
        await self._pipeline.turn_away_full([in_flight])
        return self._plan_of_event(kept, in_flight)

    def _plan_of_event(self, kept: KeptLetter, in_flight: InFlightEvent) -> Replay:
        decision = in_flight.decision
        if (rule := kept.letter.rule) and self._pipeline.has_rule(rule):
            # The other rules had their say when the event came; notifications of that time may be forgotten by now.
            decision = replace(
                decision,
                intents=tuple(intent for intent in decision.intents if intent.rule == rule),
                failures=tuple(failure for failure in decision.failures if failure.rule == rule),
                flow=tuple(flow for flow in decision.flow if flow.rule == rule),
                matched=tuple(name for name in decision.matched if name == rule),
            )
        in_flight.decision = decision
        if decision.intents:
            failing = {failure.rule for failure in decision.failures}
            notifications = [intent.notification for intent in decision.intents]
            letters = [letter for letter in in_flight.dead_letters if letter.rule in failing]
            return Replay(
                letter=kept,
                outcome=ReplayOutcome.ACCEPTED,
                rules=decision.matched,
                notifications=notifications,
                failures=decision.failures,
                ingest=Ingest(
                    source=kept.letter.source,
                    event_id="",
                    notifications=notifications,
                    dead_letters=letters,
                    configuration=in_flight.configuration,
                    flow=self._pipeline.flow_of(in_flight),
                ),
            )
        if decision.failures:
            first = decision.failures[0]
            return _failed(kept, first.reason.value, f"rule {first.rule}: {first.detail}", rules=decision.matched)
        if decision.matched:  # by rules that only stop, or cancel
            ingest = replace(_nothing(kept), flow=self._pipeline.flow_of(in_flight))
            return Replay(letter=kept, outcome=ReplayOutcome.ACCEPTED, rules=decision.matched, ingest=ingest)
        if in_flight.reason is not None and in_flight.reason is not Reason.NO_MATCH:
            return _failed(kept, in_flight.reason.value, in_flight.detail)
        return Replay(letter=kept, outcome=ReplayOutcome.NO_MATCH, ingest=_nothing(kept))

    async def _plan_of_notification(self, kept: KeptLetter) -> Replay:
        """A notification that a remote hub refused goes again as it was: of its event the letter holds nothing."""
        try:
            notification = notification_from(kept.letter, kept.id, now=self._clock())
        except ValueError as error:
            return _failed(kept, Reason.DECODE.value, str(error))
        if notification.hub not in self._hubs():
            return _failed(kept, NO_HUB, f"the configuration has no hub {notification.hub}")
        if await self._hub.full_for([notification]):
            return _failed(kept, Reason.SERVICE_FULL.value, Reason.SERVICE_FULL.meaning)
        ingest = replace(_nothing(kept), notifications=[notification], configuration=self._pipeline.configuration)
        return Replay(
            letter=kept,
            outcome=ReplayOutcome.ACCEPTED,
            rules=[notification.rule] if notification.rule else [],
            notifications=[notification],
            ingest=ingest,
        )

    async def _is_known(self, notification_id: str) -> bool:
        try:
            await self._hub.store.notification(notification_id)
        except NotFoundError:
            return False
        return True


def _message_of(kept: KeptLetter) -> Message:
    letter = kept.letter
    message = message_of(
        letter.envelope,
        source=letter.source,
        body=letter.body,
        content_type=letter.content_type,
        otherwise_id=letter.event_id or f"dead-letter-{kept.id}",
    )
    return replace(
        message,
        headers=message.headers if letter.envelope else letter.headers,
        enqueued_at=message.enqueued_at or datetime.fromtimestamp(kept.at, UTC),
        delivery_count=letter.tries,
    )


def _told(planned: Replay, known: Collection[str]) -> Replay:
    """With what the store knows of the notifications: where it has all of them, nothing new comes of the letter."""
    ids = {notification.id for notification in planned.notifications}
    is_known = bool(ids) and ids <= set(known) and not planned.failures
    outcome = ReplayOutcome.REPEATED if is_known else planned.outcome
    return replace(planned, known=known, outcome=outcome)


def _flowed(planned: Replay, result: AcceptanceResult) -> Replay:
    """With what flow control kept back of the letter's rules: where it is all of them, nothing is sent."""
    held_back = {each.rule for each in result.suppressed.get(0, ())}
    if not held_back:
        return planned
    left = [each for each in planned.notifications if each.rule not in held_back]
    return replace(planned, notifications=left, outcome=planned.outcome if left else ReplayOutcome.SUPPRESSED)


def _mark_of(planned: Replay) -> str:
    if planned.outcome is ReplayOutcome.FAILED:
        return f"{planned.reason}: {planned.detail}"
    return _DONE if planned.outcome is ReplayOutcome.ACCEPTED else planned.outcome.value


def _repeated(kept: KeptLetter) -> Replay:
    return Replay(letter=kept, outcome=ReplayOutcome.REPEATED, ingest=_nothing(kept))


def _failed(kept: KeptLetter, reason: str, detail: str, *, rules: Sequence[str] = ()) -> Replay:
    return Replay(
        letter=kept, outcome=ReplayOutcome.FAILED, reason=reason, detail=detail, rules=rules, ingest=_nothing(kept)
    )


def _nothing(kept: KeptLetter) -> Ingest:
    return Ingest(source=kept.letter.source, event_id="")
