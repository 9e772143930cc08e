"""Who is registered at a hub."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from bridge.admin.api.operation import Call, Model, Operation, Paged, cursor_of, hub_of, instant, moment, place_in
from bridge.admin.api.phone_reports import ReportModel, report_models
from bridge.held_words import held_words
from bridge.observe.redaction import fingerprint
from hub.content.fitting import payload_of
from hub.content.held import TextStore, text_of
from hub.content.templates import compile_template
from hub.errors import FilledTooLargeError, InvalidRequestError, TagError, TemplateError
from hub.installation import Template
from hub.notification import NativeContent, Notification, TemplateContent
from hub.store.contracts.registry import Device, DeviceSearch
from hub.store.contracts.telemetry import ReceivedPush
from hub.tags import And, MaxTags, Tag, TagExpression, parse, user_tag
from hub.target import StoredTemplate

_LIST = "devices"
_MAX_PAYLOAD = 8192
"""Characters of a payload that are shown."""
_WITHHELD = "payloads may be personal: they are shown to the role admin alone; set listeners.admin.auth"
_CLEARED = "what the notification said is not kept any more"
_HANDLE_END = 8
"""Characters of a push channel that a search needs: so many are indexed."""
_MAX_TAGS = MaxTags(only_or=100, only_and=100, mixed=100)


class DeviceSummary(Model):
    """One installation. `push_channel` is a fingerprint, the same as in the log: a channel itself is never shown.

    With `push_channel_expired` its push service said that the channel is dead: it gets nothing until it registers again.
    """

    hub: str
    id: str
    platform: str
    user_id: str | None
    tags: list[str]
    templates: list[str]
    push_channel: str
    push_channel_expired: bool
    updated_at: datetime
    expires_at: datetime | None


class Registration(Model):
    """What derives from an installation: the native one (`template` null), and one for each template."""

    template: str | None
    tags: list[str]
    registered_at: datetime
    dead_at: datetime | None
    dead_reason: str


class TemplateModel(Model):
    """A template as the app registered it."""

    name: str
    body: str
    headers: dict[str, str]
    expiry: str | None
    tags: list[str]


class DeviceModel(DeviceSummary):
    """One installation with its templates and registrations; of push variables only the names are shown."""

    push_variables: list[str]
    template_details: list[TemplateModel]
    registrations: list[Registration]


class Received(Model):
    """A push that was for one registration of a device. `payload` is what the push service was given, made again of what is
    kept: of the template as it was then, and with the names of push variables in place of their values.

    `answer` says what became of it, in words by `meaning`; `outcome` and `reason` are of one that ended badly.
    `payload_missing` says why there is none.
    """

    at: datetime
    notification: str
    event_id: str
    rule: str
    template: str | None
    answer: str
    meaning: str
    outcome: str
    reason: str
    payload: str | None
    headers: dict[str, str]
    payload_missing: str
    reports: list[ReportModel]


class ReceivedList(Model):
    """The newest first. Without `whole` there may be older ones that were not looked at."""

    items: list[Received]
    whole: bool


class ReceivedQuery(Model):
    """How many."""

    limit: Annotated[int, Field(ge=1, le=100, description="Of how many notifications.")] = 20


class Devices(Model):
    """By id; with a user, tag or handle, the first registered first. A part may hold few, or none, and have a next one."""

    items: list[DeviceSummary]
    next: str | None


class DeviceQuery(Paged):
    """Which devices: of a user or with tags those that can be reached, else all, also those whose push channel is dead."""

    id: Annotated[str, Field(max_length=256, description="How the id begins, whatever its case.")] = ""
    handle: Annotated[
        str, Field(max_length=4096, description=f"How the push channel ends: {_HANDLE_END} characters at least.")
    ] = ""
    user: Annotated[str, Field(max_length=256, description="The user's id.")] = ""
    tag: Annotated[str, Field(max_length=4096, description="A tag, or an expression of tags.")] = ""


def local_hub(call: Call) -> str:
    """The hub of the path, which is here. Raises: NotFoundError, InvalidRequestError."""
    name = hub_of(call)
    hub = call.management.settings.hubs[name]
    if hub.is_remote and not hub.is_mirrored:
        raise InvalidRequestError(f"the hub {name} is remote: ask that hub for its devices")
    return name


def tags_of(text: str, *, what: str) -> TagExpression:
    """Raises: InvalidRequestError: names the column."""
    try:
        return parse(text, max_tags=_MAX_TAGS)
    except TagError as error:
        raise InvalidRequestError(f"{what}, column {error.column}: {error}") from error


def _summary(hub: str, device: Device) -> dict[str, Any]:
    installation = device.installation
    return {
        "hub": hub,
        "id": installation.id,
        "platform": installation.platform.value,
        "user_id": installation.user_id,
        "tags": list(installation.tags),
        "templates": sorted(installation.templates),
        "push_channel": fingerprint(installation.push_channel),
        "push_channel_expired": installation.push_channel_expired,
        "updated_at": instant(device.updated_at),
        "expires_at": installation.expires_at,
    }


def _search(query: DeviceQuery) -> DeviceSearch:
    """Raises: InvalidRequestError."""
    if [bool(query.id), bool(query.handle), bool(query.user or query.tag)].count(True) > 1:
        raise InvalidRequestError("search by one of id, handle, and user or tag")
    if query.handle and len(query.handle) < _HANDLE_END:
        raise InvalidRequestError(f"handle: write the last {_HANDLE_END} characters of the push channel, or more")
    chosen: list[TagExpression] = ([Tag(user_tag(query.user))] if query.user else []) + (
        [tags_of(query.tag, what="tag")] if query.tag else []
    )
    audience = None if not chosen else chosen[0] if len(chosen) == 1 else And(tuple(chosen))
    return DeviceSearch(id=query.id, channel_end=query.handle, audience=audience)


async def _list(call: Call) -> Devices:
    query: DeviceQuery = call.query
    hub = local_hub(call)
    name = "/".join(
        (_LIST, hub, query.id, query.handle, query.user, query.tag)
    )  # a place in one list is none in another
    page = await call.management.hub.store.devices(
        hub, _search(query), after=place_in(name, query.cursor), limit=query.limit
    )
    return Devices(
        items=[DeviceSummary(**_summary(hub, device)) for device in page.items], next=cursor_of(name, page.next)
    )


async def _show(call: Call) -> DeviceModel:
    hub = local_hub(call)
    device = await call.management.hub.store.device(hub, call.path["id"])
    installation = device.installation
    return DeviceModel(
        **_summary(hub, device),
        push_variables=sorted(installation.push_variables),
        template_details=[
            TemplateModel(
                name=name,
                body=template.body,
                headers=dict(template.headers),
                expiry=template.expiry,
                tags=list(template.tags),
            )
            for name, template in sorted(installation.templates.items())
        ],
        registrations=[
            Registration(
                template=registration.template,
                tags=list(registration.tags),
                registered_at=instant(registration.registered_at),
                dead_at=moment(registration.dead_at),
                dead_reason=registration.dead_reason,
            )
            for registration in device.registrations
        ],
    )


async def _received(call: Call) -> ReceivedList:
    query: ReceivedQuery = call.query
    store = call.management.hub.store
    found = await store.received(local_hub(call), call.path["id"], most=query.limit)
    ids = sorted({each.template_id for each in found.pushes if each.template_id is not None})
    templates = await store.templates(ids) if ids else {}
    texts = await _texts(store, [each.notification for each in found.pushes])
    return ReceivedList(
        items=[_received_push(each, templates, texts, sees_values=call.sees_values) for each in found.pushes],
        whole=found.is_whole,
    )


async def _texts(store: TextStore, notifications: Sequence[Notification]) -> Mapping[int, bytes]:
    """The documents of the texts held here that these name. Raises: StoreError."""
    ids = {text.id for each in notifications if (text := text_of(each)) is not None}
    return await store.held_texts(sorted(ids)) if ids else {}


def _received_push(
    push: ReceivedPush, templates: Mapping[int, StoredTemplate], texts: Mapping[int, bytes], *, sees_values: bool
) -> Received:
    notification = push.notification
    payload, headers, missing = _payload(push, templates, texts) if sees_values else (None, {}, _WITHHELD)
    return Received(
        at=instant(push.at),
        notification=notification.id,
        event_id=notification.event_id,
        rule=notification.rule,
        template=push.template,
        answer=push.answer.value,
        meaning=push.answer.meaning,
        outcome=push.outcome,
        reason=push.reason,
        payload=payload,
        headers=headers,
        payload_missing=missing,
        reports=report_models(push.reports),
    )


def _payload(
    push: ReceivedPush, templates: Mapping[int, StoredTemplate], texts: Mapping[int, bytes]
) -> tuple[str | None, dict[str, str], str]:
    """Payload and headers, or why there are none."""
    content = push.notification.content
    if not push.has_content:
        return None, {}, _CLEARED
    if isinstance(content, NativeContent):
        return _shown(content.payload), dict(content.headers), ""
    if push.template is None and content.text is not None:
        return _worded(push, content, texts.get(content.text.id))
    stored = None if push.template_id is None else templates.get(push.template_id)
    if stored is None:
        return None, {}, "the template is not kept any more"
    template = Template(body=stored.body, headers=stored.headers, expiry=stored.expiry)
    try:
        compiled = compile_template(template, push.platform)
        known = {name.lower() for name in content.properties}
        variables = {name: f"[{name}]" for name in compiled.names if name not in known and name in push.variables}
        rendered = compiled.render(content.properties, variables)
    except (TemplateError, FilledTooLargeError) as error:
        return None, {}, str(error) or "it comes to more than any push service takes"
    return _shown(rendered.payload), dict(rendered.headers), ""


def _worded(
    push: ReceivedPush, content: TemplateContent, document: bytes | None
) -> tuple[str | None, dict[str, str], str]:
    """What a text held here says in the phone's language of today."""
    if document is None:
        return None, {}, "the text is not kept any more"
    try:
        words = held_words(document)
        shown = words.shown(content.properties, words.group(push.locale, push.time_zone))
        payload, headers = payload_of(shown, push.platform, {})
    except (ValueError, FilledTooLargeError) as error:
        return None, {}, str(error) or "it comes to more than any push service takes"
    return _shown(payload), dict(headers), ""


