"""Why a device got a notification, or did not: from what is kept of both."""

from dataclasses import replace
from typing import Any

import pytest
from pyroaring import BitMap

from hub.errors import NotFoundError
from hub.installation import Installation
from hub.notification import NativeContent, Notification, Platform
from hub.outcome import DeviceAnswer, OutcomeName
from hub.store.contracts.outbox import Failed, PageResult, RetryPage, Work
from hub.store.contracts.telemetry import TracedRegistration
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.harness import Suite, begin


async def template_of(store: SqlStore, one: Notification, device: str) -> TracedRegistration:
    """What became of it for the template registration of a device."""
    (found,) = [each for each in await store.trace(one.id, device) if each.template is not None]
    return found


async def started(
    store: SqlStore, *devices: Installation, audience: str = "news", **changes: Any
) -> tuple[Work, BitMap]:
    """A notification in hand, and whom it is for."""
    await store.put_installations(HUB, devices)
    (work,) = await begin(store, notification(audience, **changes))
    (found,) = await store.audiences([work.notification])
    return work, BitMap([target.ordinal for target in found.targets])


class Tracing(Suite):
    async def test_a_push_that_went_well_failed_or_waits_is_said_of_its_registration(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        work, ordinals = await started(store, *(installation(name, "news") for name in "abc"))
        _, failed, waits = ordinals
        failure = Failed(ordinal=failed, outcome=OutcomeName.BAD_CHANNEL, reason="BadDeviceToken")
        retry = RetryPage(platform=Platform.FCM, ordinals=BitMap([waits]), delay=30, attempt=1)
        counts = {Platform.FCM: {OutcomeName.SUCCESS: 1, OutcomeName.BAD_CHANNEL: 1}}
        await store.record(
            [PageResult(work=work, counts=counts, ordinals=ordinals, done=3, failures=[failure], retries=[retry])]
        )
        answers = {name: await template_of(store, work.notification, name) for name in "abc"}
        assert [answers[name].answer for name in "abc"] == [
            DeviceAnswer.DELIVERED,
            DeviceAnswer.FAILED,
            DeviceAnswer.WAITING,
        ]
        assert (answers["b"].outcome, answers["b"].reason, answers["b"].at) == ("BadChannel", "BadDeviceToken", clock())
        assert (answers["c"].due_at, answers["c"].attempt) == (clock() + 30, 1)

    async def test_what_found_every_breaker_open_waits_until_it_is_due_again(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        work, _ = await started(store, installation("a", "news"))
        await store.postpone([work], delay=30)
        answer = await template_of(store, work.notification, "a")
        assert (answer.answer, answer.due_at) == (DeviceAnswer.WAITING, clock() + 30)
        other, _ = await started(store, installation("b", "other"), audience="other")
        await store.postpone([other], delay=0, service=(HUB, Platform.FCM))
        answer = await template_of(store, other.notification, "b")
        assert (answer.answer, answer.due_at) == (DeviceAnswer.WAITING, None)

    async def test_who_is_not_in_the_audience_is_told_why(self, store: SqlStore, clock: HostClock) -> None:
        work, ordinals = await started(
            store,
            installation("in", "news"),
            installation("vip", "news", "vip"),
            installation("bare", "news", templates=False),
            installation("apple", "news", platform=Platform.APNS),
            audience="news && !vip",
            platforms=frozenset([Platform.FCM]),
        )
        result = PageResult(work=work, counts={}, ordinals=ordinals, done=len(ordinals), started_at=clock())
        await store.record([result])
        clock.advance(5)
        await store.put_installations(HUB, [installation("late", "news")])
        for name, answer, unmet in (
            ("in", DeviceAnswer.DELIVERED, ""),
            ("vip", DeviceAnswer.TAGS, "!vip"),
            ("apple", DeviceAnswer.OTHER_PLATFORM, ""),
            ("late", DeviceAnswer.CHANGED_SINCE, ""),
        ):
            traced = await template_of(store, work.notification, name)
            assert (traced.answer, traced.unmet) == (answer, unmet), name
        (bare,) = await store.trace(work.notification.id, "bare")
        assert bare.answer is DeviceAnswer.NO_TEMPLATE
        assert not await store.trace(work.notification.id, "none")
        with pytest.raises(NotFoundError):
            await store.trace("0" * 32, "in")

    async def test_a_native_payload_is_for_native_registrations(self, store: SqlStore) -> None:
        work, ordinals = await started(
            store, installation("a", "news"), content=NativeContent(platform=Platform.FCM, payload=b"{}")
        )
        await store.record([PageResult(work=work, counts={}, ordinals=ordinals, done=len(ordinals))])
        native, template = await store.trace(work.notification.id, "a")
        assert (native.answer, template.answer) == (DeviceAnswer.DELIVERED, DeviceAnswer.TEMPLATE)

    async def test_before_the_audience_is_found_nothing_is_claimed(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("a", "news")])
        (work,) = await begin(store, notification("news"))
        assert (await template_of(store, work.notification, "a")).answer is DeviceAnswer.UNDER_WAY

    async def test_a_dead_push_channel_is_named_with_its_reason(self, store: SqlStore, clock: HostClock) -> None:
        work, ordinals = await started(store, installation("a", "news"))
        failure = Failed(ordinal=ordinals[0], outcome=OutcomeName.EXPIRED_CHANNEL, reason="Unregistered", gone=True)
        counts = {Platform.FCM: {OutcomeName.EXPIRED_CHANNEL: 1}}
        await store.record([PageResult(work=work, counts=counts, ordinals=ordinals, done=1, failures=[failure])])
        clock.advance(1)
        (later,) = await begin(store, replace(notification("news")))
        await store.record([PageResult(work=later, counts={})])
        traced = await template_of(store, later.notification, "a")
        assert (traced.answer, traced.reason) == (DeviceAnswer.DEAD, "Unregistered")
