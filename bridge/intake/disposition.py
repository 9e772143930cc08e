"""How a message is settled by what became of its event: pure, decided once the event is in the store."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bridge.observe.facts import SENDER_OUTCOMES, SPLIT, EventOutcome, InFlightEvent
from connectors.base import ACK, Disposition, Settlement
from hub.acceptance import Reason


def disposition_for(in_flight: InFlightEvent, *, sender_waits: bool) -> Disposition:
    """What its source does with the message; a sender that waits gets the outcome of the event."""
    if sender_waits:
        return _answer_to(in_flight)
    if in_flight.outcome not in (EventOutcome.DEAD_LETTER, EventOutcome.REJECTED):
        return _of_parts([in_flight])
    assert in_flight.reason is not None
    # What is not kept is not for the broker to keep either.
    is_native = in_flight.native and in_flight.outcome is EventOutcome.DEAD_LETTER
    settlement = Settlement.REJECT if is_native else Settlement.ACK
    return Disposition(settlement=settlement, reason=in_flight.reason.value, detail=in_flight.detail)


def _of_parts(events: Sequence[InFlightEvent]) -> Disposition:
    """A message of which something was accepted: done, as the store has the dead letters of the rest.

    Where the store is lost with the process the broker keeps the whole message. Who sends it again from there repeats what
    was accepted under the same ids.
    """
    for each in events:
        if each.native_in_part and each.dead_letters and each.outcome is not EventOutcome.DUPLICATE:
            letter = each.dead_letters[0]
            detail = f"rule {letter.rule}: {letter.detail}" if letter.rule else letter.detail
            return Disposition(settlement=Settlement.REJECT, reason=letter.reason, detail=detail)
    return ACK


_FAILURES_SHOWN = 20
"""Records whose failure the answer to a sender names, at most."""


def disposition_of_records(id: str | None, records: Sequence[InFlightEvent], *, sender_waits: bool) -> Disposition:
    """A message whose records are in the store is done, whatever became of each: one that is bad is a dead letter."""
    if not sender_waits:
        return _of_parts(records)
    records = [record for record in records if record.event is not None or record.reason is not None]
    answer: dict[str, Any] = {} if id is None else {"id": id}
    answer |= {
        "outcome": SPLIT,
        "records": len(records),
        "outcomes": dict(Counter(SENDER_OUTCOMES[record.outcome] for record in records)),
    }
    bad = [record for record in records if record.reason is not None and record.outcome is not EventOutcome.DUPLICATE]
    if bad:
        answer["failures"] = [
            {"record": each.message.properties["record"], "reason": each.reason.value, "detail": each.detail}
            for each in bad[:_FAILURES_SHOWN]
            if each.reason is not None
        ]
    return Disposition(settlement=Settlement.ACK, answer=answer)


def _answer_to(in_flight: InFlightEvent) -> Disposition:
    """The outcome of a message for the sender that waits for it; one that is rejected alone is not taken."""
    answer: dict[str, Any] = {"id": in_flight.event_id} if in_flight.event_id else {}
    answer["outcome"] = SENDER_OUTCOMES[in_flight.outcome]
    reason = "" if in_flight.reason is None else in_flight.reason.value
    settlement = Settlement.ACK
    match in_flight.outcome:
        case EventOutcome.REJECTED:
            answer |= {"reason": reason, "detail": in_flight.detail}
            if in_flight.message.is_alone:
                is_for_now = in_flight.reason is Reason.SERVICE_FULL
                settlement = Settlement.NACK if is_for_now else Settlement.REJECT
        case EventOutcome.DEAD_LETTER:
            answer |= {"reason": reason, "detail": in_flight.detail}
        case EventOutcome.SUPPRESSED:
            answer["rules"] = list(in_flight.decision.matched)
        case EventOutcome.ACCEPTED:
            answer |= {
                "rules": list(in_flight.decision.matched),
                "notifications": [
                    {"id": intent.notification.id, "rule": intent.rule} for intent in in_flight.decision.intents
                ],
            }
    if in_flight.suppressed:
        answer["suppressed"] = [{"rule": each.rule, "cause": each.cause.value} for each in in_flight.suppressed]
    if in_flight.withdrawn:
        answer["cancelled"] = [{"id": each.notification, "rule": each.rule} for each in in_flight.withdrawn]
    if in_flight.outcome is not EventOutcome.DUPLICATE and in_flight.decision.failures:
        answer["failures"] = [
            {"rule": failure.rule, "reason": failure.reason.value, "detail": failure.detail}
            for failure in in_flight.decision.failures
        ]
    return Disposition(settlement=settlement, reason=reason, detail=in_flight.detail, answer=answer)
