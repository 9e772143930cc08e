"""Processes that share a database: who owns which queue, and what an earlier owner may not do any more."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pyroaring import BitMap

from hub.acceptance import Ingest, Partition
from hub.errors import StoreError
from hub.notification import Platform
from hub.outcome import OutcomeName, State
from hub.store.connection import Connection
from hub.store.contracts.outbox import Audience, PageResult, Service, Work
from hub.store.outbox.queues import FENCES
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.store import PostgresStore
from hub.work import Lane
from tests.brokers.postgres import Postgres
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.postgres.fleet import QUEUES, Fleet, Process
from tests.hub.store.suite.accepting import dead_letter
from tests.hub.store.suite.flow_control import in_turn
from tests.hub.store.suite.harness import WHOLE, begin, enqueue, everything, ids, take, take_pages, went_well

FCM: Service = (HUB, Platform.FCM)


async def of_each(process: Process, count: int) -> Sequence[Work]:
    """Work in hand from queues of the process, one after another."""
    return [work for _ in range(count) for work in await begin(process.store, notification())]


async def test_the_first_owns_all_and_each_that_joins_gets_its_share(fleet: Fleet) -> None:
    first = await fleet.start()
    assert first.owned == QUEUES
    await fleet.start()
    await fleet.start()
    await fleet.pass_time(25)
    assert sorted(process.owned for process in fleet.processes) == [20, 22, 22]
    state = first.store.fleet()
    assert (state.queues, state.unowned, [member.version for member in state.members]) == (QUEUES, 0, ["1"] * 3)
    assert [member.is_this for member in state.members] == [True, False, False]


async def test_a_queue_is_given_back_only_once_nothing_of_it_is_in_hand(fleet: Fleet) -> None:
    first = await fleet.start()
    work = await of_each(first, 2 * QUEUES)
    second = await fleet.start()
    await fleet.settle()
    assert second.owned == 0
    assert not await take(second.store)
    await first.store.record([went_well(piece) for piece in work])
    await fleet.settle()
    assert second.owned == QUEUES // 2


async def test_two_claim_one_queue_and_one_gets_it(fleet: Fleet) -> None:
    first, second, third = await fleet.start(), await fleet.start(), await fleet.start()
    await fleet.settle()
    await fleet.pass_time(9, without=[first])
    for process in (second, third):
        process.clock.advance(1)
    await asyncio.gather(second.store.own(), third.store.own())
    await fleet.pass_time(3, without=[first])
    assert (second.owned, third.owned) == (QUEUES // 2, QUEUES // 2)
    assert second.store.ownership().taken_over + third.store.ownership().taken_over == first.owned


async def test_a_process_that_was_stopped_writes_nothing_under_its_old_fence(fleet: Fleet) -> None:
    first = await fleet.start()
    expanded, postponed, recorded, later = await of_each(first, 4)
    second = await fleet.start()
    await fleet.pass_time(10, without=[first])
    assert second.owned == QUEUES
    taken = await take(second.store)
    assert sorted(ids(taken)) == sorted(ids([expanded, postponed, recorded, later]))
    assert not first.store.may_start()
    await first.store.expand(expanded, Audience(pages=[(Platform.FCM, BitMap([1]))]))
    await first.store.postpone([postponed], delay=0, service=FCM)
    assert (await first.store.record([went_well(recorded)])).late == 1
    fresh = notification()
    assert not await begin(first.store, fresh)  # accepted, and for the owner to start
    assert not await take(first.store)
    assert ids(await take(second.store)) == [fresh.id]
    assert not await take_pages(second.store)
    assert (await second.store.record([went_well(piece) for piece in taken])).late == 0
    await first.store.own()
    assert (first.owned, first.store.ownership().lost) == (0, QUEUES)
    assert later.is_withdrawn
    assert first.store.may_start()


async def test_what_was_in_hand_before_its_queue_was_lost_and_claimed_again_is_not_recorded(fleet: Fleet) -> None:
    first = await fleet.start()
    (work,) = await begin(first.store, notification())
    second = await fleet.start()
    await fleet.pass_time(10, without=[first])
    await first.store.own()
    await fleet.pass_time(10, without=[second])
    assert first.owned == QUEUES
    (again,) = await take(first.store)
    assert await first.store.record([went_well(work)]) == await first.store.record([])
    assert (await first.store.record([went_well(again)])).ended == {(HUB, State.COMPLETED): 1}


async def test_a_process_stopped_within_a_transaction_holds_its_queues_for_no_longer_than_the_database_lets_it(
    fleet: Fleet,
) -> None:
    first = await fleet.start(idle_in_transaction=4)
    second = await fleet.start()
    (work,) = await begin(first.store, notification())
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stopped(connection: Connection) -> None:
        connection.read_by_keys(FENCES, list(range(QUEUES)), owner="p0")
        loop.call_soon_threadsafe(held.set)
        time.sleep(5)
        connection.read_by_keys(FENCES, list(range(QUEUES)), owner="p0")

    under_way = asyncio.create_task(first.database.write(stopped))
    await held.wait()
    await fleet.pass_time(10, without=[first])
    assert second.owned == 0, "the claim left the queues alone that a transaction looks at, and did not wait"
    with pytest.raises(StoreError, match="stood still in a transaction"):
        await under_way
    await fleet.pass_time(1, without=[first])
    assert second.owned == QUEUES
    assert (await first.store.record([went_well(work)])).late == 1


async def test_a_database_that_is_away_for_longer_than_an_ownership_moves_no_queue(
    fleet: Fleet, postgres: Postgres
) -> None:
    first, second = await fleet.two()
    await asyncio.to_thread(postgres.kill)
    for _ in range(20):
        for process in (first, second):
            process.clock.advance(1)
            with pytest.raises(StoreError):
                await process.store.own()
    assert not first.store.may_start()
    await asyncio.to_thread(postgres.start)
    await second.store.own()
    await first.store.own()
    await fleet.pass_time(5)
    for process in (first, second):
        counts = process.store.ownership()
        assert (counts.owned, counts.taken_over, counts.lost, counts.renewals_failed) == (QUEUES // 2, 0, 0, 20)
        assert process.store.may_start()


async def test_a_process_that_ends_gives_back_all_and_the_others_go_on_at_once(fleet: Fleet) -> None:
    first, second = await fleet.two()
    left = await of_each(first, 3)
    await first.store.give_back(left)
    await first.store.close()
    await second.store.own()
    assert (second.owned, second.store.ownership().taken_over) == (QUEUES, 0)
    assert sorted(ids(await take(second.store))) == sorted(ids(left))
    assert [member.id for member in second.store.fleet().members] == ["p1"]


async def test_an_event_that_comes_to_two_at_once_is_accepted_once(fleet: Fleet) -> None:
    first, second = await fleet.two()
    for round_ in range(10):
        one = [notification() for _ in range(20)]
        batch = [
            Ingest(source="orders", event_id=f"{round_} {number}", notifications=[each])
            for number, each in enumerate(one)
        ]
        results = await asyncio.gather(
            first.store.accept(batch, start=WHOLE), second.store.accept(batch[::-1], start=WHOLE)
        )
        assert sum(len(result.work) for result in results) == 20
        assert sum(len(result.duplicates) for result in results) == 20


async def test_an_event_that_comes_to_two_at_the_turn_of_an_hour_is_accepted_once(fleet: Fleet) -> None:
    """For one of them the hour has turned, and for the other it has not."""
    first, second = await fleet.two()
    turn = (first.clock() // 3600 + 1) * 3600
    first.clock.set_by(turn - 0.01 - first.clock())
    second.clock.set_by(turn + 0.01 - second.clock())
    batch = [Ingest(source="orders", event_id=f"{number}", notifications=[notification()]) for number in range(20)]
    results = await asyncio.gather(
        first.store.accept(batch, start=WHOLE), second.store.accept(batch[::-1], start=WHOLE)
    )
    assert sum(len(result.work) for result in results) == 20
    assert sum(len(result.duplicates) for result in results) == 20
    first.clock.advance(3600)
    assert len((await first.store.accept(batch, start=0)).duplicates) == 20


async def test_a_partition_that_two_read_at_once_is_accepted_once(fleet: Fleet) -> None:
    """Dead letters alone: they leave no mark and have no id, so that the offset is all that tells them."""
    first, second = await fleet.two()
    partition = Partition("orders/bridge", "t", 0)
    for round_ in range(10):
        offsets = range(20 * round_, 20 * round_ + 20)
        batch = [
            Ingest(source="orders", event_id="", dead_letters=[dead_letter(str(offset))], offset=(partition, offset))
            for offset in offsets
        ]
        results = await asyncio.gather(
            first.store.accept(batch[:15], start=WHOLE), second.store.accept(batch, start=WHOLE)
        )
        assert sum(len(result.duplicates) for result in results) == 15
        assert await second.store.offsets([partition]) == {partition: offsets.stop}
    assert (await first.store.letter_usage()).letters == 200


async def test_a_broadcast_is_dealt_to_all_and_two_last_pages_at_once_end_it_once(fleet: Fleet) -> None:
    first, second = await fleet.two()
    (work,) = await begin(first.store, notification())
    await first.store.expand(work, Audience(pages=[(Platform.FCM, BitMap([n])) for n in range(2 * QUEUES)]))
    mine, others = await take_pages(first.store), await take_pages(second.store)
    assert (len(mine), len(others)) == (QUEUES, QUEUES)
    for pages in zip(mine, others, strict=True):
        await asyncio.gather(first.store.record([went_well(pages[0])]), second.store.record([went_well(pages[1])]))
    ended = Counter[tuple[str, State]]()
    for process in (second, first, second, first):
        process.clock.advance(2)
        ended.update((await process.store.sum_up()).ended)
    assert ended == {(HUB, State.COMPLETED): 1}
    details = await second.store.details(HUB, work.notification.id)
    assert details.counts == {Platform.FCM: {OutcomeName.SUCCESS: 2 * QUEUES}}


async def test_a_process_for_which_nothing_waits_looks_once_for_both_lanes_and_finds_what_others_put_there(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await fleet.two()
    asked: list[str] = []

    def watched(name: str) -> Callable[..., Awaitable[Any]]:
        ask = getattr(first.database, name)

        async def call(job: Callable[[Connection], Any]) -> Any:
            asked.append(name)
            return await ask(job)

        return call

    for name in ("read", "look"):
        monkeypatch.setattr(first.database, name, watched(name))
    for _ in range(3):
        assert not await take(first.store)
        assert not await take_pages(first.store)
    assert asked == ["look"] * 3
    for _ in range(2):
        assert not await take(first.store)
    assert asked == ["look"] * 5, "what a lane found is true for the other lane, and not for its own next look"
    (broadcast,) = await begin(second.store, notification())
    await second.store.expand(broadcast, Audience(pages=[(Platform.FCM, BitMap([n])) for n in range(QUEUES)]))
    assert not await take(first.store)
    assert len(await take_pages(first.store)) == QUEUES // 2
    keys = [str(number) for number in range(30)]
    begun = (await second.store.accept([in_turn(key, key) for key in keys], start=WHOLE)).work
    assert len(begun) + len(await take(first.store)) + len(await take(second.store)) == len(keys)


async def test_a_broadcast_is_cancelled_from_a_process_that_does_not_own_it(fleet: Fleet) -> None:
    first, second = await fleet.two()
    (work,) = await begin(first.store, notification())
    pages = [(Platform.FCM, BitMap(range(n * 10, n * 10 + 10))) for n in range(QUEUES)]
    await first.store.expand(work, Audience(pages=pages))
    page, *others = await take_pages(first.store)
    half = PageResult(work=page, counts={Platform.FCM: {OutcomeName.SUCCESS: 5}}, done=5, is_last=False)
    await first.store.record([half])
    assert await second.store.stop(work.notification.id, actor="ann") == HUB
    rest = replace(half, done_before=5, done=8)
    assert (await first.store.record([rest])).late == 1
    assert page.is_withdrawn, "the rest of a page in hand is not sent"
    assert (await first.store.record([went_well(others[0], 10)])).late == 1
    assert not await take_pages(second.store)
    assert not (await first.store.sum_up()).ended
    details = await second.store.details(HUB, work.notification.id)
    assert (details.state, details.counts) == (State.CANCELLED, {Platform.FCM: {OutcomeName.SUCCESS: 5}})
    assert await first.store.stop(work.notification.id, actor="ann") is None
    (entry,) = (await first.store.audit(limit=9)).items
    assert (entry.entry.actor, entry.entry.action) == ("ann", "notification.cancel")


async def test_an_erasure_by_one_withdraws_what_another_has_in_hand_with_its_next_renewal(fleet: Fleet) -> None:
    first, second = await fleet.two()
    erased, kept, broadcast = await begin(
        first.store, notification("$UserId:{eve}"), notification("$UserId:{bob}"), notification(person="eve")
    )
    await first.store.expand(broadcast, Audience(pages=[(Platform.FCM, BitMap([n])) for n in range(2 * QUEUES)]))
    pages = await take_pages(first.store)
    await second.store.erase_person("eve", actor="ann")
    assert not erased.is_withdrawn
    await fleet.pass_time(1)
    assert erased.is_withdrawn
    assert all(page.is_withdrawn for page in pages)
    assert not kept.is_withdrawn
    assert (await first.store.record([went_well(kept), went_well(erased)])).ended == {(HUB, State.COMPLETED): 1}
    await first.store.tick()
    await fleet.pass_time(2)
    assert await second.store.backlog() == {}


async def test_what_waits_is_counted_over_all_processes(fleet: Fleet) -> None:
    first, second = await fleet.two()
    await enqueue(first.store, *(notification() for _ in range(30)))
    await enqueue(second.store, *(notification() for _ in range(12)))
    assert (await first.store.backlog())[None] == 30
    await fleet.pass_time(2)
    for process in fleet.processes:
        assert (await process.store.backlog())[None] == 42
    await second.store.postpone((await take(second.store))[:5], delay=60, service=FCM)
    await fleet.pass_time(2)
    assert await first.store.backlog() == {None: 37, FCM: 5}


async def test_what_waited_with_a_dead_process_is_counted_by_the_next_owner_of_its_queues(fleet: Fleet) -> None:
    first, second = await fleet.two()
    await enqueue(first.store, *(notification() for _ in range(30)))
    await fleet.pass_time(2)
    await fleet.pass_time(10, without=[first])
    await second.store.tick()
    assert (second.owned, await second.store.backlog()) == (QUEUES, {None: 30})


async def test_what_one_accepts_while_it_owns_no_queue_is_counted_once_in_the_end(fleet: Fleet) -> None:
    first = await fleet.start()
    held = await of_each(first, 2 * QUEUES)  # no queue is given back
    second = await fleet.start()
    await enqueue(second.store, *(notification() for _ in range(7)))
    assert (await second.store.backlog())[None] >= 7
    for _ in range(11):
        await fleet.pass_time(1)
        await first.store.tick()
        await second.store.tick()
    await fleet.pass_time(1)
    for process in fleet.processes:
        assert (await process.store.backlog())[None] == len(held) + 7


async def test_what_one_registers_accepts_or_schedules_another_knows(fleet: Fleet) -> None:
    first, second = await fleet.two()
    await first.store.put_installations(HUB, [installation("phone", "a")])
    (audience,) = await second.store.audiences([notification("a")])
    assert len(audience.targets) == 1
    given = notification()
    await enqueue(first.store, given)
    assert (await second.store.details(HUB, given.id)).state is State.ENQUEUED
    assert [one.id for one in (await second.store.notifications(limit=9)).items] == [given.id]


async def test_two_that_change_one_phone_at_once_leave_it_the_tags_of_one(fleet: Fleet) -> None:
    first, second = await fleet.two()
    for round_ in range(10):
        await asyncio.gather(
            first.store.put_installations(HUB, [installation("phone", f"a{round_}")]),
            second.store.put_installations(HUB, [installation("phone", f"b{round_}")]),
            return_exceptions=True,  # of a phone that is new to both, one write is refused, and comes again
        )
    tags = [f"{letter}{round_}" for letter in "ab" for round_ in range(10)]
    found = await first.store.audiences([notification(tag) for tag in tags])
    carried = {tag for tag, audience in zip(tags, found, strict=True) if audience.targets}
    assert carried in ({"a9"}, {"b9"})


async def test_dead_letters_and_lists_are_of_all_queues(fleet: Fleet) -> None:
    first, second = await fleet.two()
    for number in range(6):
        process = (first, second)[number % 2]
        batch = [Ingest(source="s", event_id=f"e{number}", dead_letters=[dead_letter(f"e{number}")])]
        await process.store.accept(batch, start=0)
        await fleet.pass_time(1)
    kept = (await first.store.letters(limit=10)).items
    assert [one.letter.event_id for one in kept] == [f"e{number}" for number in reversed(range(6))]
    assert (await second.store.letter_usage()).letters == 6
    dropped = await second.store.drop_dead_letters([one.id for one in kept], actor="ann")
    assert list(dropped) == [one.id for one in kept]
    assert (await first.store.letter_usage()).letters == 0


async def test_hosts_whose_clocks_are_hours_apart_have_one_time(postgres: Postgres, database: str) -> None:
    address = PostgresAddress(url=postgres.url(database))
    behind = PostgresStore(replace(address, name="behind"), wall=lambda: time.time() - 7200)
    ahead = PostgresStore(replace(address, name="ahead"), wall=lambda: time.time() + 3600)
    behind.now()
    await behind.open()
    work = await begin(behind, *(notification() for _ in range(3)))
    await behind.give_back(work)
    await ahead.open()
    assert abs(behind.now() - ahead.now()) < 0.2
    assert abs(behind.now() - time.time()) < 0.2
    await behind.close()
    await ahead.own()
    taken = await ahead.take(Lane.SINGLE, everything())
    assert len(taken) == 3
    assert all(0 <= ahead.now() - piece.accepted_at < 10 for piece in taken)
    assert (await ahead.record([PageResult(work=piece, counts={}) for piece in taken])).late == 0
    await ahead.close()
