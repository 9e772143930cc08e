"""How stores take events: each once, all of a batch or nothing."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.acceptance import DeadLetter, Ingest, Partition
from hub.notification import EVERYONE, NativeContent, Notification, Platform, Priority, TemplateContent
from hub.outcome import State
from hub.people import people_of
from hub.store.connection import Statement
from hub.store.outbox.remembering import RANGES, SeenWindow
from hub.store.store import SqlStore
from hub.work import Lane
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, arrival, arrivals, notification
from tests.hub.store.suite.harness import WHOLE, Stores, Suite, begin, ids, take

LETTERS = Statement(
    "test.letters",
    "SELECT l.event_id, l.at, l.size, b.body FROM dead_letter l JOIN dead_letter_body b ON b.digest = l.digest"
    " WHERE l.queue IN (SELECT queue FROM queue) ORDER BY l.n",
)
BODIES = Statement("test.bodies", "SELECT count(*) FROM dead_letter_body")
MARKS = Statement("test.marks", "SELECT at FROM seen")

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
        person="ann",
    )


class Accepting(Suite):
    @pytest.mark.parametrize("given", NOTIFICATIONS.values(), ids=NOTIFICATIONS)
    async def test_a_notification_comes_back_as_it_was_accepted(
        self, store: SqlStore, clock: HostClock, given: Notification
    ) -> None:
        await store.accept([arrival(given)], start=0)
        (work,) = await take(store)
        assert work.notification == replace(given, person=next(iter(people_of(given)), ""))
        assert (work.accepted_at, work.lane, work.number, work.ordinals, work.attempt) == (
            clock(),
            Lane.SINGLE,
            0,
            None,
            0,
        )

    async def test_what_is_due_starts_with_its_acceptance_up_to_the_limit(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        given = [notification() for _ in range(5)]
        result = await store.accept(arrivals(given), start=3)
        assert ids(result.work) == [one.id for one in given[:3]]
        assert ids(await take(store)) == [one.id for one in given[3:]]

    async def test_what_is_scheduled_is_not_taken_before_its_time(self, store: SqlStore, clock: HostClock) -> None:
        at = datetime.fromtimestamp(clock(), UTC) + timedelta(seconds=30)
        later = notification(schedule_at=at)
        result = await store.accept([arrival(later)], start=WHOLE)
        assert not result.work
        assert not await take(store)
        assert (await store.details(HUB, later.id)).state is State.SCHEDULED
        clock.advance(30)
        assert ids(await take(store)) == [later.id]

    async def test_what_is_scheduled_may_be_cancelled_until_its_time(self, store: SqlStore, clock: HostClock) -> None:
        at = datetime.fromtimestamp(clock() + 60, UTC)
        first, second, now = notification(schedule_at=at), notification(schedule_at=at), notification()
        await store.accept(arrivals([first, second, now]), start=0)
        assert not await store.cancel("other", first.id)
        assert not await store.cancel(HUB, now.id)
        assert await store.cancel(HUB, first.id)
        assert not await store.cancel(HUB, first.id)
        assert sum((await store.backlog()).values()) == 2
        details = await store.details(HUB, first.id)
        assert (details.state, details.ended_at) == (State.CANCELLED, datetime.fromtimestamp(clock(), UTC))
        clock.advance(61)
        taken = {work.notification.id for work in await store.take(Lane.SINGLE, {None: 9})}
        assert taken == {second.id, now.id}
        assert not await store.cancel(HUB, second.id)

    async def test_what_was_scheduled_for_a_time_already_past_is_due_at_once(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        at = datetime.fromtimestamp(clock(), UTC) - timedelta(days=1)
        result = await store.accept([arrival(notification(schedule_at=at))], start=WHOLE)
        assert len(result.work) == 1

    async def test_what_was_accepted_is_told_without_taking_anything(self, store: SqlStore, clock: HostClock) -> None:
        batch = [arrival(notification(), event_id=event_id) for event_id in ("a", "b")]
        batch += [replace(arrival(notification()), event_id="", offset=(Partition("s", "t", 0), 5))]
        assert await store.duplicates(batch) == frozenset()
        assert await store.duplicates([*batch, batch[0]]) == {3}
        await store.accept(batch[1:], start=WHOLE)
        assert await store.duplicates(batch) == {1, 2}
        following = replace(batch[2], offset=(Partition("s", "t", 0), 6))
        assert await store.duplicates([following]) == frozenset()
        assert (await store.accept([batch[0], following], start=WHOLE)).duplicates == frozenset()

    async def test_an_event_is_known_again_in_its_own_batch(self, store: SqlStore, clock: HostClock) -> None:
        batch = [arrival(notification(), event_id=event_id) for event_id in ("a", "b", "a", "b", "c")]
        result = await store.accept(batch, start=WHOLE)
        assert result.duplicates == {2, 3}
        assert ids(result.work) == [batch[index].notifications[0].id for index in (0, 1, 4)]

    async def test_an_event_is_known_again_in_a_later_batch(self, store: SqlStore, clock: HostClock) -> None:
        await store.accept([arrival(notification(), event_id="a")], start=0)
        again = [arrival(notification(), event_id="b"), arrival(notification(), event_id="a")]
        result = await store.accept(again, start=WHOLE)
        assert result.duplicates == {1}
        assert ids(result.work) == [again[0].notifications[0].id]

    async def test_an_event_is_known_again_after_a_restart(self, stores: Stores, clock: HostClock) -> None:
        store = await stores.open()
        await store.accept([arrival(notification(), event_id="a")], start=0)
        await store.close()
        again = await stores.open()
        result = await again.accept([arrival(notification(), event_id="a")], start=0)
        assert result.duplicates == {0}

    async def test_the_same_id_from_another_source_is_another_event(self, store: SqlStore, clock: HostClock) -> None:
        await store.accept([arrival(notification(), event_id="a", source="orders")], start=0)
        result = await store.accept([arrival(notification(), event_id="a", source="invoices")], start=0)
        assert not result.duplicates

    async def test_an_event_without_id_is_never_a_repetition(self, store: SqlStore, clock: HostClock) -> None:
        for _ in range(2):
            nameless = Ingest(source="orders", event_id="", notifications=[notification()])
            result = await store.accept([nameless, nameless], start=0)
            assert not result.duplicates
        assert sum((await store.backlog()).values()) == 2  # the notifications had ids

    async def test_an_event_without_effects_is_not_remembered(self, store: SqlStore, clock: HostClock) -> None:
        await store.accept([Ingest(source="orders", event_id="a")], start=0)
        result = await store.accept([arrival(notification(), event_id="a")], start=0)
        assert not result.duplicates

    async def test_an_event_is_forgotten_after_the_window_though_nothing_else_came(
        self, stores: Stores, clock: HostClock
    ) -> None:
        store = await stores.open(window=SeenWindow(seconds=600))
        answers = []
        for seconds in (0, 599, 1, 200):  # 0, 599, 600, 800 seconds after the first
            clock.advance(seconds)
            result = await store.accept([arrival(notification(), event_id="a")], start=0)
            answers.append(bool(result.duplicates))
        assert answers == [False, True, True, False]

    async def test_every_event_of_the_window_is_known_while_buckets_roll_over(
        self, stores: Stores, clock: HostClock
    ) -> None:
        store = await stores.open(window=SeenWindow(seconds=600))
        accepted_at: dict[str, float] = {}
        for number in range(100):  # one event every 25 seconds, over more than four windows
            clock.advance(25)
            accepted_at[f"e-{number}"] = clock()
            known = [event_id for event_id, at in accepted_at.items() if clock() - at <= 600]
            batch = [arrival(notification(), event_id=event_id) for event_id in known]
            result = await store.accept(batch, start=0)
            assert [index for index in range(len(batch)) if index not in result.duplicates] == [len(batch) - 1]

    @pytest.mark.slow
    async def test_no_more_events_are_remembered_than_the_bound_and_the_newest_stay(
        self, stores: Stores, clock: HostClock
    ) -> None:
        store = await stores.open(window=SeenWindow(seconds=1280, max_rows=60))
        for number in range(300):
            clock.advance(3)
            await store.accept([arrival(notification(), event_id=f"e-{number}")], start=0)
        for _ in range(2 * RANGES):  # a round to count them, and a round to drop the oldest
            await store.tick()
        marks = await stores.read(MARKS)
        assert 50 <= len(marks) <= 60
        assert min(at for (at,) in marks) == clock() - 3 * (len(marks) - 1)

    async def test_a_notification_that_the_store_has_is_not_taken_twice(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        one = notification()
        twice = [Ingest(source="", event_id="", notifications=[one, one])] * 2
        for expected in (1, 0):
            result = await store.accept(twice, start=WHOLE)
            assert len(result.work) == expected
            assert not result.duplicates

    async def test_a_batch_that_fails_leaves_nothing_behind(self, stores: Stores, store: SqlStore) -> None:
        good = arrival(notification(), event_id="good")
        bad = arrival(notification(id="not hex"), event_id="bad")
        letter = Ingest(source="orders", event_id="letter", dead_letters=[dead_letter()])
        with pytest.raises(ValueError):
            await store.accept([good, letter, bad], start=WHOLE)
        assert await store.backlog() == {}
        assert not await stores.read(LETTERS)
        result = await store.accept([good, letter], start=0)
        assert not result.duplicates

    async def test_dead_letters_are_kept_in_order_and_their_bodies_once(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        letters = [dead_letter(f"e-{number}", body=b"ab"[number // 2 :][:1]) for number in range(4)]
        for letter in letters:
            await store.accept([Ingest(source="orders", event_id=letter.event_id, dead_letters=[letter])], start=0)
            clock.advance(1)
        assert await stores.read(LETTERS) == [
            (letter.event_id, clock() - 4 + number, 1, letter.body) for number, letter in enumerate(letters)
        ]
        assert await stores.read(BODIES) == [(2,)]

    async def test_the_dead_letter_of_an_event_seen_before_is_dropped(self, stores: Stores, store: SqlStore) -> None:
        with_letter = Ingest(
            source="orders", event_id="a", notifications=[notification()], dead_letters=[dead_letter("a")]
        )
        await store.accept([with_letter], start=0)
        result = await store.accept([with_letter], start=0)
        assert result.duplicates == {0}
        assert len(await stores.read(LETTERS)) == 1

    async def test_an_event_that_was_only_a_dead_letter_comes_through_when_it_is_sent_again(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.accept([Ingest(source="orders", event_id="a", dead_letters=[dead_letter()])], start=0)
        mended = Ingest(source="orders", event_id="a", notifications=[notification()])
        result = await store.accept([mended], start=1)
        assert not result.duplicates
        assert len(result.work) == 1

    async def test_what_two_accept_at_the_same_time_is_taken_by_one(self, stores: Stores, store: SqlStore) -> None:
        other = await stores.take_over()
        same = [arrival(notification(), event_id="a")]
        results = await asyncio.gather(*(each.accept(same, start=WHOLE) for each in (store, other)))
        assert sorted(len(result.duplicates) for result in results) == [0, 1]

    async def test_what_an_owner_accepts_that_has_lost_its_queue_is_left_to_the_next(
        self, stores: Stores, store: SqlStore
    ) -> None:
        owner = await stores.take_over()
        one = notification()
        assert not await begin(store, one)
        assert ids(await take(owner)) == [one.id]

    async def test_offsets_go_with_what_was_accepted_and_say_what_was(self, store: SqlStore) -> None:
        first, second = Partition("orders/bridge", "t", 0), Partition("orders/bridge", "t", 1)
        given = [notification() for _ in range(4)]

        def at(number: int, partition: Partition, offset: int) -> Ingest:
            return replace(arrival(given[number]), event_id="", offset=(partition, offset))

        assert await store.offsets([first, second]) == {}
        await store.accept([at(0, first, 4), at(1, second, 0)], start=0)
        result = await store.accept([at(0, first, 4), at(2, first, 9), at(1, second, 0)], start=0)
        assert result.duplicates == {0, 2}
        assert await store.offsets([first, second]) == {first: 10, second: 1}
        third = Partition("orders/bridge", "u", 0)
        await store.advance_offsets({first: 7, second: 3, third: 5})
        assert await store.offsets([first, second, third]) == {first: 10, second: 3, third: 5}
        await store.forget_offsets([first])
        assert await store.offsets([first, second]) == {second: 3}
        assert not (await store.accept([at(3, first, 0)], start=0)).duplicates
        assert ids(await take(store)) == [one.id for one in given]
