"""Whom a notification would reach now, exactly, and what the others lack: before a send, and of one that reached nobody."""

from collections.abc import Mapping

from bridge.admin.api.operation import Management, Model
from bridge.config.models.hubs import HubSettings
from bridge.counts import how_many
from bridge.observe.redaction import fingerprint
from hub.guards import guarded
from hub.notification import Notification, Platform
from hub.outcome import Unreached
from hub.store.contracts.registry import AudiencePreview, SampledRegistration
from hub.tags import is_direct

_SHOWN = 3
_LISTED = 10
"""Tags without a registration that are named."""


class Sample(Model):
    """One registration of the audience. Ids of the device and of its user are masked, `push_channel` is a fingerprint."""

    platform: str
    device: str
    user: str
    template: str | None
    push_channel: str


class Preview(Model):
    """Whom the send would reach now. `counts` are the pushes by platform, `total` their sum; `skipped` registrations name a
    push channel that has its push already.

    Of phones that match and get nothing: `without_template` by platform (null: too many to say), `other_platforms`, and
    registrations that are `gone` or that `only_to` has `left_out`. `without_credential` are pushes of `counts` that no
    sender can send. `tags` counts the registrations that carry each tag. `reasons` says all of it in words.

    With `confirm` the send needs a confirmation of so many. `unreached` says why it would reach nobody.
    """

    hub: str
    audience: str
    only_to: str
    total: int
    counts: dict[str, int]
    skipped: dict[str, int]
    samples: list[Sample]
    without_template: dict[str, int] | None
    without_credential: dict[str, int]
    other_platforms: dict[str, int]
    left_out: int
    gone: int
    tags: dict[str, int]
    reasons: list[str]
    confirm: int | None
    unreached: str
    unreached_meaning: str


async def preview_of(management: Management, notification: Notification, *, confirm: int | None) -> Preview:
    """Of a notification for a hub that is here. Raises: StoreError."""
    settings = management.settings.hubs[notification.hub]
    found = await _found(management, notification, settings)
    why = found.unreached
    return Preview(
        hub=notification.hub,
        audience=str(notification.audience),
        only_to=settings.only_to or "",
        total=sum(found.counts.values()),
        counts=_named(found.counts),
        skipped=_named(found.skipped),
        samples=[_sample(each) for each in found.samples],
        without_template=None if found.without_template is None else _named(found.without_template),
        without_credential=_named(_without_credential(found.counts, settings)),
        other_platforms=_named(found.other_platforms),
        left_out=found.left_out,
        gone=found.gone,
        tags=dict(found.tags),
        reasons=_reasons(found, settings),
        confirm=confirm,
        unreached="" if why is None else why.value,
        unreached_meaning="" if why is None else why.meaning,
    )


async def reasons_of(management: Management, notification_id: str) -> list[str]:
    """Why a notification that ended reached nobody, by what is registered now. Raises: NotFoundError, StoreError."""
    notification = await management.hub.store.sent(notification_id)
    settings = management.settings.hubs.get(notification.hub)
    if settings is None or settings.is_remote or is_direct(notification.audience):
        return []
    found = await _found(management, notification, settings)
    reasons = _reasons(found, settings)
    if total := sum(found.counts.values()):
        reasons.append(f"now it would reach {how_many(total, 'registration')}: {_by_platform(found.counts)}")
    return reasons


async def _found(management: Management, notification: Notification, settings: HubSettings) -> AudiencePreview:
    guards = {notification.hub: settings.guard}
    return await management.hub.store.preview(notification, guarded(notification, guards))


def _reasons(found: AudiencePreview, settings: HubSettings) -> list[str]:
    """What phones lack, in words."""
    said = [f"no registration carries the tag {tag}" for tag, count in found.tags.items() if not count][:_LISTED]
    if found.unreached is Unreached.NO_REGISTRATION:
        said.append(Unreached.NO_REGISTRATION.meaning)
    if found.unreached is Unreached.NO_TAG and all(found.tags.values()):
        said.append("each tag is carried, and no registration matches the whole expression")
    if found.left_out:
        said.append(f"only_to ({settings.only_to}) leaves out {how_many(found.left_out, 'registration')}")
    if lacking := found.without_template:
        said.append(f"phones match and have no template: {_by_platform(lacking)}")
    if found.unreached is Unreached.NO_NATIVE:
        said.append(Unreached.NO_NATIVE.meaning)
    if found.other_platforms:
        said.append(f"phones match, of platforms that it is not for: {_by_platform(found.other_platforms)}")
    if found.gone:
        said.append(f"{how_many(found.gone, 'registration')} have expired, or their push channels are dead")
    if lacking := _without_credential(found.counts, settings):
        said.append(f"the hub has no credential, so these pushes end as InvalidCredentials: {_by_platform(lacking)}")
    return said


def _without_credential(counts: Mapping[Platform, int], settings: HubSettings) -> dict[Platform, int]:
    having = settings.platforms.configured
    return {platform: count for platform, count in counts.items() if platform not in having}


def _by_platform(counts: Mapping[Platform, int]) -> str:
    return ", ".join(f"{platform.value} {count}" for platform, count in counts.items())


def _named(counts: Mapping[Platform, int]) -> dict[str, int]:
    return {platform.value: count for platform, count in counts.items()}


def _sample(sampled: SampledRegistration) -> Sample:
    return Sample(
        platform=sampled.platform.value,
        device=masked(sampled.device),
        user=masked(sampled.user_id or ""),
        template=sampled.template,
        push_channel=fingerprint(sampled.push_channel),
    )


def masked(text: str) -> str:
    """An id of a person's, of which its first letters are shown: enough to find one's own phone."""
    return f"{text[: min(_SHOWN, len(text) // 2)]}…" if text else ""
