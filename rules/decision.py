"""What comes out of the rules: intents to notify, and failures of single rules."""

from dataclasses import dataclass

from hub.acceptance import Reason
from hub.flow import RuleFlow
from hub.frozen import frozen_dataclass
from hub.notification import Notification


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A rule fired: notify, unless flow control of the rule (`Decision.flow`) suppresses it."""

    rule: str
    notification: Notification


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A rule matched but could not render; it costs only itself. `detail` names the variable or value's place.

    `reason` is `TAG_UNSAFE`, `RENDER` or `EXPIRED`.
    """

    rule: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A rule with `mode: observe` matched: what it would have said, or why it could not have."""

    rule: str
    notifications: tuple[Notification, ...] = ()
    failure: Failure | None = None


@frozen_dataclass(frozen=True, slots=True)
class Decision:
    """All that the rules say of one event; empty when none matched.

    `matched` names every rule that matched, failed ones included, in order; `errors` are rules whose match or `when`
    could not be evaluated (a type clash): they count as not matched. `flow` is the flow control of rules that fired, for
    the store to decide; a rule that cancels may have no intent. `observed` are rules that only look on: they are in none
    of the others.
    """

    intents: tuple[Intent, ...] = ()
    failures: tuple[Failure, ...] = ()
    matched: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    flow: tuple[RuleFlow, ...] = ()
    observed: tuple[Observed, ...] = ()
