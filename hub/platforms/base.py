"""The contract of a push service: pushes in, one result each, in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from hub.notification import Platform, Priority
from hub.outcome import OutcomeName, Reaction

PUSH_ID_HEADER = "x-pushbridge-id"
"""Carries the push id to services that have no header of their own for it; a push keeps its id on every try."""


@dataclass(slots=True, kw_only=True)
class Push:
    """One payload for one push channel.

    `id` is a lower-case UUID in canonical form, the same on every try. `payload` is the service's JSON or XML as UTF-8
    bytes without the handle (FCM: the `{"message": {...}}` object; the sender puts the token in). `headers` are the
    service's own by their wire names. `expires_at` None leaves the time to live to the service. `collapse_key` is what
    somebody asked for; without one a push that is shown carries `collapse_id`, the same on every try, so that a repeated
    push replaces itself on the screen. Many pushes of one page share one `payload`, `headers` and `collapse_id` object:
    a sender may keep per-object work for as long as it holds them.
    """

    id: str
    push_channel: str
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    priority: Priority = Priority.HIGH
    expires_at: datetime | None = None
    collapse_key: str | None = None
    collapse_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """What a service said of one push.

    `reason` is the service's own word. `retry_after` is in seconds from the answer. `gone_since` is when the service
    last knew the channel to be dead (APNs 410): the engine compares it with the time of registration.
    `new_push_channel` replaces the one used (ADM). `lane_wide` says that the verdict is about the credential or the
    whole app, not this channel: the lane pauses or stops. `doubtful` says of a dead channel that a wrong topic, key or
    environment of ours would get the same answer. `timed_out` tells a deadline that passed from a connection that broke.
    """

    reaction: Reaction
    outcome: OutcomeName
    reason: str = ""
    pns_id: str = ""
    retry_after: float | None = None
    gone_since: datetime | None = None
    new_push_channel: str | None = None
    lane_wide: bool = False
    suspect: bool = False
    timed_out: bool = False


def all_delivered(results: Sequence[SendResult]) -> bool:
    """Whether they are one and the same object that says delivered: nearly always, and then nobody has to look at each."""
    return bool(results) and results[0].reaction is Reaction.DELIVERED and all(each is results[0] for each in results)


class Sender(Protocol):
    """One (platform, credential). Building it does no I/O; connections open with the first push."""

    platform: Platform

    async def send(self, pushes: Sequence[Push], *, deadline: float = 10.0) -> Sequence[SendResult]:
        """One result a push, in the order given, within `deadline` seconds; never raises for what a service answers.

        Never repeats a push that the service may have taken, but for an answer that says our token was stale: then the
        token is renewed once and those pushes are sent once more. Every other retry is the engine's.
        """

    async def close(self) -> None:
        """Close all connections; pushes under way end as RETRY. May be called twice."""
