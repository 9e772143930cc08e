"""What intake and process do, as facts, and the words that the facts are made of; the hub's facts are in `hub.facts`.

Intake, listeners and process report these facts; metrics, log and recent events take them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bridge.decode.mapping import MAX_ATTRIBUTE
from bridge.errors import Reason, Stage
from bridge.observe.loop_holds import LoopHold
from bridge.observe.stages import HeartbeatStage
from bridge.observe.tracing.spans import EventTrace
from bridge.schemas.client import LookupResult
from connectors.base import Message
from hub.acceptance import MAX_INDEXED, NO_CONFIGURATION, ConfigurationVersion, DeadLetter
from hub.explained import Explained
from hub.facts import Crashed, DeadLettersStored, HubFact
from hub.flow import Suppression, Withdrawal
from hub.follow_up import FollowedUp, FollowUpUsage
from hub.store.contracts.sinks import SinkUsage
from hub.trace_context import trace_from
from rules.decision import Decision
from rules.event import Event
from rules.explain import Explanation

REMOTE = "remote"
"""What a remote hub is called where a platform is named."""


class EventOutcome(Explained):
    """What became of an event; every event has exactly one."""

    ACCEPTED = "accepted", "A rule fired, or several did, and their notifications are in the store."
    NO_MATCH = "no_match", "No rule matched the event, and its source does not keep such events."
    SUPPRESSED = (
        "suppressed",
        "Rules fired, and flow control of each kept its notification back: the cause stands with the rule.",
    )
    DUPLICATE = "duplicate", "The event was seen before: nothing of it was done again."
    DEAD_LETTER = "dead_letter", "Nothing became of the event: its dead letters say why."
    REJECTED = "rejected", "The message was refused and is kept nowhere: the log and the answer to its sender say why."


SENDER_OUTCOMES = {
    EventOutcome.ACCEPTED: "accepted",
    EventOutcome.NO_MATCH: "no_rule",
    EventOutcome.SUPPRESSED: "suppressed",
    EventOutcome.DUPLICATE: "duplicate",
    EventOutcome.DEAD_LETTER: "dead_letter",
    EventOutcome.REJECTED: "rejected",
}
"""`outcome` in the answer to a sender that waits, by what became of the event."""

SPLIT = "split"
"""`outcome` of a message of several records: `outcomes` counts what became of them."""


class NotKept(Explained):
    """What the journal does not keep of an event, and why; the label `reason` of `pushbridge_journal_not_kept_total`."""

    NO_MATCH = "no_match", "No rule matched, and more such events of its source came in this second than are kept."
    TOO_LARGE = "too_large", "The values are more than 32 KiB: the event is kept without them."
    SEVERAL_PERSONS = "several_persons", "The event is about several persons: it is kept without its values."
    SENSITIVE = (
        "sensitive",
        "Its source or a rule that matched is `sensitive`, or one of its source's rules is and it became a dead letter as a"
        " whole: the event is kept without its values.",
    )


class ReportType(Explained):
    """What a report tells of: the `type` of its CloudEvent."""

    DELIVERED = (
        "pushbridge.notification.delivered",
        "A notification has ended, and a push service took at least one push of it.",
    )
    FAILED = "pushbridge.notification.failed", "A notification has ended, and reached no phone; `why` says the cause."
    CANCELLED = (
        "pushbridge.notification.cancelled",
        "A notification was cancelled; what was delivered until then is in the counts, and `actor` says who did it.",
    )
    PUSH_UNOPENED = (
        "pushbridge.push.unopened",
        "A phone has not opened a notification in time, or was not reached; `outcome` says which.",
    )
    PUSH_RECEIVED = "pushbridge.push.received", "The app of a phone reported that it got a push."
    PUSH_OPENED = "pushbridge.push.opened", "A phone reported that its user opened a notification."
    PUSH_ACTED = (
        "pushbridge.push.acted",
        "A phone reported that its user chose an action of a notification; `action` names it.",
    )
    DEVICE_REMOVED = (
        "pushbridge.device.removed",
        "A push service said that a push channel is dead: its devices are not pushed to any more.",
    )


_UNDECIDED = Decision()


@dataclass(slots=True)
class JournalDraft:
    """What the journal knows of an event once the event is routed; the outcome may still change."""

    explanations: Sequence[Explanation] = ()
    content: bytes | None = None


@dataclass(slots=True)
class InFlightEvent:
    """One message in the pipeline, and what was made of it so far; `person` is whom it is about, empty if not known."""

    message: Message
    event: Event | None = None
    decision: Decision = _UNDECIDED
    outcome: EventOutcome = EventOutcome.ACCEPTED
    stage: Stage = Stage.RECEIVE
    reason: Reason | None = None
    detail: str = ""
    dead_letters: Sequence[DeadLetter] = ()
    native: bool = False
    native_in_part: bool = False
    """Whether its broker keeps the message too where only a part of it is a dead letter."""
    crash: Exception | None = None
    configuration: ConfigurationVersion = NO_CONFIGURATION
    draft: JournalDraft | None = None
    """What the journal keeps of the event; None where it keeps nothing."""
    not_kept: NotKept | None = None
    sensitive: bool = False
    handed_over: Collection[str] = ()
    """Ids of notifications that a remote hub has already: the store gets none of them."""
    person: str = ""
    suppressed: Sequence[Suppression] = ()
    """Rules that fired and send nothing of it by themselves, as the store decided."""
    withdrawn: Sequence[Withdrawal] = ()
    """Notifications that waited, and that its rules ended."""
    span: EventTrace | None = None
    """Its place in its trace; None where no spans are made."""

    @property
    def event_id(self) -> str:
        """The event's id, or of what never became an event, the best that names it, cut where an id would be too long."""
        if self.event is not None:
            return self.event.id
        text = (self.message.id or self.message.position or "")[:MAX_ATTRIBUTE]
        if len(text) * 4 <= MAX_INDEXED:
            return text
        return text.encode("utf-8", "surrogatepass")[:MAX_INDEXED].decode("utf-8", "ignore")

    @property
    def trace(self) -> str:
        """The event's W3C traceparent, or of what never became an event, that of its message; empty for none."""
        if self.event is not None:
            return self.event.trace
        return trace_from(self.message.headers).trace if self.span is None else self.span.context.trace


