"""How stores clear what notifications said: at their end what is sensitive, and everything else some time later."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from pyroaring import BitMap

from hub.acceptance import DeadLetter, Ingest
from hub.notification import NativeContent, Platform, TemplateContent
from hub.outcome import State
from hub.store.connection import Statement
from hub.store.contracts.outbox import Audience, Work
from hub.store.outbox.holding import HELD_FOR
from hub.store.rows import moment
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, notification
from tests.hub.store.suite.harness import Stores, Suite, begin, enqueue, take, take_pages, went_well

CODE = "code-482913"
CONTENTS = Statement("test.contents", "SELECT content, headers FROM notification")
LETTERS = Statement(
    "test.letter_contents", "SELECT b.body, t.headers, t.envelope FROM dead_letter t, dead_letter_body b"
)
SAYING = TemplateContent(properties={"title": CODE})


async def holds_code(stores: Stores) -> bool:
    return CODE in repr(await stores.read(CONTENTS))


async def recorded(store: SqlStore, work: Work, clock: HostClock) -> None:
    await store.record([went_well(work)])


async def stopped(store: SqlStore, work: Work, clock: HostClock) -> None:
    assert await store.stop(work.notification.id, actor="ann") == HUB


async def never_approved(store: SqlStore, work: Work, clock: HostClock) -> None:
    await store.hold([(work, 7)])
    clock.advance(HELD_FOR + 1)
    assert (await store.end_held()).ended == {(HUB, State.ABANDONED): 1}


async def summed(store: SqlStore, work: Work, clock: HostClock) -> None:
    """A broadcast, which ends with its last page."""
    await store.expand(work, Audience(pages=[(Platform.FCM, BitMap([number])) for number in range(2)]))
    for page in await take_pages(store):
        await store.record([went_well(page)])
    await store.sum_up()


END = Callable[[SqlStore, Work, HostClock], Awaitable[None]]


class Clearing(Suite):
    @pytest.mark.parametrize("end", [recorded, stopped, never_approved, summed])
    async def test_what_a_sensitive_notification_says_is_cleared_as_it_ends(
        self, stores: Stores, store: SqlStore, clock: HostClock, end: END
    ) -> None:
        (work,) = await begin(store, notification(content=SAYING, sensitive=True))
        assert await holds_code(stores), "until its end retries need it"
        await end(store, work, clock)
        assert not await holds_code(stores)
        kept = await store.notification(work.notification.id)
        assert (kept.has_content, kept.size, kept.ended_at is None) == (False, len(b'{"title":"code-482913"}'), False)
        assert (await store.details(HUB, work.notification.id)).body == ""

    async def test_a_scheduled_one_that_is_cancelled_says_nothing_any_more(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        later = moment(clock()) + timedelta(hours=1)
        native = NativeContent(platform=Platform.FCM, payload=CODE.encode(), headers={"x": CODE})
        waiting = notification(content=native, sensitive=True, schedule_at=later)
        await enqueue(store, waiting)
        assert await holds_code(stores)
        assert await store.cancel(HUB, waiting.id)
        assert not await holds_code(stores)

    async def test_what_waits_for_a_retry_keeps_what_it_says(self, stores: Stores, store: SqlStore) -> None:
        said = notification(content=SAYING, sensitive=True)
        await enqueue(store, said)
        assert not await store.clear_ended(kept=0)
        await stores.crash()
        store = await stores.open()
        (work,) = await take(store)
        assert work.notification == said

    async def test_what_others_say_is_cleared_some_time_after_their_end_and_what_became_of_them_stays(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        first, open_ = await begin(store, notification(content=SAYING), notification(content=SAYING))
        await store.record([went_well(first)])
        assert not await store.clear_ended(kept=10)
        assert (await store.notification(first.notification.id)).has_content
        clock.advance(11)
        while await store.clear_ended(kept=10):
            pass
        kept = await store.notification(first.notification.id)
        assert (kept.has_content, kept.state, kept.size > 2) == (False, State.COMPLETED, True)
        assert (await store.notification(open_.notification.id)).has_content
        assert len([row for row in await stores.read(CONTENTS) if CODE in repr(row)]) == 1

    async def test_more_than_a_slice_is_cleared_in_several_transactions(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        work = await begin(store, *(notification(content=SAYING) for _ in range(501)))
        await store.record([went_well(one) for one in work])
        clock.advance(1)
        assert await store.clear_ended(kept=0)
        assert not await store.clear_ended(kept=0)
        assert not await holds_code(stores)

    async def test_a_letter_without_its_body_says_how_large_it_was(self, stores: Stores, store: SqlStore) -> None:
        letter = DeadLetter(
            source="login",
            event_id="e",
            stage="rule",
            reason="expired",
            detail="too late",
            body=CODE.encode(),
            headers={"x-code": CODE},
            envelope=CODE,
        )
        await store.accept([Ingest(source="login", event_id="e", dead_letters=[letter.without_body()])], start=0)
        (listed,) = (await store.letters(limit=9)).items
        kept = await store.letter(listed.id)
        assert (kept.size, kept.letter.withheld, kept.letter.body, kept.letter.headers) == (11, 11, b"", {})
        assert CODE not in repr(await stores.read(LETTERS))
