"""What quiet hours and windows of a configuration would have done with the notifications of events that came."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bridge.config.models.document import Settings
from hub.delivery.quieting import ruling_for
from hub.notification import NativeContent, Notification
from hub.quiet import Fate, QuietHours, Ruling, ruling
from hub.windows import Window
from rules.decision import Decision
from rules.engine import Rule
from rules.event import Event


@dataclass(slots=True, kw_only=True)
class WindowCount:
    """How many `notifications` a rule makes, how many of them its quiet hours would keep back, by fate, and how many are
    `put_off` until its `only_in` opens; the others go out at once.

    Phones are taken to say no zone, so that one ruling is that of all of them.
    """

    rule: str
    quiet: QuietHours | None
    only_in: Window | None
    notifications: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    put_off: int = 0

    @property
    def zone_is_assumed(self) -> bool:
        """Whether its hours go by the clock of each phone, which nothing here knows."""
        return self.quiet is not None and not self.quiet.is_same_for_all


class WindowCounts:
    """Counts of the rules of a configuration that have quiet hours or a window to send in, in its order."""

    def __init__(self, settings: Settings) -> None:
        self._rules: Mapping[str, Rule] = {rule.name: rule for rule in settings.rules.rules}
        self.by_rule = {rule.name: count for rule in settings.rules.rules if (count := _count_of(rule)) is not None}

    def add(self, event: Event, decision: Decision, *, now: datetime) -> None:
        """Count what an event came to; `now` is when it came."""
        for intent in decision.intents:
            count = self.by_rule.get(intent.rule)
            if count is None:
                continue
            made = intent.notification
            count.notifications += 1
            ruled = ruling_without_phones(made, max(now, made.schedule_at or now).timestamp())
            if ruled is not None:
                count.fates[ruled.fate] += 1
            push = self._rules[intent.rule].push
            if push is not None and push.schedule is not None:
                count.put_off += push.schedule.is_put_off(event, now=now)


def _count_of(rule: Rule) -> WindowCount | None:
    """None: it makes no notification that a window could keep back."""
    push = rule.push
    if push is None or rule.observes:
        return None
    only_in = None if push.schedule is None else push.schedule.only_in
    if push.quiet is None and only_in is None:
        return None
    return WindowCount(rule=rule.name, quiet=push.quiet, only_in=only_in)


def ruling_without_phones(notification: Notification, at: float) -> Ruling | None:
    """Of a push to a phone that says no zone; one of a template is taken to have a push service that can be silent."""
    quiet, content = notification.quiet, notification.content
    if quiet is None:
        return None
    if isinstance(content, NativeContent):
        return ruling_for(notification, "", content.platform, at)
    expires_at = None if notification.expires_at is None else notification.expires_at.timestamp()
    return ruling(quiet, quiet.zone_for(""), at, expires_at)
