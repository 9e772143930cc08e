"""The way each of the latest events and sends took, kept in memory for the live page and the demo's summary."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bridge.metrics import REMOTE
from bridge.pipeline import End, Passage
from hub.notification import Audience, NativeContent, Notification, Platform
from hub.outcome import OutcomeName, Unreached

HUB_API = "hub API"
"""The source of what was sent through the hub API; no source of a configuration has a space in its name."""

_MAX_NAME = 200
"""Characters kept of an id, a type or a name."""

_MAX_TEXT = 500
"""Characters kept of a detail, a reason or a tag expression."""

_MAX_PARTS = 50
"""Notifications, dead letters and rules kept of one event."""


@dataclass(slots=True)
class Step:
    """One notification: whom it is for, and its pushes by platform and outcome as they are answered.

    `reason` is what was last said of pushes that ended badly, `unreached` why nobody got it. `waits` has, by platform, why
    pushes were put off and until when, in seconds since 1970 UTC. A hub elsewhere, which takes the whole notification,
    stands in the place of a platform as `remote`.
    """

    id: str
    rule: str
    hub: str
    audience: Audience
    targeted: dict[str, int] | None = None
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    waits: dict[str, tuple[str, float]] = field(default_factory=dict)
    reason: str = ""
    unreached: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "rule": _cut(self.rule),
            "hub": _cut(self.hub),
            "expression": _cut(str(self.audience), _MAX_TEXT),
            "targeted": None if self.targeted is None else sum(self.targeted.values()),
            "pushes": self.targeted or {},
            "outcomes": self.outcomes,
            "waits": {
                platform: {"reason": reason, "until": datetime.fromtimestamp(until, UTC).isoformat()}
                for platform, (reason, until) in self.waits.items()
            },
            "reason": self.reason,
            "unreached": self.unreached,
        }


@dataclass(slots=True)
class Entry:
    """One event or one send of the hub API, from receipt to outcome. Texts and lists are cut to a bound.

    Of its dead letters it keeps rule, stage, reason and detail, never the body. `left_out` counts notifications and dead
    letters beyond those kept.
    """

    number: int
    id: str
    source: str
    type: str
    received_at: datetime
    end: End
    reason: str = ""
    detail: str = ""
    rules: Sequence[str] = ()
    steps: Sequence[Step] = ()
    dead_letters: Sequence[Mapping[str, str]] = ()
    left_out: int = 0
    is_send: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As JSON types; nothing of the event's content is in it."""
        return {
            "number": self.number,
            "kind": "send" if self.is_send else "event",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "received_at": self.received_at.isoformat(),
            "end": self.end.value,
            "reason": self.reason,
            "detail": self.detail,
            "rules": list(self.rules),
            "notifications": [step.as_dict() for step in self.steps],
            "dead_letters": list(self.dead_letters),
            "left_out": self.left_out,
        }


