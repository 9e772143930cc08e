"""Broadcast channels: made at a push service, and kept as devices whose tags rules send to."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from bridge.admin.api.operation import Call, Model, NoQuery, Operation, hub_of
from hub.acceptance import AuditEntry
from hub.errors import InvalidRequestError, NotFoundError, PreconditionError
from hub.notification import Platform
from hub.platforms.table import traits_of
from hub.platforms.traits import BroadcastChannels, ChannelError
from hub.registry.documents import installation_from_document
from hub.store.contracts.registry import Device, DeviceSearch
from hub.tags import Tag

TAG = "broadcast-channel"
"""What every channel is tagged with, beside its own tags."""

_PART = 500
_PATIENCE = 60.0


class ChannelModel(Model):
    """A channel. `state` is `ok`, `missing` for one that its service does not have any more, `unknown` for one that it has
    and this hub has not. `push_channel` holds the id that apps subscribe with.
    """

    id: str | None
    platform: str
    push_channel: str
    tags: list[str]
    state: str


class Channels(Model):
    """The channels here and at the service; it has `used` of the `most` that it lets an app have."""

    items: list[ChannelModel]
    used: int
    most: int


class NewChannel(Model):
    """A channel to be made. With `stored` the service keeps the newest message for who subscribes later.

    With `push_channel` none is made: the hub takes over one that the service has, and that is unknown here.
    """

    id: Annotated[str, Field(min_length=1, max_length=100)]
    tags: Annotated[list[str], Field(default_factory=list)]
    stored: bool = False
    push_channel: Annotated[str, Field(max_length=500)] = ""


class Deleted(Model):
    """What is not there any more, here and at the service."""

    id: str


def _service(call: Call) -> tuple[str, Platform, BroadcastChannels]:
    """The hub, the platform that has channels, and its service. Raises: NotFoundError, InvalidRequestError."""
    name = hub_of(call)
    for platform, settings in call.management.settings.hubs[name].platforms.settings.items():
        channels = traits_of(platform).broadcast_channels(settings.for_hub(name))
        if channels is not None:
            return name, platform, channels
    raise InvalidRequestError(f"the hub {name} has no credential for a push service with broadcast channels")


async def _list(call: Call) -> Channels:
    name, platform, service = _service(call)
    here = await _devices(call, name)
    there = await _all(service)
    items = [
        _model(device, "ok" if device.installation.push_channel in there else "missing") for device in here.values()
    ]
    items += [
        ChannelModel(id=None, platform=platform.value, push_channel=each, tags=[], state="unknown")
        for each in sorted(there - here.keys())
    ]
    return Channels(items=items, used=len(there), most=service.most)


async def _all(service: BroadcastChannels) -> set[str]:
    """The push channels of those that the service has. Raises: InvalidRequestError: it does not say."""
    try:
        return set(await service.all())
    except ChannelError as error:
        raise InvalidRequestError(f"the push service: {error}") from error


async def _devices(call: Call, hub: str) -> Mapping[str, Device]:
    found: dict[str, Device] = {}
    after = ""
    while True:
        page = await call.management.hub.store.devices(hub, DeviceSearch(audience=Tag(TAG)), after=after, limit=_PART)
        found |= {device.installation.push_channel: device for device in page.items if _is_channel(device)}
        if not (after := page.next):
            return found


def _is_channel(device: Device) -> bool:
    """Any phone may take the tag; what tells a channel is its push channel, which needs the right Manage."""
    own = device.installation
    return traits_of(own.platform).is_broadcast(own.push_channel)


def _model(device: Device, state: str) -> ChannelModel:
    own = device.installation
    tags = [tag for tag in own.tags if tag != TAG]
    return ChannelModel(id=own.id, platform=own.platform.value, push_channel=own.push_channel, tags=tags, state=state)


async def _create(call: Call) -> ChannelModel:
    """Apple makes the channel before the store keeps it: a device whose channel is missing would be worse."""
    asked: NewChannel = call.body
    name, platform, service = _service(call)
    sample = {"platform": platform.value, "pushChannel": traits_of(platform).sample_push_channel(asked.id)}
    checked = installation_from_document(asked.id, {**sample, "tags": [TAG, *asked.tags]})
    if asked.push_channel:
        push_channel = await _unknown(call, name, service, asked)
    else:
        try:
            push_channel = await service.create(stored=asked.stored)
        except ChannelError as error:
            raise InvalidRequestError(f"the push service: {error}") from error
    try:
        await call.management.hub.add_installation(name, replace(checked, push_channel=push_channel))
    except Exception as error:
        if not asked.push_channel:
            await _forget(service, push_channel)
        if isinstance(error, PreconditionError):
            raise InvalidRequestError(f"id: a device {asked.id!r} exists") from error
        raise
    await _note(call, "channels.adopt" if asked.push_channel else "channels.create", name, asked.id)
    return ChannelModel(
        id=asked.id, platform=platform.value, push_channel=push_channel, tags=list(asked.tags), state="ok"
    )


async def _unknown(call: Call, hub: str, service: BroadcastChannels, asked: NewChannel) -> str:
    """The push channel that is taken over. Raises: InvalidRequestError: the service has none such, or a device has it."""
    if asked.stored:
        raise InvalidRequestError("stored: the channel exists, and keeps what it was made to keep")
    if asked.push_channel not in await _all(service):
        raise InvalidRequestError(f"push_channel: the push service has no channel {asked.push_channel!r}")
    if (device := (await _devices(call, hub)).get(asked.push_channel)) is not None:
        raise InvalidRequestError(f"push_channel: the device {device.installation.id!r} has it")
    return asked.push_channel


async def _note(call: Call, action: str, hub: str, id: str) -> None:
    await call.management.hub.store.add_audit(AuditEntry(actor=call.actor, action=action, target=hub, detail=id))


async def _forget(service: BroadcastChannels, push_channel: str) -> None:
    """A channel that the hub does not keep; where that fails too, the list names it."""
    try:
        await service.delete(push_channel)
    except ChannelError:
        return


async def _delete(call: Call) -> Deleted:
    name, _, service = _service(call)
    device = await call.management.hub.store.device(name, call.path["id"])
    if not _is_channel(device):
        raise NotFoundError(f"{call.path['id'][:100]!r} is no broadcast channel")
    try:
        await service.delete(device.installation.push_channel)
    except ChannelError as error:
        raise InvalidRequestError(f"the push service: {error}") from error
    await call.management.hub.delete_installation(name, device.installation.id)
    await _note(call, "channels.delete", name, device.installation.id)
    return Deleted(id=device.installation.id)


def _operation(
    name: str, method: str, path: str, summary: str, run: Any, answer: type[Model], **more: Any
) -> Operation:
    return Operation(
        name=name, method=method, path=path, summary=summary, run=run, answer=answer, missing="there is no such hub",
        patience=_PATIENCE, **more,
    )  # fmt: skip


OPERATIONS = (
    _operation(
        "listChannels",
        "GET",
        "/hubs/{hub}/channels",
        "The broadcast channels of a hub, here and at the push service.",
        _list,
        Channels,
        query=NoQuery,
    ),
    _operation(
        "createChannel",
        "POST",
        "/hubs/{hub}/channels",
        "Make a broadcast channel at the push service, or take over one that it has, and keep it with tags.",
        _create,
        ChannelModel,
        body=NewChannel,
        status=201,
    ),
    _operation(
        "deleteChannel",
        "POST",
        "/hubs/{hub}/channels/{id}/delete",
        "Delete a broadcast channel here and at the push service, for good.",
        _delete,
        Deleted,
    ),
)
