"""Notifications and what became of them; an operator's own sends."""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Self

import orjson
from pydantic import AwareDatetime, Field, JsonValue, StrictBool, model_validator

from bridge.admin.api.audience_preview import Preview, preview_of, reasons_of
from bridge.admin.api.devices import local_hub, tags_of
from bridge.admin.api.operation import (
    Call,
    Management,
    Model,
    Operation,
    Paged,
    cursor_of,
    hub_of,
    instant,
    known,
    moment,
    none_of,
    place_in,
)
from bridge.admin.api.silences import silence_said
from bridge.config.models.document import Settings
from hub.acceptance import AuditEntry
from hub.api.wire.content import native_content, template_content
from hub.errors import ConfirmationError, InvalidRequestError, NotFoundError
from hub.follow_up import KeptFollowUp
from hub.notification import EVERYONE, Audience, Content, HeldText, NativeContent, Notification
from hub.outcome import State, Unreached
from hub.people import people_of
from hub.platforms.table import services
from hub.store.contracts.telemetry import KeptNotification
from hub.store.contracts.telemetry import QuietHold as KeptHold
from hub.tags import Tag, installation_tag
from rules.errors import RenderError

_LIST = "notifications"
_OF_PUSHES = (Unreached.EXPIRED, Unreached.REFUSED)
"""Why no phone got it though there were some: the failures say more."""
_DIGITS = 32
_PLATFORMS = {name: each.platform for each in services() for name in (each.platform.value, each.name)}


class QuietHold(Model):
    """What quiet hours of a window hold of a notification that has not ended.

    They hold so many `pushes`, or the whole of it, before its audience is looked for (null). The first go out at
    `first_end`, the last at `last_end`: nights end by each phone's clock.
    """

    window: str
    pushes: int | None
    first_end: datetime
    last_end: datetime


class NotificationSummary(Model):
    """One notification, without its content, of which `size` says the bytes, and `has_content` whether it is kept still.

    `audience` is a tag expression or `everyone`, `format` is `template` or a platform; `outcomes` count pushes by platform.
    `config_hash` and `revision` say which configuration decided, and are empty for a send. `unreached` says why no phone
    got it, and `unreached_count` of how many registrations, where there are any. One in state Held is `held_for` so many.
    `trace` is the W3C traceparent that it came with, or was given; empty for none. `silence` is the id of the silence that
    decided about it last, empty for none. `quiet_hold` is what quiet hours hold of it now, null for nothing.
    """

    id: str
    hub: str
    source: str
    event_id: str
    rule: str
    audience: str
    format: str
    priority: str
    size: int
    has_content: bool
    state: str
    accepted_at: datetime
    schedule_at: datetime | None
    expires_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    outcomes: dict[str, dict[str, int]]
    unreached: str
    unreached_count: int
    held_for: int | None
    config_hash: str
    revision: str
    trace: str
    silence: str
    quiet_hold: QuietHold | None


class Failure(Model):
    """Pushes that ended alike, and not well."""

    outcome: str
    reason: str
    count: int


class FollowUp(Model):
    """A look at phones that may not have opened it, as `unless_opened` of the rule says: due, or ended.

    `about` says which pushes, `about_meaning` in words. Once it has ended, sinks were `told` of so many phones, and so many
    had `opened` it.
    """

    about: str
    about_meaning: str
    sinks: list[str]
    sent_at: datetime
    due: datetime | None
    ended_at: datetime | None
    told: int
    opened: int


class NotificationModel(NotificationSummary):
    """One with what its failures were, most first; of a broadcast the first 10,000 are looked at.

    Where no phone got it, `reasons` says in words what is lacking, by what is registered now.
    """

    failures: list[Failure]
    reports: Annotated[
        dict[str, dict[str, int]], Field(description="How many phones reported what, by platform and event.")
    ]
    reasons: list[str]
    follow_ups: list[FollowUp]
    cancelled_by: Annotated[str, Field(description="The rule and the event that withdrew it; empty where none did.")]
    silenced_by: Annotated[str, Field(description="The silence in words: who asked for it, until when, and why.")]


class Notifications(Model):
    """Newest first. With filters a part may hold few, or none, and have a next one."""

    items: list[NotificationSummary]
    next: str | None


class NotificationQuery(Paged):
    """Which notifications."""

    hub: str = ""
    state: str = ""
    event_id: str = ""


class Native(Model):
    """A payload as it goes to one push service: a JSON object, or text (XML of WNS); `headers` are that service's own."""

    platform: str
    payload: dict[str, JsonValue] | str
    headers: dict[str, str] = Field(default_factory=dict)


