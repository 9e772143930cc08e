"""How stores keep what became of work."""

from collections.abc import Mapping

import pytest
from pyroaring import BitMap

from hub.notification import Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.store.base import Audience, Failed, PageResult, RetryPage, Store
from tests.fakes.clock import FakeClock
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.harness import LEASE, Suite, lease, lease_pages, take, went_well

SUCCESS, SKIPPED, ABANDONED = OutcomeName.SUCCESS, OutcomeName.SKIPPED, OutcomeName.ABANDONED
GONE = OutcomeName.EXPIRED_CHANNEL


UNREACHED = [
    ({SUCCESS: 1}, {GONE: 1}, None),
    ({GONE: 1}, {SUCCESS: 1}, None),
    ({GONE: 1}, {OutcomeName.BAD_CHANNEL: 1}, Unreached.GONE),
    ({GONE: 1}, {}, Unreached.GONE),
    ({}, {}, Unreached.GONE),
    ({ABANDONED: 1}, {ABANDONED: 2}, Unreached.EXPIRED),
    ({OutcomeName.INVALID_CREDENTIALS: 1}, {}, Unreached.NO_CREDENTIAL),
    ({OutcomeName.INVALID_CREDENTIALS: 1}, {GONE: 1}, Unreached.REFUSED),
    ({OutcomeName.INVALID_NOTIFICATION_SIZE: 1}, {SKIPPED: 1}, Unreached.REFUSED),
]
"""Outcomes of two pages, and why the notification reached nobody."""


