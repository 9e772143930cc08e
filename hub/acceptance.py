"""What is taken into the store with one event, and why a message or a part of one ends as a dead letter."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from hub.explained import Explained
from hub.flow import RuleFlow
from hub.frozen import frozen_dataclass
from hub.notification import Notification


class Stage(Explained):
    """Where on its way a message was when it became a dead letter."""

    RECEIVE = "receive", "The message was taken from its broker or its sender."
    DECODE = "decode", "The body was being read."
    MAP = "map", "The event's attributes were being made of the message, by the source's `map`."
    RULE = "rule", "The rules were being tried, and the texts of those that matched were being filled."
    HUB = "hub", "The notification was accepted and on its way to the phones, or to a remote hub."


class Reason(Explained):
    """Why a message, an event or one rule of it ended as a dead letter."""

    DECODE = "decode", "The body is not what the source's format says."
    SCHEMA = "schema", "The body was decoded, but does not have the shape that the source promises."
    MAP = "map", "A property that the source's `map` needs is missing or of another kind."
    NO_MATCH = "no_match", "No rule matched, and the source keeps such events: `on_no_match: dead_letter`."
    TAG_UNSAFE = "tag_unsafe", "A rule matched, but a value meant for a tag holds what a tag may not hold."
    RENDER = "render", "A rule matched, but a text of the rule could not be filled."
    HUB_REJECT = "hub_reject", "The hub refused the notification; repeating the notification will not help."
    EXPIRED = "expired", "The notification was too old by the time it was its turn."
    SERVICE_FULL = "service_full", "Its push services do not work, and as many notifications wait for them as may."
    LOCK_LOST = "lock_lost", "The broker took the message back too often before the message could be settled."
    TOO_LARGE = "too_large", "The body is over the source's limit, or took too long to read and match."
    CRASH = "crash", "A defect of this program met the message."


class Refusal(NamedTuple):
    """Why a notification will never be taken."""

    reason: Reason
    detail: str


class HandedOver(NamedTuple):
    """By id, the notifications that remote hubs have already, and why those will never be taken that are refused."""

    taken: Collection[str] = ()
    refused: Mapping[str, Refusal] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationVersion:
    """Which configuration decided: `revision` is its operator's own name for it, `hash` the fingerprint of its content."""

    revision: str = ""
    hash: str = ""


NO_CONFIGURATION = ConfigurationVersion()
"""Of what no configuration decided, such as a send through the API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message, or one rule's share of it, that could not become a notification; `body` is the original bytes.

    `relay` names the publisher that has yet to send it on, None when the store is its last place. `envelope` is what a
    replay needs besides the body, as its writer spells it; empty where there is nothing more. `person` is whom the message
    is about, empty where that is not known. `owner` is who answers for the rule, or for the source; empty where
    its writer does not know. `withheld` are the bytes of a body that is not kept, since a code or the like is in it; None
    where `body` is the whole.
    """

    source: str
    event_id: str
    stage: str
    reason: str
    detail: str
    body: bytes
    rule: str = ""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tries: int = 1
    trace: str = ""
    envelope: str = ""
    config_hash: str = ""
    revision: str = ""
    relay: str | None = None
    person: str = ""
    owner: str = ""
    withheld: int | None = None

    def without_body(self) -> "DeadLetter":
        """The letter as it may be kept where its body is sensitive: that cannot be replayed."""
        return replace(self, body=b"", headers={}, envelope="", withheld=len(self.body))


class DigestError(Exception):
    """A rule cannot fill a text for a digest of this count: what becomes of its share of the event."""

    def __init__(self, letter: DeadLetter) -> None:
        super().__init__(letter.detail)
        self.letter = letter


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A change that an operator made: `actor` is who says to have made it, `action` a name such as `dead_letter.drop`,
    `target` what was changed, `detail` more in words, without content and secrets."""

    actor: str
    action: str
    target: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """That a notification may go to up to `most` registrations without being held; `actor` is who says so."""

    most: int
    actor: str


MAX_INDEXED: Final = 2048
"""Bytes as UTF-8 of an event's id, and of the key of its person. They stand in indexes, the id with its source, and
PostgreSQL takes no entry of more than 2,704 bytes: the transaction would fail each time that it is tried."""


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What is kept of an event, to say afterwards what became of it and why.

    `event_id` and the key of `person` have MAX_INDEXED bytes at most, and `source` 500.
    `detail` is JSON without any value of the event. `content` is JSON with values, kept for a shorter time; None where
    it is not to be kept. `person` is whom the event is about, empty where that is not known. `flow` is JSON of what flow
    control did, as acceptance found it; empty for nothing.
    """

    source: str
    event_id: str
    outcome: str
    detail: bytes
    content: bytes | None = None
    trace: str = ""
    person: str = ""
    flow: str = ""


class Partition(NamedTuple):
    """A partition of a topic, whose messages are known by their offset.

    `reader` names who reads it, such as a source with its consumer group.
    """

    reader: str
    topic: str
    number: int


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """All that one event caused. An event seen before causes nothing: its notifications and dead letters are dropped.

    `source` and `event_id` together are what an event is known by; a source of several texts is one that `joined` of
    `hub.identity` made. Without an `event_id` an event is never taken for a repetition, and without notifications only
    if `remember`. `audit` is written with what an operator caused, if that is not a repetition, and `approval` is for what
    that is. `journal` is what is
    kept of the event itself, unless the event is a repetition.

    `offset` is where a log keeps the event. It is written with the event, and what is before the next offset of its
    partition was accepted before. Offsets of a partition ascend in a batch; they may have gaps. One that `goes_on` is of
    the same message as the one before it in the batch, and has the same offset.

    `flow` is the flow control of rules that fired, which acceptance decides; it may suppress some of `notifications`.
    """

    source: str
    event_id: str
    notifications: Sequence[Notification] = ()
    dead_letters: Sequence[DeadLetter] = ()
    remember: bool = False
    audit: AuditEntry | None = None
    approval: Approval | None = None
    journal: JournalEntry | None = None
    configuration: ConfigurationVersion = NO_CONFIGURATION
    offset: tuple[Partition, int] | None = None
    goes_on: bool = False
    flow: Sequence[RuleFlow] = ()
