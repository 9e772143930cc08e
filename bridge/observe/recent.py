"""The way of each of the latest events and sends of the hub API, kept in memory for the page and the demo's summary."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from bridge.intake.pipeline import EventOutcome, InFlightEvent
from bridge.observe.metrics import REMOTE
from hub.notification import NativeContent, Notification, Platform
from hub.outcome import OutcomeName, Unreached

HUB_API = "hub API"
"""The source that an entry names when no event caused it."""

_MAX_TEXT = 500
"""Characters that are told of any text: an id may have 64 KiB, and a page shows a hundred events."""

_MAX_ITEMS = 50
"""Rules, notifications and dead letters that are told of one event."""


class Wait(NamedTuple):
    """Why pushes are put off, and until when, in seconds since 1970 UTC."""

    reason: str
    until: float


@dataclass(slots=True)
class NotificationRecord:
    """One notification of an event: whom it is for, and its pushes by platform and outcome as they are answered.

    `waits` has by platform why pushes were put off and until when; `reason` is what was last said of pushes that ended
    badly, `unreached` why no phone got the notification. A hub elsewhere stands for a platform as `remote`.
    """

    id: str
    rule: str
    hub: str
    expression: str
    schedule_at: datetime | None
    targeted: dict[str, int] | None = None
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    waits: dict[str, Wait] = field(default_factory=dict)
    reason: str = ""
    unreached: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "rule": self.rule,
            "hub": self.hub,
            "expression": self.expression,
            "schedule_at": None if self.schedule_at is None else self.schedule_at.isoformat(),
            "targeted": None if self.targeted is None else sum(self.targeted.values()),
            "pushes": self.targeted or {},
            "outcomes": self.outcomes,
            "waits": {platform: wait._asdict() for platform, wait in self.waits.items()},
            "reason": self.reason,
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
    end: EventOutcome
    reason: str
    detail: str
    rules: Sequence[str]
    steps: list[NotificationRecord]
    dead_letters: Sequence[Mapping[str, str]]

    def as_dict(self) -> dict[str, Any]:
        """As JSON types, within bounds; nothing of the event's content is in it. `more` counts what was left out."""
        letters = list(self.dead_letters[:_MAX_ITEMS])
        more = max(0, len(self.steps) - _MAX_ITEMS) + max(0, len(self.dead_letters) - _MAX_ITEMS)
        return {
            "number": self.number,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "received_at": self.received_at.isoformat(),
            "end": self.end.value,
            "reason": self.reason,
            "detail": self.detail,
            "rules": list(self.rules[:_MAX_ITEMS]),
            "notifications": [step.as_dict() for step in self.steps[:_MAX_ITEMS]],
            "dead_letters": letters,
            "more": more,
        }