class SpanOutcome(Explained):
    """What became of a span; the label `outcome` of `pushbridge_trace_spans_total`."""

    EXPORTED = "exported", "The collector has it."
    QUEUE_FULL = "queue_full", "More spans were waiting for the collector than may wait: it was lost."
    REFUSED = "refused", "The collector does not take it, and said so: it was lost."
    UNREACHABLE = "unreachable", "The collector was away, or had no time, at each of several tries: it was lost."


class ReplayOutcome(Explained):
    """What became of the replay of a dead letter."""

    ACCEPTED = "accepted", "What the letter causes by today's rules is in the store, and the letter is marked so."
    REPEATED = "repeated", "What the letter causes was accepted before: nothing was done."
    SUPPRESSED = "suppressed", "The letter's rules fired, and flow control keeps their notifications back: it is done."
    NO_MATCH = "no_match", "No rule matches now: the letter stays."
    FAILED = "failed", "The letter failed again: it stays, marked with the reason."


class SourceState(Explained):
    """How a source fares; `ready` ones count for readiness."""

    CONNECTING = "connecting", "The source has no connection, and tries to make one."
    RUNNING = "running", "Messages of the source can flow."
    PAUSED = "paused", "There is no room for more notifications: messages wait at the broker."
    LIMITED = "limited", "More messages come than `rate` of the source allows: the others wait at the broker."
    DEGRADED = "degraded", "Credentials or settings are refused: only an operator can help."
    STALLED = "stalled", "Messages wait at the broker and none comes: the connection is built again."
    AWAITING_SCHEMA = (
        "awaiting_schema",
        "A message names a schema that the registry does not give: it waits, with all behind it, and is asked for again.",
    )
    STOPPED = "stopped", "The source was taken away, or the process is stopping."


