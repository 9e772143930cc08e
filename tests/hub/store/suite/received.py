"""What stores know of the last pushes of a phone."""

from dataclasses import replace

import pytest
from pyroaring import BitMap

from hub.errors import NotFoundError
from hub.installation import Template
from hub.notification import NativeContent, Platform
from hub.outcome import DeviceAnswer, OutcomeName
from hub.store.contracts.outbox import Audience, Failed, PageResult
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import GREETING, HUB, installation, notification
from tests.hub.store.suite.harness import Suite, begin, take_pages, went_well


class Received(Suite):
    async def test_the_last_pushes_of_a_phone_are_known_with_the_template_of_then(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        ann, bob = installation("ann", "news"), installation("bob", "sports")
        await store.put_installations(HUB, [ann, bob])
        sent = [notification("news"), notification("sports"), notification("news")]
        for number, one in enumerate(sent):
            (work,) = await begin(store, one)
            (audience,) = await store.audiences([one])
            clock.advance(10)
            await store.record([replace(went_well(work), ordinals=ordinals_of(audience), started_at=clock())])
            if number == 1:
                clock.advance(10)
                changed = Template(body=GREETING.body.replace("title", "subtitle"))
                await store.put_installations(HUB, [replace(ann, templates={"greeting": changed})])
        found = await store.received(HUB, "ann", most=10)
        assert [(each.notification.id, each.answer, each.template) for each in found.pushes] == [
            (sent[2].id, DeviceAnswer.DELIVERED, "greeting"),
            (sent[0].id, DeviceAnswer.DELIVERED, "greeting"),
        ]
        assert found.is_whole
        templates = await store.templates([each.template_id for each in found.pushes if each.template_id is not None])
        bodies = [templates[each.template_id or 0].body for each in found.pushes]
        assert bodies == [changed.body, GREETING.body]
        assert len((await store.received(HUB, "ann", most=1)).pushes) == 1
        with pytest.raises(NotFoundError):
            await store.received(HUB, "none", most=1)
        with pytest.raises(NotFoundError):
            await store.received("another", "ann", most=1)

    async def test_pushes_of_a_broadcast_and_those_that_failed_are_among_them(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation(f"p{number:04}", templates=False) for number in range(1001)])
        one = notification(content=NativeContent(platform=Platform.FCM, payload=b"{}"))
        (work,) = await begin(store, one)
        (audience,) = await store.audiences([one])
        await store.expand(work, audience)
        for page in await take_pages(store):
            ordinals = page.ordinals
            assert ordinals is not None
            failed = Failed(ordinal=ordinals[0], outcome=OutcomeName.BAD_CHANNEL, reason="no such phone")
            counts = {Platform.FCM: {OutcomeName.SUCCESS: len(ordinals) - 1, OutcomeName.BAD_CHANNEL: 1}}
            await store.record([PageResult(work=page, counts=counts, failures=[failed])])
        for name, answer, outcome in (
            ("p0000", DeviceAnswer.FAILED, "BadChannel"),
            ("p0001", DeviceAnswer.DELIVERED, ""),
        ):
            (push,) = (await store.received(HUB, name, most=5)).pushes
            assert (push.notification.id, push.answer, push.outcome) == (one.id, answer, outcome)


def ordinals_of(audience: Audience) -> BitMap:
    return BitMap([target.ordinal for target in audience.targets])
