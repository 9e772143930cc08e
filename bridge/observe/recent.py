"""The way of each of the latest events and sends of the hub API, kept in memory for the page and the demo's summary."""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bridge.counts import how_many
from bridge.observe.facts import REMOTE, EventOutcome, EventsStored, InFlightEvent
from bridge.observe.telemetry import Takes
from hub.acceptance import DeadLetter
from hub.facts import (
    AudienceFound,
    AudiencesFound,
    NotificationApproved,
    NotificationHeld,
    NotificationsSilenced,
    NotificationUnreached,
    PersonErased,
    PushesDeferred,
    PushesDelivered,
    PushesEnded,
    PushesRetried,
    QuietHoursKept,
    RemoteAnswered,
    SendAccepted,
)
from hub.flow import Suppression
from hub.notification import Audience, NativeContent, Notification, Platform
from hub.outcome import OutcomeName
from hub.quiet import Fate, held_text, reason_for
from hub.silence import SilenceAction

HUB_API = "hub API"
"""The source that an entry names when no event caused it."""

_MAX_TEXT = 500
"""Characters that are kept of any text: an id may have 64 KiB, and a page shows a hundred events."""

_LONE = re.compile("[\ud800-\udfff]")

_MAX_ITEMS = 50
"""Rules, notifications and dead letters that are shown of one event."""


class Wait(NamedTuple):
    """Why pushes are put off, and until when, in seconds since 1970 UTC."""

    reason: str
    until: float


@dataclass(slots=True)
class NotificationRecord:
    """One notification of an event: whom it is for, and its pushes by platform and outcome as they are answered.

    `waits` has by platform why pushes were put off and until when; `reason` is what was last said of pushes that ended
    badly, `unreached` why no phone got the notification, `silenced` which silence holds it or has dropped it. A remote hub
    stands for a platform as `remote`.
    """

    id: str
    rule: str
    hub: str
    audience: Audience
    schedule_at: datetime | None
    targeted: Mapping[Platform, int] | None
    outcomes: dict[str, dict[str, int]]
    waits: dict[str, Wait]
    reason: str
    unreached: str
    silenced: str = ""

    @classmethod
    def of(cls, notification: Notification) -> "NotificationRecord":
        """Of one for which nothing was answered yet."""
        schedule_at = notification.schedule_at
        # By position, and texts cut only when they are shown: this is made for each event.
        return cls(
            notification.id,
            notification.rule,
            notification.hub,
            notification.audience,
            schedule_at,
            None,
            {},
            {},
            "",
            "",
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "rule": shown(self.rule),
            "hub": self.hub,
            "expression": shown(str(self.audience)),
            "schedule_at": None if self.schedule_at is None else self.schedule_at.isoformat(),
            "targeted": None if self.targeted is None else sum(self.targeted.values()),
            "pushes": {platform.value: count for platform, count in (self.targeted or {}).items()},
            "outcomes": self.outcomes,
            "waits": {platform: wait._asdict() for platform, wait in self.waits.items()},
            "reason": self.silenced or self.reason,
            "unreached": self.unreached,
        }


@dataclass(slots=True)
class Entry:
    """One event or send of the hub API, from receipt to outcome.

    Of its dead letters it keeps rule, stage, reason and detail, never the body.
    """

    number: int
    id: str
    source: str
    type: str
    received_at: datetime
    outcome: EventOutcome
    reason: str
    detail: str
    rules: Sequence[str]
    notifications: list[NotificationRecord]
    dead_letters: Sequence[Mapping[str, str]]
    suppressed: Sequence[Suppression] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON types, within bounds; nothing of the event's content is in it. `more` counts what was left out."""
        letters = list(self.dead_letters[:_MAX_ITEMS])
        more = max(0, len(self.notifications) - _MAX_ITEMS) + max(0, len(self.dead_letters) - _MAX_ITEMS)
        return {
            "number": self.number,
            "id": shown(self.id),
            "source": self.source,
            "type": shown(self.type),
            "received_at": self.received_at.isoformat(),
            "outcome": self.outcome.value,
            "reason": self.reason,
            "detail": self.detail,
            "silenced": self._silenced,
            "rules": list(self.rules[:_MAX_ITEMS]),
            "notifications": [record.as_dict() for record in self.notifications[:_MAX_ITEMS]],
            "dead_letters": letters,
            "suppressed": [
                {"rule": shown(each.rule), "cause": each.cause.value, "digest": each.digest}
                for each in self.suppressed[:_MAX_ITEMS]
            ],
            "more": more,
        }

    @property
    def _silenced(self) -> str:
        """Which silence holds or has dropped its notifications, and how many where not all."""
        silenced = [record.silenced for record in self.notifications if record.silenced]
        if not silenced or len(silenced) == len(self.notifications):
            return "".join(silenced[:1])
        return f"{len(silenced)} of {how_many(len(self.notifications), 'notification')} {silenced[0]}"