def _shown(payload: bytes) -> str:
    text = payload.decode("utf-8", "replace")
    return text if len(text) <= _MAX_PAYLOAD else f"{text[:_MAX_PAYLOAD]}…"


class Restore(Model):
    """Since when devices were removed that are to come back; 30 days at most, as long as they are kept."""

    since: AwareDatetime


class Restored(Model):
    """How many registrations live again."""

    hub: str
    registrations: int


async def _restore(call: Call) -> Restored:
    asked: Restore = call.body
    name = hub_of(call)
    within = (datetime.now(UTC) - asked.since).total_seconds()
    if within <= 0:
        raise InvalidRequestError("since: it is in the future")
    restored = await call.management.hub.revive(name, within=within, actor=call.actor)
    return Restored(hub=name, registrations=restored)


OPERATIONS = (
    Operation(
        name="restoreDevices",
        method="POST",
        path="/hubs/{hub}/devices/restore",
        summary="Bring back devices that were removed, as a push service called their push channels dead.",
        run=_restore,
        answer=Restored,
        body=Restore,
        missing="there is no such hub",
        patience=600.0,
    ),
    Operation(
        name="receivedByDevice",
        method="GET",
        path="/hubs/{hub}/devices/{id}/received",
        summary="What a device was sent last, as it was sent, and what became of it.",
        run=_received,
        answer=ReceivedList,
        query=ReceivedQuery,
        missing="there is no such hub or device",
        patience=30.0,
    ),
    Operation(
        name="listDevices",
        method="GET",
        path="/hubs/{hub}/devices",
        summary="The devices that are registered at a hub, or those that a search by id, handle, user or tag finds.",
        run=_list,
        answer=Devices,
        query=DeviceQuery,
        missing="there is no such hub",
    ),
    Operation(
        name="showDevice",
        method="GET",
        path="/hubs/{hub}/devices/{id}",
        summary="One device, with its templates and registrations.",
        run=_show,
        answer=DeviceModel,
        missing="there is no such hub or device",
    ),
)
