"""Whom a try would reach, by the live registry, and with what templates; nothing in the registry is changed."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from bridge.admin.api.audience_preview import Preview, preview_of
from bridge.admin.api.operation import Management
from hub.delivery.audiences import counted_and_sampled, guarded_audiences
from hub.errors import InvalidRequestError, TagError
from hub.notification import EVERYONE, HeldText, NativeContent, Notification, Platform, TemplateContent
from hub.tags import parse

_SAMPLE: Final = 200
"""Registrations of one platform whose templates are looked at."""

_TEMPLATES: Final = 12

_ZONES: Final = 200


class Wanted(BaseModel):
    """An audience that a try asks for. It comes from a process that ran what somebody typed, so it is checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hub: str
    to: str | None = Field(max_length=65_536)
    platforms: list[str] | None
    native: str | None
    text: str | None = Field(max_length=65_536)


async def reached(management: Management, wanted: Wanted) -> tuple[Preview, Mapping[str, Any]]:
    """Whom it reaches now, and of some of them the templates and time zones, the most frequent first.

    Raises: InvalidRequestError: what was asked for is none of this hub; StoreError.
    """
    notification = _notification(management, wanted)
    store = management.hub.store
    guard = management.settings.hubs[notification.hub].guard
    guards = {notification.hub: guard} if guard else {}
    (audience,) = await guarded_audiences(store, [notification], guards)
    counts, sample = await counted_and_sampled(store, notification.hub, audience, most=_SAMPLE)
    alike = Counter((target.platform, target.template) for target in sample[: _SAMPLE * 10]).most_common(_TEMPLATES)
    stored = await store.templates(sorted({template for (_, template), _ in alike if template is not None}))
    templates = [
        {
            "platform": platform.value,
            "registrations": count,
            "template": None
            if template is None
            else {
                "body": stored[template].body,
                "headers": dict(stored[template].headers),
                "expiry": stored[template].expiry,
            },
        }
        for (platform, template), count in alike
        if template is None or template in stored
    ]
    zones = Counter((target.platform.value, target.time_zone) for target in sample).most_common(_ZONES)
    found = {"pushes": sum(counts.values()), "templates": templates, "zones": [[*each, count] for each, count in zones]}
    return await preview_of(management, notification, confirm=None), found


def _notification(management: Management, wanted: Wanted) -> Notification:
    """Raises: InvalidRequestError."""
    hub = management.settings.hubs.get(wanted.hub)
    if hub is None or hub.is_remote:
        raise InvalidRequestError(f"the hub {wanted.hub[:100]!r} is not in force yet: reload the configuration first")
    try:
        audience = EVERYONE if wanted.to is None else parse(wanted.to, max_tags=hub.limits.max_tags)
        native = None if wanted.native is None else Platform(wanted.native)
        platforms = None if wanted.platforms is None else frozenset(map(Platform, wanted.platforms))
    except (TagError, ValueError) as error:
        raise InvalidRequestError(f"a try asked for an audience that there is not: {error}") from error
    return Notification(
        id="0" * 32,
        hub=wanted.hub,
        audience=audience,
        content=_content(native, wanted.text),
        platforms=platforms,
    )


def _content(native: Platform | None, text: str | None) -> TemplateContent | NativeContent:
    """Content of the kind that is asked for: the audience goes by the kind alone."""
    if native is not None:
        return NativeContent(platform=native, payload=b"{}")
    return TemplateContent(properties={}, text=None if text is None else HeldText.of(text, b"{}"))
