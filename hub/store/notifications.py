"""How a notification stands in its row."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from hub.notification import (
    EVERYONE,
    Content,
    Everyone,
    NativeContent,
    Notification,
    Platform,
    Priority,
    TemplateContent,
)
from hub.tags import MaxTags, parse

COLUMNS = (
    "n.seq, h.name, n.id, n.source, n.event_id, n.rule, n.audience, n.format, n.content, n.headers, n.platforms,"
    " n.priority, n.collapse_key, n.schedule_at, n.expires_at, n.accepted_at"
)
"""What `notification_of` reads, of a notification `n` and its hub `h`."""

TEMPLATE = "template"
"""The format of what is not native."""

_UNLIMITED = MaxTags(only_or=10**6, only_and=10**6, mixed=10**6)
"""What is in the store was within the limits when it was accepted."""


def columns_of(notification: Notification) -> tuple[Any, ...]:
    content = notification.content
    if isinstance(content, TemplateContent):
        format_, payload, headers = TEMPLATE, orjson.dumps(dict(content.properties)), None
    else:
        format_, payload = content.platform.value, content.payload
        headers = orjson.dumps(dict(content.headers)).decode() if content.headers else None
    platforms = notification.platforms
    return (
        notification.source,
        notification.event_id,
        notification.rule,
        None if isinstance(notification.audience, Everyone) else str(notification.audience),
        format_,
        payload,
        headers,
        None if platforms is None else ",".join(sorted(platform.value for platform in platforms)),
        notification.priority.value,
        notification.collapse_key,
        seconds(notification.expires_at),
    )


def notification_of(row: Sequence[Any]) -> Notification:
    (
        _,
        hub,
        key,
        source,
        event_id,
        rule,
        audience,
        format_,
        content,
        headers,
        platforms,
        priority,
        collapse,
        at,
        until,
        _,
    ) = row[:16]
    parsed: Content
    if format_ == TEMPLATE:
        parsed = TemplateContent(properties=orjson.loads(content))
    else:
        parsed = NativeContent(
            platform=Platform(format_), payload=content, headers=orjson.loads(headers) if headers else {}
        )
    return Notification(
        id=key.hex(),
        hub=hub,
        audience=EVERYONE if audience is None else parse(audience, max_tags=_UNLIMITED),
        content=parsed,
        platforms=None if platforms is None else platforms_of(platforms),
        schedule_at=None if at is None else moment(at),
        expires_at=None if until is None else moment(until),
        priority=Priority(priority),
        collapse_key=collapse,
        source=source,
        event_id=event_id,
        rule=rule,
    )


def platforms_of(names: str) -> frozenset[Platform]:
    return frozenset(Platform(name) for name in names.split(",") if name)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
