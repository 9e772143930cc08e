"""Notifications on their way: accepted, taken, recorded. The way of a page through a store.

Work waits in queues, and each queue has one owner. To take work is to read it: the owner knows what it has in hand, and
nothing is written until there is a result. A crash leaves the rows as they were, so the next owner takes them again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pyroaring import BitMap

from hub.acceptance import DeadLetter, Ingest, Partition
from hub.flow import Suppression, Withdrawal
from hub.notification import Notification, Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.quiet import Fate
from hub.silence import Silenced
from hub.target import StoredTemplate, Target, TargetColumns
from hub.work import Lane

PAGE_SIZE = 1000
"""Registrations in one page, at most."""

Service = tuple[str, Platform]
"""A push service of a hub: what one bulkhead is for. Also a place in which notifications of a hub wait for a rate."""

PACED = "~"
"""What the platform of such a place begins with, and of no push service."""


@dataclass(slots=True, kw_only=True)
class Work:
    """Something taken: a notification that is its own page (`number` 0), or a page of a notification (`number` from 1).

    `service` is None until the audience is known. `ordinals` are the registrations of the page, whole; None for a
    notification whose audience has not been looked for. The results of the first `done` of them, by ordinal, are
    recorded, but for those of `again`: these have to be tried again. `attempt` counts the tries that were made before.
    `due_at` is the store's time from which on the work could be taken. `n` is the store's own: the number of its row in
    its queue, which no other piece of work has. `taken_at` is the store's time at which it was taken in hand, for traces.
    """

    queue: int
    n: int = 0
    notification: Notification
    accepted_at: float
    number: int = 0
    lane: Lane = Lane.SINGLE
    service: Service | None = None
    ordinals: BitMap | None = None
    done: int = 0
    again: BitMap | None = None
    attempt: int = 0
    due_at: float = 0.0
    taken_at: float = 0.0
    quiet_until: float = 0.0
    """The end of the quiet hours that held it, in seconds of the time of day: its age counts from there. 0: none did."""
    was_deferred: bool = False
    """Whether the work was postponed before, so that an observer has been notified of it."""
    is_withdrawn: bool = False
    """Whether its rows were deleted, or its queue was lost, while it was in hand: what of it was not sent yet is not to be
    sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceResult:
    """`duplicates` are indices of events that were accepted before; `work` is what the caller has in hand from now on.

    `repeated` are ids of notifications that the store had before: they cause nothing. By index of the event, `suppressed`
    are the rules that send nothing of it, `withdrawn` the waiting notifications that it ended, and `failed` the dead
    letters, stored ones, of rules whose digest could not be filled. `not_sent` is how many fewer notifications came of the
    events than their rules made.
    """

    duplicates: frozenset[int]
    work: Sequence[Work]
    repeated: frozenset[str] = frozenset()
    suppressed: Mapping[int, Sequence[Suppression]] = field(default_factory=dict)
    withdrawn: Mapping[int, Sequence[Withdrawal]] = field(default_factory=dict)
    failed: Mapping[int, Sequence[DeadLetter]] = field(default_factory=dict)
    not_sent: int = 0
    silenced: Silenced = ()
    """Notifications that were taken and that wait, or are dropped, by a silence in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPart:
    """Registrations of one push service that quiet hours hold `until` the same moment, in seconds of the time of day, by
    the clocks of the time zones `zones`."""

    platform: Platform
    ordinals: BitMap
    until: float
    zones: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedPart:
    """Registrations of one push service that get no push, and why."""

    platform: Platform
    ordinals: BitMap
    fate: Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who a notification reaches. Small: `targets` at hand. Large: `pages`, (platform, ordinals) each, not yet read.

    `skipped` are native registrations left out because another of the audience names the same push channel. `held` and
    `dropped` are those of a large one that quiet hours leave out of `pages`, or let have nothing.
    `unreached` says why there is neither a target nor a page; `passed_over` live registrations match and receive other
    content. `excluded` are push channels of a direct send that the hub's guard does not let be reached.
    """

    targets: Sequence[Target] = ()
    pages: Sequence[tuple[Platform, BitMap]] = ()
    skipped: Mapping[Platform, BitMap] = field(default_factory=dict)
    unreached: Unreached | None = None
    passed_over: int = 0
    excluded: Sequence[Target] = ()
    held: Sequence[HeldPart] = ()
    dropped: Sequence[DroppedPart] = ()

    @property
    def size(self) -> int:
        """Registrations that get a push."""
        return len(self.targets) + sum(len(ordinals) for _, ordinals in self.pages)

    @property
    def is_large(self) -> bool:
        """Whether it becomes pages, which are not read yet."""
        return bool(self.pages or self.held or self.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A push that ended, and not well; `gone` marks its push channel dead unless it was registered after `gone_since`."""

    ordinal: int
    outcome: OutcomeName
    reason: str
    gone: bool = False
    gone_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPage:
    """Registrations of a page to be tried again, `delay` seconds from now; with None they keep the place that the page
    had among what waits."""

    platform: Platform
    ordinals: BitMap
    delay: float | None
    attempt: int
    quiet: HeldPart | None = None
    """Of registrations that quiet hours hold: they are tried at the end of these, and `delay` says nothing."""


@dataclass(slots=True, kw_only=True)
class PageResult:
    """What became of a piece of a page: of its registrations from number `done_before` to before number `done`.

    `counts` are the final outcomes of this piece by platform; what is tried again is in no count. A piece that is not the
    last names all registrations before `done` that have to be tried again, in `again`, which the page's row keeps: a
    crash loses none of them. With `is_last` the page ends, whatever `done` says, and only then are there `retries`, each
    a page of its own. `ordinals` freeze the audience of a notification that is its own page, and come with its first piece.

    `state` is for a notification that was handed on whole and has no counts of its own. With `dead_letter` it could not be
    handed on. `unreached` and `passed_over` say why its audience was empty.
    """

    work: Work
    counts: Mapping[Platform, Mapping[OutcomeName, int]]
    done_before: int = 0
    done: int = 0
    is_last: bool = True
    again: BitMap | None = None
    ordinals: BitMap | None = None
    failures: Sequence[Failed] = ()
    retries: Sequence[RetryPage] = ()
    started_at: float | None = None
    state: State | None = None
    dead_letter: DeadLetter | None = None
    unreached: Unreached | None = None
    passed_over: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """`ended` counts the notifications that have their end now, by hub and state; `late` the results that were refused,
    because another owner has the queue or the piece was recorded before; `gone` the registrations marked dead.

    `dead_letters` are those of the results that were recorded. `unreached` are those of the ended that reached no phone,
    with the cause and the number of registrations that it is about.
    """

    ended: Mapping[tuple[str, State], int] = field(default_factory=dict)
    late: int = 0
    gone: int = 0
    unreached: Sequence[tuple[Notification, Unreached, int]] = ()
    dead_letters: Sequence[DeadLetter] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """How much work waits in a lane: `ready` is due, `in_hand` was taken by this process, `delayed` is due later or
    scheduled; `oldest_ready` is since when the oldest due work has been due (0: there is none)."""

    ready: int = 0
    in_hand: int = 0
    delayed: int = 0
    oldest_ready: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietUsage:
    """What quiet hours hold, or held, by hub: whole notifications, and pushes of others."""

    notifications: Mapping[str, int] = field(default_factory=dict)
    pushes: Mapping[str, int] = field(default_factory=dict)


class Outbox(Protocol):
    """Work of all hubs. Every method but `now` may raise StoreError."""

    def now(self) -> float:
        """The store's time; no step of a host's clock moves it by more than a second without the waiting work."""

    def may_start(self) -> bool:
        """Whether this process is sure enough that its queues are its own to begin pushes. Asked before each slice of a
        page: a process that was stopped for long may find its queues with another owner."""

    async def accept(self, batch: Sequence[Ingest], *, start: int) -> AcceptanceResult:
        """Take a batch in one transaction: marks of events, notifications, dead letters, journal. The first `start`
        notifications that are due are in the caller's hand, if this process owns a queue."""

    async def duplicates(self, batch: Sequence[Ingest]) -> frozenset[int]:
        """Indices of the events that `accept` would call duplicates now; nothing is taken or remembered."""

    async def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """The next offset of each of these of which something was accepted."""

    async def advance_offsets(self, following: Mapping[Partition, int]) -> None:
        """All before these offsets was accepted, though with no offset of its own; what is further already stays."""

    async def forget_offsets(self, partitions: Sequence[Partition]) -> None:
        """Know nothing of these: their topic was made again, and its offsets begin again."""

    def serve(self, services: Callable[[], Collection[Service]], hubs: Callable[[], Collection[str]]) -> None:
        """Which push services this process has senders for, and which hubs it knows, remote ones too, so that other
        processes know; asked now and then."""

    def serves_better(self, service: Service) -> bool:
        """Whether another live process has a sender for a push service that this process has none for. What waits for the
        service in queues of this process goes to the other one by itself."""

    async def pass_on(self, work: Sequence[Work], *, waited: float) -> Sequence[Work]:
        """Hand work in hand that this process does not serve to live processes that do. What none serves is postponed.

        Returned, and in hand still, is what is to end: it could have been sent `waited` seconds ago or has expired, and no
        live process has served it for so long. Where no other process shares the store that is all of it.
        """

    async def cancel(self, hub: str, notification_id: str, *, actor: str = "") -> bool:
        """End a notification whose time has not come, by its 32 hex digits; False: no such one waits for its time. `actor`
        is who asked for it, for reports to sinks."""

    async def stop(self, notification_id: str, *, actor: str) -> str | None:
        """Cancel a notification that has not ended, and what of its pages is not recorded, whoever works on them; its hub,
        None where there is no such one. A process that sends a page of it stops with the next record."""

    async def hold(self, counted: Sequence[tuple[Work, int]]) -> Sequence[Work]:
        """Hold notifications, each for so many registrations, until they are approved or their time has passed; which were
        held: an approval may be there. They leave the hand."""

    async def approve(self, notification_id: str, *, actor: str) -> str | None:
        """Let a notification that is held go, by its 32 hex digits; its hub, None where no such one is held."""

    def time_of_day(self) -> float:
        """The host's clock on the wall: schedules and quiet hours go by it."""

    async def hold_until(self, work: Sequence[tuple[Work, float]]) -> None:
        """Hold notifications whose audience was not looked for until the end of quiet hours. They leave the hand."""

    async def zones(self, hub: str) -> Mapping[str, BitMap]:
        """The registrations of a hub by the time zone that their phones say, those of none left out. One that changed under
        another version of this program may be among those of a zone that it says no more."""

    async def quiet(self) -> QuietUsage:
        """What quiet hours hold in the queues of this process."""

    def released(self) -> QuietUsage:
        """What quiet hours held and this process let go on since it began."""

    async def held(self) -> Mapping[str, int]:
        """How many notifications are held in the queues of this process, by hub."""

    async def end_held(self) -> Recorded:
        """End held notifications of this process's queues: what nobody approved in time, whose time has passed while a
        silence held it, and what a silence drops."""

    async def begin_late(self, work: Sequence[Work]) -> None:
        """Have work in hand that waited for its rate age from now on, as what was scheduled does from its time."""

    def paced(self) -> Mapping[Service, int]:
        """How many notifications wait for a rate in queues of this process, by place, about."""

    async def take(self, lane: Lane, wanted: Mapping[Service | None, int]) -> Sequence[Work]:
        """Due work of the queues that this process owns: of each service up to as many as wanted, in order of due, without
        what is in hand. A service that is not named is not asked. A read."""

    async def take_orphans(self, served: Collection[Service], limit: int, *, waited: float) -> Sequence[Work]:
        """Due work of services that are not `served`, if it could have been sent `waited` seconds ago or has expired, and
        no live process has served it for so long. A call looks at a bounded number of rows, and the next at those behind:
        nothing in one answer says nothing of the others."""

    async def give_back(self, work: Sequence[Work]) -> None:
        """Take this out of hand, as it is: it may be taken again at once."""

    async def postpone(self, work: Sequence[Work], *, delay: float, service: Service | None = None) -> None:
        """Give back untried, due `delay` seconds from now, or without a delay as it was before: in its place among what
        waits. With `service` the audience was found to be of that one."""

    async def expand(self, work: Work, audience: Audience) -> None:
        """Turn a notification into pages, dealt to all queues and due at once; the notification leaves the hand."""

    async def record(self, results: Sequence[PageResult]) -> Recorded:
        """One transaction for all: outcomes, retries, dead push channels. What is last of its page leaves the hand."""

    async def sum_up(self) -> Recorded:
        """Sum the pages of notifications in this process's queues, and end those whose last page has ended."""

    async def audiences(self, notifications: Sequence[Notification]) -> Sequence[Audience]:
        """Who each reaches now, in order."""

    async def targets(self, hub: str, ordinals: BitMap) -> Sequence[Target]:
        """The live registrations among `ordinals`, by ordinal."""

    async def target_columns(self, hub: str, ordinals: BitMap) -> TargetColumns:
        """As `targets`, with no object for each: what a push of a page needs of them."""

    async def templates(self, ids: Sequence[int]) -> Mapping[int, StoredTemplate]: ...

    async def held_texts(self, ids: Sequence[int]) -> Mapping[int, bytes]:
        """The documents of texts held here, as they were when a notification that names them was accepted."""

    async def forget_texts(self, *, kept: float) -> bool:
        """Drop a slice of the texts held here that no notification names any more, and that none was accepted with for
        `kept` seconds, which is some hours at least; whether more is left."""

    async def backlog(self) -> Mapping[Service | None, int]:
        """Notifications and pages that are not done, by service; what is for a remote hub counts under None. Those in the
        queues of other processes are counted as of their last renewals."""

    async def queue_states(self) -> Mapping[Lane, QueueState]: ...
