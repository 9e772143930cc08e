"""Flow control between rules and store: what a digest that cannot be filled becomes, and what the store decided."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from bridge.observe.facts import EventOutcome, InFlightEvent
from hub.acceptance import DeadLetter, DigestError, Reason
from hub.flow import Digest, DigestOf, RuleFlow
from hub.notification import Notification
from hub.store.contracts.outbox import AcceptanceResult
from rules.decision import Failure
from rules.errors import RenderError, TooLateError, UnsafeTagError


class LetterOf(Protocol):
    """A dead letter of the event at hand."""

    def __call__(self, reason: Reason, detail: str, rule: str) -> DeadLetter: ...


def flow_with_letters(flows: Sequence[RuleFlow], letter_of: LetterOf) -> Sequence[RuleFlow]:
    """The flow control of an event's rules; a digest that cannot be filled becomes a dead letter of the event."""
    return [_with_letter(flow, letter_of) for flow in flows]


def _with_letter(flow: RuleFlow, letter_of: LetterOf) -> RuleFlow:
    throttle = flow.throttle
    if throttle is None or throttle.digest is None:
        return flow
    digest = partial(_filled, throttle.digest, letter_of, flow.rule)
    return replace(flow, throttle=replace(throttle, digest=digest))


def _filled(digest_of: DigestOf, letter_of: LetterOf, rule: str, digest: Digest) -> Sequence[Notification]:
    try:
        return digest_of(digest)
    except UnsafeTagError as error:
        reason, detail = Reason.TAG_UNSAFE, str(error)
    except TooLateError as error:
        reason, detail = Reason.EXPIRED, str(error)
    except RenderError as error:
        reason, detail = Reason.RENDER, str(error)
    raise DigestError(letter_of(reason, f"in a digest of {digest.count}: {detail}", rule))


def follow_flow(events: Sequence[InFlightEvent], result: AcceptanceResult) -> None:
    """Say of each event of a batch what the store decided: only what is sent stays among its intents."""
    for index in result.suppressed.keys() | result.withdrawn.keys() | result.failed.keys():
        in_flight = events[index]
        in_flight.suppressed = result.suppressed.get(index, ())
        in_flight.withdrawn = result.withdrawn.get(index, ())
        letters = result.failed.get(index, ())
        held_back = {each.rule for each in in_flight.suppressed}
        decision = in_flight.decision
        left = tuple(intent for intent in decision.intents if intent.rule not in held_back)
        if decision.intents and not left and in_flight.outcome is EventOutcome.ACCEPTED:
            in_flight.outcome = EventOutcome.SUPPRESSED
        failures = [Failure(rule=each.rule, reason=Reason(each.reason), detail=each.detail) for each in letters]
        in_flight.decision = replace(decision, intents=left, failures=(*decision.failures, *failures))
        in_flight.dead_letters = [*in_flight.dead_letters, *letters]
