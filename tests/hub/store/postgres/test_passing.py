"""Processes whose configurations differ: work of a hub or a push service goes to a process that serves it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from pyroaring import BitMap

from hub.acceptance import Approval, Ingest
from hub.notification import Platform
from hub.outcome import OutcomeName, State
from hub.store.contracts.outbox import Audience, Failed, PageResult, Service
from hub.store.rows import moment
from hub.work import Lane
from tests.brokers.postgres import Postgres
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.postgres.fleet import QUEUES, Fleet, Process
from tests.hub.store.suite.harness import begin, enqueue, ids, take, take_pages, went_well

NEW = "new"
FCM: Service = (HUB, Platform.FCM)
NEW_FCM: Service = (NEW, Platform.FCM)
NEW_APNS: Service = (NEW, Platform.APNS)
MAX_AGE = 1800.0


async def two(fleet: Fleet, *services: Service, hubs: Sequence[str] = ()) -> tuple[Process, Process]:
    """One that serves a hub and one that serves it and others, each with half of the queues."""
    old, new = await fleet.start(FCM, hubs=hubs), await fleet.start(FCM, *services)
    await fleet.settle()
    assert (old.owned, new.owned) == (QUEUES // 2, QUEUES // 2)
    return old, new


async def own(process: Process, seconds: float = 1) -> None:
    """One turn of its own, after so long."""
    process.clock.advance(seconds)
    await process.store.own()
    await process.store.tick()


async def test_pages_of_a_broadcast_all_come_to_the_one_process_that_serves_their_hub(fleet: Fleet) -> None:
    old, new = await two(fleet, NEW_FCM)
    (work,) = await begin(new.store, notification(hub=NEW))
    pages = [(Platform.FCM, BitMap([number])) for number in range(3 * QUEUES)]
    await new.store.expand(work, Audience(pages=pages))
    first = len(await take_pages(new.store, hub=NEW))
    assert 0 < first < 3 * QUEUES, "pages are dealt to all"
    await own(old)
    await fleet.pass_time(1)
    assert first + len(await take_pages(new.store, hub=NEW)) == 3 * QUEUES
    assert not await take_pages(old.store, hub=NEW)


async def test_a_broadcast_ends_with_the_counts_of_all_its_pages_wherever_they_went(fleet: Fleet) -> None:
    old, new = await two(fleet, NEW_FCM)
    (work,) = await begin(new.store, notification(hub=NEW))
    await new.store.expand(work, Audience(pages=[(Platform.FCM, BitMap([number])) for number in range(QUEUES)]))
    await own(old)
    ended = Counter[tuple[str, State]]()
    for _ in range(3):
        await fleet.pass_time(5)
        await new.store.record([went_well(page) for page in await take_pages(new.store, hub=NEW)])
        ended.update((await new.store.sum_up()).ended)
    assert ended == {(NEW, State.COMPLETED): 1}
    details = await old.store.details(NEW, work.notification.id)
    assert details.counts == {Platform.FCM: {OutcomeName.SUCCESS: QUEUES}}


async def test_a_notification_in_the_queue_of_one_that_knows_no_such_hub_goes_to_one_that_does(fleet: Fleet) -> None:
    old, new = await two(fleet, NEW_FCM)
    given = [notification(hub=NEW) for _ in range(20)]
    await enqueue(old.store, *given)
    work = await take(old.store)
    assert len(work) == 20
    assert await old.store.pass_on(work, waited=MAX_AGE) == []
    assert not await take(old.store)
    await fleet.pass_time(1)
    taken = await take(new.store)
    assert sorted(ids(taken)) == sorted(one.id for one in given)
    assert (await new.store.record([went_well(piece) for piece in taken])).ended == {(NEW, State.COMPLETED): 20}
    assert (await old.store.record([went_well(piece) for piece in work])).late == 20


_FAILURES = (
    "SELECT f.reason, n.state, n.person, a.person FROM failure f"
    " JOIN notification n ON n.queue = f.queue AND n.n = f.notification"
    " JOIN addressee a ON a.queue = n.queue AND a.notification = n.n"
)


async def test_what_is_recorded_of_a_notification_goes_with_it(fleet: Fleet, postgres: Postgres, database: str) -> None:
    old, new = await two(fleet, NEW_FCM)
    (work,) = await begin(old.store, notification("$UserId:{bob}", hub=NEW, person="eve"))
    failed = Failed(ordinal=1, outcome=OutcomeName.WRONG_TOKEN, reason="x")
    first = PageResult(
        work=work,
        counts={Platform.FCM: {OutcomeName.WRONG_TOKEN: 1, OutcomeName.SUCCESS: 1}},
        done=2,
        is_last=False,
        ordinals=BitMap([1, 2, 3]),
        failures=[failed],
    )
    await old.store.record([first])
    await old.store.give_back([work])
    assert await old.store.pass_on(await take(old.store), waited=MAX_AGE) == []
    await fleet.pass_time(1)
    (again,) = await take(new.store)
    assert (again.done, again.ordinals, again.queue != work.queue) == (2, BitMap([1, 2, 3]), True)
    await new.store.record([went_well(again)])
    assert postgres.run(_FAILURES, database=database) == [("x", "Completed", "eve", "bob")]


async def test_an_approval_goes_with_its_notification(fleet: Fleet) -> None:
    old, new = await two(fleet, NEW_FCM)
    approval = Approval(most=500, actor="sender")
    sent = Ingest(source="", event_id="", notifications=[notification(hub=NEW)], approval=approval)
    (work,) = (await old.store.accept([sent], start=1)).work
    assert await old.store.pass_on([work], waited=MAX_AGE) == []
    await fleet.pass_time(1)
    (again,) = await take(new.store)
    assert again.queue != work.queue
    assert not await new.store.hold([(again, 500)])
    assert await new.store.hold([(again, 501)])


async def test_work_of_a_hub_that_no_process_knows_waits_until_none_has_known_it_for_its_age(fleet: Fleet) -> None:
    old, new = await two(fleet, NEW_FCM)
    given = notification(hub=NEW)
    await enqueue(old.store, given)
    new.services, new.hubs = [FCM], [HUB]
    await fleet.pass_time(2)
    work = await take(old.store)
    assert len(work) == 1
    assert await old.store.pass_on(work, waited=MAX_AGE) == []
    assert not await take(old.store)
    await fleet.pass_time(1)
    await own(old, MAX_AGE - 60)
    (late,) = await take(old.store)
    assert not await old.store.pass_on([late], waited=MAX_AGE)
    await own(old, 64)
    (late,) = await take(old.store)
    assert await old.store.pass_on([late], waited=MAX_AGE) == [late]


async def test_pages_are_orphaned_once_no_live_process_has_served_them_for_their_age(fleet: Fleet) -> None:
    """A replica that knows the hub may be away for a moment, whatever the age of what waits."""
    old, new = await two(fleet, NEW_FCM)
    (work,) = await begin(old.store, replace(notification(hub=NEW), schedule_at=None))
    await old.store.postpone([work], delay=MAX_AGE + 60, service=NEW_FCM)
    await fleet.pass_time(2)
    for process in fleet.processes:
        process.clock.advance(MAX_AGE + 60)
    await fleet.pass_time(1)
    await fleet.pass_time(9, without=[new])
    assert old.owned == QUEUES
    assert await old.store.take_orphans([FCM], 9, waited=MAX_AGE) == []
    old.clock.advance(MAX_AGE)
    (orphan,) = await old.store.take_orphans([FCM], 9, waited=MAX_AGE)
    assert orphan.notification.id == work.notification.id


async def test_work_for_a_push_service_goes_to_the_process_that_has_its_credential(fleet: Fleet) -> None:
    old, new = await two(fleet, NEW_APNS, hubs=[NEW])
    assert old.store.serves_better(NEW_APNS)
    assert not old.store.serves_better(NEW_FCM)
    assert not new.store.serves_better(NEW_APNS)
    (work,) = await begin(old.store, notification(hub=NEW))
    await old.store.postpone([work], delay=0, service=NEW_APNS)
    await own(old)
    await fleet.pass_time(1)
    assert ids(await new.store.take(Lane.SINGLE, {NEW_APNS: 9})) == [work.notification.id]


async def test_a_queue_that_changes_hands_meanwhile_keeps_its_work(fleet: Fleet) -> None:
    old, new = await two(fleet, NEW_FCM)
    given = [notification(hub=NEW) for _ in range(10)]
    await enqueue(old.store, *given)
    work = await take(old.store)
    third = await fleet.start(FCM)
    await fleet.pass_time(10, without=[old])  # the queues of the first have other owners
    assert await old.store.pass_on(work, waited=MAX_AGE) == []
    found = [*await take(new.store), *await take(third.store)]
    assert sorted(ids(found)) == sorted(one.id for one in given)


async def test_an_erasure_finds_what_is_passed_on_while_it_goes_through_the_queues(fleet: Fleet) -> None:
    old, new = await two(fleet, NEW_FCM)
    await new.store.put_installations(NEW, [installation("phone", "news")])
    for _ in range(10):
        await enqueue(old.store, *(notification(hub=NEW, person="eve") for _ in range(4)))
        work = await take(old.store)
        await old.store.pass_on(work, waited=MAX_AGE)
        await new.store.erase_person("eve", actor="ann")
        assert not await take(new.store)
        assert sum((await old.store.count_person("eve")).values()) == 0
    assert moment(new.store.now()) - moment(old.store.now()) < timedelta(seconds=60)
