"""What comes out of the rules: intents to notify, and failures of single rules."""

from dataclasses import dataclass
from enum import Enum

from hub.frozen import frozen_dataclass
from hub.notification import Notification


class FailureReason(Enum):
    """Why a rule that matched yields nothing: a dead letter's reason. The closed set is `bridge.errors.Reason`."""

    TAG_UNSAFE = "tag_unsafe"
    RENDER = "render"


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A rule fired: notify. Later kinds (throttled, held, cancelling) come beside `notification`."""

    rule: str
    notification: Notification


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A rule matched but could not render; it costs only itself. `detail` names the variable or value's place."""

    rule: str
    reason: FailureReason
    detail: str


@frozen_dataclass(frozen=True, slots=True)
class Decision:
    """All that the rules say of one event; empty when none matched.

    `matched` names every rule that matched, failed ones included, in order; `errors` are rules whose match or `when`
    could not be evaluated (a type clash): they count as not matched.
    """

    intents: tuple[Intent, ...] = ()
    failures: tuple[Failure, ...] = ()
    matched: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
