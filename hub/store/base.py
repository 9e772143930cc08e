"""The contract of a store: one behaviour for all databases; nothing in it assumes SQLite.

Times are seconds since 1970 UTC (float). A write returns when it is durable; a write that raises `StoreError` changed
nothing and may be repeated as it is. Reads see every write that returned before they began.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from pyroaring import BitMap

from hub.acceptance import NO_CONFIGURATION, AuditEntry, ConfigurationVersion, DeadLetter, Ingest
from hub.frozen import frozen_dataclass
from hub.installation import Installation, Registration
from hub.notification import Audience as AudienceExpression
from hub.notification import Notification, Platform
from hub.outcome import NotificationDetails, OutcomeName, State, Unreached
from hub.target import StoredTemplate, Target
from hub.work import Lane

PAGE_SIZE = 1000
"""Registrations in one page, at most: the unit of leasing, recording and of what a crash may repeat."""


@dataclass(slots=True, kw_only=True)
class Work:
    """Something leased: a notification that is its own page (`page` None, `ordinals` None), or a page of one.

    `lease` is the fence: a record under a lease that was given to somebody else since is refused. `attempt` counts the
    tries made before. Notifications accepted and leased in one go carry no `ordinals`: their audience is found when
    they are dispatched. `due_at` is when it was due, 0 for what was leased with its acceptance: what is due later than it
    was accepted was deferred before.
    """

    seq: int
    lease: int
    notification: Notification
    accepted_at: float
    lane: Lane = Lane.SINGLE
    page: int | None = None
    platform: Platform | None = None
    ordinals: BitMap | None = None
    attempt: int = 0
    due_at: float = 0.0

    @property
    def was_deferred(self) -> bool:
        """Whether this waited for another time than its own, and so has been told of."""
        schedule_at = self.notification.schedule_at
        return self.due_at > max(self.accepted_at, 0.0 if schedule_at is None else schedule_at.timestamp())


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceResult:
    """`duplicates` are indices of arrivals seen before; `work` is what was leased to the caller with the same commit.

    `repeated` are ids of notifications that the store had before: they cause nothing.
    """

    duplicates: frozenset[int]
    work: Sequence[Work]
    repeated: frozenset[str] = frozenset()


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who a notification reaches. Small: `targets` at hand. Large: `pages`, (platform, ordinals) each, not yet read.

    `skipped` are native registrations left out because another of the audience names the same push channel.
    `nobody` says why there is neither a target nor a page.
    """

    targets: Sequence[Target] = ()
    pages: Sequence[tuple[Platform, BitMap]] = ()
    skipped: Mapping[Platform, BitMap] = field(default_factory=dict)
    nobody: Unreached | None = None


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
    """Registrations of a page to be tried again at `due_at`."""

    platform: Platform
    ordinals: BitMap
    due_at: float
    attempt: int


