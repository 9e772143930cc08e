"""A trial as plain JSON: the shape of `pushbridge explain --json`. Values of the event are in it."""

from collections.abc import Sequence
from typing import Any

from bridge.explanation import explanation_report, plain
from bridge.observe.redaction import fingerprint
from bridge.trial.payloads import Payload
from bridge.trial.trial import TriedEvent, TriedNotification
from hub.notification import NativeContent, Notification
from hub.platforms.table import traits_of
from rules.event import Event
from rules.text import rfc3339


def event_report(tried: TriedEvent, *, hide_channels: bool = False) -> dict[str, Any]:
    """What became of the message, the event with its data, each rule, and what would leave.

    With `hide_channels` a fingerprint stands for the push channel of a real phone, as in the log.
    """
    return {
        "source": tried.message.source,
        "outcome": tried.outcome.value,
        "stage": tried.stage.value,
        "reason": "" if tried.reason is None else tried.reason.value,
        "detail": tried.detail,
        "data": plain(tried.decoded) if tried.is_decoded else None,
        "event": None if tried.event is None else _event(tried.event),
        "rules": [explanation_report(each) for each in tried.explanations],
        "failures": [
            {"rule": each.rule, "reason": each.reason.value, "detail": each.detail} for each in tried.failures
        ],
        "flow": {rule: list(said) for rule, said in tried.flow.items()},
        "notifications": [_notification(each, hide_channels=hide_channels) for each in tried.notifications],
    }


def records_report(tried: Sequence[TriedEvent], *, most: int, hide_channels: bool = False) -> dict[str, Any]:
    """The first `most` records of a body that is taken apart, each as `event_report` has it, and how many there are."""
    shown = [event_report(each, hide_channels=hide_channels) for each in tried[:most]]
    return {"records": shown, "count": len(tried)}


def _event(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": rfc3339(event.time),
        "meta": plain(event.meta),
        "trace": event.trace,
    }


def _notification(tried: TriedNotification, *, hide_channels: bool) -> dict[str, Any]:
    notification = tried.notification
    return {
        "rule": tried.rule,
        "id": notification.id,
        "hub": notification.hub,
        "remote": tried.remote,
        "to": str(notification.audience),
        "only_to": "" if tried.only_to is None else str(tried.only_to),
        "platforms": None
        if notification.platforms is None
        else sorted(platform.value for platform in notification.platforms),
        "content": content_report(notification),
        "priority": notification.priority.value,
        "collapse": notification.collapse_key,
        "schedule_at": None if notification.schedule_at is None else notification.schedule_at.isoformat(),
        "expires_at": None if notification.expires_at is None else notification.expires_at.isoformat(),
        "audience": None
        if tried.audience is None
        else {platform.value: count for platform, count in tried.audience.items()},
        "unreached": "" if tried.unreached is None else tried.unreached.meaning,
        "kept_back": list(tried.kept_back),
        "report_to": list(tried.report_to),
        "unless_opened": None
        if tried.unless_opened is None
        else {"after": tried.unless_opened.after, "report_to": list(tried.unless_opened.sinks)},
        "payloads": [payload_report(each, hide_channels=hide_channels) for each in tried.payloads],
    }


def content_report(notification: Notification) -> dict[str, Any]:
    """What a notification says, in the shape in which the admin API takes it."""
    content = notification.content
    if not isinstance(content, NativeContent):
        named = {} if content.text is None else {"content": content.text.name}
        return {"properties": dict(content.properties), **named}
    payload = content.payload.decode("utf-8", "backslashreplace")  # as text: JSON read and written has other digits
    platform = traits_of(content.platform).name
    return {"native": {"platform": platform, "payload": payload, "headers": dict(content.headers)}}


def payload_report(payload: Payload, *, hide_channels: bool) -> dict[str, Any]:
    """What would leave for the first registration that has the template."""

    def shown(text: str) -> str:
        return text.replace(channel, f"[{fingerprint(channel)}]") if hide_channels and channel else text

    channel = payload.push_channels[0]
    return {
        "platform": payload.platform.value,
        "registrations": payload.registrations,
        "missing": list(payload.missing),
        "shown": None
        if payload.shown is None
        else {"locale": payload.shown.locale, "title": payload.shown.title, "body": payload.shown.text},
        "refused": payload.refused,
        "url": shown(payload.url),
        "headers": dict(payload.headers),
        "body": shown(payload.body.decode("utf-8", "backslashreplace")),
    }