class Recording(Suite):
    async def test_a_notification_ends_with_its_counts_and_times(self, store: Store, clock: FakeClock) -> None:
        (work,) = await take(store, clock, notification("news"))
        accepted_at = clock()
        clock.advance(2)
        counts = {Platform.FCM: {SUCCESS: 2, SKIPPED: 1}, Platform.APNS: {SUCCESS: 1}}
        result = PageResult(work=work, counts=counts, ordinals=BitMap([1, 2, 3]), started_at=accepted_at + 1)
        recorded = await store.record([result])
        assert (recorded.ended, recorded.lost, recorded.gone) == ({(HUB, State.COMPLETED): 1}, 0, 0)
        details = await store.details(HUB, work.notification.id)
        assert details.state is State.COMPLETED
        assert details.counts == counts
        assert details.started_at is not None
        assert details.ended_at is not None
        assert details.enqueued_at.timestamp() == accepted_at
        assert details.started_at.timestamp() == accepted_at + 1
        assert details.ended_at.timestamp() == clock()
        assert await store.pending() == 0

    async def test_each_ends_in_the_state_its_counts_say(self, store: Store, clock: FakeClock) -> None:
        nobody, too_late, skipped = await take(store, clock, notification(), notification(), notification())
        recorded = await store.record(
            [
                PageResult(work=nobody, counts={}),
                PageResult(
                    work=too_late,
                    counts={Platform.FCM: {ABANDONED: 1}},
                    failures=[Failed(ordinal=1, outcome=ABANDONED, reason="expired")],
                ),
                PageResult(work=skipped, counts={Platform.FCM: {SKIPPED: 1}}),
            ]
        )
        assert recorded.ended == {
            (HUB, State.NO_TARGET_FOUND): 1,
            (HUB, State.ABANDONED): 1,
            (HUB, State.COMPLETED): 1,
        }
        assert (await store.details(HUB, too_late.notification.id)).state is State.ABANDONED

    async def test_a_retry_is_leased_at_its_time_with_its_registrations_and_attempt(
        self, store: Store, clock: FakeClock
    ) -> None:
        (work,) = await take(store, clock, notification())
        page = RetryPage(platform=Platform.FCM, ordinals=BitMap([2, 9]), due_at=clock() + 30, attempt=1)
        recorded = await store.record([PageResult(work=work, counts={Platform.FCM: {SUCCESS: 1}}, retries=[page])])
        assert not recorded.ended
        assert (await store.details(HUB, work.notification.id)).state is State.PROCESSING
        clock.advance(29)
        assert not await lease(store, clock)
        clock.advance(1)
        (retry,) = await lease(store, clock)
        assert (retry.platform, retry.ordinals, retry.attempt) == (Platform.FCM, BitMap([2, 9]), 1)
        assert (retry.seq, retry.notification) == (work.seq, work.notification)
        assert retry.accepted_at == work.accepted_at
        recorded = await store.record([went_well(retry, 2)])
        assert recorded.ended == {(HUB, State.COMPLETED): 1}
        assert (await store.details(HUB, work.notification.id)).counts == {Platform.FCM: {SUCCESS: 3}}

    async def test_a_retry_of_a_page_stays_in_the_broadcast_lane(self, store: Store, clock: FakeClock) -> None:
        (work,) = await take(store, clock, notification())
        await store.expand(work, Audience(pages=[(Platform.FCM, BitMap([1, 2]))]), started_at=clock())
        (page,) = await lease_pages(store, clock, HUB)
        retry = RetryPage(platform=Platform.FCM, ordinals=BitMap([2]), due_at=clock(), attempt=1)
        await store.record([PageResult(work=page, counts={Platform.FCM: {SUCCESS: 1}}, retries=[retry])])
        assert not await lease(store, clock)
        (again,) = await lease_pages(store, clock, HUB)
        assert (again.ordinals, again.attempt) == (BitMap([2]), 1)

    async def test_an_expanded_notification_ends_with_its_last_page_and_the_sum_of_all(
        self, store: Store, clock: FakeClock
    ) -> None:
        (work,) = await take(store, clock, notification())
        audience = Audience(
            pages=[(Platform.FCM, BitMap([1])), (Platform.FCM, BitMap([2])), (Platform.APNS, BitMap([3]))],
            skipped={Platform.APNS: BitMap([4, 5])},
        )
        await store.expand(work, audience, started_at=clock())
        assert await store.pending() == 3
        first, second, third = await lease_pages(store, clock, HUB, Platform.FCM, Platform.APNS)
        assert not (await store.record([went_well(first), went_well(second)])).ended
        assert (await store.details(HUB, work.notification.id)).state is State.PROCESSING
        assert (await store.record([went_well(third, platform=Platform.APNS)])).ended == {(HUB, State.COMPLETED): 1}
        details = await store.details(HUB, work.notification.id)
        assert details.counts == {Platform.FCM: {SUCCESS: 2}, Platform.APNS: {SKIPPED: 2, SUCCESS: 1}}

    @pytest.mark.parametrize(("first", "second", "why"), UNREACHED)
    async def test_a_notification_whose_last_page_reached_nobody_says_why_once(
        self,
        store: Store,
        clock: FakeClock,
        first: Mapping[OutcomeName, int],
        second: Mapping[OutcomeName, int],
        why: Unreached | None,
    ) -> None:
        (work,) = await take(store, clock, notification())
        audience = Audience(pages=[(Platform.FCM, BitMap([1])), (Platform.APNS, BitMap([2]))])
        await store.expand(work, audience, started_at=clock())
        one, other = await lease_pages(store, clock, HUB, Platform.FCM, Platform.APNS)
        recorded = await store.record([PageResult(work=one, counts={Platform.FCM: first})])
        assert recorded.unreached == []
        result = PageResult(work=other, counts={Platform.APNS: second})
        told = (await store.record([result])).unreached
        assert [(given.id, why) for given, why in told] == ([(work.notification.id, why)] if why else [])
        assert (await store.record([result])).unreached == []

    async def test_an_empty_audience_is_told_with_its_cause_unless_the_lease_was_lost(
        self, store: Store, clock: FakeClock
    ) -> None:
        (work,) = await take(store, clock, notification())
        result = PageResult(work=work, counts={}, nobody=Unreached.NO_TAG)
        recorded = await store.record([result, result])
        assert [(given.id, why) for given, why in recorded.unreached] == [(work.notification.id, Unreached.NO_TAG)]

    async def test_a_result_under_a_lost_lease_changes_nothing(self, store: Store, clock: FakeClock) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        (lost,) = await take(store, clock, notification("news"))
        ((target,),) = [audience.targets for audience in await store.audiences([lost.notification])]
        clock.advance(LEASE)
        await lease(store, clock)
        before = await store.details(HUB, lost.notification.id)
        recorded = await store.record(
            [
                PageResult(
                    work=lost,
                    counts={Platform.FCM: {GONE: 1}},
                    failures=[Failed(ordinal=target.ordinal, outcome=GONE, reason="Unregistered", gone=True)],
                    retries=[RetryPage(platform=Platform.FCM, ordinals=BitMap([1]), due_at=clock() - 1, attempt=1)],
                )
            ]
        )
        assert (recorded.lost, recorded.gone, recorded.ended) == (1, 0, {})
        assert await store.details(HUB, lost.notification.id) == before
        assert await store.pending() == 1
        assert not await lease(store, clock)
        (audience,) = await store.audiences([lost.notification])
        assert [found.ordinal for found in audience.targets] == [target.ordinal]

    async def test_only_what_was_lost_is_left_out_of_what_ended(self, store: Store, clock: FakeClock) -> None:
        (lost,) = await take(store, clock, notification())
        clock.advance(LEASE)
        (kept,) = await take(store, clock, notification())
        await lease(store, clock)
        recorded = await store.record([PageResult(work=lost, counts={}), went_well(kept)])
        assert (recorded.lost, recorded.ended) == (1, {(HUB, State.COMPLETED): 1})