class Trail:
    """Bounded: the oldest entry goes when a new one comes. `subscribe` hears of every entry that is new or changed."""

    def __init__(self, *, size: int = 500) -> None:
        self._size = size
        self._count = 0
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._steps: dict[str, tuple[Entry, Step]] = {}
        self._early: OrderedDict[str, Step] = OrderedDict()
        self._listeners: list[Callable[[Entry], None]] = []

    @property
    def count(self) -> int:
        """How many events and sends there were, those no longer kept included."""
        return self._count

    def entries(self) -> list[Entry]:
        """Oldest first."""
        return list(self._entries.values())

    def subscribe(self, listener: Callable[[Entry], None]) -> Callable[[], None]:
        """Call `listener` for each change; the answer ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def passed(self, passages: Sequence[Passage], *, now: datetime) -> None:
        """A batch is in the store. Of a batch larger than the trail only the end is kept."""
        self._count += max(0, len(passages) - self._size)
        for passage in passages[-self._size :]:
            self._add(self._entry_of(passage, now))

    def sent(self, notification: Notification, *, repeated: bool, now: datetime) -> None:
        """A send of the hub API is in the store, or was there before."""
        content = notification.content
        kind = f"native {content.platform.value}" if isinstance(content, NativeContent) else "template"
        self._count += 1
        self._add(
            Entry(
                number=self._count,
                id=notification.id,
                source=HUB_API,
                type=f"{kind} send",
                received_at=now,
                end=End.SUPPRESSED if repeated else End.ACCEPTED,
                detail="the same Idempotency-Key was sent before" if repeated else "",
                steps=[] if repeated else [self._step_of(notification)],
                is_send=True,
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

        def count(step: Step) -> None:
            mine = step.outcomes.setdefault(platform.value, {})
            for outcome, number in outcomes.items():
                mine[outcome.value] = mine.get(outcome.value, 0) + number
            step.waits.pop(platform.value, None)
            step.reason = _cut(reason, _MAX_TEXT) or step.reason

        self._changed(notification, count)

    def postponed(self, notification: Notification, platform: Platform | None, *, reason: str, until: float) -> None:
        """Pushes wait, or with None the whole notification for a hub elsewhere: tried and put off, or not tried."""
        name = REMOTE if platform is None else platform.value
        self._changed(notification, lambda step: step.waits.update({name: (_cut(reason, _MAX_TEXT), until)}))

    def unreached(self, notification: Notification, why: Unreached) -> None:
        """It came to its end, and no phone got it."""
        self._changed(notification, lambda step: setattr(step, "unreached", why.value))

    def forwarded(self, notification: Notification, outcome: OutcomeName, *, reason: str = "") -> None:
        """A hub elsewhere has it, or will not have it."""

        def end(step: Step) -> None:
            step.outcomes[REMOTE] = {outcome.value: 1}
            step.waits.pop(REMOTE, None)
            step.reason = _cut(reason, _MAX_TEXT)

        self._changed(notification, end)

    def _entry_of(self, passage: Passage, now: datetime) -> Entry:
        self._count += 1
        event = passage.event
        is_new = passage.end is not End.SUPPRESSED
        notifications = [intent.notification for intent in passage.decision.intents] if is_new else []
        letters = passage.dead_letters if is_new else ()
        return Entry(
            number=self._count,
            id=_cut(passage.event_id),
            source=passage.message.source,
            type="" if event is None else _cut(event.type),
            received_at=now,
            end=passage.end,
            reason="" if passage.reason is None else passage.reason.value,
            detail=_cut(passage.detail, _MAX_TEXT),
            rules=passage.decision.matched[:_MAX_PARTS],
            steps=[self._step_of(notification) for notification in notifications[:_MAX_PARTS]],
            dead_letters=[
                {
                    "rule": _cut(letter.rule),
                    "stage": letter.stage,
                    "reason": letter.reason,
                    "detail": _cut(letter.detail, _MAX_TEXT),
                }
                for letter in letters[:_MAX_PARTS]
            ],
            left_out=max(0, len(notifications) - _MAX_PARTS) + max(0, len(letters) - _MAX_PARTS),
        )

    def _add(self, entry: Entry) -> None:
        self._entries[entry.number] = entry
        for step in entry.steps:
            self._steps[step.id] = (entry, step)
        if len(self._entries) > self._size:
            _, oldest = self._entries.popitem(last=False)
            for step in oldest.steps:
                self._steps.pop(step.id, None)
        self._tell(entry)

    def _step_of(self, notification: Notification) -> Step:
        """The step that was told of early, else a new one."""
        early = self._early.pop(notification.id, None)
        return _step(notification) if early is None else early

    def _changed(self, notification: Notification, change: Callable[[Step], None]) -> None:
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


def _step(notification: Notification) -> Step:
    """Of the notification only what is shown: its content may be large, and is not for the page."""
    return Step(notification.id, notification.rule, notification.hub, notification.audience)


def _cut(text: str, most: int = _MAX_NAME) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