@dataclass(slots=True)
class SourceStatus:
    """What is known of a source; times are seconds since 1970 UTC.

    `since` is when the source became ready, or when the trouble began, however often its cause changes.
    `backlog` is None when the broker does not say; `unsettled_since` is 0 while no message is being handled; `rebuilds`
    are connections after the first, and `rebalances` those of its group of consumers, of which `rebalanced_lately` were in
    the last ten minutes. `limited_seconds` are those in which nothing was taken as `rate` allows no more, and
    `limited_requests` the requests that were told for this reason to come again. `last_message` is when a message was
    handled the last time, 0 before the first. `expected_by` is when the next has to be there, 0 where none
    is expected; the source `is_late` after it.
    """

    name: str
    state: SourceState = SourceState.CONNECTING
    detail: str = "not connected yet"
    since: float = 0.0
    backlog: int | None = None
    rebuilds: int = 0
    rebalances: int = 0
    rebalanced_lately: int = 0
    unsettled_since: float = 0.0
    limited_seconds: float = 0.0
    limited_requests: int = 0
    last_message: float = 0.0
    expected_by: float = 0.0
    is_late: bool = False

    @property
    def ready(self) -> bool:
        """Whether its messages flow, or wait for no other reason than room or rate."""
        return self.state in (SourceState.RUNNING, SourceState.PAUSED, SourceState.LIMITED, SourceState.STOPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsStored:
    """These events of one batch are in the store, and each has its outcome."""

    events: Sequence[InFlightEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesGivenUp:
    """The broker took these messages back before they were in the store: they come again."""

    events: Sequence[InFlightEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterReplayed:
    """The operator named `actor` replayed a dead letter; `reason` is why it failed again, else empty."""

    id: int
    source: str
    event_id: str
    outcome: ReplayOutcome
    reason: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaLookedUp:
    """The registry of a source was asked for a schema."""

    source: str
    result: LookupResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChanged:
    """A source came into another state, or its trouble has a new cause."""

    status: SourceStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLate:
    """A source `is_late`, or is so no more: for `expect_every` seconds since `last` nothing had come."""

    source: str
    last: float
    expect_every: float
    is_late: bool


class Limit(Explained):
    """The limit that a connection was over."""

    TOTAL = "total", "As many connections were open as the listener takes."
    PER_CLIENT = "per_client", "The client had as many connections open as one client may have."


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRefused:
    """A connection was over a limit of a listener, which is named by the key of its settings."""

    listener: str
    limit: Limit


class AuthScheme(Explained):
    """How a request showed who sent it."""

    NONE = "none", "It showed nothing."
    BASIC = "basic", "A name and a password (RFC 7617)."
    BEARER = "bearer", "A token (RFC 6750): a secret, or one that a provider of OpenID Connect signed."
    PROXY = "proxy", "A secret in Pushbridge-Proxy-Secret, as an authenticating proxy shows it."
    SAS = "sas", "A shared access signature."
    SIGNATURE = "signature", "A signature over the body, as webhooks have it, or none where a source asks for one."
    OTHER = "other", "A scheme of the Authorization header that nothing here asks for."


class AuthReason(Explained):
    """Why a request was refused by what it showed."""

    MISSING = "missing", "It showed nothing, and something was asked for."
    INVALID = "invalid", "What it showed is not good: a wrong secret, signature or key."
    EXPIRED = "expired", "The token's time has passed, or has not come."
    AUDIENCE = "audience", "The token is made out to another server or hub, or by another issuer."
    RIGHTS = "rights", "The credentials are good, and do not allow what was asked for."


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthFailed:
    """A listener refused a request by its credentials."""

    listener: str
    scheme: AuthScheme
    reason: AuthReason


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongCredentialsHeldBack:
    """A request was not looked at, as its client had shown too many wrong secrets; `client` is an address or a network.

    One of a client in a minute is news.
    """

    listener: str
    client: str
    seconds: float
    is_news: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Everything runs. Addresses are those that the listeners have, with the port that the system gave them."""

    version: str
    revision: str
    config: str
    config_hash: str
    store: str
    admin: str
    probes: str | None
    intake: str | None
    hub_api: str | None
    sources: Sequence[str]
    hubs: Sequence[str]
    rules: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationApplied:
    """Another configuration is in force; sources by name that were stopped and started for it."""

    revision: str
    config_hash: str
    stopped: Sequence[str]
    started: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationRefused:
    """A configuration was read and has mistakes: the one before stays in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpansSent:
    """What became of spans that were to go to the collector."""

    counts: Mapping[SpanOutcome, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayChanged:
    """What sends dead letters on (`kind` relay), reports to a sink, or spans (`tracing`), began to fail, or works again.

    `trouble` is the cause, empty where it works.
    """

    kind: str
    name: str
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportsPublished:
    """A sink has confirmed reports."""

    sink: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportsDropped:
    """Reports that waited for a sink were given up: they were too old, or too many."""

    sink: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SinksMeasured:
    """How much waits for which sink; for those that are not named, nothing."""

    usage: Mapping[str, SinkUsage]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushesFollowedUp:
    """Phones were looked at that rules with `unless_opened` pushed to."""

    followed: FollowedUp


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpsMeasured:
    """How many follow-ups wait in the queues of this process, and for how long the first has been due."""

    usage: FollowUpUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePassed:
    """The heartbeat has passed a stage."""

    stage: HeartbeatStage


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStalled:
    """The heartbeat has not passed a stage for so many seconds."""

    stage: HeartbeatStage
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageWorks:
    """The heartbeat passes a stage again, which had stood still for so many seconds."""

    stage: HeartbeatStage
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopTurned:
    """The event loop turned so many seconds later than it was asked to."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopHeld:
    """Something held the event loop for longer than the bound.

    `cpu_seconds` is what the loop's thread computed meanwhile. `task` and `stack` are of the moment when the bound was
    reached, the innermost call first; empty where nothing could look.
    """

    seconds: float
    cpu_seconds: float
    cause: LoopHold
    task: str
    stack: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopStillHeld:
    """The event loop has been held for so many seconds and does not come back. Told by another thread than the loop's."""

    seconds: float
    task: str
    stack: Sequence[str]


class PlaygroundOutcome(StrEnum):
    """What became of a try in the playground."""

    DONE = "done"
    MISTAKES = "mistakes"
    STOPPED = "stopped"
    FAILED = "failed"
    BUSY = "busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaygroundTried:
    """Somebody tried an event on a draft of the rules: `stopped` at a limit of its process, turned away as `busy`, or
    `failed` by a mistake of ours, of which `detail` says more."""

    outcome: PlaygroundOutcome
    detail: str = ""


IntakeFact = (
    EventsStored
    | MessagesGivenUp
    | DeadLetterReplayed
    | DeadLettersStored
    | SchemaLookedUp
    | SourceChanged
    | SourceLate
    | Crashed
)
HeartbeatFact = StagePassed | StageStalled | StageWorks | Crashed
ProcessFact = (
    ConnectionRefused
    | AuthFailed
    | WrongCredentialsHeldBack
    | Started
    | ConfigurationApplied
    | ConfigurationRefused
    | PlaygroundTried
)
SinkFact = (
    ReportsPublished | ReportsDropped | SinksMeasured | PushesFollowedUp | FollowUpsMeasured | Crashed | RelayChanged
)
TracingFact = SpansSent | RelayChanged
LoopFact = LoopTurned | LoopHeld | LoopStillHeld
Fact = HubFact | IntakeFact | ProcessFact | SinkFact | HeartbeatFact | TracingFact | LoopFact


class SinkObserver(Protocol):
    def observe(self, fact: SinkFact) -> None:
        """Returns at once and never raises."""


class ProcessObserver(Protocol):
    def observe(self, fact: ProcessFact) -> None:
        """Returns at once and never raises."""


class HeartbeatObserver(Protocol):
    def observe(self, fact: HeartbeatFact) -> None:
        """Returns at once and never raises."""


class LoopObserver(Protocol):
    def observe(self, fact: LoopFact) -> None:
        """Returns at once and never raises; a `LoopStillHeld` comes from another thread than the loop's."""


class IntakeObserver(Protocol):
    def observe(self, fact: IntakeFact) -> None:
        """Returns at once and never raises."""