@dataclass(slots=True, kw_only=True)
class PageResult:
    """What became of one piece of work. `counts` are final outcomes by platform; retries are in neither count.

    `state` is for a notification that was handed on whole and has no counts: elsewhere they say the state. With
    `dead_letter` it could not be handed on. `nobody` says why its audience was empty.
    """

    work: Work
    counts: Mapping[Platform, Mapping[OutcomeName, int]]
    state: State | None = None
    dead_letter: DeadLetter | None = None
    nobody: Unreached | None = None
    ordinals: BitMap | None = None
    failures: Sequence[Failed] = ()
    retries: Sequence[RetryPage] = ()
    started_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """`ended` counts the notifications whose last page this was; `lost` the results refused for a lost lease.

    `dead_letters` are those of the results that were recorded. `unreached` are those of the ended that no phone got, with
    the cause; each is told once, however often it was tried.
    """

    ended: Mapping[tuple[str, State], int]
    lost: int
    gone: int
    unreached: Sequence[tuple[Notification, Unreached]] = ()
    dead_letters: Sequence[DeadLetter] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """How much work waits, by lane: due now, leased, due later; and since when the oldest due has been due (0: none)."""

    ready: int = 0
    leased: int = 0
    delayed: int = 0
    oldest_ready: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRegistration:
    """How one registration of a device stands; `dead_at` None while its push channel lives."""

    template: str | None
    tags: tuple[str, ...]
    registered_at: float
    dead_at: float | None = None
    dead_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An installation as it is kept, and what derives from it."""

    installation: Installation
    updated_at: float
    registrations: Sequence[DeviceRegistration] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNotification:
    """A notification without its content, of which `size` says the bytes. `audience` None is everyone; `format` is
    `template` or a platform; `failures` are (outcome, reason, count), most first, known where one is asked for.
    Of before schema version 4 it is not known which configuration decided."""

    id: str
    hub: str
    source: str
    event_id: str
    rule: str
    audience: str | None
    format: str
    priority: str
    size: int
    state: State
    accepted_at: float
    schedule_at: float | None
    expires_at: float | None
    started_at: float | None
    ended_at: float | None
    counts: Mapping[str, Mapping[str, int]]
    failures: Sequence[tuple[str, str, int]] = ()
    configuration: ConfigurationVersion = NO_CONFIGURATION


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLetter:
    """A dead letter in its place; `size` are the bytes of its body, which is left out of lists."""

    id: int
    at: float
    size: int
    letter: DeadLetter


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAudit:
    """A change in its place."""

    id: int
    at: float
    entry: AuditEntry


ListedT = TypeVar("ListedT")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage(Generic[ListedT]):
    """A part of a list; `next` is the `after` of the part that follows, empty at the end.

    With filters a part may hold fewer than were asked for, or none, and another may follow all the same.
    """

    items: Sequence[ListedT]
    next: str = ""


class Store(Protocol):
    """One database. Build it (no I/O), `open`, use, `close`."""

    async def open(self) -> int:
        """Lock, migrate, and free what a dead process had leased; how many leases that were.

        May be tried again. Raises: StoreError: names the database.
        """

    async def accept(self, arrivals: Sequence[Ingest], *, lease: int, until: float) -> AcceptanceResult:
        """Take a batch in one transaction: seen marks, notifications, dead letters, and a lease on the first `lease`
        notifications that are due. Raises: StoreError."""

    async def lease(self, limit: int, *, until: float) -> Sequence[Work]:
        """Up to `limit` due pieces of the single lane, oldest first, leased until `until`."""

    async def lease_pages(self, wanted: Mapping[tuple[str, Platform], int], *, until: float) -> Sequence[Work]:
        """Due pages of the broadcast lane: for each (hub, platform) up to as many as wanted, oldest first."""

    async def lease_orphans(
        self, served: Collection[tuple[str, Platform]], limit: int, *, begun_before: float, until: float
    ) -> Sequence[Work]:
        """Due pages of the broadcast lane for a (hub, platform) that is not `served`, if their notification was due
        before `begun_before` or its own time to live has passed."""

    async def renew(self, work: Sequence[Work], *, until: float) -> None: ...

    async def release(self, work: Sequence[Work], *, due_at: float | None = None) -> None:
        """Give leased work back untried, due at once or at `due_at`."""

    async def set_back(self, seconds: float) -> None:
        """The clock was set back by so much: move due times with it, but for notifications scheduled for a time of their
        own. Leases are left to who holds and renews them."""

    async def expand(self, work: Work, audience: Audience, *, started_at: float) -> None:
        """Turn a notification into pages, due at once; the lease ends."""

    async def record(self, results: Sequence[PageResult]) -> Recorded:
        """One transaction for all: outcomes, retries, dead push channels; the leases end."""

    async def audiences(self, notifications: Sequence[Notification]) -> Sequence[Audience]:
        """Who each reaches, in order."""

    async def targets(self, hub: str, ordinals: BitMap) -> Sequence[Target]:
        """The live registrations among `ordinals`, by ordinal."""

    async def templates(self, ids: Sequence[int]) -> Mapping[int, StoredTemplate]: ...

    async def put_installations(self, hub: str, installations: Sequence[Installation]) -> None:
        """Create or replace documents and what derives from them, in one transaction."""

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        """Raises: NotFoundError."""

    async def delete_installation(self, hub: str, installation_id: str) -> bool: ...

    async def put_registration(
        self, hub: str, registration: Registration, *, if_match: int | None = None
    ) -> Registration:
        """Create or replace; the answer carries id and ETag. Raises: PreconditionError, NotFoundError (with if_match)."""

    async def get_registration(self, hub: str, registration_id: str) -> Registration: ...

    async def delete_registration(self, hub: str, registration_id: str, *, if_match: int | None = None) -> None: ...

    async def details(self, hub: str, notification_id: str) -> NotificationDetails:
        """What is known of a notification, by its 32 hex digits. Raises: NotFoundError."""

    async def pending(self) -> int:
        """Notifications and pages that are not done."""

    async def probe(self) -> None:
        """A durable write that changes nothing. Raises: StoreError."""

    async def queue_states(self) -> Mapping[Lane, QueueState]: ...

    async def registrations_by_platform(self) -> Mapping[tuple[str, Platform], int]:
        """Live registrations by hub and platform."""

    async def dead_letters(
        self, *, limit: int = 100, relay: str | None = None
    ) -> Sequence[tuple[int, float, DeadLetter]]:
        """(id, when, letter), newest first; with `relay`, those it has yet to send on, oldest first."""

    async def published(self, ids: Sequence[int]) -> None:
        """These dead letters were sent on."""

    # For operators: lists in parts of up to `limit`; `after` is empty, or what the part before gave as `next`. A list
    # takes memory for one part alone. Raises: InvalidRequestError: `after` is none of this list.

    async def devices(
        self, hub: str, *, audience: AudienceExpression | None = None, after: str = "", limit: int
    ) -> ListPage[Device]:
        """All installations, by id; with `audience` those that it means and that live, the first registered first."""

    async def device(self, hub: str, installation_id: str) -> Device:
        """Raises: NotFoundError."""

    async def notifications(
        self,
        *,
        hub: str | None = None,
        state: State | None = None,
        event_id: str | None = None,
        after: str = "",
        limit: int,
    ) -> ListPage[KeptNotification]:
        """Newest first."""

    async def notification(self, notification_id: str) -> KeptNotification:
        """By its 32 hex digits, whatever its hub, with its failures. Raises: NotFoundError."""

    async def letters(
        self, *, source: str | None = None, reason: str | None = None, after: str = "", limit: int
    ) -> ListPage[KeptLetter]:
        """Dead letters, newest first, without bodies."""

    async def letter(self, letter_id: int) -> KeptLetter:
        """A dead letter with its body. Raises: NotFoundError."""

    async def drop_dead_letters(self, ids: Sequence[int], *, actor: str) -> Sequence[int]:
        """Forget these, and write an audit row for each, in one transaction; the ids of those that were there."""

    async def audit(self, *, after: str = "", limit: int) -> ListPage[KeptAudit]:
        """What operators changed, newest first."""

    async def housekeep(
        self, *, notifications_before: float, dead_letters_before: float, max_dead_letters: int
    ) -> None:
        """Drop what is past its time: in slices, so that other writes get their turn."""

    async def close(self) -> None: ...