class Send(Model):
    """Whom to tell what: one of device, tags and everyone; one of properties (for the templates of phones) and native.

    With `content` the properties fill that text of the configuration for phones that registered no template.
    """

    device: Annotated[str, Field(max_length=256, description="The id of one device.")] = ""
    tags: Annotated[str, Field(max_length=4096, description="A tag expression.")] = ""
    everyone: StrictBool = False
    properties: dict[str, JsonValue] | None = None
    content: Annotated[str, Field(max_length=120, description="A text of the configuration's content, by name.")] = ""
    native: Native | None = None
    expires_at: AwareDatetime | None = None
    sensitive: Annotated[StrictBool, Field(description="Clear what it says from the store at its end.")] = False
    confirm: Annotated[
        int,
        Field(
            ge=0, le=10**18, description="For how many registrations it may be, where a hub asks for a confirmation."
        ),
    ] = 0

    @model_validator(mode="after")
    def _check_choices(self) -> Self:
        if (bool(self.device), bool(self.tags), self.everyone).count(True) != 1:
            raise ValueError("say to whom: one of device, tags and everyone")
        if (self.properties is None and not self.content) == (self.native is None):
            raise ValueError("say what: one of properties and native")
        return self


class Sent(Model):
    """It is in the store; `GET /api/v1/notifications/{id}` says what became of it."""

    id: str
    hub: str
    audience: str


def summary_of(kept: KeptNotification) -> dict[str, Any]:
    is_held = kept.state is State.HELD
    return {
        "id": kept.id,
        "hub": kept.hub,
        "source": kept.source,
        "event_id": kept.event_id,
        "rule": kept.rule,
        "audience": str(EVERYONE) if kept.audience is None else kept.audience,
        "format": kept.format,
        "priority": kept.priority,
        "size": kept.size,
        "has_content": kept.has_content,
        "state": kept.state.value,
        "accepted_at": instant(kept.accepted_at),
        "schedule_at": moment(kept.schedule_at),
        "expires_at": moment(kept.expires_at),
        "started_at": moment(kept.started_at),
        "ended_at": moment(kept.ended_at),
        "outcomes": {platform: dict(counts) for platform, counts in kept.counts.items()},
        "unreached": "" if kept.unreached is None else kept.unreached.value,
        "unreached_count": 0 if is_held else kept.unreached_count,
        "held_for": kept.unreached_count if is_held and not kept.silence else None,
        "config_hash": kept.configuration.hash,
        "revision": kept.configuration.revision,
        "trace": kept.trace,
        "silence": kept.silence,
        "quiet_hold": None if kept.quiet_hold is None else _quiet_hold(kept.quiet_hold),
    }


def _quiet_hold(hold: KeptHold) -> QuietHold:
    return QuietHold(
        window=hold.window,
        pushes=hold.pushes,
        first_end=instant(hold.first_end),
        last_end=instant(hold.last_end),
    )


async def _list(call: Call) -> Notifications:
    query: NotificationQuery = call.query
    states = {state.value.lower(): state for state in State}
    if query.state and query.state.lower() not in states:
        raise none_of("state", query.state, [state.value for state in State])
    page = await call.management.hub.store.notifications(
        hub=query.hub or None,
        state=states.get(query.state.lower()),
        event_id=query.event_id or None,
        after=place_in(_LIST, query.cursor),
        limit=query.limit,
    )
    return Notifications(
        items=[NotificationSummary(**summary_of(kept)) for kept in page.items], next=cursor_of(_LIST, page.next)
    )


async def _show(call: Call) -> NotificationModel:
    digits = call.path["id"][:_DIGITS].lower()
    if len(digits) != _DIGITS or not set(digits) <= set("0123456789abcdef"):
        raise NotFoundError(
            f"notification {call.path['id'][:100]!r} not found: an id begins with 32 hexadecimal digits"
        )
    return await notification_model(call.management, await call.management.hub.store.notification(digits))


async def notification_model(management: Management, kept: KeptNotification) -> NotificationModel:
    """One with what its failures were, and why no phone got it. Raises: StoreError."""
    reasons: list[str] = []
    if kept.unreached is not None and kept.unreached not in _OF_PUSHES:
        with suppress(NotFoundError):  # it was dropped this moment
            reasons = await reasons_of(management, kept.id)
    return NotificationModel(
        **summary_of(kept),
        reasons=reasons,
        reports={platform: dict(counts) for platform, counts in kept.reports.items()},
        failures=[Failure(outcome=outcome, reason=reason, count=count) for outcome, reason, count in kept.failures],
        follow_ups=[_follow_up(each) for each in kept.follow_ups],
        cancelled_by=kept.cancelled_by,
        silenced_by=silence_said(management, kept.silence),
    )


def _follow_up(kept: KeptFollowUp) -> FollowUp:
    return FollowUp(
        about=kept.about.value,
        about_meaning=kept.about.meaning,
        sinks=list(kept.sinks),
        sent_at=instant(kept.sent_at),
        due=moment(kept.due),
        ended_at=moment(kept.ended_at),
        told=kept.told,
        opened=kept.opened,
    )


