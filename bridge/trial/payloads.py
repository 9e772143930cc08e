"""The requests that would leave for a notification: one for each template of its audience, made by the senders."""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bridge.config.models.hubs import HubSettings
from bridge.held_words import held_words
from bridge.senders import senders_of
from hub.content.rendering import Rendering, Templates
from hub.notification import Notification, Platform
from hub.platforms.base import Sender
from hub.platforms.shown import Shown
from hub.requests import Refused, RequestGroup
from hub.target import Target

TOKEN = "[access token]"  # noqa: S105
"""Stands in a request where the access token of its service would."""


NO_CREDENTIAL = "the hub has no credential for this platform"
"""Why no request can be made where the payload can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What registrations of a platform with one template would get; the request is that of the first of them.

    `refused` says why no request can be made; then there is none, but `body` is the payload where there is one.
    `is_ready` is whether the text could be made, so that only a credential is missing where there is no request.
    `missing` are properties that the template reads and that the notification has not. `push_channels` are of those of
    the sample that have the template. `shown` is what a text held here says to them.
    """

    platform: Platform
    push_channels: Sequence[str] = field(repr=False)
    is_ready: bool = False
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    refused: str = ""
    missing: Collection[str] = ()
    shown: Shown | None = None

    @property
    def registrations(self) -> int:
        """How many of the sample have the template."""
        return len(self.push_channels)


class Payloads:
    """Renders for targets and asks the senders for their requests; connects to nothing."""

    def __init__(self, hubs: Mapping[str, HubSettings], templates: Templates) -> None:
        self._senders: Mapping[tuple[str, Platform], Sender] = senders_of(hubs)
        self._missing: dict[Platform, Collection[str]] = {}
        self._rendering = Rendering(templates, on_missing=self._note_missing, renderer=held_words)

    async def of(self, notification: Notification, targets: Sequence[Target], *, most: int) -> list[Payload]:
        """Raises: StoreError."""
        await self._rendering.prepare([], [notification])
        alike: dict[Hashable, list[Target]] = {}
        for target in targets:
            alike.setdefault(self._rendering.group(notification, target), []).append(target)
        return [await self._payload(notification, members) for members in list(alike.values())[:most]]

    async def close(self) -> None:
        for sender in self._senders.values():
            await sender.close()

    async def _payload(self, notification: Notification, members: Sequence[Target]) -> Payload:
        first = members[0]
        await self._rendering.prepare([first])
        self._missing.clear()
        rendered = self._rendering.pages(notification, [first])
        payload = Payload(
            platform=first.platform,
            push_channels=[member.push_channel for member in members],
            missing=self._missing.get(first.platform, ()),
            shown=self._rendering.shown(notification, first),
        )
        if rendered.unsendable:
            return replace(payload, refused=rendered.unsendable[0][1].reason)
        sender = self._senders.get((notification.hub, first.platform))
        page = rendered.pages[first.platform].page
        if sender is None:
            (group, _), *_ = page.groups
            return replace(payload, is_ready=True, refused=NO_CREDENTIAL, body=group.payload)
        (request,) = sender.requests(page, token=TOKEN)
        if isinstance(request, Refused):
            return replace(payload, refused=request.result.reason)
        url, headers, body = _first(request)
        return replace(payload, is_ready=True, url=url, headers=headers, body=body)

    def _note_missing(self, _: Notification, platform: Platform, names: Iterable[str]) -> None:
        self._missing[platform] = sorted(names)


def _first(group: RequestGroup) -> tuple[str, Mapping[str, str], bytes]:
    """URL, headers and body of a group's first request."""
    lines = (line.decode().partition(": ") for line in group.headers)
    headers = {name: value for name, _, value in lines} | {group.id_name: group.ids[0]}
    if group.key_name and group.keys[0]:
        headers[group.key_name] = group.keys[0]
    return group.origin + group.path + next(iter(group.tails)), headers, next(iter(group.bodies))
