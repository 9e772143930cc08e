"""The hubs: who is registered at each now, by platform, and how its credentials fare."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from bridge.admin.api.operation import Call, Model, Operation, moment
from bridge.admin.api.status import MAX_DETAIL
from bridge.admin.health import REMOTE_HUB, Part, push_service_name
from bridge.config.models.hubs import HubSettings
from bridge.observe.recent import shown
from hub.notification import Platform
from hub.platforms.table import platforms


class Credential(Model):
    """How a push service takes the hub's credential: `state` is ok, or says what is wrong; `until` a breaker's end."""

    ok: bool
    state: str
    detail: str
    since: datetime | None
    until: datetime | None


class HubPlatform(Model):
    """One platform of a hub. `registrations` are those that can be reached now; without a `credential` they are not."""

    platform: str
    title: str
    registrations: int
    credential: Credential | None


class HubDetails(Model):
    """One hub: its guards, its platforms with a credential or a registration, and of a `remote` one how that hub answers.

    The phones of a remote hub are registered there: it has no platforms here.
    """

    name: str
    remote: Credential | None
    only_to: str
    confirm_above: int | None
    held: int
    by_token: bool
    """Whether phones register with their user's token."""
    mirror: Literal["local", "remote"] | None
    """For a hub that is kept the same as its remote: `local` while the remote sends, `remote` after the cut-over."""
    platforms: list[HubPlatform]


class HubList(Model):
    """In the order of the configuration."""

    items: list[HubDetails]


async def _list(call: Call) -> HubList:
    store, hubs = call.management.hub.store, call.management.settings.hubs
    registered, held = await store.registrations_by_platform(), await store.held()
    parts = {(part.kind, part.name): part for part in call.management.health()}
    return HubList(items=[_details(name, hub, registered, held.get(name, 0), parts) for name, hub in hubs.items()])


def _details(
    name: str,
    hub: HubSettings,
    registered: Mapping[tuple[str, Platform], int],
    held: int,
    parts: Mapping[tuple[str, str], Part],
) -> HubDetails:
    counts = {each: registered.get((name, each.platform), 0) for each in platforms()}
    having = hub.platforms.configured
    return HubDetails(
        name=name,
        remote=_credential(parts.get((REMOTE_HUB, name))) if hub.is_remote else None,
        only_to=hub.only_to or "",
        confirm_above=hub.limits.confirm_above,
        held=held,
        by_token=hub.registration is not None,
        mirror=hub.mirror,
        platforms=[
            HubPlatform(
                platform=each.platform.value,
                title=each.title,
                registrations=count,
                credential=_credential(parts.get(push_service_name(name, each.platform)))
                if each.platform in having
                else None,
            )
            for each, count in counts.items()
            if count or each.platform in having
        ],
    )


def _credential(part: Part | None) -> Credential:
    if part is None:  # no daemon runs, or the credential was configured this moment
        return Credential(ok=True, state="not known", detail="", since=None, until=None)
    return Credential(
        ok=part.ok,
        state=part.state,
        detail=shown(part.detail, MAX_DETAIL),
        since=moment(part.since),
        until=moment(part.until),
    )


OPERATIONS = (
    Operation(
        name="listHubs",
        method="GET",
        path="/hubs",
        summary="The hubs, with the registrations of each by platform now, and how its credentials fare.",
        run=_list,
        answer=HubList,
    ),
)
