"""What the hub does, as facts: frozen, in its own words, one class for each thing that an observer may hear of.

A fact is of a batch, a page or a notification, never of one push that went well. Times are seconds since 1970 UTC.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from hub.acceptance import DeadLetter
from hub.books import Balance, Discrepancy, Unaccounted
from hub.explained import Explained
from hub.fallback import Fallback
from hub.frozen import frozen_dataclass
from hub.job import Job
from hub.notification import Notification, Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.phone import PhoneOperation, PhoneOutcome
from hub.phone_report import PhoneEvent, ReportLimit, TakenReports
from hub.quiet import Fate
from hub.silence import Silence, Silenced
from hub.work import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAccepted:
    """A send of the API is in the store; a send repeated under the same id is no fact."""

    notification: Notification


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class AudienceFound:
    """`counts` are the pushes to be made by platform, empty when the audience is."""

    notification: Notification
    counts: Mapping[Platform, int]


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class AudiencesFound:
    """As `AudienceFound`, of the notifications of a batch that were planned together."""

    found: Sequence[tuple[Notification, Mapping[Platform, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFellBack:
    """`count` pushes of a notification say a text held here in another language than that of their phones."""

    notification: Notification
    reason: Fallback
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertiesMissing:
    """A template of the platform uses properties, without a default, that the notification has not.

    One fact for each notification and template. Names are in lower case.
    """

    notification: Notification
    platform: Platform
    names: Collection[str]


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class TracedPushes:
    """The pushes of one notification among those of a batch that a sender answered, for its trace; times are the store's.

    `due_at` is when it could be taken, `taken_at` when it was, 0 where an earlier batch of the same piece has said so;
    `planned_at` is when its audience was known. `page` is 0 for a notification that is its own page. Most of the
    pushes that went badly did so for `reason`.
    """

    notification: Notification
    page: int
    attempt: int
    due_at: float
    taken_at: float
    planned_at: float
    sent_at: float
    answered_at: float
    outcomes: Mapping[OutcomeName, int]
    reason: str


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswered:
    """A sender answered a batch of pushes after `seconds`; every try counts, the last one or not.

    Of the pushes that are PnsUnreachable, `timed_out` missed their deadline. They are of `together` notifications or pages,
    of which `pushes` has those whose trace is kept.
    """

    hub: str
    platform: Platform
    seconds: float
    outcomes: Mapping[OutcomeName, int]
    timed_out: int = 0
    together: int = 1
    pushes: Sequence[TracedPushes] = ()


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class PushesEnded:
    """Pushes of one notification ended with these outcomes, `seconds` after acceptance, or after its own time if later.

    Most of the pushes that ended badly did so for `reason`.
    """

    notification: Notification
    platform: Platform
    outcomes: Mapping[OutcomeName, int]
    seconds: float
    reason: str = ""


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class PushesDelivered:
    """Pushes that were answered together were delivered, each the only one of its notification; with the seconds after
    acceptance."""

    platform: Platform
    pushes: Sequence[tuple[Notification, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushesRetried:
    """Pushes of one notification or page will be tried again together at `due_at`; most of them for `reason`."""

    notification: Notification
    platform: Platform
    outcomes: Mapping[OutcomeName, int]
    reason: str
    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PushesDeferred:
    """A notification was not attempted and waits until `due_at`; a fact once, when the notification first waits.

    `platform` is None for a remote hub.
    """

    notification: Notification
    platform: Platform | None
    reason: str
    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAnswered:
    """A remote hub answered to a notification after `seconds`, `reason` in its words; at `due_at` it is sent again.

    With None the notification has ended.
    """

    notification: Notification
    outcome: OutcomeName
    reason: str
    due_at: float | None
    seconds: float = 0.0


class Compared(Enum):
    """What came of comparing a send of a mirrored hub with whom it would have reached here."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """The other hub tells no numbers, or who is registered here could not be read."""
    NEWER = "newer"
    """Other numbers, which what is newer on one side explains."""
    PASSED_OVER = "passed_over"
    """Too many were being compared."""


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class SendCompared:
    """Another hub sent a notification: its pushes by platform `there`, and those that it would have been `here`.

    Where they are not known they are empty, and `detail` says why.
    """

    notification: Notification
    result: Compared
    here: Mapping[Platform, int]
    there: Mapping[Platform, int]
    detail: str = ""


class MirrorWrite(Enum):
    """What came of writing a device at the other hub, which was written here."""

    WRITTEN = "written"
    DELETED = "deleted"
    REFUSED = "refused"
    """The other hub does not take it as it is; it is tried again, and holds up no other one."""


class MirrorAnswer(Enum):
    """What became of a device that another hub lists, and that is not as it was known to be there."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    RENEWED = "renewed"
    """It is the same, and lives longer."""
    KEPT = "kept"
    """It is something else here, which stays, and is written there."""
    REFUSED = "refused"
    """No hub can keep it."""
    MISSING = "missing"
    """It is listed no more, as so many others are that the list is not believed: it stays."""


