"""What flow control did with an event that is kept: rules that were suppressed, and notifications that it withdrew."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from bridge.admin.api.operation import Model
from hub.flow import SuppressionCause
from hub.store.contracts.journal import KeptEvent

_MEANINGS = {cause.value: cause.meaning for cause in SuppressionCause}


class SuppressedRule(Model):
    """A rule that fired and sent nothing of the event by itself. `digest` is the id of the notification that the event is
    counted into, empty where there is none."""

    rule: str
    cause: str
    meaning: str
    digest: str


class CancelledNotification(Model):
    """A notification that waited, and that the event withdrew by a rule's `cancel`; `of` is the rule that had sent it."""

    rule: str
    notification: str
    of: str


class FlowTrace(NamedTuple):
    """As the journal has it."""

    suppressed: list[SuppressedRule]
    cancelled: list[CancelledNotification]

    @classmethod
    def of(cls, event: KeptEvent) -> "FlowTrace":
        flow: Mapping[str, Any] = orjson.loads(event.flow) if event.flow else {}
        return cls(
            [
                SuppressedRule(rule=rule, cause=cause, meaning=_MEANINGS.get(cause, ""), digest=digest)
                for rule, cause, digest in flow.get("suppressed", ())
            ],
            [
                CancelledNotification(rule=rule, notification=notification, of=of)
                for rule, notification, of in flow.get("withdrawn", ())
            ],
        )

    def sent_of(self, notifications: Sequence[Sequence[str]]) -> list[str]:
        """Ids of those that were sent of an event, digests included that it is counted into; each once."""
        held_back = {each.rule for each in self.suppressed}
        own = [id_ for rule, id_ in notifications if rule not in held_back]
        return list(dict.fromkeys([*own, *(each.digest for each in self.suppressed if each.digest)]))
