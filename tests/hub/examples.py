"""Small registries and notifications for the tests of the store and of delivery."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hub.acceptance import Ingest
from hub.installation import Installation, Template
from hub.notification import EVERYONE, Audience, Notification, Platform, TemplateContent
from hub.tags import parse

HUB = "main"
GREETING = Template(body='{"message":{"notification":{"title":"$(title)"}}}')


def installation(
    name: str, *tags: str, platform: Platform = Platform.FCM, push_channel: str = "", templates: bool = True
) -> Installation:
    """A phone that shows greetings; its push channel is `token of NAME` unless said."""
    return Installation(
        id=name,
        platform=platform,
        push_channel=push_channel or f"token of {name}",
        tags=tags,
        templates={"greeting": GREETING} if templates else {},
    )


def notification(audience: str | Audience = EVERYONE, **changes: Any) -> Notification:
    """A greeting, with an id of its own unless said."""
    greeting = Notification(
        id=uuid.uuid4().hex,
        hub=HUB,
        audience=parse(audience) if isinstance(audience, str) else audience,
        content=TemplateContent(properties={"title": "hello"}),
    )
    return replace(greeting, **changes)


def arrival(*notifications: Notification, event_id: str = "", source: str = "orders") -> Ingest:
    """An event that caused these; with an id of its own unless said."""
    return Ingest(source=source, event_id=event_id or uuid.uuid4().hex, notifications=notifications)


def arrivals(notifications: Sequence[Notification]) -> list[Ingest]:
    """An event for each."""
    return [arrival(one) for one in notifications]
