"""How stores keep dead letters, bound them, and take what a replay of one causes."""

from typing import Any

import pytest

from hub.acceptance import DeadLetter, Ingest
from hub.errors import NotFoundError
from hub.store.connection import Statement
from hub.store.contracts.dead_letters import LetterFilter, LetterReplay, LetterUsage
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import notification
from tests.hub.store.suite.browsing import all_of
from tests.hub.store.suite.harness import WHOLE, Stores, Suite, take

BODIES = Statement("test.bodies", "SELECT count(*) FROM dead_letter_body")


def letter(number: int = 1, **changes: Any) -> DeadLetter:
    given = {"source": "hr", "event_id": f"e{number}", "stage": "map", "reason": "map", "detail": "no id"}
    return DeadLetter(**{**given, "body": f"body {number}".encode(), **changes})


async def keep(store: SqlStore, *letters: DeadLetter) -> list[int]:
    """Have these kept; their ids, in order."""
    await store.accept([Ingest(source="hr", event_id="", dead_letters=letters)], start=0)
    listed = (await store.letters(limit=WHOLE)).items
    return [kept.id for kept in reversed(listed[: len(letters)])]


class Letters(Suite):
    async def test_a_letter_comes_back_whole(self, store: SqlStore, clock: HostClock) -> None:
        given = letter(
            rule="r",
            body=b"\xff\0{",
            content_type="text/x",
            headers={"a": "b"},
            tries=3,
            trace="t",
            envelope='{"id":"m"}',
            config_hash="c",
            revision="v",
            relay="hr",
            owner="team",
        )
        (id_,) = await keep(store, given)
        kept = await store.letter(id_)
        assert (kept.letter, kept.size, kept.at) == (given, 3, clock())
        assert (kept.replayed_at, kept.replay) == (None, "")
        (listed,) = (await store.letters(limit=1)).items
        assert (listed.size, listed.letter.body) == (3, b"")
        with pytest.raises(NotFoundError):
            await store.letter(id_ + 1)

    async def test_letters_are_listed_by_source_reason_rule_and_id_and_without_what_a_replay_accepted(
        self, store: SqlStore
    ) -> None:
        ids = await keep(
            store, letter(1, source="a", reason="x"), letter(2, source="b", rule="r"), letter(3, source="a", rule="r")
        )
        for id_, outcome in ((ids[2], "accepted"), (ids[1], "render: no amount")):  # what failed again is open still
            await store.replay(id_, Ingest(source="a", event_id=""), outcome=outcome, start=0, actor="ann")
        cases = {
            LetterFilter(source="a"): [2, 0],
            LetterFilter(reason="x"): [0],
            LetterFilter(rule="r"): [2, 1],
            LetterFilter(open_only=True): [1, 0],
            LetterFilter(ids=(*ids[:2], 10**6)): [1, 0],
            LetterFilter(ids=tuple(ids), source="a", open_only=True): [0],
        }
        for chosen, expected in cases.items():
            listed = await all_of(lambda after, chosen=chosen: store.letters(chosen, after=after, limit=1))  # type: ignore[misc]
            assert [kept.id for kept in listed] == [ids[index] for index in expected], chosen

    async def test_a_body_is_kept_once_and_goes_with_its_last_letter(self, stores: Stores, store: SqlStore) -> None:
        ids = await keep(store, letter(1, body=b"same"), letter(2, body=b"same"), letter(3, body=b"other"))
        assert await stores.read(BODIES) == [(2,)]
        assert await store.drop_dead_letters([ids[0], 10**6], actor="ann") == [ids[0]]
        assert (await store.letter(ids[1])).letter.body == b"same"
        await store.drop_dead_letters(ids, actor="ann")
        assert await stores.read(BODIES) == [(0,)]
        assert [row.entry.target for row in (await store.audit(limit=9)).items] == [str(ids[n]) for n in (2, 1, 0)]

    async def test_letters_are_bounded_in_age_rows_and_bytes_the_oldest_go(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        async def left(**bounds: Any) -> list[str]:
            while await store.bound_dead_letters(**{"kept": 1e6, "max_rows": 10**6, "max_bytes": 10**6} | bounds):
                pass
            return [kept.letter.event_id for kept in (await store.letters(limit=WHOLE)).items]

        await keep(store, *(letter(number, body=bytes([number] * 10)) for number in range(4)))
        clock.advance(100)
        await keep(store, *(letter(number, body=bytes([number] * 10)) for number in range(4, 6)))
        assert await left() == ["e5", "e4", "e3", "e2", "e1", "e0"]
        assert await left(max_rows=5) == ["e5", "e4", "e3", "e2", "e1"]
        assert await left(max_bytes=4 * len("0123456789{}no id") - 1) == ["e5", "e4", "e3"]
        assert await left(kept=50) == ["e5", "e4"]
        assert await stores.read(BODIES) == [(2,)]

    async def test_headers_and_details_count_towards_the_bound_in_bytes(self, store: SqlStore) -> None:
        bare = LetterUsage(letters=1, bytes=len("body 1{}no id"))
        await keep(store, letter(1))
        assert await store.letter_usage() == bare
        large = letter(1, body=b"", headers={"h": "x" * 1000}, envelope="é" * 500, detail="d" * 100)
        await keep(store, large)
        assert (await store.letter_usage()).bytes - bare.bytes == len('{"h":""}') + 2100

    async def test_what_is_kept_is_counted_however_letters_come_and_go(self, store: SqlStore) -> None:
        assert await store.letter_usage() == LetterUsage(letters=0, bytes=0)
        ids = await keep(store, *(letter(number) for number in range(9)))
        each = len("body 1{}no id")
        assert await store.letter_usage() == LetterUsage(letters=9, bytes=9 * each)
        await store.drop_dead_letters(ids[:2], actor="ann")
        given = Ingest(source="hr", event_id="", dead_letters=[letter(9)])
        await store.replay(ids[5], given, outcome="accepted", start=0, actor="ann")
        await store.bound_dead_letters(kept=1e6, max_rows=7, max_bytes=10**6)
        assert await store.letter_usage() == LetterUsage(letters=7, bytes=7 * each)
        await store.bound_dead_letters(kept=-1, max_rows=7, max_bytes=10**6)
        assert await store.letter_usage() == LetterUsage(letters=0, bytes=0)

    async def test_a_great_many_go_in_slices(self, store: SqlStore) -> None:
        await keep(store, *(letter(number) for number in range(1200)))
        slices = 1
        while await store.bound_dead_letters(kept=1e6, max_rows=10, max_bytes=10**9):
            slices += 1
        assert slices >= 3
        assert len((await store.letters(limit=WHOLE)).items) == 10

    async def test_what_is_published_waits_for_its_publisher_no_more(self, store: SqlStore) -> None:
        ids = await keep(store, letter(1, relay="a"), letter(2), letter(3, relay="b"), letter(4, relay="a"))
        unpublished = await store.unpublished("a", limit=9)
        assert [(id_, each.body) for id_, _, each in unpublished] == [(ids[0], b"body 1"), (ids[3], b"body 4")]
        await store.published([ids[0]])
        assert [id_ for id_, *_ in await store.unpublished("a", limit=9)] == [ids[3]]
        assert (await store.letter(ids[0])).letter.relay is None

    async def test_a_replay_accepts_marks_and_leaves_an_audit_row_and_a_second_one_does_nothing(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        (id_,) = await keep(store, letter())
        given = Ingest(source="hr", event_id="", notifications=[notification()], dead_letters=[letter(2)])
        clock.advance(5)
        result = await store.replay(id_, given, outcome="accepted", start=WHOLE, actor="ann")
        assert result is not None
        assert [work.notification for work in result.work] == given.notifications
        kept = await store.letter(id_)
        assert (kept.replayed_at, kept.replay) == (clock(), "accepted")
        again = Ingest(source="hr", event_id="", notifications=[notification()])
        assert await store.replay(id_, again, outcome="accepted", start=WHOLE, actor="bob") is None
        assert len((await store.letters(limit=9)).items) == 2
        assert await take(store) == []
        (row,) = (await store.audit(limit=9)).items
        assert (row.entry.actor, row.entry.action, row.entry.target) == ("ann", "dead_letter.replay", str(id_))
        assert kept.replays == [LetterReplay(at=clock(), actor="ann", outcome="accepted")]

    async def test_a_replay_that_failed_is_marked_and_may_be_tried_again(self, store: SqlStore) -> None:
        (id_,) = await keep(store, letter())
        nothing = Ingest(source="hr", event_id="")
        assert await store.replay(id_, nothing, outcome="map: no id", start=0, actor="ann") is not None
        assert (await store.letter(id_)).replay == "map: no id"
        assert await store.replay(id_, nothing, outcome="accepted", start=0, actor="bob") is not None
        replays = (await store.letter(id_)).replays
        assert [(one.actor, one.outcome) for one in replays] == [("bob", "accepted"), ("ann", "map: no id")]

    async def test_a_notification_that_was_accepted_before_is_not_replayed(self, store: SqlStore) -> None:
        known = notification()
        (id_,) = await keep(store, letter())
        await store.accept([Ingest(source="hr", event_id="e", notifications=[known])], start=0)
        given = Ingest(source="hr", event_id="", notifications=[known, notification()])
        result = await store.replay(id_, given, outcome="accepted", start=WHOLE, actor="ann")
        assert result is not None
        assert (result.repeated, len(result.work)) == (frozenset([known.id]), 1)

    async def test_a_letter_that_is_not_there_cannot_be_replayed(self, store: SqlStore) -> None:
        given = Ingest(source="hr", event_id="", notifications=[notification()])
        with pytest.raises(NotFoundError):
            await store.replay(7, given, outcome="accepted", start=WHOLE, actor="ann")
        assert await take(store) == []

    async def test_no_method_of_letters_makes_more_than_six_round_trips_whatever_its_batch(
        self, stores: Stores, store: SqlStore
    ) -> None:
        ids = await keep(store, *(letter(number, relay="hr") for number in range(300)))
        many = Ingest(
            source="hr",
            event_id="",
            notifications=[notification() for _ in range(300)],
            dead_letters=[letter(number) for number in range(1000, 1300)],
        )
        for call in (
            lambda: store.replay(ids[0], many, outcome="accepted", start=WHOLE, actor="ann"),
            lambda: store.letters(LetterFilter(ids=tuple(ids)), limit=WHOLE),
            lambda: store.letter(ids[0]),
            store.letter_usage,
            lambda: store.unpublished("hr", limit=WHOLE),
            lambda: store.published(ids),
            lambda: store.drop_dead_letters(ids[:100], actor="ann"),
            lambda: store.bound_dead_letters(kept=1e6, max_rows=1, max_bytes=1),
        ):
            before = stores.trips
            await call()
            assert 0 < stores.trips - before <= 6
