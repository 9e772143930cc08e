"""What a store keeps of devices of a hub that mirrors another one: what waits, what is there, what a list brought."""

from dataclasses import replace

import pytest

from hub.acceptance import AuditEntry
from hub.errors import NotFoundError
from hub.installation import Installation, Registration
from hub.notification import Platform
from hub.store.contracts.mirrors import Found, MirrorBacklog, MirroredDevice, MirrorState
from hub.store.contracts.registry import GoneChannel
from hub.store.contracts.telemetry import TallyKind
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB
from tests.hub.store.suite.harness import Stores, Suite

PHONE = Installation(id="phone", platform=Platform.APNS, push_channel="AA", tags=("a",))
SINGLE = Registration(registration_id="1-2-3", platform=Platform.APNS, push_channel="BB", tags=("a",))


async def due(store: SqlStore) -> dict[str, MirroredDevice]:
    return {each.key: each for each in await store.due_devices(HUB, limit=100)}


async def known(store: SqlStore, key: str) -> MirroredDevice:
    (device,) = await store.mirrored(HUB, [key])
    return device


class Mirrors(Suite):
    @pytest.fixture
    async def store(self, stores: Stores) -> SqlStore:
        store = await stores.open()
        store.write_through([HUB])
        return store

    async def test_each_write_of_a_mirrored_hub_waits_once_a_device_and_those_of_others_do_not(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations("other", [PHONE])
        await store.put_installations(HUB, [PHONE])
        first = clock()
        clock.advance(5)
        await store.put_installations(HUB, [replace(PHONE, push_channel="CC")])
        await store.put_registration(HUB, SINGLE)
        await store.put_direct(HUB, Platform.APNS, ["DD"], tag="$direct", kept=60)
        waiting = await due(store)
        assert {key: each.version for key, each in waiting.items()} == {"i:phone": 2, "r:1-2-3": 1}
        assert await store.mirror_backlog(HUB) == MirrorBacklog(waiting=2, since=first)
        assert await store.due_devices("other", limit=10) == []

    async def test_deletions_wait_too_and_what_waits_outlives_a_crash(self, stores: Stores, store: SqlStore) -> None:
        await store.put_installations(HUB, [replace(PHONE, user_id="ann")])
        await store.put_registration(HUB, SINGLE)
        waiting = await due(store)
        await store.written_there(HUB, [replace(each, said="x") for each in waiting.values()])
        assert await due(store) == {}
        await store.erase_user(HUB, "ann")
        await store.delete_registration(HUB, SINGLE.registration_id)
        await stores.crash()
        assert {key: each.said for key, each in (await due(await stores.open())).items()} == {
            "i:phone": "x",
            "r:1-2-3": "x",
        }

    async def test_a_write_on_the_way_does_not_hide_the_one_that_came_meanwhile(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [PHONE])
        (taken,) = (await due(store)).values()
        await store.put_installations(HUB, [replace(PHONE, push_channel="CC")])
        await store.written_there(HUB, [replace(taken, said="old")])
        (again,) = (await due(store)).values()
        assert (again.said, again.version) == ("old", 2)
        await store.written_there(HUB, [replace(again, said="new")])
        assert await due(store) == {}
        assert (await known(store, "i:phone")).said == "new"

    async def test_one_that_is_refused_is_due_later_and_counts_as_refused(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [PHONE])
        await store.postpone_there(HUB, "i:phone", delay=60, reason="no such platform")
        assert await due(store) == {}
        backlog = await store.mirror_backlog(HUB)
        assert (backlog.waiting, backlog.refused, backlog.reason) == (1, 1, "no such platform")
        clock.advance(60)
        assert [each.attempt for each in (await due(store)).values()] == [1]
        await store.put_installations(HUB, [replace(PHONE, push_channel="CC")])
        assert [each.attempt for each in (await due(store)).values()] == [0], "a new write is a new try"

    async def test_the_id_there_is_kept_before_anything_is_put_under_it(self, store: SqlStore) -> None:
        await store.put_registration(HUB, SINGLE)
        await store.name_there(HUB, "r:1-2-3", "9-9-9")
        assert [each.there for each in (await due(store)).values()] == ["9-9-9"]
        assert [each.key for each in await store.mirrored(HUB, [], there=["9-9-9"])] == ["r:1-2-3"]

    async def test_what_a_list_brings_is_written_and_does_not_wait_to_be_written_back(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        began = clock()
        found = [
            Found(key="i:phone", there="", said="s", print="p", etag=0, installation=PHONE),
            Found(key="r:1-2-3", there="1-2-3", said="s", print="p", etag=0, registration=SINGLE),
        ]
        assert await store.take_found(HUB, found, began=began + 1) == [True, True]
        assert await store.get_installation(HUB, "phone") == PHONE
        assert (await store.get_registration(HUB, "1-2-3")).push_channel == "BB"
        assert await due(store) == {}
        assert await store.newer_there(HUB, began) == await store.newer_here(HUB, began) | await store.newer_there(
            HUB, began
        )
        assert len(await store.newer_there(HUB, began)) == 2
        clock.advance(5)
        seen = await store.mirrored_before(HUB, clock(), limit=10)
        assert [(each.key, each.said, each.print) for each in seen] == [("i:phone", "s", "p"), ("r:1-2-3", "s", "p")]

        gone = [
            replace(found[0], etag=(await store.get_installation(HUB, "phone")).etag, installation=None, gone=True),
            replace(found[1], etag=(await store.get_registration(HUB, "1-2-3")).etag, registration=None, gone=True),
        ]
        assert await store.take_found(HUB, gone, began=clock()) == [True, True]
        with pytest.raises(NotFoundError):
            await store.get_installation(HUB, "phone")
        with pytest.raises(NotFoundError):
            await store.get_registration(HUB, "1-2-3")
        assert await due(store) == {}
        clock.advance(5)
        await store.forget_mirrored(HUB, ["i:phone", "r:1-2-3"], began=clock())
        assert await store.mirrored(HUB, ["i:phone", "r:1-2-3"]) == []

    async def test_a_list_never_overwrites_what_was_written_here_since_it_was_read(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        other = replace(PHONE, push_channel="EE")
        await store.put_installations(HUB, [PHONE])
        etag = (await store.get_installation(HUB, "phone")).etag
        found = Found(key="i:phone", there="", said="s", print="p", etag=etag, installation=other)
        began = clock() + 1
        assert await store.take_found(HUB, [found], began=began) == [False], "it waits to be written there"
        (taken,) = (await due(store)).values()
        clock.advance(5)
        await store.written_there(HUB, [replace(taken, said="mine")])
        assert await store.take_found(HUB, [found], began=began) == [False], "it was written there after the list began"
        clock.advance(5)
        assert await store.take_found(HUB, [replace(found, etag=0)], began=clock()) == [False], "there is one"
        assert await store.take_found(HUB, [replace(found, etag=etag + 1)], began=clock()) == [False], "it is another"
        assert await store.get_installation(HUB, "phone") == PHONE
        assert await store.take_found(HUB, [found], began=clock()) == [True]
        assert await store.get_installation(HUB, "phone") == other

    async def test_a_phone_that_is_dead_here_lives_again_where_the_other_hub_says_something_new(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_registration(HUB, replace(SINGLE, expires_at=None))
        (taken,) = (await due(store)).values()
        await store.written_there(HUB, [replace(taken, there="1-2-3", said="s")])
        await store.mark_channels_dead(HUB, [GoneChannel(platform=Platform.APNS, push_channel="BB", reason="410")])
        clock.advance(5)
        new = replace(SINGLE, push_channel="FF")
        found = Found(key="r:1-2-3", there="1-2-3", said="n", print="p", etag=0, registration=new)
        assert await store.take_found(HUB, [found], began=clock()) == [True]
        assert (await store.get_registration(HUB, "1-2-3")).push_channel == "FF"

    async def test_what_lives_here_alone_is_seeded_once(self, stores: Stores) -> None:
        store = await stores.open()
        await store.put_installations(HUB, [PHONE, replace(PHONE, id="dead", push_channel="DD")])
        await store.put_registration(HUB, SINGLE)
        await store.mark_channels_dead(HUB, [GoneChannel(platform=Platform.APNS, push_channel="DD", reason="410")])
        store.write_through([HUB])
        assert await store.seed_mirror(HUB) == 2
        assert set(await due(store)) == {"i:phone", "r:1-2-3"}
        assert await store.seed_mirror(HUB) == 0

    async def test_what_a_list_leaves_as_it_is_here_waits_to_be_written_there_with_it(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [PHONE])
        (taken,) = (await due(store)).values()
        await store.written_there(HUB, [replace(taken, said="s")])
        clock.advance(5)
        found = Found(key="i:phone", there="", said="theirs", print="p", etag=None)
        assert await store.take_found(HUB, [found], began=clock()) == [True]
        assert await due(store) == {}
        clock.advance(5)
        assert await store.take_found(HUB, [replace(found, again=True)], began=clock()) == [True]
        (waiting,) = (await due(store)).values()
        assert (waiting.version, waiting.waits_since, waiting.said) == (2, clock(), "theirs")

    async def test_all_that_is_known_waits_again_part_by_part(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [PHONE, replace(PHONE, id="second", push_channel="CC")])
        await store.put_registration(HUB, SINGLE)
        await store.written_there(HUB, [replace(each, said="s") for each in (await due(store)).values()])
        await store.postpone_there(HUB, "r:1-2-3", delay=60, reason="no such platform")
        assert await due(store) == {}
        assert await store.rewrite_mirror(HUB, limit=2) == (2, "i:second")
        assert set(await due(store)) == {"i:phone", "i:second"}
        assert await store.rewrite_mirror(HUB, after="i:second", limit=2) == (1, "")
        assert (await due(store))["r:1-2-3"].attempt == 0

    async def test_times_ahead_are_of_a_clock_that_was_set_back_and_nothing_waits_for_them(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [PHONE])
        await store.put_registration(HUB, SINGLE)
        (single,) = [each for each in (await due(store)).values() if each.key == "r:1-2-3"]
        await store.written_there(HUB, [replace(single, said="s")])
        await store.hold_mirror(HUB, owner="one", lease=60)
        await store.listed(HUB, began=clock(), counts={})
        clock.set_by(-7200)
        await store.tick()
        assert await due(store) == {}
        state = await store.hold_mirror(HUB, owner="one", lease=60)
        assert state is not None
        assert (state.listed_at, (await known(store, "r:1-2-3")).at) == (0.0, 0.0)
        assert set(await due(store)) == {"i:phone"}

    async def test_what_an_operator_did_is_written_down(self, store: SqlStore) -> None:
        await store.add_audit(AuditEntry(actor="ann", action="mirror.rewrite", target=HUB))
        (kept,) = (await store.audit(limit=5)).items
        assert (kept.entry.actor, kept.entry.action, kept.entry.target) == ("ann", "mirror.rewrite", HUB)

    async def test_one_process_has_a_hub_at_a_time(self, store: SqlStore, clock: HostClock) -> None:
        assert await store.hold_mirror(HUB, owner="one", lease=60) == MirrorState()
        assert await store.hold_mirror(HUB, owner="two", lease=60) is None
        await store.want_listing(HUB)
        state = await store.hold_mirror(HUB, owner="one", lease=60)
        assert state is not None
        assert (state.is_wanted, state.may_remove) == (True, False)
        await store.want_listing(HUB, may_remove=True)
        await store.want_listing(HUB)
        assert (await store.mirror_state(HUB)).may_remove, "who asks for less takes nothing back"
        await store.begin_listing(HUB)
        state = await store.mirror_state(HUB)
        assert (state.is_wanted, state.may_remove) == (False, False)
        clock.advance(61)
        assert await store.hold_mirror(HUB, owner="two", lease=60) is not None
        assert await store.hold_mirror(HUB, owner="one", lease=60) is None
        await store.release_mirror(HUB, owner="two")
        assert await store.hold_mirror(HUB, owner="one", lease=60) is not None

    async def test_how_the_lists_went_is_kept(self, store: SqlStore, clock: HostClock) -> None:
        await store.hold_mirror(HUB, owner="one", lease=60)
        began = clock()
        await store.listing_failed(HUB, "away")
        assert (await store.mirror_state(HUB)).failure == "away"
        clock.advance(5)
        await store.listed(HUB, began=began, counts={"added": 3})
        assert await store.mirror_state(HUB) == MirrorState(
            listed_began=began, listed_at=clock(), failed_at=began, counts={"added": 3}
        )

    async def test_a_hub_that_is_mirrored_no_more_is_forgotten_before_it_is_mirrored_again(
        self, store: SqlStore
    ) -> None:
        await store.hold_mirror(HUB, owner="one", lease=60)
        await store.put_installations(HUB, [PHONE])
        assert not await store.forget_mirrors([HUB])
        assert set(await due(store)) == {"i:phone"}
        while await store.forget_mirrors([]):
            assert await store.hold_mirror(HUB, owner="one", lease=60) is None, "not before all of it is forgotten"
        assert await due(store) == {}
        assert await store.hold_mirror(HUB, owner="one", lease=60) == MirrorState()

    async def test_what_was_compared_is_summed_by_the_hour(self, store: SqlStore, clock: HostClock) -> None:
        await store.add_compared({(HUB, "equal"): 2})
        await store.add_compared({(HUB, "equal"): 1, (HUB, "different"): 1})
        hour = int(clock() // 3600)
        sums = await store.tallies(TallyKind.MIRROR, first=hour, last=hour)
        assert {each.name: each.count for each in sums} == {"equal": 3, "different": 1}
