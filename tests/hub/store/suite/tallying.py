"""What stores sum up by the hour, each notification once."""

from collections import Counter

from hub.notification import Platform
from hub.outcome import OutcomeName, State
from hub.store.contracts.outbox import PageResult
from hub.store.contracts.telemetry import TallyKind
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.harness import Stores, Suite, begin, went_well


async def sums(store: SqlStore, kind: TallyKind) -> Counter[tuple[str, str]]:
    """By platform and name, over all hours."""
    found = await store.tallies(kind, first=0, last=10**6)
    sums = Counter[tuple[str, str]]()
    for each in found:
        sums[each.platform, each.name] += each.count
    return sums


class Tallying(Suite):
    async def test_what_ended_is_in_the_sums_once_before_and_after_it_was_summed(
        self, store: SqlStore, clock: HostClock, stores: Stores
    ) -> None:
        await store.put_installations(HUB, [installation("a", "news")])
        for count in (1, 2):
            works = await begin(store, *(notification("news") for _ in range(3)))
            await store.record([went_well(work, 2) for work in works[:2]])
            await store.record([PageResult(work=works[2], counts={Platform.FCM: {OutcomeName.INVALID_CREDENTIALS: 1}})])
            expected = {("fcmv1", "Success"): 4 * count, ("fcmv1", "InvalidCredentials"): count}
            assert await sums(store, TallyKind.PUSH) == expected
            clock.advance(40)
            await store.tick()
            while await store.tally({}):
                pass
            assert await sums(store, TallyKind.PUSH) == expected
            assert await sums(store, TallyKind.NOTIFICATION) == {("", State.COMPLETED.value): 3 * count}
            clock.advance(3700)
            await store.tick()
        hours = {each.hour for each in await store.tallies(TallyKind.PUSH, first=0, last=10**6)}
        assert len(hours) == 2
        (last,) = {each.hour for each in await store.tallies(TallyKind.PUSH, first=max(hours), last=max(hours))}
        assert last == max(hours)
        while await store.forget_ended(kept=0):
            pass
        assert (await sums(store, TallyKind.PUSH))["fcmv1", "Success"] == 8

    async def test_changes_of_the_registry_and_its_size_are_kept_by_the_hour(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("a"), installation("b", templates=False)])
        await store.tally({(HUB, "put_installation"): 2, (HUB, "delete_installation"): 1})
        await store.tally({(HUB, "put_installation"): 3})
        assert await sums(store, TallyKind.OPERATION) == {("", "put_installation"): 5, ("", "delete_installation"): 1}
        assert await sums(store, TallyKind.DEVICES) == {("fcmv1", ""): 3}

    async def test_a_hub_that_begins_does_not_change_the_hubs_that_a_sum_goes_through(self, store: SqlStore) -> None:
        """The sums of a minute are made with waits between the hubs; a change on the way ended the process."""
        await store.put_installations("first", [installation("a")])
        hubs = await store._registry._places.all()
        for hub in hubs:
            await store.put_installations(f"beside-{hub}", [installation("a")])
        assert "beside-first" in await store._registry._places.all()

    async def test_where_nothing_is_registered_any_more_the_last_count_is_none(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation("a", templates=False)])
        await store.tally({})
        for seconds in (61, 3600, 3600):
            await store.delete_installation(HUB, "a")
            clock.advance(seconds)
            await store.tally({})
        counted = await store.tallies(TallyKind.DEVICES, first=0, last=10**6)
        assert [each.count for each in counted] in ([0], [1, 0])  # another hour may have begun after the first count
        await store.put_installations(HUB, [installation("b", templates=False)])
        clock.advance(61)
        await store.tally({})
        assert (await store.tallies(TallyKind.DEVICES, first=0, last=10**6))[-1].count == 1
