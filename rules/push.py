"""`push`: what a rule that fired says, and to whom."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.identity import digest_of, joined
from hub.notification import Content, Notification, Platform, Priority, TemplateContent
from rules.audience import AudienceFor
from rules.event import Event
from rules.native import Native

_GENERATION = ""
"""Would tell a replayed event from its first run; nothing is replayed under another id yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan:
    """A rule's `push`, compiled. `properties` None means that there are only native payloads."""

    rule: str
    hub: str
    audience: AudienceFor
    properties: tuple[tuple[str, Callable[[Event], str]], ...] | None
    natives: tuple[Native, ...]
    platforms: frozenset[Platform] | None
    priority: Priority
    collapse: Callable[[Event], str] | None
    ttl: timedelta | None

    def notifications(self, event: Event, *, now: datetime) -> list[Notification]:
        """One for the templates, one for each native payload; all or, when a text cannot be filled, none.

        Raises: RenderError, UnsafeTagError.
        """
        contents: list[Content] = []
        if self.properties is not None:
            contents.append(TemplateContent(properties={name: render(event) for name, render in self.properties}))
        contents += [native.content(event) for native in self.natives]
        audience = self.audience(event)
        collapse_key = None if self.collapse is None else self.collapse(event)
        expires_at = None if self.ttl is None else now + self.ttl
        return [
            Notification(
                id=notification_id(event, self.rule, content),
                hub=self.hub,
                audience=audience,
                content=content,
                platforms=self.platforms if isinstance(content, TemplateContent) else None,
                expires_at=expires_at,
                priority=self.priority,
                collapse_key=collapse_key,
                source=event.origin,
                event_id=event.id,
                rule=self.rule,
            )
            for content in contents
        ]


def notification_id(event: Event, rule: str, content: Content) -> str:
    """The identity of what a rule says of an event: the same however often the event is delivered.

    An id is unique within its `source` (CloudEvents 1.0, section 3.1.1), so that is part of it.
    """
    platform = "" if isinstance(content, TemplateContent) else content.platform.value
    return digest_of(joined(event.origin, event.source, event.id, rule, platform, _GENERATION)).hex()