class ImportAnswer(Explained):
    """What became of a device of another hub that was to be taken."""

    ADDED = "added", "The device was not registered here."
    CHANGED = "changed", "The device has changed there since the last import, and not here."
    UNCHANGED = "unchanged", "The device is here as it is there."
    KEPT = "kept", "A phone or a back end has said something else here, which stays."
    REFUSED = "refused", "No hub can keep the device as it is there; the reason is told."


class CannotMove(Explained):
    """Why a device of another hub cannot be taken."""

    TAG = "tag", "A tag that no hub takes any more."
    TEMPLATE = "template", "A template that no push could be made of."
    UNKNOWN = "unknown", "A kind of registration that is none of the wire contract's."
    INVALID = (
        "invalid",
        "A push channel, an id or another member that no hub takes, or parts that do not belong together.",
    )


class MirrorWork(Enum):
    """What a hub does with the other one that it mirrors."""

    WRITE = "write"
    LIST = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMirrored:
    """A device that was written here was written at the other hub, or refused there, which `detail` says why."""

    hub: str
    key: str
    outcome: MirrorWrite
    detail: str = ""


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class MirrorListed:
    """The other hub was listed to the end; so many of its devices had each answer, the others are as they were."""

    hub: str
    registrations: int
    answers: Mapping[MirrorAnswer, int]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorFailed:
    """The other hub could not be written to, or listed, or the store failed meanwhile: it is tried again."""

    hub: str
    work: MirrorWork
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationUnreached:
    """A notification ended, and no phone got it. The reason is about `count` registrations; 0: there is none."""

    notification: Notification
    why: Unreached
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationHeld:
    """A notification is for `count` registrations, more than its hub allows without a confirmation: it waits for one."""

    notification: Notification
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHoursKept:
    """Quiet hours decided what becomes of `count` pushes of a notification, or with None of a whole one, whose audience was
    not looked for. What is held goes out at `until`, in seconds of the time of day, by the clocks of `zones`."""

    notification: Notification
    fate: Fate
    count: int | None
    until: float = 0.0
    zones: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationsSilenced:
    """Notifications are held or dropped by a silence, with its acceptance or when their turn came."""

    silenced: Silenced


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationsPaced:
    """So many notifications of a hub wait, as a rate allows no more now."""

    hub: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SilencesReleased:
    """So many notifications that ended silences held go on."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceChanged:
    """A silence was begun, or with `removed_by` in it was ended before its time."""

    silence: Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationApproved:
    """A notification that was held goes on; `actor` says so."""

    hub: str
    notification_id: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationsEnded:
    """So many notifications of a hub ended in a state."""

    counts: Mapping[tuple[str, State], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelsGone:
    """Push services said of so many pushes that their channels are dead."""

    hub: str
    platform: Platform
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOpened:
    """A push service, or with None a remote hub, gets nothing until `until`, and then a few pushes at a time."""

    hub: str
    platform: Platform | None
    cause: str
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerClosed:
    """A push service, or with None a remote hub, gets everything again, after so many seconds."""

    hub: str
    platform: Platform | None
    seconds: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalBrakeChanged:
    """No phone of a push service, or with None of a remote hub, is removed any more; or phones are removed again.

    `share` is the part of the latest answers that called a push channel dead. `why` is empty while the brake is on.
    """

    hub: str
    platform: Platform | None
    is_on: bool
    share: float
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettersStored:
    """Dead letters of the hub are in the store."""

    dead_letters: Sequence[DeadLetter]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonErased:
    """All that was kept of a person is erased: `rows` by kind, `notifications` by id. `digest` stands for the person.

    With `is_overwritten` the files of the store hold no byte of it any more, else that follows. `actor` asked for it.
    """

    digest: str
    rows: Mapping[str, int]
    notifications: Collection[str]
    is_overwritten: bool
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneAnswered:
    """A phone was answered that called the registration service of a hub; `detail` names no user, tag or handle."""

    hub: str
    operation: PhoneOperation
    outcome: PhoneOutcome
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhonesUnwritten:
    """Phones of a hub could not be written to its engine; that is tried again."""

    hub: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneReported:
    """A phone said of its pushes what `events` name, and `taken` is what became of each."""

    hub: str
    events: Sequence[PhoneEvent]
    taken: TakenReports


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportsLimited:
    """A request with reports was refused, to come again later."""

    hub: str
    limit: ReportLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesImported:
    """A part of an import into a hub: how many devices had each answer, and why others cannot move.

    `found` are the devices that the import has to take in all, None where it is not known.
    """

    hub: str
    answers: Mapping[ImportAnswer, int]
    refused: Mapping[CannotMove, int]
    found: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTaken:
    """Work was taken from its queue; `waited` has for each piece the seconds since it was accepted or due, or nothing."""

    lane: Lane
    count: int
    waited: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsLate:
    """The store refused results: another process owns their queue by now, or they were recorded before."""

    lane: Lane
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLeftOver:
    """A process that died had begun so much work: it is taken again."""

    lane: Lane
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed:
    """The store could not do an operation, at this try."""

    operation: str
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRecovered:
    """The store does everything again, so many seconds after the first failure."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """A defect of this program met the work named by `work`; the work is tried again after a while."""

    work: str
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded:
    """An export or import of registrations has completed or failed."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksChecked:
    """The rows of the store were checked: `counts` by kind of those that do not explain each other, all of them.

    `new` are those that are named for the first time, `settled` those that are explained now. `balance` is of a look
    through all rows that has come to its end. Where another process checks them, it `is_ours` not, and nothing is known.
    """

    counts: Mapping[Discrepancy, int]
    new: Sequence[Unaccounted]
    settled: Sequence[Unaccounted]
    balance: Balance | None
    is_ours: bool = True


HubFact = (
    SendAccepted
    | AudienceFound
    | AudiencesFound
    | PropertiesMissing
    | TextFellBack
    | PageAnswered
    | PushesEnded
    | PushesDelivered
    | PushesRetried
    | PushesDeferred
    | RemoteAnswered
    | SendCompared
    | DeviceMirrored
    | MirrorListed
    | MirrorFailed
    | NotificationUnreached
    | NotificationHeld
    | QuietHoursKept
    | NotificationsSilenced
    | NotificationsPaced
    | SilencesReleased
    | SilenceChanged
    | NotificationApproved
    | NotificationsEnded
    | ChannelsGone
    | BreakerOpened
    | BreakerClosed
    | RemovalBrakeChanged
    | DeadLettersStored
    | PersonErased
    | JobEnded
    | BooksChecked
    | PhoneAnswered
    | PhonesUnwritten
    | PhoneReported
    | ReportsLimited
    | DevicesImported
    | WorkTaken
    | ResultsLate
    | WorkLeftOver
    | StoreFailed
    | StoreRecovered
    | Crashed
)
