"""Who is registered at a hub."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from bridge.admin.api.operation import (
    Call,
    Model,
    Operation,
    Paged,
    cursor_of,
    hub_named,
    instant,
    known,
    moment,
    place_in,
)
from bridge.observe.redaction import fingerprint
from hub.errors import InvalidRequestError, NotFoundError, TagError
from hub.store.contracts.registry import Device
from hub.tags import And, MaxTags, Tag, TagExpression, parse, user_tag

_LIST = "devices"
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


class Devices(Model):
    """By id; with a user or tag, the first registered first. A part may hold few, or none, and have a next one."""

    items: list[DeviceSummary]
    next: str | None


class DeviceQuery(Paged):
    """Which devices; without a user or tag all of them, also those whose push channel is dead."""

    user: Annotated[str, Field(max_length=256, description="The user's id.")] = ""
    tag: Annotated[str, Field(max_length=4096, description="A tag, or an expression of tags.")] = ""


def local_hub(call: Call) -> str:
    """The hub of the path, which is here. Raises: NotFoundError, InvalidRequestError."""
    settings = call.management.settings
    name = hub_named(call.management, call.path["hub"])
    if name is None:
        raise NotFoundError(f"there is no hub {call.path['hub'][:100]!r}; there are {known(list(settings.hubs))}")
    if settings.hubs[name].remote is not None:
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


async def _list(call: Call) -> Devices:
    query: DeviceQuery = call.query
    hub = local_hub(call)
    name = "/".join((_LIST, hub, query.user, query.tag))  # a place in one list is none in another
    chosen: list[TagExpression] = ([Tag(user_tag(query.user))] if query.user else []) + (
        [tags_of(query.tag, what="tag")] if query.tag else []
    )
    page = await call.management.hub.store.devices(
        hub,
        audience=None if not chosen else chosen[0] if len(chosen) == 1 else And(tuple(chosen)),
        after=place_in(name, query.cursor),
        limit=query.limit,
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


OPERATIONS = (
    Operation(
        name="listDevices",
        method="GET",
        path="/hubs/{hub}/devices",
        summary="The devices that are registered at a hub, of one user or with certain tags if asked.",
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
