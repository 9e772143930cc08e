"""How stores keep what became of work: in pieces, each once, and the sum at the end."""

from collections.abc import Mapping, Sequence

import pytest
from pyroaring import BitMap

from hub.acceptance import DeadLetter
from hub.notification import Notification, Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.store.contracts.outbox import Audience, Failed, PageResult, RetryPage, Work
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.accepting import LETTERS, dead_letter
from tests.hub.store.suite.harness import Stores, Suite, begin, take, take_pages, went_well

SUCCESS, SKIPPED, ABANDONED = OutcomeName.SUCCESS, OutcomeName.SKIPPED, OutcomeName.ABANDONED
GONE = OutcomeName.EXPIRED_CHANNEL
FCM, APNS = Platform.FCM, Platform.APNS

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
"""Outcomes of two pages, and why the notification reached no phone."""


def piece(work: Work, done_before: int, done: int, *, again: Sequence[int] = (), **changes: object) -> PageResult:
    """The registrations from `done_before` to `done` got their push, but for those of `again`."""
    return PageResult(
        work=work,
        counts={FCM: {SUCCESS: done - done_before}},
        done_before=done_before,
        done=done,
        is_last=False,
        again=BitMap(again) if again else None,
        **changes,  # type: ignore[arg-type]
    )


async def expanded(store: SqlStore, *pages: tuple[Platform, BitMap], skipped: int = 0) -> Sequence[Work]:
    """The pages of one notification, all taken."""
    (work,) = await begin(store, notification())
    doubles = {APNS: BitMap(range(100, 100 + skipped))} if skipped else {}
    await store.expand(work, Audience(pages=pages, skipped=doubles))
    return await take_pages(store)


async def found(store: SqlStore, one: Notification) -> dict[str, int]:
    """Who a notification reaches: ordinals by push channel."""
    (audience,) = await store.audiences([one])
    return {target.push_channel: target.ordinal for target in audience.targets}