async def _send(call: Call) -> Sent:
    body: Send = call.body
    notification = await _notification_of(call, body)
    content, hub, settings = notification.content, notification.hub, call.management.settings
    if not settings.hubs[hub].is_remote:
        having = settings.hubs[hub].platforms.configured
        if not having or (isinstance(content, NativeContent) and content.platform not in having):
            raise InvalidRequestError(
                f"the hub {hub} has no credential for it; it has {known(sorted(platform.value for platform in having))}"
            )
    kind = f"native {content.platform.value}" if isinstance(content, NativeContent) else "template"
    audit = AuditEntry(
        actor=call.actor,
        action="notification.send",
        target=notification.id,
        detail=f"{kind} to {_named(notification)} of {hub}"[:1000],
    )
    try:
        await call.management.hub.send(notification, confirmed=body.confirm, actor=call.actor, audit=audit)
    except ConfirmationError as error:
        raise InvalidRequestError(
            f"{error}: send it with confirm: {error.count} (pushbridge send --confirm)"
        ) from error
    return Sent(id=notification.id, hub=hub, audience=str(notification.audience))


async def _notification_of(call: Call, body: Send) -> Notification:
    """Raises: InvalidRequestError; NotFoundError: there is no such hub or device."""
    hub = hub_of(call)
    return Notification(
        id=secrets.token_hex(16),
        hub=hub,
        audience=await _audience(call, body),
        content=_content(body, call.management.settings, hub),
        expires_at=body.expires_at,
        sensitive=body.sensitive,
    )


async def _preview(call: Call) -> Preview:
    local_hub(call)
    notification = await _notification_of(call, call.body)
    confirm = await call.management.hub.confirmation_for(notification)
    return await preview_of(call.management, notification, confirm=confirm)


def _text(name: str, properties: Mapping[str, str], settings: Settings, hub: str) -> HeldText:
    """The text of the configuration, which the properties fill. Raises: InvalidRequestError."""
    texts = settings.content_of(hub, name)
    if texts is None:
        raise none_of("content", name, sorted(settings.contents))
    if settings.hubs[hub].is_remote:
        raise InvalidRequestError(f"content: the hub {hub} is remote, and knows no texts of this configuration")
    try:
        texts.prove(properties)
    except RenderError as error:
        raise InvalidRequestError(f"content {name}: {error}") from error
    return texts.held


def _named(notification: Notification) -> str:
    """The audience as an audit row names it: such rows outlast the notification, so users and phones are only counted."""
    count = len(people_of(notification))
    return f"users and phones, {count} named," if count else str(notification.audience)


async def _audience(call: Call, body: Send) -> Audience:
    """Raises: InvalidRequestError; NotFoundError: there is no such device."""
    if body.everyone:
        return EVERYONE
    if body.tags:
        return tags_of(body.tags, what="tags")
    await call.management.hub.store.device(local_hub(call), body.device)
    return Tag(installation_tag(body.device))


def _content(body: Send, settings: Settings, hub: str) -> Content:
    """Raises: InvalidRequestError."""
    if body.native is None:
        content = template_content(orjson.dumps(body.properties or {}))
        return (
            replace(content, text=_text(body.content, content.properties, settings, hub)) if body.content else content
        )
    platform = _PLATFORMS.get(body.native.platform.lower())
    if platform is None:
        raise none_of("native.platform", body.native.platform, sorted(_PLATFORMS))
    payload = body.native.payload
    headers = {name.lower(): value for name, value in body.native.headers.items()}
    body_of_push = payload.encode() if isinstance(payload, str) else orjson.dumps(payload)
    try:
        return native_content(platform, headers, body_of_push)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"native: {error}") from error


async def _cancel(call: Call) -> NotificationModel:
    await call.management.hub.stop(call.path["id"], actor=call.actor)
    return await _show(call)


async def _approve(call: Call) -> NotificationModel:
    await call.management.hub.approve(call.path["id"], actor=call.actor)
    return await _show(call)


OPERATIONS = (
    Operation(
        name="listNotifications",
        method="GET",
        path="/notifications",
        summary="Notifications and their outcomes, newest first.",
        run=_list,
        answer=Notifications,
        query=NotificationQuery,
    ),
    Operation(
        name="showNotification",
        method="GET",
        path="/notifications/{id}",
        summary="One notification, its outcomes, and what its failures were.",
        run=_show,
        answer=NotificationModel,
        missing="no notification has that id",
    ),
    Operation(
        name="cancelNotification",
        method="POST",
        path="/notifications/{id}/cancel",
        summary="Cancel a notification that has not ended; of a broadcast what is not sent yet.",
        run=_cancel,
        answer=NotificationModel,
        missing="no notification has that id, or it has ended",
    ),
    Operation(
        name="approveNotification",
        method="POST",
        path="/notifications/{id}/approve",
        summary="Let a notification go that is held because it is for many registrations.",
        run=_approve,
        needs_name=True,
        answer=NotificationModel,
        missing="no notification of that id is held",
    ),
    Operation(
        name="send",
        method="POST",
        path="/hubs/{hub}/notifications",
        summary="Send a notification to a device, a tag expression or everyone.",
        run=_send,
        answer=Sent,
        body=Send,
        status=201,
        missing="there is no such hub or device",
    ),
    Operation(
        name="previewSend",
        method="POST",
        path="/hubs/{hub}/preview",
        summary="Whom a notification would reach now, exactly, and what the others lack; nothing is sent.",
        run=_preview,
        answer=Preview,
        body=Send,
        missing="there is no such hub or device",
        patience=30.0,
    ),
)
