"""Flow control of a rule's notifications: what holds them together by a key, and what becomes of those held back.

A rule yields these as plain data beside its notifications; the store decides them against the state of their keys, in the
transaction that accepts the event (`hub/store/decide/flow.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hub.explained import Explained
from hub.frozen import frozen_dataclass
from hub.identity import digest_of, joined
from hub.notification import Content, NativeContent, Notification

MAX_SPAN = 366 * 86_400.0
"""Seconds of a window, or of `dedupe.for`, at most: a state is kept for so long."""

SUPPRESSED = "suppressed"
"""The outcome, in the journal, of an event all of whose notifications were suppressed."""


class SuppressionCause(Explained):
    """Why a rule that fired sends nothing of an event by itself."""

    DEDUPE = "dedupe", "The rule fired for the same key a short time before, within its dedupe.for."
    THROTTLE = (
        "throttle",
        "The rule had fired for the key as often in this window as its throttle.max allows; a digest tells of the event if"
        " the rule says so.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a digest has come to: how many events, the times of the first and of the last of them, and when it goes out.

    `id` is 32 hex digits; `part_of_digest` makes those of its notifications of it.
    """

    id: str
    count: int
    first: datetime
    last: datetime
    at: datetime


class DigestOf(Protocol):
    """What a rule says of the latest event of a digest. Pure: it may be asked in any thread, and more than once."""

    def __call__(self, digest: Digest) -> Sequence[Notification]:
        """As many notifications as the event has by itself, each scheduled for `digest.at`.

        Raises: `hub.acceptance.DigestError`.
        """


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Dedupe:
    """The rule fires once in so many `seconds` for a key."""

    key: bytes
    seconds: float


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """The rule fires up to `most` times in a window of so many `seconds`, which begins with the first.

    What is more is dropped, or with `digest` counted into one notification at the window's end. `time` is that of the
    event.
    """

    key: bytes
    most: int
    seconds: float
    time: datetime
    digest: DigestOf | None = None


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class RuleFlow:
    """Flow control of one rule that fired for an event; `cancels` is the key whose waiting notifications it withdraws."""

    rule: str
    event_id: str = ""
    dedupe: Dedupe | None = None
    throttle: Throttle | None = None
    cancels: bytes | None = None


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """A rule that fired and sends nothing by itself; `digest` is the notification that its event is counted into."""

    rule: str
    cause: SuppressionCause
    digest: str = ""


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A notification that waited, and that a rule's `cancel` ended; `of` is the rule that had sent it through `hub`."""

    rule: str
    notification: str
    of: str
    hub: str


def part_of_digest(id_: str, content: Content) -> str:
    """The id of one of a digest's notifications, which says this: that of the template is the digest's own."""
    if isinstance(content, NativeContent):
        return digest_of(joined(id_, content.platform.value)).hex()
    return id_


def flow_key(kind: str, *texts: str) -> bytes:
    """The 16 bytes that stand for a key: keys are data of any length, and may be personal."""
    return digest_of(joined(kind, *texts))


def shared_key(text: str) -> bytes:
    """The key of `key` and `cancel`: that of one rule is that of another."""
    return flow_key("key", text)
