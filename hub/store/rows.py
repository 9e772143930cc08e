"""How a notification, its counts and its push service stand in rows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from hub.acceptance import ConfigurationVersion
from hub.identity import digest_of, joined
from hub.notification import (
    EVERYONE,
    PLATFORM_NAMED,
    Audience,
    Content,
    Everyone,
    HeldText,
    NativeContent,
    Notification,
    Platform,
    Priority,
    TemplateContent,
)
from hub.outcome import OutcomeName, State
from hub.quiet import quiet_of
from hub.store.contracts.outbox import Service
from hub.tags import MaxTags, parse
from hub.trace_context import parted_trace
from hub.work import Lane

TEMPLATE = "template"
"""The format of what is not native."""

SINGLE, BROADCAST, SCHEDULED, HELD, ORDERED = range(5)
"""The lanes of rows. What is scheduled or held, or waits for another, has a lane of its own until it is released."""

LANES = {Lane.SINGLE: SINGLE, Lane.BROADCAST: BROADCAST}
LANE_OF = {number: lane for lane, number in LANES.items()}

NOTIFICATION = (
    "n.id, n.hub, n.source, n.event_id, n.rule, n.audience, n.format, n.content, n.headers, n.platforms, n.priority,"
    " n.collapse_key, n.schedule_at, n.expires_at, n.person, n.trace, n.sensitive, n.quiet"
)
"""What `notification_of` reads, of a notification `n`."""

STATES = {state: state.value for state in State}
"""A property of an enum costs ten look-ups."""
_PRIORITIES = {priority: priority.value for priority in Priority}

Counts = Mapping[Platform, Mapping[OutcomeName, int]]

_UNLIMITED = MaxTags(only_or=10**6, only_and=10**6, mixed=10**6)
"""What is in the store was within the limits when it was accepted."""


def said_by(notification: Notification) -> tuple[Any, ...]:
    """What a notification says and to whom, by the columns from `hub` to `expires_at`."""
    content = notification.content
    if isinstance(content, TemplateContent):
        format_, payload = TEMPLATE, orjson.dumps(dict(content.properties))
        headers = None if content.text is None else named_text(content.text)
    else:
        format_, payload = content.platform.value, content.payload
        headers = orjson.dumps(dict(content.headers)).decode() if content.headers else None
    platforms = notification.platforms
    return (
        notification.hub,
        notification.source,
        notification.event_id,
        notification.rule,
        None if isinstance(notification.audience, Everyone) else str(notification.audience),
        format_,
        payload,
        headers,
        None if platforms is None else ",".join(sorted(platform.value for platform in platforms)),
        _PRIORITIES[notification.priority],
        notification.collapse_key,
        seconds(notification.schedule_at),
        seconds(notification.expires_at),
    )


def notification_of(row: Sequence[Any]) -> Notification:
    """Of the columns `NOTIFICATION`."""
    key, hub, source, event_id, rule, audience, format_, content, headers, platforms, *rest = row
    priority, collapse, at, until, person, joined_text, sensitive, quiet = rest
    trace, tracestate = parted_trace(joined_text)
    parsed: Content
    if format_ == TEMPLATE:
        parsed = TemplateContent(properties=orjson.loads(content), text=_text_named(headers))
    else:
        parsed = NativeContent(
            platform=PLATFORM_NAMED[format_], payload=content, headers=orjson.loads(headers) if headers else {}
        )
    return Notification(
        id=key.hex(),
        hub=hub,
        audience=audience_of(audience),
        content=parsed,
        platforms=None if platforms is None else platforms_of(platforms),
        schedule_at=None if at is None else moment(at),
        expires_at=None if until is None else moment(until),
        priority=Priority(priority),
        collapse_key=collapse,
        source=source,
        event_id=event_id,
        rule=rule,
        person=person or "",
        trace=trace,
        tracestate=tracestate,
        sensitive=bool(sensitive),
        quiet=None if quiet is None else quiet_of(quiet),
    )


def named_text(text: HeldText) -> str:
    """Where headers of a native payload stand: a program that knows no texts reads a template notification there."""
    return orjson.dumps({"text": text.name, "id": str(text.id)}).decode()


def _text_named(headers: str | None) -> HeldText | None:
    if not headers:
        return None
    named = orjson.loads(headers)
    return HeldText(id=int(named["id"]), name=named["text"])


def audience_of(text: str | None) -> Audience:
    return EVERYONE if text is None else parse(text, max_tags=_UNLIMITED)


def platforms_of(names: str) -> frozenset[Platform]:
    return frozenset(PLATFORM_NAMED[name] for name in names.split(",") if name)


def service_key(service: Service | None) -> str:
    """The push service as rows of work name it, empty for None."""
    return "" if service is None else f"{service[1].value}/{service[0]}"


def hub_key(hub: str) -> str:
    """What stands beside keys of push services for a hub that a configuration names."""
    return f"/{hub}"


def is_hub_key(key: str) -> bool:
    return key.startswith("/")


def hub_of(key: str) -> str:
    """Of a key of either kind."""
    return key.partition("/")[2]


def service_of(key: str) -> Service | None:
    if not key:
        return None
    platform, _, hub = key.partition("/")
    return hub, PLATFORM_NAMED[platform]


def counts_text(counts: Counts) -> str:
    """As JSON, by platform and outcome."""
    if len(counts) == 1:
        ((platform, by_outcome),) = counts.items()
        if len(by_outcome) == 1:
            ((outcome, count),) = by_outcome.items()
            return _text_of_one(platform, outcome, count)
    return _text_of(counts)


@lru_cache(maxsize=1024)
def _text_of_one(platform: Platform, outcome: OutcomeName, count: int) -> str:
    """What most notifications come to: one outcome, for a phone or two."""
    return _text_of({platform: {outcome: count}})


def _text_of(counts: Counts) -> str:
    return orjson.dumps(
        {
            platform.value: {outcome.value: count for outcome, count in by_outcome.items()}
            for platform, by_outcome in counts.items()
        }
    ).decode()


def counts_of(text: str | None) -> dict[Platform, dict[OutcomeName, int]]:
    if not text:
        return {}
    return {
        PLATFORM_NAMED[platform]: {OutcomeName(outcome): count for outcome, count in by_outcome.items()}
        for platform, by_outcome in orjson.loads(text).items()
    }


_LAST_SECOND = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def moment(seconds: float) -> datetime:
    """An aware time; of a later year than 9999, which a time with an offset may come to, that year's last second."""
    return datetime.fromtimestamp(min(seconds, _LAST_SECOND), UTC)


def seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def configuration_id(version: ConfigurationVersion) -> int:
    """The key of its row: a hash of both texts."""
    digest = digest_of(joined(version.hash, version.revision))
    return int.from_bytes(digest[:8], "big", signed=True)
