"""How stores list what they keep for operators: in parts, whatever is added or dropped between two of them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from hub.acceptance import NO_CONFIGURATION, AuditEntry, ConfigurationVersion, Ingest
from hub.errors import InvalidRequestError, NotFoundError
from hub.notification import Platform
from hub.outcome import OutcomeName, State
from hub.store.contracts.listing import ListPage
from hub.store.contracts.outbox import Failed, PageResult
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, notification
from tests.hub.store.suite.harness import Stores, Suite, begin, enqueue, went_well

T = TypeVar("T")


async def all_of(read: Callable[[str], Awaitable[ListPage[T]]]) -> list[T]:
    """A whole list, part by part."""
    found: list[T] = []
    after = ""
    while True:
        page = await read(after)
        found += page.items
        after = page.next
        if not after:
            return found


def sent(name: str = "x") -> AuditEntry:
    return AuditEntry(actor="ann", action="notification.send", target=name)


class Browsing(Suite):
    async def test_a_notification_says_which_configuration_decided_it(self, store: SqlStore) -> None:
        first, second = ConfigurationVersion(revision="v7", hash="abc"), ConfigurationVersion(revision="v8", hash="abc")
        for batch in ([first, second, first], [NO_CONFIGURATION, second]):
            await store.accept(
                [Ingest(source="s", event_id="", notifications=[notification()], configuration=one) for one in batch],
                start=0,
            )
        listed = await all_of(lambda after: store.notifications(after=after, limit=2))
        assert [one.configuration for one in listed] == [second, NO_CONFIGURATION, first, second, first]
        assert (await store.notification(listed[0].id)).configuration == second

    async def test_notifications_are_listed_newest_first_by_hub_state_and_event(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        first, second = notification("a", source="hr", event_id="e1", rule="r"), notification(hub="other")
        (work, _) = await begin(store, first, second)
        await store.record([went_well(work)])
        third = notification(schedule_at=datetime.fromtimestamp(clock() + 60, UTC))
        await enqueue(store, third)
        everything = await all_of(lambda after: store.notifications(after=after, limit=1))
        assert [one.id for one in everything] == [third.id, second.id, first.id]
        assert [(one.hub, one.state, one.source, one.event_id, one.audience) for one in everything] == [
            (HUB, State.SCHEDULED, "", "", None),
            ("other", State.PROCESSING, "", "", None),
            (HUB, State.COMPLETED, "hr", "e1", "a"),
        ]
        assert everything[2].counts == {"fcmv1": {"Success": 1}}
        for filters, expected in (
            ({"hub": "other"}, [second]),
            ({"hub": "unknown"}, []),
            ({"state": State.COMPLETED}, [first]),
            ({"event_id": "e1", "hub": HUB}, [first]),
        ):
            page = await store.notifications(**filters, limit=10)
            assert [one.id for one in page.items] == [one.id for one in expected]

    async def test_a_notification_says_what_its_failures_were(self, store: SqlStore) -> None:
        (work,) = await begin(store, notification())
        failures = [
            Failed(ordinal=number, outcome=OutcomeName.DROPPED, reason="a" if number else "b") for number in range(3)
        ]
        counts = {Platform.FCM: {OutcomeName.DROPPED: 3}}
        await store.record([PageResult(work=work, counts=counts, failures=failures)])
        kept = await store.notification(work.notification.id)
        assert list(kept.failures) == [("Dropped", "a", 2), ("Dropped", "b", 1)]
        with pytest.raises(NotFoundError):
            await store.notification("0" * 32)

    async def test_a_filter_that_finds_little_is_answered_in_short_parts(self, stores: Stores) -> None:
        store = await stores.open(scanned=3)
        given = [notification(event_id="rare" if number in (0, 9) else "often") for number in range(10)]
        await enqueue(store, *given)
        first = await store.notifications(event_id="rare", limit=2)
        assert [one.id for one in first.items] == [given[9].id]
        assert not (await store.notifications(event_id="rare", after=first.next, limit=2)).items
        found = await all_of(lambda after: store.notifications(event_id="rare", after=after, limit=2))
        assert [one.id for one in found] == [given[9].id, given[0].id]

    async def test_what_an_operator_sends_is_written_down_once_with_the_notification(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        one = notification()
        for _ in range(2):
            await store.accept([Ingest(source="", event_id="", notifications=[one], audit=sent(one.id))], start=0)
        (row,) = (await store.audit(limit=10)).items
        assert (row.entry, row.at) == (sent(one.id), clock())

    async def test_what_operators_did_is_forgotten_after_more_than_a_year(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        for days in (0, 390, 20):
            clock.advance(days * 24 * 3600.0)
            await store.accept([Ingest(source="", event_id="", notifications=[notification()], audit=sent())], start=0)
        assert not await store.forget_ended(kept=0)
        assert len((await store.audit(limit=10)).items) == 2

    async def test_a_place_in_another_list_is_refused(self, store: SqlStore) -> None:
        for after in ("d7", "-1", "9" * 30, "٣"):
            with pytest.raises(InvalidRequestError):
                await store.notifications(after=after, limit=1)
            with pytest.raises(InvalidRequestError):
                await store.audit(after=after, limit=1)
