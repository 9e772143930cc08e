"""A device in the trace of an event: which hubs have it, and what became of a notification for its registrations."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import orjson

from bridge.admin.api.operation import Management, Model, hub_named, moment
from bridge.admin.api.phone_reports import ReportModel, report_models
from hub.content.templates import compile_template
from hub.errors import FilledTooLargeError, NotFoundError, TemplateError
from hub.installation import Installation
from hub.outcome import DeviceAnswer
from hub.store.contracts.telemetry import KeptNotification, TracedRegistration
from hub.tags import TagExpression

_SENT = (DeviceAnswer.DELIVERED, DeviceAnswer.FAILED, DeviceAnswer.WAITING, DeviceAnswer.UNDER_WAY)


class RegistrationTrace(Model):
    """What became of a notification for one registration of the device, in words by `meaning`.

    `missing` are the properties, in lower case, that its template reads today and the notification has not: they are empty
    on the screen.
    """

    template: str | None
    platform: str
    answer: str
    meaning: str
    outcome: str
    reason: str
    at: datetime | None
    due_at: datetime | None
    attempt: int
    unmet: str
    missing: list[str]
    reports: list[ReportModel]


class DeviceTrace(Model):
    """The device that was asked for: the hubs here that have it, and the remote hubs, whose devices are not known here."""

    id: str
    hubs: list[str]
    remote_hubs: list[str]


async def device_of(management: Management, device: str) -> DeviceTrace | None:
    """None where none was asked for."""
    if not device:
        return None
    hubs = management.settings.hubs
    return DeviceTrace(
        id=device,
        hubs=await hubs_with(management, device),
        remote_hubs=[name for name, hub in hubs.items() if hub.is_remote],
    )


async def registrations_of(management: Management, kept: KeptNotification, device: str) -> list[RegistrationTrace]:
    """What became of a notification for each registration of a device; empty where the hub has no such device."""
    traced = await management.hub.store.trace(kept.id, device, only_to=only_to_of(management, kept.hub))
    missing: Mapping[str, Sequence[str]] = {}
    if kept.format == "template" and any(each.answer in _SENT for each in traced):
        with suppress(NotFoundError):  # one of the two was deleted this moment
            installation = await management.hub.store.get_installation(kept.hub, device)
            details = await management.hub.store.details(kept.hub, kept.id)
            missing = _missing(installation, orjson.loads(details.body))
    now = management.hub.store.now()
    return [
        _registration(each, missing.get(each.template or "", ()) if each.answer in _SENT else (), now=now)
        for each in traced
    ]


def only_to_of(management: Management, hub: str) -> TagExpression | None:
    """What the audiences of a hub are joined with now."""
    name = hub_named(management, hub)
    return None if name is None else management.settings.hubs[name].guard.only_to


def _missing(installation: Installation, properties: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """By the name of a template, the properties that it reads and that are nowhere."""
    found = {}
    for name, template in installation.templates.items():
        with suppress(FilledTooLargeError, TemplateError):  # the push's own outcome says so
            compiled = compile_template(template, installation.platform)
            found[name] = sorted(compiled.render(properties, installation.push_variables).missing)
    return found


async def hubs_with(management: Management, device: str) -> list[str]:
    """Hubs kept here that have a device of this id; none of a device that is in no hub."""
    found = []
    for name, hub in management.settings.hubs.items():
        if not hub.is_remote or hub.is_mirrored:
            with suppress(NotFoundError):
                await management.hub.store.device(name, device)
                found.append(name)
    return found


def _registration(traced: TracedRegistration, missing: Sequence[str], *, now: float) -> RegistrationTrace:
    """`due_at` is a time to come: what waits for its push service has kept its old place."""
    return RegistrationTrace(
        template=traced.template,
        platform=traced.platform.value,
        answer=traced.answer.value,
        meaning=traced.answer.meaning,
        outcome=traced.outcome,
        reason=traced.reason,
        at=moment(traced.at),
        due_at=moment(traced.due_at) if traced.due_at is not None and traced.due_at > now else None,
        attempt=traced.attempt,
        unmet=traced.unmet,
        missing=list(missing),
        reports=report_models(traced.reports),
    )
