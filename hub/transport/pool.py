"""The connections to one origin, and the requests that wait for room on them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hub.egress import Proxy
from hub.requests import RequestGroup
from hub.transport.curl_multi import EventedMulti, Failed

Row = tuple[int, str, str, bytes]
"""A request that waits: its position, tail, id and body."""

OnDone = Callable[["OriginPool", EventedMulti, Sequence[Any], Sequence[Failed]], None]

_NO_ROWS: Final[Iterator[Row]] = iter(())


@dataclass(slots=True, eq=False)
class Feed:
    """The requests of one batch for one origin; `group` is the one whose `rows` are being started."""

    batch: Any
    in_order: bool = False
    groups: deque[RequestGroup] = field(default_factory=deque)
    group: RequestGroup | None = None
    rows: Iterator[Row] = _NO_ROWS
    left: int = 0

    def next_group(self) -> RequestGroup | None:
        """The group to start from now, None if there is none left; `left` says how many requests it still has."""
        if not self.left:
            if not self.groups:
                return None
            self.group = group = self.groups.popleft()
            self.left = len(group.ids)
            self.rows = zip(group.positions, group.tails, group.ids, group.bodies, strict=False)
        return self.group

    def unstarted(self) -> list[int]:
        """The positions of all that waits here."""
        waiting = [position for position, *_ in self.rows]
        for group in self.groups:
            waiting += group.positions
        return waiting


class OriginPool:
    """HTTP/2: up to `connections`, each a multi handle of its own with up to `streams` requests at once.

    HTTP/1.1: one multi handle for all connections.
    """

    def __init__(
        self, origin: str, on_done: OnDone, *, http2: bool, connections: int, streams: int, proxy: Proxy | None = None
    ) -> None:
        self.origin = origin
        self.proxy = proxy
        """On the way there."""
        self.waiting: deque[Feed] = deque()
        """Feeds take turns; of those that go in order the oldest alone is here."""
        self._behind: deque[Feed] = deque()
        self.multis: list[EventedMulti] = []
        """These take new requests."""
        self.is_queued = False
        """Whether the pool waits for its turn to start requests; the transport's mark."""
        self._on_done = on_done
        self._http2 = http2
        self._connections = connections
        self._streams = streams
        self._retired: list[EventedMulti] = []  # these only finish what they have

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or is under way."""
        return not self.waiting and not any(multi.in_flight for multi in (*self.multis, *self._retired))

    @property
    def waiting_batches(self) -> Iterator[Any]:
        """The batches with requests that wait."""
        return (feed.batch for feed in (*self.waiting, *self._behind))

    def add(self, batch: object, group: RequestGroup, *, in_order: bool = False) -> None:
        """Let the requests of a group wait; batches take turns, and those that go `in_order` have one turn together."""
        for feed in (*self.waiting, *self._behind):
            if feed.batch is batch:
                feed.groups.append(group)
                return
        is_behind = in_order and any(feed.in_order for feed in self.waiting)
        (self._behind if is_behind else self.waiting).append(Feed(batch, in_order, deque([group])))

    def end_turn(self) -> None:
        """The first of `waiting` has had its turn: the next is another's, and what is used up makes room."""
        feed = self.waiting[0]
        if feed.left or feed.groups:
            self.waiting.rotate(-1)
        else:
            self._remove(feed)

    def withdraw(self, batch: object) -> list[int]:
        """The positions of a batch that wait here; none of them is started any more."""
        mine = [feed for feed in (*self.waiting, *self._behind) if feed.batch is batch]
        for feed in mine:
            self._remove(feed)
        return [position for feed in mine for position in feed.unstarted()]

    def _remove(self, feed: Feed) -> None:
        if feed in self._behind:
            self._behind.remove(feed)
            return
        self.waiting.remove(feed)
        if feed.in_order and self._behind:
            self.waiting.append(self._behind.popleft())

    def multi_with_room(self) -> EventedMulti | None:
        """Where a request may be started now; opens what may be opened for it."""
        for multi in self.multis:
            if multi.room > 0:
                return multi
        if self._http2 and len(self.multis) < self._connections and not any(multi.is_new for multi in self.multis):
            return self._open(connections=1, streams=self._streams, cautious=True)
        if not self.multis:
            return self._open(connections=self._connections, streams=1, cautious=False)
        return None

    def retire(self, multis: Iterable[EventedMulti]) -> None:
        """Start nothing more on these; they close when what is under way on them has finished."""
        for multi in list(multis):
            if multi in self.multis:
                self.multis.remove(multi)
                self._retired.append(multi)
        self.close_finished()

    def close_finished(self) -> None:
        """Close what was retired and has finished."""
        for multi in [multi for multi in self._retired if not multi.in_flight]:
            multi.close()
            self._retired.remove(multi)

    def is_retired(self, multi: EventedMulti) -> bool:
        """Whether nothing more is started on it."""
        return multi in self._retired

    def _open(self, *, connections: int, streams: int, cautious: bool) -> EventedMulti:
        multi = EventedMulti(self._done, connections=connections, streams=streams, cautious=cautious)
        self.multis.append(multi)
        return multi

    def _done(self, multi: EventedMulti, answered: Sequence[Any], failed: Sequence[Failed]) -> None:
        self._on_done(self, multi, answered, failed)
