"""The contract `Journal`: what became of each event, for a time and within a bound."""

import random
import string
from dataclasses import replace

import pytest

from hub.acceptance import MAX_INDEXED, ConfigurationVersion, Ingest, JournalEntry
from hub.store.contracts.journal import JournalUsage
from hub.store.journal import bounding
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import notification
from tests.hub.store.suite.harness import Suite

VERSION = ConfigurationVersion(revision="r1", hash="abc")
ENTRY = JournalEntry(source="hr", event_id="e1", outcome="accepted", detail=b'{"rules":["a"]}', content=b'{"data":1}')


def told(entry: JournalEntry = ENTRY, **changes: object) -> Ingest:
    entry = replace(entry, **changes)  # type: ignore[arg-type]
    return Ingest(source=entry.source, event_id=entry.event_id, journal=entry, configuration=VERSION)


class Journal(Suite):
    async def test_an_event_is_found_by_its_id_with_the_configuration_that_decided(self, store: SqlStore) -> None:
        await store.accept([told(), told(source="bank"), told(event_id="e2")], start=0)
        found = await store.journaled("e1", limit=10)
        assert {each.source for each in found} == {"hr", "bank"}
        (kept,) = await store.journaled("e1", source="hr", limit=10)
        assert (kept.outcome, kept.detail, kept.content) == ("accepted", ENTRY.detail, ENTRY.content)
        assert kept.configuration == VERSION
        assert not await store.journaled("e3", limit=10)

    async def test_an_event_whose_id_has_as_many_bytes_as_an_id_may_have_is_kept(self, store: SqlStore) -> None:
        # What can be compressed takes less of an index.
        chance = random.Random(1)
        longest = "".join(chance.choices([chr(code) for code in range(0x10000, 0x20000)], k=MAX_INDEXED // 4))
        source = "".join(chance.choices(string.ascii_letters, k=500))
        about = notification(person=longest)
        event = replace(told(event_id=longest, source=source, person=longest), notifications=[about])
        await store.accept([event], start=0)
        (kept,) = await store.journaled(longest, limit=10)
        assert kept.event_id == longest

    async def test_a_repeated_event_has_the_entry_of_the_first(self, store: SqlStore) -> None:
        event = replace(told(), notifications=[notification()])
        await store.accept([event], start=0)
        await store.accept([replace(event, journal=replace(ENTRY, outcome="other"))], start=0)
        assert [each.outcome for each in await store.journaled("e1", limit=10)] == ["accepted"]

    async def test_events_are_listed_newest_first_by_source_and_outcome(self, store: SqlStore) -> None:
        await store.accept([told(event_id=f"e{number}", source="ab"[number % 2]) for number in range(5)], start=0)
        page = await store.journal(limit=3)
        assert [each.event_id for each in page.items] == ["e4", "e3", "e2"]
        rest = await store.journal(limit=3, after=page.next)
        assert [each.event_id for each in rest.items] == ["e1", "e0"]
        assert rest.next == ""
        assert [each.event_id for each in (await store.journal(source="b", limit=9)).items] == ["e3", "e1"]
        assert not (await store.journal(outcome="no_match", limit=9)).items

    async def test_values_go_before_the_entry_and_both_after_their_time(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.accept([told()], start=0)
        await bound(store, content=10, events=100)
        clock.advance(20)
        await store.accept([told(event_id="e2")], start=0)
        await bound(store, content=10, events=100)
        (old,) = await store.journaled("e1", limit=1)
        (new,) = await store.journaled("e2", limit=1)
        assert (old.content, old.detail, new.content) == (None, ENTRY.detail, ENTRY.content)
        clock.advance(90)
        await bound(store, content=10, events=100)
        assert [each.event_id for each in (await store.journal(limit=9)).items] == ["e2"]

    async def test_values_behind_many_entries_without_values_go_too(
        self, store: SqlStore, clock: HostClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bounding, "SLICE", 2)
        await store.accept([told(event_id=f"e{number}", content=None) for number in range(5)], start=0)
        await store.accept([told(event_id="last")], start=0)
        clock.advance(20)
        await bound(store, content=10, events=100)
        (kept,) = await store.journaled("last", limit=1)
        assert kept.content is None
        clock.advance(90)
        await bound(store, content=10, events=100)
        assert not (await store.journal(limit=9)).items

    async def test_the_list_begins_at_a_time_and_the_usage_is_known_at_once(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        times = []
        for number in range(9):
            clock.advance(10)
            times.append(store.now())
            await store.accept([told(event_id=f"e{number}")] * (1 + number % 2), start=0)
        for number, time in enumerate(times):
            (newest, *_) = (await store.journal(until=time, limit=1)).items
            assert newest.event_id == f"e{number}"
        assert (await store.journal(until=times[0] - 1, limit=9)).items == []
        assert (await store.journal(until=times[-1] + 1e9, limit=1)).items[0].event_id == "e8"
        first = await store.journal(until=times[4], limit=2)
        second = await store.journal(until=times[4], after=first.next, limit=9)
        assert [each.event_id for each in (*first.items, *second.items)] == ["e4", "e3", "e3", "e2", "e1", "e1", "e0"]
        assert (await store.journal_usage()).events == 13

    async def test_the_oldest_make_place_where_all_are_too_large(self, store: SqlStore) -> None:
        big = b'"' + b"x" * 998 + b'"'
        await store.accept([told(event_id=f"e{number}", content=big) for number in range(10)], start=0)
        each = len(ENTRY.detail) + len(big)
        for _ in range(2):  # a second look begins anew
            await bound(store, max_bytes=4 * each)
            left = [kept.event_id for kept in (await store.journal(limit=99)).items]
            assert left == ["e9", "e8", "e7", "e6"]
            assert await store.journal_usage() == JournalUsage(events=4, bytes=4 * each)
        await bound(store, max_bytes=1)
        assert not (await store.journal(limit=9)).items
        await bound(store, max_bytes=1)


async def bound(store: SqlStore, *, content: float = 1e6, events: float = 1e6, max_bytes: int = 1 << 30) -> None:
    while await store.bound_journal(events_kept=events, content_kept=content, max_bytes=max_bytes):
        pass
