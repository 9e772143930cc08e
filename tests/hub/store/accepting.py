"""How stores take events: each once, all of a batch or nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.acceptance import DeadLetter, Ingest
from hub.notification import EVERYONE, NativeContent, Notification, Platform, Priority, TemplateContent
from hub.outcome import State
from hub.store.base import Store
from hub.store.seen import SeenWindow
from hub.work import Lane
from tests.fakes.clock import FakeClock
from tests.hub.examples import HUB, arrival, arrivals, notification
from tests.hub.store.harness import LEASE, WHOLE, Stores, Suite, ids, lease

NOTIFICATIONS = {
    "a template": notification("news && !sports"),
    "everyone": notification(EVERYONE),
    "all fields": notification(
        "$UserId:{ann} || b",
        platforms=frozenset([Platform.APNS, Platform.WNS]),
        priority=Priority.NORMAL,
        collapse_key="score",
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
        source="orders",
        event_id="e-1",
        rule="joined",
        content=TemplateContent(properties={"title": "Grüße ✓", "": ""}),
    ),
    "native": notification(
        "a", content=NativeContent(platform=Platform.WNS, payload=b"\x00\xff", headers={"X-WNS-Type": "wns/raw"})
    ),
    "no platform": notification("a", platforms=frozenset[Platform]()),
    "more tags than a sender may name": notification(" || ".join(f"tag{number}" for number in range(20))),
}


def dead_letter(event_id: str = "e-1", *, relay: str | None = None, body: bytes = b"\xff{") -> DeadLetter:
    return DeadLetter(
        source="orders",
        event_id=event_id,
        stage="decode",
        reason="decode",
        detail="not JSON",
        body=body,
        rule="joined",
        content_type="application/json",
        headers={"priority": "5"},
        tries=2,
        trace="00-1-2-01",
        config_hash="abc",
        revision="v7",
        relay=relay,
    )


class Accepting(Suite):
    @pytest.mark.parametrize("given", NOTIFICATIONS.values(), ids=NOTIFICATIONS)
    async def test_a_notification_comes_back_as_it_was_accepted(
        self, store: Store, clock: FakeClock, given: Notification
    ) -> None:
        await store.accept([arrival(given)], lease=0, until=clock() + LEASE)
        (work,) = await lease(store, clock)
        assert work.notification == given
        assert (work.accepted_at, work.lane, work.page, work.ordinals, work.attempt) == (
            clock(),
            Lane.SINGLE,
            None,
            None,
            0,
        )

    async def test_what_is_due_is_leased_with_its_acceptance_up_to_the_limit(
        self, store: Store, clock: FakeClock
    ) -> None:
        given = [notification() for _ in range(5)]
        result = await store.accept(arrivals(given), lease=3, until=clock() + LEASE)
        assert ids(result.work) == [one.id for one in given[:3]]
        assert ids(await lease(store, clock)) == [one.id for one in given[3:]]

    async def test_what_is_scheduled_is_not_leased_before_its_time(self, store: Store, clock: FakeClock) -> None:
        at = datetime.fromtimestamp(clock(), UTC) + timedelta(seconds=30)
        later = notification(schedule_at=at)
        result = await store.accept([arrival(later)], lease=WHOLE, until=clock() + LEASE)
        assert not result.work
        assert not await lease(store, clock)
        assert (await store.details(HUB, later.id)).state is State.SCHEDULED
        clock.advance(30)
        assert ids(await lease(store, clock)) == [later.id]

    async def test_what_was_scheduled_for_a_time_already_past_is_due_at_once(
        self, store: Store, clock: FakeClock
    ) -> None:
        at = datetime.fromtimestamp(clock(), UTC) - timedelta(days=1)
        result = await store.accept([arrival(notification(schedule_at=at))], lease=WHOLE, until=clock() + LEASE)
        assert len(result.work) == 1

    async def test_an_event_is_known_again_in_its_own_batch(self, store: Store, clock: FakeClock) -> None:
        batch = [arrival(notification(), event_id=event_id) for event_id in ("a", "b", "a", "b", "c")]
        result = await store.accept(batch, lease=WHOLE, until=clock() + LEASE)
        assert result.duplicates == {2, 3}
        assert ids(result.work) == [batch[index].notifications[0].id for index in (0, 1, 4)]

    async def test_an_event_is_known_again_in_a_later_batch(self, store: Store, clock: FakeClock) -> None:
        await store.accept([arrival(notification(), event_id="a")], lease=0, until=0)
        again = [arrival(notification(), event_id="b"), arrival(notification(), event_id="a")]
        result = await store.accept(again, lease=WHOLE, until=clock() + LEASE)
        assert result.duplicates == {1}
        assert ids(result.work) == [again[0].notifications[0].id]

    async def test_an_event_is_known_again_after_a_restart(self, stores: Stores, clock: FakeClock) -> None:
        store = await stores.open()
        await store.accept([arrival(notification(), event_id="a")], lease=0, until=0)
        await store.close()
        again = await stores.open()
        result = await again.accept([arrival(notification(), event_id="a")], lease=0, until=0)
        assert result.duplicates == {0}

    async def test_the_same_id_from_another_source_is_another_event(self, store: Store, clock: FakeClock) -> None:
        await store.accept([arrival(notification(), event_id="a", source="orders")], lease=0, until=0)
        result = await store.accept([arrival(notification(), event_id="a", source="invoices")], lease=0, until=0)
        assert not result.duplicates

    async def test_an_event_without_id_is_never_a_repetition(self, store: Store, clock: FakeClock) -> None:
        for _ in range(2):
            nameless = Ingest(source="orders", event_id="", notifications=[notification()])
            result = await store.accept([nameless, nameless], lease=0, until=0)
            assert not result.duplicates
        assert await store.pending() == 2  # the notifications had ids

    async def test_an_event_without_effects_is_not_remembered(self, store: Store, clock: FakeClock) -> None:
        await store.accept([Ingest(source="orders", event_id="a")], lease=0, until=0)
        result = await store.accept([arrival(notification(), event_id="a")], lease=0, until=0)
        assert not result.duplicates

    async def test_an_event_is_forgotten_after_the_window_though_nothing_else_came(
        self, stores: Stores, clock: FakeClock
    ) -> None:
        store = await stores.open(window=SeenWindow(seconds=600))
        answers = []
        for seconds in (0, 599, 1, 200):  # 0, 599, 600, 800 seconds after the first
            clock.advance(seconds)
            result = await store.accept([arrival(notification(), event_id="a")], lease=0, until=0)
            answers.append(bool(result.duplicates))
        assert answers == [False, True, True, False]

    async def test_every_event_of_the_window_is_known_while_buckets_roll_over(
        self, stores: Stores, clock: FakeClock
    ) -> None:
        store = await stores.open(window=SeenWindow(seconds=600))
        accepted_at: dict[str, float] = {}
        for number in range(100):  # one event every 25 seconds, over more than four windows
            clock.advance(25)
            accepted_at[f"e-{number}"] = clock()
            known = [event_id for event_id, at in accepted_at.items() if clock() - at <= 600]
            batch = [arrival(notification(), event_id=event_id) for event_id in known]
            result = await store.accept(batch, lease=0, until=0)
            assert [index for index in range(len(batch)) if index not in result.duplicates] == [len(batch) - 1]

    async def test_no_more_events_are_remembered_than_the_bound_and_the_newest_stay(
        self, stores: Stores, clock: FakeClock
    ) -> None:
        store = await stores.open(window=SeenWindow(max_rows=60))
        for number in range(300):
            await store.accept([arrival(notification(), event_id=f"e-{number}")], lease=0, until=0)
        # Found from the newest backwards in one batch, so that what it adds pushes nothing out before it is looked for.
        batch = [arrival(notification(), event_id=f"e-{number}") for number in reversed(range(300))]
        known = sorted((await store.accept(batch, lease=0, until=0)).duplicates)
        assert known == list(range(len(known)))
        assert 50 <= len(known) <= 60

    async def test_a_notification_that_the_store_has_is_not_taken_twice(self, store: Store, clock: FakeClock) -> None:
        one = notification()
        twice = [Ingest(source="", event_id="", notifications=[one, one])] * 2
        for expected in (1, 0):
            result = await store.accept(twice, lease=WHOLE, until=clock() + LEASE)
            assert len(result.work) == expected
            assert not result.duplicates

    async def test_a_batch_that_fails_leaves_nothing_behind(self, store: Store, clock: FakeClock) -> None:
        good = arrival(notification(), event_id="good")
        bad = arrival(notification(id="not hex"), event_id="bad")
        letter = Ingest(source="orders", event_id="letter", dead_letters=[dead_letter()])
        with pytest.raises(ValueError):
            await store.accept([good, letter, bad], lease=WHOLE, until=clock() + LEASE)
        assert await store.pending() == 0
        assert not await store.dead_letters()
        result = await store.accept([good, letter], lease=0, until=0)
        assert not result.duplicates

    async def test_dead_letters_come_back_as_they_were_newest_first(self, store: Store, clock: FakeClock) -> None:
        letters = [dead_letter(f"e-{number}") for number in range(3)]
        for letter in letters:
            await store.accept(
                [Ingest(source="orders", event_id=letter.event_id, dead_letters=[letter])], lease=0, until=0
            )
            clock.advance(1)
        kept = await store.dead_letters()
        assert [letter for _, _, letter in kept] == letters[::-1]
        assert [clock() - at for _, at, _ in kept] == [1, 2, 3]
        assert [letter for _, _, letter in await store.dead_letters(limit=1)] == letters[2:]

    async def test_the_dead_letter_of_an_event_seen_before_is_dropped(self, store: Store, clock: FakeClock) -> None:
        with_letter = Ingest(
            source="orders", event_id="a", notifications=[notification()], dead_letters=[dead_letter("a")]
        )
        await store.accept([with_letter], lease=0, until=0)
        result = await store.accept([with_letter], lease=0, until=0)
        assert result.duplicates == {0}
        assert len(await store.dead_letters()) == 1

    async def test_an_event_that_was_only_a_dead_letter_comes_through_when_it_is_sent_again(
        self, store: Store, clock: FakeClock
    ) -> None:
        await store.accept([Ingest(source="orders", event_id="a", dead_letters=[dead_letter()])], lease=0, until=0)
        mended = Ingest(source="orders", event_id="a", notifications=[notification()])
        result = await store.accept([mended], lease=1, until=clock() + 60)
        assert not result.duplicates
        assert len(result.work) == 1

    async def test_a_relay_gets_its_dead_letters_oldest_first_until_it_has_sent_them_on(
        self, store: Store, clock: FakeClock
    ) -> None:
        letters = [dead_letter(f"e-{number}", relay="bus" if number % 2 else None) for number in range(6)]
        await store.accept([Ingest(source="orders", event_id="a", dead_letters=letters)], lease=0, until=0)
        waiting = await store.dead_letters(relay="bus")
        assert [letter.event_id for _, _, letter in waiting] == ["e-1", "e-3", "e-5"]
        assert not await store.dead_letters(relay="another")
        await store.published([id for id, _, _ in waiting[:2]])
        assert [letter.event_id for _, _, letter in await store.dead_letters(relay="bus")] == ["e-5"]
        assert len(await store.dead_letters()) == 6