class Recording(Suite):
    async def test_a_notification_ends_with_its_counts_and_times(self, store: SqlStore, clock: HostClock) -> None:
        (work,) = await begin(store, notification("news"))
        accepted_at = clock()
        clock.advance(2)
        counts = {FCM: {SUCCESS: 2, SKIPPED: 1}, APNS: {SUCCESS: 1}}
        result = PageResult(work=work, counts=counts, ordinals=BitMap([1, 2, 3]), started_at=accepted_at + 1)
        recorded = await store.record([result])
        assert (recorded.ended, recorded.late, recorded.gone) == ({(HUB, State.COMPLETED): 1}, 0, 0)
        details = await store.details(HUB, work.notification.id)
        assert details.state is State.COMPLETED
        assert details.counts == counts
        assert details.started_at is not None
        assert details.ended_at is not None
        assert details.enqueued_at.timestamp() == accepted_at
        assert details.started_at.timestamp() == accepted_at + 1
        assert details.ended_at.timestamp() == clock()
        assert not any((await store.backlog()).values())

    async def test_each_ends_in_the_state_its_counts_say(self, store: SqlStore) -> None:
        empty, too_late, skipped, handed_on = await begin(store, *(notification() for _ in range(4)))
        recorded = await store.record(
            [
                PageResult(work=empty, counts={}),
                PageResult(
                    work=too_late,
                    counts={FCM: {ABANDONED: 1}},
                    failures=[Failed(ordinal=1, outcome=ABANDONED, reason="expired")],
                ),
                PageResult(work=skipped, counts={FCM: {SKIPPED: 1}}),
                PageResult(work=handed_on, counts={}, state=State.COMPLETED),
            ]
        )
        assert recorded.ended == {
            (HUB, State.NO_TARGET_FOUND): 1,
            (HUB, State.ABANDONED): 1,
            (HUB, State.COMPLETED): 2,
        }
        assert [(given.id, why) for given, why, _ in recorded.unreached] == [
            (too_late.notification.id, Unreached.EXPIRED)
        ]
        assert (await store.details(HUB, too_late.notification.id)).state is State.ABANDONED

    async def test_a_retry_is_taken_at_its_time_with_its_registrations_and_attempt(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        (work,) = await begin(store, notification())
        page = RetryPage(platform=FCM, ordinals=BitMap([2, 9]), delay=30, attempt=1)
        recorded = await store.record([PageResult(work=work, counts={FCM: {SUCCESS: 1}}, retries=[page])])
        assert not recorded.ended
        assert not (await store.sum_up()).ended
        assert (await store.details(HUB, work.notification.id)).state is State.PROCESSING
        clock.advance(29)
        assert not await take(store)
        clock.advance(1)
        (retry,) = await take(store)
        assert (retry.service, retry.ordinals, retry.attempt) == ((HUB, FCM), BitMap([2, 9]), 1)
        assert (retry.notification, retry.accepted_at) == (work.notification, work.accepted_at)
        assert not (await store.record([went_well(retry, 2)])).ended
        assert (await store.details(HUB, work.notification.id)).counts == {FCM: {SUCCESS: 3}}
        assert (await store.sum_up()).ended == {(HUB, State.COMPLETED): 1}
        details = await store.details(HUB, work.notification.id)
        assert (details.state, details.counts) == (State.COMPLETED, {FCM: {SUCCESS: 3}})
        assert not (await store.sum_up()).ended

    async def test_a_retry_of_a_page_stays_in_the_broadcast_lane(self, store: SqlStore) -> None:
        (page,) = await expanded(store, (FCM, BitMap([1, 2])))
        retry = RetryPage(platform=FCM, ordinals=BitMap([2]), delay=0, attempt=1)
        await store.record([PageResult(work=page, counts={FCM: {SUCCESS: 1}}, retries=[retry])])
        assert not await take(store)
        (again,) = await take_pages(store)
        assert (again.ordinals, again.attempt) == (BitMap([2]), 1)

    async def test_a_broadcast_ends_after_its_last_page_with_the_sum_of_all(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        pages = await expanded(store, (FCM, BitMap([1])), (FCM, BitMap([2])), (APNS, BitMap([3])), skipped=2)
        one = pages[0].notification
        assert sum((await store.backlog()).values()) == 3
        by_platform = {page.service[1] if page.service else None: page for page in pages}
        third = by_platform[APNS]
        first, second = (page for page in pages if page is not third)
        await store.record([went_well(first), went_well(second)])
        assert not (await store.sum_up()).ended
        running = await store.details(HUB, one.id)
        assert (running.state, running.counts) == (State.PROCESSING, {APNS: {SKIPPED: 2}, FCM: {SUCCESS: 2}})
        await store.record([went_well(third, platform=APNS)])
        clock.advance(1)
        assert (await store.sum_up()).ended == {(HUB, State.COMPLETED): 1}
        details = await store.details(HUB, one.id)
        assert details.counts == {FCM: {SUCCESS: 2}, APNS: {SKIPPED: 2, SUCCESS: 1}}
        assert details.ended_at is not None
        assert details.ended_at.timestamp() == clock()

    async def test_a_broadcast_whose_owner_died_before_the_sum_is_summed_by_the_next(
        self, stores: Stores, store: SqlStore
    ) -> None:
        (page,) = await expanded(store, (FCM, BitMap([1])))
        await store.record([went_well(page)])
        await stores.crash()
        again = await stores.open()
        assert (await again.sum_up()).ended == {(HUB, State.COMPLETED): 1}

    @pytest.mark.parametrize(("first", "second", "why"), UNREACHED)
    async def test_a_broadcast_that_reached_no_phone_says_why_once(
        self,
        store: SqlStore,
        first: Mapping[OutcomeName, int],
        second: Mapping[OutcomeName, int],
        why: Unreached | None,
    ) -> None:
        one, other = await expanded(store, (FCM, BitMap([1])), (APNS, BitMap([2])))
        results = [PageResult(work=one, counts={FCM: first}), PageResult(work=other, counts={APNS: second})]
        assert (await store.record(results)).unreached == []
        reported = (await store.sum_up()).unreached
        assert [why for _, why, _ in reported] == ([why] if why else [])
        kept = await store.notification(one.notification.id)
        pushed = [count for each in (first, second) for name, count in each.items() if name is not OutcomeName.SKIPPED]
        count = sum(pushed) if why else 0
        assert (kept.unreached, kept.unreached_count) == (why, count)
        assert (await store.record(results)).late == 2
        assert (await store.sum_up()).unreached == ()

    async def test_an_empty_audience_is_reported_with_its_cause_once(self, store: SqlStore) -> None:
        (work,) = await begin(store, notification())
        result = PageResult(work=work, counts={}, unreached=Unreached.NO_TEMPLATE, passed_over=3)
        recorded = await store.record([result, result])
        cause = (Unreached.NO_TEMPLATE, 3)
        assert [(given.id, *said) for given, *said in recorded.unreached] == [(work.notification.id, *cause)]
        kept = await store.notification(work.notification.id)
        assert (kept.unreached, kept.unreached_count) == cause
        assert recorded.late == 1

    async def test_pieces_are_recorded_from_the_front_and_a_crash_repeats_the_rest(
        self, stores: Stores, store: SqlStore
    ) -> None:
        (page,) = await expanded(store, (FCM, BitMap(range(10, 20))))
        await store.record([piece(page, 0, 3, again=[11])])
        await store.record([piece(page, 3, 5, again=[11, 14])])
        assert (await store.record([piece(page, 3, 5)])).late == 1
        assert not await take_pages(store)
        await stores.crash()
        again = await stores.open()
        (left,) = await take_pages(again)
        assert (left.done, left.again, left.ordinals) == (5, BitMap([11, 14]), BitMap(range(10, 20)))
        assert (await again.details(HUB, left.notification.id)).counts == {FCM: {SUCCESS: 5}}
        last = PageResult(work=left, counts={FCM: {SUCCESS: 5}}, done_before=5, done=10)
        assert (await again.record([last])).late == 0
        assert (await again.sum_up()).ended == {(HUB, State.COMPLETED): 1}
        assert (await again.details(HUB, left.notification.id)).counts == {FCM: {SUCCESS: 10}}

    async def test_a_notification_that_is_its_own_page_is_recorded_in_pieces_too(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation("ann"), installation("bob")])
        ann, bob = (await found(store, notification())).values()
        (work,) = await begin(store, notification())
        everyone = BitMap(range(300))
        assert not (await store.record([piece(work, 0, 50, ordinals=everyone, started_at=clock())])).ended
        first = piece(work, 50, 100, again=[5])
        assert not (await store.record([first])).ended
        assert (await store.details(HUB, work.notification.id)).state is State.PROCESSING
        await stores.crash()
        again = await stores.open()
        (left,) = await take(again)
        assert (left.done, left.again, left.ordinals, left.number) == (100, BitMap([5]), everyone, 0)
        failed = Failed(ordinal=ann, outcome=GONE, reason="Unregistered", gone=True)
        counts = {FCM: {SUCCESS: 199, GONE: 1}}
        last = PageResult(work=left, counts=counts, done_before=100, done=300, failures=[failed])
        recorded = await again.record([last])
        assert (recorded.ended, recorded.gone) == ({(HUB, State.COMPLETED): 1}, 2)  # both registrations of the phone
        assert list((await found(again, notification())).values()) == [bob]
        assert (await again.details(HUB, work.notification.id)).counts == {FCM: {SUCCESS: 299, GONE: 1}}

    async def test_two_pieces_of_a_page_in_one_record_follow_each_other(self, store: SqlStore) -> None:
        (page,) = await expanded(store, (FCM, BitMap(range(10))))
        recorded = await store.record([piece(page, 0, 3), piece(page, 3, 6), piece(page, 3, 6), piece(page, 7, 9)])
        assert recorded.late == 2
        assert (await store.details(HUB, page.notification.id)).counts == {FCM: {SUCCESS: 6}}
        assert (await store.record([piece(page, 6, 9)])).late == 0

    async def test_a_late_result_changes_nothing(self, stores: Stores, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        (lost,) = await begin(store, notification("news"))
        (ann,) = (await found(store, lost.notification)).values()
        owner = await stores.take_over()
        before = await owner.details(HUB, lost.notification.id)
        recorded = await store.record(
            [
                PageResult(
                    work=lost,
                    counts={FCM: {GONE: 1}},
                    failures=[Failed(ordinal=ann, outcome=GONE, reason="Unregistered", gone=True)],
                    retries=[RetryPage(platform=FCM, ordinals=BitMap([1]), delay=-1, attempt=1)],
                )
            ]
        )
        assert (recorded.late, recorded.gone, recorded.ended) == (1, 0, {})
        assert await owner.details(HUB, lost.notification.id) == before
        assert list((await found(owner, lost.notification)).values()) == [ann]
        assert len(await take(owner)) == 1

    async def test_what_could_not_be_handed_on_ends_as_a_dead_letter(self, stores: Stores, store: SqlStore) -> None:
        (work,) = await begin(store, notification())
        letter: DeadLetter = dead_letter("e-1", body=b"x")
        result = PageResult(work=work, counts={}, state=State.ABANDONED, dead_letter=letter)
        recorded = await store.record([result, result])
        assert (recorded.dead_letters, recorded.unreached, recorded.late) == ([letter], [], 1)
        assert [row[0] for row in await stores.read(LETTERS)] == ["e-1"]