class RecentEvents:
    """Bounded: the oldest entry goes when a new one comes. A subscriber gets every entry that is new or changed."""

    def __init__(self, *, size: int = 500, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._size = size
        self._clock = clock
        self._count = 0
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._records: dict[str, tuple[Entry, NotificationRecord]] = {}
        self._early: OrderedDict[str, NotificationRecord] = OrderedDict()
        self._listeners: list[Callable[[Entry], None]] = []
        self.takes: Takes = {
            EventsStored: self._events_stored,
            SendAccepted: self._send_accepted,
            AudienceFound: self._audience_found,
            AudiencesFound: self._audiences_found,
            PushesEnded: self._pushes_ended,
            PushesDelivered: self._pushes_delivered,
            PushesRetried: self._pushes_retried,
            PushesDeferred: self._pushes_deferred,
            RemoteAnswered: self._remote_answered,
            NotificationUnreached: self._notification_unreached,
            NotificationHeld: self._notification_held,
            QuietHoursKept: self._quiet_hours_kept,
            NotificationApproved: self._notification_approved,
            NotificationsSilenced: self._notifications_silenced,
            PersonErased: self._person_erased,
        }

    @property
    def count(self) -> int:
        """How many events there were, those no longer kept included."""
        return self._count

    def entries(self) -> list[Entry]:
        """Oldest first."""
        return list(self._entries.values())

    def subscribe(self, listener: Callable[[Entry], None]) -> Callable[[], None]:
        """Call `listener` for each change; the answer ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _events_stored(self, fact: EventsStored) -> None:
        """Of a batch larger than what is kept, only the end is kept."""
        now = self._clock()
        self._count += max(0, len(fact.events) - self._size)
        for event in fact.events[-self._size :]:
            self._add(event, now)

    def _send_accepted(self, fact: SendAccepted) -> None:
        notification = fact.notification
        content = notification.content
        kind = f"native {content.platform.value}" if isinstance(content, NativeContent) else "template"
        self._count += 1
        self._keep(
            Entry(
                number=self._count,
                id=notification.id,
                source=HUB_API,
                type=kind,
                received_at=self._clock(),
                outcome=EventOutcome.ACCEPTED,
                reason="",
                detail="",
                rules=(),
                notifications=[self._record_of(notification)],
                dead_letters=(),
            )
        )

    def _audience_found(self, fact: AudienceFound) -> None:
        entry, record = self._find(fact.notification)
        record.targeted, record.silenced = fact.counts, ""
        self._notify(entry)

    def _audiences_found(self, fact: AudiencesFound) -> None:
        for notification, counts in fact.found:
            entry, record = self._find(notification)
            record.targeted, record.silenced = counts, ""
            if self._listeners:
                self._notify(entry)

    def _pushes_delivered(self, fact: PushesDelivered) -> None:
        platform, success = fact.platform.value, OutcomeName.SUCCESS.value
        for notification, _ in fact.pushes:
            entry, record = self._find(notification)
            mine = record.outcomes.get(platform)
            if mine is None:
                record.outcomes[platform] = {success: 1}
            else:
                mine[success] = mine.get(success, 0) + 1
            if record.waits:
                record.waits.pop(platform, None)
            record.silenced = ""
            if self._listeners:
                self._notify(entry)

    def _pushes_ended(self, fact: PushesEnded) -> None:
        platform = fact.platform.value
        entry, record = self._find(fact.notification)
        mine = record.outcomes.setdefault(platform, {})
        for outcome, number in fact.outcomes.items():
            mine[outcome.value] = mine.get(outcome.value, 0) + number
        record.waits.pop(platform, None)
        record.silenced = ""
        if fact.reason:
            record.reason = shown(fact.reason)
        self._notify(entry)

    def _pushes_retried(self, fact: PushesRetried) -> None:
        self._wait(fact.notification, fact.platform, fact.reason, fact.due_at)

    def _pushes_deferred(self, fact: PushesDeferred) -> None:
        self._wait(fact.notification, fact.platform, fact.reason, fact.due_at)

    def _wait(self, notification: Notification, platform: Platform | None, reason: str, until: float) -> None:
        """Pushes will be tried at `until`, or with None a send to a remote hub: again, or for the first time."""
        entry, record = self._find(notification)
        record.waits[REMOTE if platform is None else platform.value] = Wait(shown(reason), until)
        self._notify(entry)

    def _remote_answered(self, fact: RemoteAnswered) -> None:
        if fact.due_at is not None:
            self._wait(fact.notification, None, fact.reason or fact.outcome.value, fact.due_at)
            return
        entry, record = self._find(fact.notification)
        record.outcomes[REMOTE], record.silenced = {fact.outcome.value: 1}, ""
        record.waits.pop(REMOTE, None)
        record.reason = shown(fact.reason)
        self._notify(entry)

    def _notification_unreached(self, fact: NotificationUnreached) -> None:
        entry, record = self._find(fact.notification)
        record.unreached = fact.why.value
        self._notify(entry)

    def _notification_held(self, fact: NotificationHeld) -> None:
        entry, record = self._find(fact.notification)
        record.reason = f"held: for {fact.count} registrations, and waits for an approval"
        self._notify(entry)

    def _quiet_hours_kept(self, fact: QuietHoursKept) -> None:
        entry, record = self._find(fact.notification)
        quiet = fact.notification.quiet
        if quiet is None or fact.fate in (Fate.SILENT, Fate.RELEASED):
            return
        if fact.fate is Fate.HELD:
            record.reason = held_text(quiet, fact.until, fact.zones)
        else:
            record.reason = reason_for(quiet, fact.fate)
        self._notify(entry)

    def _notifications_silenced(self, fact: NotificationsSilenced) -> None:
        for notification, silence in fact.silenced:
            entry, record = self._find(notification)
            done = "held" if silence.action is SilenceAction.HOLD else "dropped"
            record.silenced = shown(f"{done} by silence {silence.id} of {silence.actor}: {silence.reason}")
            self._notify(entry)

    def _notification_approved(self, fact: NotificationApproved) -> None:
        known = self._records.get(fact.notification_id)
        if known is not None:
            entry, record = known
            record.reason = ""
            self._notify(entry)

    def _person_erased(self, fact: PersonErased) -> None:
        """Events whose notifications were about the person, or for it, are not kept any more either."""
        for id in fact.notifications:
            self._early.pop(id, None)
            known = self._records.get(id)
            if known is not None and self._entries.pop(known[0].number, None) is not None:
                for record in known[0].notifications:
                    self._records.pop(record.id, None)

    def _add(self, taken: InFlightEvent, now: datetime) -> None:
        self._count += 1
        event = taken.event
        notifications: list[NotificationRecord] = []
        letters: Sequence[Mapping[str, str]] = ()
        if taken.outcome is not EventOutcome.DUPLICATE:
            notifications = [self._record_of(intent.notification) for intent in taken.decision.intents]
            if taken.dead_letters:
                letters = [_letter(letter) for letter in taken.dead_letters]
        self._keep(
            Entry(
                self._count,
                taken.event_id,
                taken.message.source,
                "" if event is None else event.type,
                now,
                taken.outcome,
                "" if taken.reason is None else taken.reason.value,
                shown(taken.detail) if taken.detail else "",
                _rules_of(taken),
                notifications,
                letters,
                taken.suppressed,
            )
        )

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.number] = entry
        for record in entry.notifications:
            self._records[record.id] = (entry, record)
        if len(self._entries) > self._size:
            _, oldest = self._entries.popitem(last=False)
            for record in oldest.notifications:
                self._records.pop(record.id, None)
        self._notify(entry)

    def _record_of(self, notification: Notification) -> NotificationRecord:
        """The record that was reported early, else a new one."""
        known = self._early.pop(notification.id, None) if self._early else None
        return NotificationRecord.of(notification) if known is None else known

    def _find(self, notification: Notification) -> tuple[Entry | None, NotificationRecord]:
        """The record to change, and the entry that has it.

        None where the event is not reported yet: work accepted and leased at once may be dispatched before its batch is.
        """
        known = self._records.get(notification.id)
        if known is not None:
            return known
        early = self._early.get(notification.id)
        if early is None:
            early = self._early[notification.id] = NotificationRecord.of(notification)
            if len(self._early) > self._size:
                self._early.popitem(last=False)
        return None, early

    def _notify(self, entry: Entry | None) -> None:
        if entry is not None:
            for listener in self._listeners:
                listener(entry)


def _rules_of(taken: InFlightEvent) -> tuple[str, ...]:
    """Those that matched, and those that only look on."""
    decision = taken.decision
    if not decision.observed:
        return decision.matched
    return (*decision.matched, *(f"{each.rule} (observed)" for each in decision.observed))


def _letter(letter: DeadLetter) -> Mapping[str, str]:
    return {"rule": letter.rule, "stage": letter.stage, "reason": letter.reason, "detail": shown(letter.detail)}


def shown(text: str, most: int = _MAX_TEXT) -> str:
    """Up to `most` characters of a text that others wrote; JSON in UTF-8 can hold it, so a lone surrogate is spelt out."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return cut if cut.isascii() else _LONE.sub(lambda found: f"[U+{ord(found[0]):04X}]", cut)
