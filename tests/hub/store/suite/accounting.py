"""Rows that do not explain each other are found, each by its kind, and nothing else is, whatever goes on."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from pyroaring import BitMap

from hub.books import Discrepancy, Unaccounted
from hub.errors import StoreError
from hub.notification import EVERYONE, Platform
from hub.outcome import OutcomeName
from hub.store.accounting import accounting
from hub.store.connection import Connection, Statement
from hub.store.contracts.accounting import AccountPlace, AccountStep
from hub.store.contracts.outbox import Audience, PageResult, RetryPage
from hub.store.store import SqlStore
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.harness import Stores, Suite, begin, enqueue, take_pages, went_well

FCM, SUCCESS = Platform.FCM, OutcomeName.SUCCESS
Break = Callable[[Connection], object]
ROWS = Statement("test.books.rows", "SELECT queue, id, state, due, ended_at, n FROM notification")
PAGE_ROWS = Statement("test.books.pages", "SELECT queue, number, due, counts FROM page")
MEND = Statement(
    "test.books.mend",
    "UPDATE notification SET state = :state, due = :due, ended_at = :ended_at WHERE queue = :queue AND n = :n",
)
MEND_PAGE = Statement(
    "test.books.mend_page", "UPDATE page SET due = :due, counts = :counts WHERE queue = :queue AND number = :n"
)


def by_hand(name: str, text: str) -> Break:
    """A change of the database that no method of a store makes."""
    statement = Statement(f"test.books.{name}", text)
    return lambda connection: connection.write(statement)


BROKEN: dict[str, tuple[Discrepancy, Break]] = {
    "an open notification without work": (
        Discrepancy.NO_WORK,
        by_hand("no_due", "UPDATE notification SET due = NULL WHERE state = 'Enqueued'"),
    ),
    "one whose pages are gone": (
        Discrepancy.NO_WORK,
        by_hand("no_pages", "UPDATE page SET due = NULL WHERE due IS NOT NULL"),
    ),
    "one that has ended and waits": (
        Discrepancy.WORK_AFTER_END,
        by_hand(
            "ended_due",
            "UPDATE notification SET due = 1.0 WHERE ended_at IS NOT NULL AND n ="
            " (SELECT min(n) FROM notification WHERE ended_at IS NOT NULL)",
        ),
    ),
    "a page of one that has ended": (
        Discrepancy.WORK_AFTER_END,
        by_hand("page_due", "UPDATE page SET due = 1.0 WHERE due IS NULL"),
    ),
    "one that has ended by its time alone": (
        Discrepancy.STATE,
        by_hand("time_alone", "UPDATE notification SET ended_at = 1.0, due = NULL WHERE state = 'Enqueued'"),
    ),
    "one that has ended by its state alone": (
        Discrepancy.STATE,
        by_hand("state_alone", "UPDATE notification SET state = 'Completed' WHERE state = 'Enqueued'"),
    ),
    "outcomes that only a page has": (
        Discrepancy.COUNTS,
        by_hand("page_counts", """UPDATE page SET counts = '{"fcmv1": {"Success": 7}}' WHERE due IS NULL"""),
    ),
    "a page without its notification": (
        Discrepancy.NO_NOTIFICATION,
        by_hand(
            "no_notification",
            "DELETE FROM notification WHERE n = (SELECT min(notification) FROM page WHERE due IS NULL)",
        ),
    ),
}


async def looked_through(store: SqlStore) -> list[AccountStep]:
    """All rows, from the first on."""
    steps: list[AccountStep] = []
    place: AccountPlace | None = AccountPlace()
    while place is not None:
        step = await store.account(place)
        assert step is not None
        steps.append(step)
        place = step.next
    return steps


async def found(store: SqlStore) -> list[Unaccounted]:
    return [each for step in await looked_through(store) for each in step.found]


async def fill(store: SqlStore) -> None:
    """A notification in each state that there is: waiting, under way, scheduled, held, ended, in pages and by its pages."""
    await store.put_installations(HUB, [installation(name, "news") for name in ("a", "b", "c")])
    for is_to_end in (True, False):
        (broadcast,) = await begin(store, notification(EVERYONE))
        await store.expand(broadcast, Audience(pages=[(FCM, BitMap([number])) for number in range(2)]))
        if is_to_end:
            await store.record([went_well(page) for page in await take_pages(store)])
            assert (await store.sum_up()).ended
    done, again, held, _ = await begin(store, *(notification("news") for _ in range(4)))
    retry = RetryPage(platform=FCM, ordinals=BitMap([1]), delay=30.0, attempt=1)
    await store.record([went_well(done), PageResult(work=again, counts={FCM: {SUCCESS: 1}}, retries=[retry])])
    assert await store.hold([(held, 3)])
    later = datetime.fromtimestamp(store.now() + 3600, UTC)
    await enqueue(store, notification("news"), notification("news", schedule_at=later))


class Accounting(Suite):
    async def test_what_stores_write_is_accounted_for(self, store: SqlStore) -> None:
        await fill(store)
        steps = await looked_through(store)
        assert [each for step in steps for each in step.found] == []
        assert sum(step.notifications for step in steps) == 8
        assert sum(step.ended for step in steps) == 2

    @pytest.mark.parametrize(("kind", "broken"), BROKEN.values(), ids=BROKEN)
    async def test_a_row_that_no_other_explains_is_found_by_its_kind_until_it_is_mended(
        self, store: SqlStore, kind: Discrepancy, broken: Break
    ) -> None:
        await fill(store)
        before = await store._database.read(lambda connection: (connection.read(ROWS), connection.read(PAGE_ROWS)))
        await store._database.write(broken)
        wrong = await found(store)
        assert {each.kind for each in wrong} == {kind}
        assert sorted(await store.account_again(wrong)) == sorted(wrong)
        known = {id_.hex() for _, id_, *_ in before[0]}
        assert all(each.kind is Discrepancy.NO_NOTIFICATION or each.notification_id in known for each in wrong)
        for queue, _, state, due, ended_at, n in before[0]:
            values = {"queue": queue, "n": n, "state": state, "due": due, "ended_at": ended_at}
            await store._database.write(lambda connection, values=values: connection.write(MEND, **values))  # type: ignore[misc]
        for queue, number, due, counts in before[1]:
            values = {"queue": queue, "n": number, "due": due, "counts": counts}
            await store._database.write(lambda connection, values=values: connection.write(MEND_PAGE, **values))  # type: ignore[misc]
        left = [] if kind is not Discrepancy.NO_NOTIFICATION else wrong  # a row that was deleted does not come back
        assert list(await store.account_again(wrong)) == left

    async def test_rows_are_looked_at_in_bounded_parts_and_all_of_them(
        self, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await fill(store)
        whole = await looked_through(store)
        monkeypatch.setattr(accounting, "SLICE", 1)
        monkeypatch.setattr(accounting, "MOST_SUMMED", 1)
        parts = await looked_through(store)
        assert max(step.notifications for step in parts) == 1
        assert sum(step.notifications for step in parts) == sum(step.notifications for step in whole)
        await store._database.write(BROKEN["an open notification without work"][1])
        assert {each.kind for each in await found(store)} == {Discrepancy.NO_WORK}

    async def test_who_lost_its_queues_leaves_the_books_to_who_has_them(self, stores: Stores, store: SqlStore) -> None:
        assert await store.account(AccountPlace()) is not None
        other = await stores.take_over()
        await begin(other, notification("news"))
        with suppress(StoreError):
            await store.tick()  # the first process hears of it with what it next writes
        assert await other.account(AccountPlace()) is not None

    async def test_while_traffic_runs_nothing_is_found_that_does_not_pass(self, store: SqlStore) -> None:
        """Only a notification that is about to be summed may be found, and once that is done it is not."""
        await store.put_installations(HUB, [installation("a", "news")])
        goes_on = True
        looks: list[int] = []

        async def traffic() -> None:
            for number in range(60):
                singles = await begin(store, *(notification("news") for _ in range(3)))
                await store.record([went_well(work) for work in singles[:2]])
                (broadcast,) = await begin(store, notification(EVERYONE))
                await store.expand(broadcast, Audience(pages=[(FCM, BitMap([n])) for n in range(2)]))
                for page in await take_pages(store):
                    await store.record([went_well(page)])
                if number % 3 == 0:
                    await store.stop(singles[2].notification.id, actor="test")
                await store.sum_up()

        async def books() -> None:
            while goes_on:
                suspect = await found(store)
                assert {each.kind for each in suspect} <= {Discrepancy.NO_WORK}
                async with asyncio.timeout(60):
                    while await store.account_again(suspect):
                        await store.sum_up()
                        await asyncio.sleep(0.001)
                looks.append(len(suspect))

        watching = asyncio.create_task(books())
        try:
            await traffic()
        finally:
            goes_on = False
            await watching
        assert looks, "nobody looked while traffic ran"
