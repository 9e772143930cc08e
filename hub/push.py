"""What goes to a push service and what comes back: pages of pushes as columns, a count and exceptions as their verdict."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from hub.frozen import frozen_dataclass
from hub.notification import Priority
from hub.outcome import OutcomeName, Reaction


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class PushGroup:
    """What neighbouring pushes of a page share.

    `payload` is the service's JSON or XML as UTF-8 bytes without the push channel (FCM: the `{"message": {...}}` object;
    the sender puts the token in). `headers` are the service's own by their wire names. `expires_at` None leaves the time
    to live to the service. `collapse_key` is what a rule or caller asked for; without one a push that is shown carries
    `collapse_id`, the same on every try, so that a repeated push replaces itself on the screen.
    """

    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    priority: Priority = Priority.HIGH
    expires_at: datetime | None = None
    collapse_key: str | None = None
    collapse_id: str = ""


@dataclass(slots=True)
class PushPage:
    """Pushes for one service as columns: a push is a position in `push_channels` and `ids`, never an object.

    An id is a lower-case UUID in canonical form, the same on every try. `groups` cover the positions from the front, each
    with the number of pushes that share it. Pages that go to a service `in_order` begin one after the other; others take
    turns with them.
    """

    push_channels: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    groups: list[tuple[PushGroup, int]] = field(default_factory=list)
    in_order: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, group: PushGroup, push_channels: Sequence[str], ids: Sequence[str]) -> None:
        """Append pushes that share a group."""
        self.push_channels += push_channels
        self.ids += ids
        self.groups.append((group, len(ids)))

    def extend(self, other: "PushPage") -> None:
        """Append the pushes of another page."""
        self.push_channels += other.push_channels
        self.ids += other.ids
        self.groups += other.groups

    def runs(self) -> Iterator[tuple[PushGroup, range]]:
        """Each group with the positions of its pushes."""
        first = 0
        for group, count in self.groups:
            yield group, range(first, first + count)
            first += count

    def neighbours(self, first: int, behind: int) -> "PushPage":
        """Pushes in a row of a page whose pushes all share a group, as a page of their own."""
        ((group, _),) = self.groups
        ids = self.ids[first:behind]
        return PushPage(self.push_channels[first:behind], ids, [(group, len(ids))])

    def select(self, positions: Sequence[int]) -> "PushPage":
        """The pushes at these positions, which are rising, as a page of their own."""
        selected = PushPage(in_order=self.in_order)
        wanted = iter(positions)
        position = next(wanted, None)
        for group, run in self.runs():
            mine = []
            while position is not None and position < run.stop:
                mine.append(position)
                position = next(wanted, None)
            if mine:
                selected.add(group, [self.push_channels[each] for each in mine], [self.ids[each] for each in mine])
        return selected


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """What a service said of one push.

    `reason` is the service's own word. `retry_after` is in seconds from the answer. `gone_since` is when the service
    last knew the channel to be dead (APNs 410): the engine compares it with the time of registration.
    `new_push_channel` replaces the one used (ADM). `lane_wide` says that the verdict is about the credential or the
    whole app, not this channel: the lane pauses or stops; `host_wide`, of a push channel that is an address, that it is
    about all pushes to that host. `suspect` says of a dead channel that a wrong topic, key or environment of ours would get
    the same answer; `routine`, that channels of this kind end by themselves. `timed_out` tells a deadline that passed from
    a connection that broke. Where one request had several push channels, the verdict is on `only` these, and the others'
    pushes were delivered; empty: it names none of some.
    """

    reaction: Reaction
    outcome: OutcomeName
    reason: str = ""
    pns_id: str = ""
    retry_after: float | None = None
    gone_since: datetime | None = None
    new_push_channel: str | None = None
    lane_wide: bool = False
    host_wide: bool = False
    suspect: bool = False
    routine: bool = False
    timed_out: bool = False
    only: frozenset[str] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the push was delivered and there is nothing else to say: such a push is only counted."""
        return self.reaction is Reaction.DELIVERED and self.new_push_channel is None


DELIVERED = SendResult(reaction=Reaction.DELIVERED, outcome=OutcomeName.SUCCESS)


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class PageVerdict:
    """What a service said of a page: how many pushes went well, and by position, rising, what it said of the others.

    `delivered` and the number of `exceptions` are together the number of pushes.
    """

    delivered: int = 0
    exceptions: Mapping[int, SendResult] = field(default_factory=dict)

    @classmethod
    def of(cls, results: Iterable[SendResult]) -> Self:
        """The verdict that says `results`, one a push, in order."""
        count = 0
        exceptions = {}
        for position, result in enumerate(results):
            count += 1
            if not result.is_plain:
                exceptions[position] = result
        return cls(delivered=count - len(exceptions), exceptions=exceptions)

    def __len__(self) -> int:
        return self.delivered + len(self.exceptions)


def host_of(push_channel: str) -> str:
    """The host of a push channel that is or has an address (WNS, Web Push), in lower case; empty for a token."""
    scheme, separator, rest = push_channel.removeprefix('{"endpoint":"').partition("://")
    if not separator or scheme.lower() != "https":
        return ""
    return rest.partition("/")[0].partition("?")[0].lower()
