"""Test sends: to a few registrations at once, with what the push service said of each as the answer.

Nothing of the notification is stored and nothing is tried again: who asks sees the answer. A push channel that is dead is
marked so by who asked, as after any other send. What is sent goes through the same bulkheads as all
other pushes, so an open breaker keeps it back too.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pyroaring import BitMap

from hub.content.rendering import RenderedPage, Rendering
from hub.delivery.audiences import channels_within, guarded_audiences
from hub.delivery.bulkhead import Bulkhead
from hub.delivery.pushing import NO_CREDENTIAL
from hub.guards import Guards, only_to
from hub.notification import NativeContent, Notification, Platform
from hub.outcome import OutcomeName, Reaction
from hub.push import PushPage, SendResult
from hub.store.contracts.outbox import Audience, Service
from hub.store.contracts.store import Store
from hub.target import Target
from hub.work import Lane

MOST = 10
"""Registrations that a test send reaches (Notification Hubs, "Test send")."""

_EXCLUDED = "only_to: no registration of the push channel is one that the hub's only_to lets be reached"
_NOT_SENT = "not sent: the push service's breaker is open"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """What became of one push of a test; `template` is the id of the registration's template, None for a native one."""

    __test__ = False  # pytest takes classes of such names for its own

    platform: Platform
    push_channel: str
    template: int | None
    outcome: OutcomeName
    reason: str = ""
    is_gone: bool = False
    gone_since: float | None = None


async def probe(
    notification: Notification,
    store: Store,
    bulkheads: Mapping[Service, Bulkhead[PushPage]],
    guards: Guards,
    *,
    push_channel: str = "",
) -> Sequence[TestResult]:
    """Send to the first `MOST` registrations of the audience, or to `push_channel` alone; what was said of each.

    Raises: StoreError.
    """
    if push_channel and await _is_excluded(notification, store, guards, push_channel):
        return [_result(_direct(notification, push_channel), OutcomeName.NO_TARGETS, _EXCLUDED)]
    targets = [_direct(notification, push_channel)] if push_channel else await _first(notification, store, guards)
    rendering = Rendering(store)
    await rendering.prepare(targets)
    pushes = rendering.pages(notification, targets)
    results = [_result(target, said.outcome, said.reason) for target, said in pushes.unsendable]
    sends = [_send(page, bulkheads.get((notification.hub, platform))) for platform, page in pushes.pages.items()]
    for answered in await asyncio.gather(*sends):
        results += answered
    return results


def _direct(notification: Notification, push_channel: str) -> Target:
    assert isinstance(notification.content, NativeContent)
    return Target(0, notification.content.platform, push_channel, None, None, 0.0)


async def _is_excluded(notification: Notification, store: Store, guards: Guards, push_channel: str) -> bool:
    expression = only_to(notification, guards)
    if expression is None:
        return False
    assert isinstance(notification.content, NativeContent)
    channels = [(notification.content.platform, push_channel)]
    return not await channels_within(store, notification.hub, channels, expression)


async def _first(notification: Notification, store: Store, guards: Guards) -> Sequence[Target]:
    (audience,) = await guarded_audiences(store, [notification], guards)
    if audience.targets:
        return audience.targets[:MOST]
    ordinals = _first_ordinals(audience)
    return await store.targets(notification.hub, ordinals) if ordinals else ()


def _first_ordinals(audience: Audience) -> BitMap:
    """Of each platform as many as of the others, where there are enough."""
    first: dict[Platform, BitMap] = {}
    for platform, ordinals in audience.pages:
        first.setdefault(platform, ordinals[:MOST])
    chosen: list[int] = []
    for rank in range(MOST):
        chosen += [ordinals[rank] for ordinals in first.values() if rank < len(ordinals)]
    return BitMap(chosen[:MOST])


async def _send(rendered: RenderedPage, bulkhead: Bulkhead[PushPage] | None) -> list[TestResult]:
    if bulkhead is None:
        return [_result(target, OutcomeName.INVALID_CREDENTIALS, NO_CREDENTIAL) for target in rendered.targets]
    size = len(rendered.targets)
    admitted = bulkhead.admit(Lane.SINGLE, size)
    results = [_result(target, OutcomeName.PNS_UNAVAILABLE, _NOT_SENT) for target in rendered.targets[admitted:]]
    if not admitted:
        return results
    verdict = await bulkhead.send(Lane.SINGLE, rendered.page.select(range(admitted)), size=1)
    for position, target in enumerate(rendered.targets[:admitted]):
        said = verdict.exceptions.get(position)
        results.append(_result(target, OutcomeName.SUCCESS) if said is None else _answered(target, said))
    return results


def _answered(target: Target, said: SendResult) -> TestResult:
    """A doubtful word about a push channel, which may be a mistake of the configuration, ends no registration."""
    return replace(
        _result(target, said.outcome, said.reason),
        is_gone=said.reaction is Reaction.GONE and not said.suspect,
        gone_since=None if said.gone_since is None else said.gone_since.timestamp(),
    )


def _result(target: Target, outcome: OutcomeName, reason: str = "") -> TestResult:
    return TestResult(
        platform=target.platform,
        push_channel=target.push_channel,
        template=target.template,
        outcome=outcome,
        reason=reason,
    )