class RecentEvents:
    """Bounded: the oldest entry goes when a new one comes. `subscribe` hears of every entry that is new or changed."""

    def __init__(self, *, size: int = 500) -> None:
        self._size = size
        self._count = 0
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._steps: dict[str, tuple[Entry, NotificationRecord]] = {}
        self._early: OrderedDict[str, NotificationRecord] = OrderedDict()
        self._listeners: list[Callable[[Entry], None]] = []

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

    def passed(self, passages: Sequence[InFlightEvent], *, now: datetime) -> None:
        """A batch is in the store. Of a batch larger than the trail only the end is kept."""
        self._count += max(0, len(passages) - self._size)
        for passage in passages[-self._size :]:
            self._add(passage, now)

    def sent(self, notification: Notification, *, now: datetime) -> None:
        """A send of the hub API is in the store."""
        content = notification.content
        kind = f"native {content.platform.value}" if isinstance(content, NativeContent) else "template"
        self._count += 1
        self._keep(
            Entry(
                number=self._count,
                id=notification.id,
                source=HUB_API,
                type=kind,
                received_at=now,
                end=EventOutcome.ACCEPTED,
                reason="",
                detail="",
                rules=(),
                steps=[self._step_of(notification)],
                dead_letters=(),
            )
        )

    def targeted(self, notification: Notification, counts: Mapping[Platform, int]) -> None:
        """An audience was found."""
        self._changed(
            notification,
            lambda step: setattr(step, "targeted", {platform.value: count for platform, count in counts.items()}),
        )

    def pushed(
        self, notification: Notification, platform: Platform, outcomes: Mapping[OutcomeName, int], *, reason: str = ""
    ) -> None:
        """Pushes came to their end; most that ended badly did so for `reason`."""

        def count(step: NotificationRecord) -> None:
            mine = step.outcomes.setdefault(platform.value, {})
            for outcome, number in outcomes.items():
                mine[outcome.value] = mine.get(outcome.value, 0) + number
            step.waits.pop(platform.value, None)
            step.reason = _bounded(reason) or step.reason

        self._changed(notification, count)

    def put_off(self, notification: Notification, platform: Platform | None, *, reason: str, until: float) -> None:
        """Pushes will be tried at `until`, or with None the handover to a hub elsewhere: again, or for the first time."""
        wait = Wait(_bounded(reason), until)
        self._changed(
            notification, lambda step: step.waits.update({REMOTE if platform is None else platform.value: wait})
        )

    def unreached(self, notification: Notification, why: Unreached) -> None:
        """It came to its end, and no phone got it."""
        self._changed(notification, lambda step: setattr(step, "unreached", why.value))

    def forwarded(self, notification: Notification, outcome: OutcomeName, *, reason: str = "") -> None:
        """A hub elsewhere has it, or will not have it."""

        def end(step: NotificationRecord) -> None:
            step.outcomes[REMOTE] = {outcome.value: 1}
            step.waits.pop(REMOTE, None)
            step.reason = _bounded(reason)

        self._changed(notification, end)

    def _add(self, passage: InFlightEvent, now: datetime) -> None:
        self._count += 1
        event = passage.event
        is_new = passage.end is not EventOutcome.SUPPRESSED
        entry = Entry(
            number=self._count,
            id=_bounded(passage.event_id),
            source=passage.message.source,
            type="" if event is None else _bounded(event.type),
            received_at=now,
            end=passage.end,
            reason="" if passage.reason is None else passage.reason.value,
            detail=_bounded(passage.detail),
            rules=passage.decision.matched,
            steps=[self._step_of(intent.notification) for intent in passage.decision.intents if is_new],
            dead_letters=[
                {"rule": letter.rule, "stage": letter.stage, "reason": letter.reason, "detail": _bounded(letter.detail)}
                for letter in passage.dead_letters
                if is_new
            ],
        )
        self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.number] = entry
        for step in entry.steps:
            self._steps[step.id] = (entry, step)
        if len(self._entries) > self._size:
            _, oldest = self._entries.popitem(last=False)
            for step in oldest.steps:
                self._steps.pop(step.id, None)
        self._tell(entry)

    def _step_of(self, notification: Notification) -> NotificationRecord:
        """The step that was told of early, else a new one."""
        known = notification.id in self._early
        return self._early.pop(notification.id) if known else _step(notification)

    def _changed(self, notification: Notification, change: Callable[[NotificationRecord], None]) -> None:
        """Apply a change; work accepted and leased at once may be dispatched before its batch is told of."""
        known = self._steps.get(notification.id)
        if known is not None:
            entry, step = known
            change(step)
            self._tell(entry)
            return
        early = self._early.get(notification.id)
        if early is None:
            early = self._early[notification.id] = _step(notification)
            if len(self._early) > self._size:
                self._early.popitem(last=False)
        change(early)

    def _tell(self, entry: Entry) -> None:
        for listener in self._listeners:
            listener(entry)


def _step(notification: Notification) -> NotificationRecord:
    return NotificationRecord(
        id=notification.id,
        rule=_bounded(notification.rule),
        hub=notification.hub,
        expression=_bounded(str(notification.audience)),
        schedule_at=notification.schedule_at,
    )


def _bounded(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
