"""`dedupe`, `throttle`, `key`, `order` and `cancel` of a rule: its keys filled by an event, to be decided by the store."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from hub.flow import Dedupe, Digest, RuleFlow, Throttle, flow_key, part_of_digest, shared_key
from hub.notification import Notification
from rules.errors import RenderError
from rules.event import Event
from rules.explain import FailedCondition, Place
from rules.flow_words import OnExcess
from rules.push import PushPlan
from rules.render import Text
from rules.units import spelled

MAX_KEY = 1024
"""Bytes of a key: one that is longer holds what is no key, such as a text for phones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyText:
    """A key with its path in the configuration."""

    text: Text
    path: str = field(default="", compare=False)

    def fill(self, event: Event) -> str:
        """Raises: RenderError: a value is missing or null, or the key is empty or too long."""
        try:
            key = self.text.render(event)
        except RenderError as error:
            raise type(error)(f"{self._name}: {error}") from None
        if not key:
            raise RenderError(f"{self._name}: is empty")
        if len(key) > MAX_KEY or len(key.encode("utf-8", "surrogatepass")) > MAX_KEY:
            raise RenderError(f"{self._name}: is longer than {MAX_KEY} bytes")
        return key

    def explain(self, event: Event) -> FailedCondition | None:
        """Why an event cannot fill the key; None where it can."""
        if (failed := self.text.explain(event, self.path)) is not None:
            return failed
        try:
            self.fill(event)
        except RenderError as error:
            place = Place(self.path, self.text.mark)
            return FailedCondition(place=place, wanted=str(self.text), seen={}, error=str(error))
        return None

    @property
    def _name(self) -> str:
        return self.path.partition(".")[2] or self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupePlan:
    """The rule fires once `within` this time for a key."""

    key: KeyText
    within: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottlePlan:
    """The rule fires `most` times in a window `per` key; `on_excess` is for what is more."""

    key: KeyText
    most: int
    per: timedelta
    on_excess: OnExcess


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowPlan:
    """Flow control of a rule, compiled. `key` names its notifications, for `cancel` of other rules and for their order."""

    rule: str
    dedupe: DedupePlan | None = None
    throttle: ThrottlePlan | None = None
    key: KeyText | None = None
    in_order: bool = False
    cancel: KeyText | None = None

    def keys(self) -> tuple[KeyText, ...]:
        """All keys, in the order in which they are filled."""
        holders = (self.dedupe, self.throttle)
        plans = (None if each is None else each.key for each in holders)
        return tuple(key for key in (*plans, self.key, self.cancel) if key is not None)

    def of(self, event: Event, push: PushPlan | None, *, now: datetime) -> RuleFlow:
        """What the store decides for an event that the rule fired for. Raises: RenderError: a key cannot be filled."""
        dedupe = throttle = None
        if self.dedupe is not None:
            key = flow_key("dedupe", self.rule, self.dedupe.key.fill(event))
            dedupe = Dedupe(key=key, seconds=self.dedupe.within.total_seconds())
        if self.throttle is not None:
            digests = self.throttle.on_excess is OnExcess.DIGEST and push is not None
            throttle = Throttle(
                key=flow_key("throttle", self.rule, self.throttle.key.fill(event)),
                most=self.throttle.most,
                seconds=self.throttle.per.total_seconds(),
                time=event.time,
                digest=partial(self._digest, event, push, now) if digests and push is not None else None,
            )
        cancels = None if self.cancel is None else shared_key(self.cancel.fill(event))
        return RuleFlow(rule=self.rule, event_id=event.id, dedupe=dedupe, throttle=throttle, cancels=cancels)

    def keyed(self, notifications: list[Notification], event: Event) -> list[Notification]:
        """The notifications under the rule's key. Raises: RenderError."""
        if self.key is None:
            return notifications
        key = shared_key(self.key.fill(event))
        return [replace(each, flow_key=key, in_order=self.in_order) for each in notifications]

    def _digest(self, event: Event, push: PushPlan, now: datetime, digest: Digest) -> list[Notification]:
        """What the rule says of the latest event of a digest. Raises: RenderError, and others of a push."""
        notifications = push.notifications(replace(event, digest=digest), now=max(now, digest.at))
        return [
            replace(each, id=part_of_digest(digest.id, each.content), schedule_at=each.schedule_at or digest.at)
            for each in self.keyed(notifications, event)
        ]

    def stored(self) -> tuple[str, ...]:
        """The rule's keys of a configuration that keep state."""
        holders = {"dedupe": self.dedupe, "throttle": self.throttle, "key": self.key, "cancel": self.cancel}
        return tuple(name for name, holder in holders.items() if holder is not None)

    @property
    def may_suppress(self) -> bool:
        """Whether what the rule sends depends on events before."""
        return self.dedupe is not None or self.throttle is not None

    def said(self, event: Event) -> list[str]:
        """What holds for an event by its keys, in words: without the events before, that is all there is to say.

        The keys are values of the event. Raises: RenderError.
        """
        said = []
        if self.dedupe is not None:
            said.append(f"dedupe: once in {spelled(self.dedupe.within)} for the key {self.dedupe.key.fill(event)}")
        if self.throttle is not None:
            throttle, excess = self.throttle, "dropped"
            if throttle.on_excess is OnExcess.DIGEST:
                excess = "gathered into a digest"
            key = throttle.key.fill(event)
            said.append(f"throttle: {throttle.most} in {spelled(throttle.per)} for the key {key}; more is {excess}")
        if self.key is not None:
            order = ", in order of the key" if self.in_order else ""
            said.append(f"key: {self.key.fill(event)}{order}")
        if self.cancel is not None:
            said.append(f"cancel: what waits under the key {self.cancel.fill(event)}")
        return said

    def explain(self, event: Event) -> FailedCondition | None:
        """The first key that an event cannot fill."""
        return next((failed for key in self.keys() if (failed := key.explain(event)) is not None), None)
