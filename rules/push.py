"""`push`: what a rule that fired says, and to whom."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.identity import digest_of, joined
from hub.notification import Audience, Content, Notification, Platform, Priority, TemplateContent
from hub.quiet import QuietHours
from rules.audience import PushAudience
from rules.content.texts import ContentTexts
from rules.errors import RenderError
from rules.event import Event
from rules.explain import NOWHERE, FailedCondition, Place
from rules.levels import LevelPick
from rules.native import Native
from rules.node import Mark
from rules.render import Text
from rules.schedule import Schedule
from rules.ttl import TtlFrom, expires_at

_GENERATION = ""
"""Would distinguish a replayed event from its first run; nothing is replayed under another id yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan:
    """A rule's `push`, compiled. `properties` None means that there are only native payloads; they fill `content` too."""

    rule: str
    hub: str
    audience: PushAudience
    properties: tuple[tuple[str, Text], ...] | None
    natives: tuple[Native, ...]
    platforms: frozenset[Platform] | None
    priority: Priority
    collapse: Text | None
    ttl: timedelta | None
    ttl_from: TtlFrom = TtlFrom.NOW
    level: LevelPick | None = None
    content: ContentTexts | None = None
    content_mark: Mark = field(default=NOWHERE, compare=False, repr=False)
    schedule: Schedule | None = None
    sensitive: bool = False
    quiet: QuietHours | None = None
    mark: Mark = field(default=NOWHERE, compare=False, repr=False)

    def notifications(self, event: Event, *, now: datetime) -> list[Notification]:
        """One for the templates, one for each native payload; all or, when a text cannot be filled, none.

        With a `level` that no phone hears of there is none. Raises: RenderError, UnsafeTagError, TooLateError.
        """
        contents: list[Content] = []
        if self.properties is not None:
            contents.append(self._template_content(event))
        contents += [native.content(event) for native in self.natives]
        audience: Audience | None = self.audience.fill(event)
        if self.level is not None and audience is not None:
            audience = self.level.pick(audience, event)
        if audience is None:
            return []
        collapse_key = None if self.collapse is None else self.collapse.render(event)
        schedule_at = None if self.schedule is None else self.schedule.due(event, now=now)
        end = expires_at(self.ttl, self.ttl_from, time=event.time, now=schedule_at or now)
        return [
            Notification(
                id=notification_id(event, self.rule, content),
                hub=self.hub,
                audience=audience,
                content=content,
                platforms=self.platforms if isinstance(content, TemplateContent) else None,
                schedule_at=schedule_at,
                expires_at=end,
                priority=self.priority,
                collapse_key=collapse_key,
                source=event.origin,
                event_id=event.id,
                rule=self.rule,
                person=event.person,
                trace=event.trace,
                tracestate=event.tracestate,
                sensitive=self.sensitive,
                quiet=self.quiet,
            )
            for content in contents
        ]

    def _template_content(self, event: Event) -> TemplateContent:
        """The properties, which fill the text held here if there is one: that is tried now, not when it is sent."""
        properties = {name: text.render(event) for name, text in self.properties or ()}
        if self.content is None:
            return TemplateContent(properties=properties)
        try:
            self.content.prove(properties)
        except RenderError as error:
            raise RenderError(f"content {self.content.name}: {error}") from None
        return TemplateContent(properties=properties, text=self.content.held)

    def explain(self, event: Event, key: str) -> FailedCondition | None:
        """The first text that an event cannot fill, in the order of `notifications`; `key` is the path of the push."""
        for name, text in self.properties or ():
            if (failed := text.explain(event, f"{key}.with.{name}")) is not None:
                return failed
        if self.content is not None and (failed := self._explain_content(event, key)) is not None:
            return failed
        for native in self.natives:
            if (failed := native.explain(event, f"{key}.native.{native.platform.value}")) is not None:
                return failed
        if (failed := self.audience.explain(event, f"{key}.to")) is not None:
            return failed
        if self.level is not None and (failed := self.level.explain(event, key)) is not None:
            return failed
        if self.schedule is not None and (failed := self.schedule.explain(event)) is not None:
            return failed
        return None if self.collapse is None else self.collapse.explain(event, f"{key}.collapse")

    def _explain_content(self, event: Event, key: str) -> FailedCondition | None:
        assert self.content is not None
        try:
            self._template_content(event)
        except RenderError as error:
            place = Place(f"{key}.content", self.content_mark)
            return FailedCondition(place=place, wanted=self.content.name, seen={}, error=str(error))
        return None

    def is_heard(self, event: Event) -> bool:
        """Whether a phone may hear of the event's amount; what cannot be filled is a failure of the rule, later."""
        if self.level is None:
            return True
        try:
            return self.level.is_heard(self.audience.fill(event), event)
        except RenderError:
            return True


def notification_id(event: Event, rule: str, content: Content) -> str:
    """The identity of what a rule says of an event: the same however often the event is delivered.

    An id is unique within its `source` (CloudEvents 1.0, section 3.1.1), so that is part of it.
    """
    platform = "" if isinstance(content, TemplateContent) else content.platform.value
    return digest_of(joined(event.origin, event.source, event.id, rule, platform, _GENERATION)).hex()
