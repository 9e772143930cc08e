"""The hub takes notifications whatever the store says, within its bounds, and delivers them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.engine import wire_id
from hub.errors import CapacityError, NotFoundError, StoreError, WithdrawnError
from hub.installation import Registration
from hub.notification import NativeContent, Platform
from hub.outcome import OutcomeName, Reaction, State
from hub.push import SendResult
from tests.hub.examples import HUB, arrival, arrivals, installation, notification
from tests.hub.running import QUICK, Running

FCM = Platform.FCM
GOOGLE = NativeContent(platform=FCM, payload=b"{}")
APPLE = NativeContent(platform=Platform.APNS, payload=b"{}")
UNAVAILABLE = SendResult(reaction=Reaction.RETRY, outcome=OutcomeName.PNS_UNAVAILABLE)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    running = Running(tmp_path / "hub.db")
    await running.start()
    yield running
    await running.stop()


async def test_events_are_accepted_once_and_delivered(running: Running) -> None:
    await running.hub.put_installation(HUB, installation("ann", "news", templates=False))
    event = arrival(notification("news", content=GOOGLE), event_id="e-1")
    first = await running.hub.accept([event])
    assert (len(first.work), first.duplicates) == (1, frozenset())
    second = await running.hub.accept([event])
    assert (len(second.work), second.duplicates) == (0, frozenset([0]))
    await running.observer.until_ended(1)
    assert running.fcm.push_channels == ["token of ann"]


async def test_acceptance_waits_for_the_store_and_loses_nothing(running: Running) -> None:
    running.store.failures["accept"] = 4
    accepting = asyncio.ensure_future(running.hub.accept([arrival(notification(), event_id="e-1")]))
    await running.store.called("accept", 2)
    trouble = running.hub.store_trouble
    assert trouble is not None
    assert (trouble.operation, trouble.cause) == ("accept", "accept fails in a test")
    result = await accepting
    assert not result.duplicates
    assert running.hub.store_trouble is None
    assert running.observer.store_failures == ["accept"] * 4
    await running.observer.until_ended(1)


async def test_what_is_withdrawn_while_the_store_fails_is_not_accepted(running: Running) -> None:
    running.store.failures["accept"] = 2
    answers = iter([False, True])
    with pytest.raises(WithdrawnError):
        await running.hub.accept([arrival(notification(), event_id="e-1")], withdrawn=lambda: next(answers))
    assert not (await running.hub.accept([arrival(notification(), event_id="e-1")])).duplicates


async def test_what_is_in_the_store_is_delivered_at_once_though_its_source_was_lost_meanwhile(running: Running) -> None:
    """It is leased to this process: else it would wait for the end of that lease."""
    await running.hub.put_installation(HUB, installation("ann", templates=False))
    accepting = asyncio.ensure_future(running.hub.accept([arrival(notification(content=GOOGLE), event_id="e-1")]))
    await running.store.called("accept", 1)
    accepting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await accepting
    async with asyncio.timeout(30):
        await running.observer.until_ended(1)
    assert running.fcm.push_channels == ["token of ann"]


async def test_a_send_is_known_by_its_wire_id_and_saying_it_twice_is_saying_it_once(running: Running) -> None:
    await running.hub.put_installation(HUB, installation("ann", templates=False))
    given = notification(content=GOOGLE)
    notification_id = await running.hub.send(given)
    assert notification_id == wire_id(given.id, running.clock())
    assert await running.hub.send(given) == notification_id
    await running.observer.until_ended(1)
    await running.store.looked()
    assert len(running.fcm.pushes) == 1
    for name in (notification_id, given.id, given.id.upper()):
        details = await running.hub.details(HUB, name)
        assert (details.state, details.counts) == (State.COMPLETED, {FCM: {OutcomeName.SUCCESS: 1}})


def test_a_wire_id_holds_the_id_and_the_time() -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    assert wire_id("ab" * 16, at) == "ab" * 16 + "-20300102030405-1-1"


@pytest.mark.parametrize("name", ["", "abc", "x" * 32, "0" * 31, "٣" * 32, "0" * 32])
async def test_an_id_that_nobody_has_is_not_found(running: Running, name: str) -> None:
    with pytest.raises(NotFoundError):
        await running.hub.details(HUB, name)


async def test_a_send_is_told_of_once_it_is_in_the_store_and_not_again(running: Running) -> None:
    send = notification(content=GOOGLE)
    for _ in range(2):
        await running.hub.send(send)
    await running.hub.accept([arrival(notification(content=GOOGLE))])  # an event is told of by the bridge
    assert running.observer.sends == [send]


async def test_a_send_is_told_of_though_its_caller_has_gone(running: Running) -> None:
    send = notification(content=GOOGLE)
    sending = asyncio.ensure_future(running.hub.send(send))
    await asyncio.sleep(0)
    sending.cancel()
    async with asyncio.timeout(60):
        await running.observer.until(lambda: running.observer.sends == [send])


async def test_a_send_that_the_store_refuses_is_told_and_not_taken(running: Running) -> None:
    running.store.failures["accept"] = 1
    with pytest.raises(StoreError):
        await running.hub.send(notification(content=GOOGLE))
    assert sum((await running.store.backlog()).values()) == 0


async def test_a_full_hub_refuses_sends_until_there_is_room_but_takes_what_was_received(tmp_path: Path) -> None:
    uncounted = replace(QUICK, count_every=3600)  # a count may be behind for a moment
    running = Running(tmp_path / "hub.db", max_pending=3, timing=uncounted)
    await running.start()
    running.fcm.hold()
    await running.hub.put_installation(HUB, installation("ann", templates=False))
    assert running.hub.capacity == running.hub.max_pending == 3
    await running.hub.accept(arrivals([notification(content=GOOGLE) for _ in range(5)]))
    assert (running.hub.capacity, running.hub.pending) == (0, 5)
    with pytest.raises(CapacityError) as refused:
        await running.hub.send(notification(content=GOOGLE))
    assert refused.value.retry_after > 0
    running.fcm.let_go()
    await running.observer.until_ended(5)
    assert running.hub.capacity == 3
    await running.hub.send(notification(content=GOOGLE))
    await running.stop()


async def test_a_push_service_whose_share_is_full_refuses_what_is_for_it_alone(tmp_path: Path) -> None:
    running = Running(tmp_path / "hub.db", max_pending=8, max_in_flight=1, senders=[Platform.APNS])
    await running.start()
    phones = [
        installation("ann", "fcm", "both", templates=False),
        installation("bob", "apns", "both", platform=Platform.APNS, push_channel="AB"),
        installation("eve", "both"),
    ]
    await running.hub.put_installations(HUB, phones)
    running.fcm.hold()
    await running.hub.accept(arrivals([notification("fcm", content=GOOGLE) for _ in range(5)]))
    await running.fcm.received(1)
    running.clock.advance(10.0)  # without a verdict: the service counts as one that does not work
    while running.hub.full != {(HUB, FCM)}:
        await running.store.called("backlog")
    for_fcm, for_apns, for_both = notification("fcm", content=GOOGLE), notification("apns"), notification("both")
    assert await running.hub.full_for([for_apns, for_fcm, for_both, notification("nobody")]) == {for_fcm.id}
    with pytest.raises(CapacityError, match="fcmv1 of hub main"):
        await running.hub.send(for_fcm)
    await running.hub.send(for_apns)
    running.fcm.let_go()
    while running.hub.full:
        await running.store.called("backlog")
    await running.hub.send(for_fcm)
    await running.stop()


async def test_a_push_service_that_works_is_never_full_however_much_waits_for_it(tmp_path: Path) -> None:
    """Intake pauses when all that may wait waits; what was taken is not lost for being much."""
    running = Running(tmp_path / "hub.db", max_pending=8, max_in_flight=1, senders=[Platform.APNS])
    await running.start()
    await running.hub.put_installation(HUB, installation("ann", "fcm", templates=False))
    running.fcm.hold()
    await running.hub.accept(arrivals([notification("fcm", content=GOOGLE) for _ in range(7)]))
    await running.store.called("backlog", 2)
    assert running.hub.pending == 7
    assert running.hub.bulkheads[HUB, FCM].is_working
    assert not running.hub.full
    running.fcm.let_go()
    await running.stop()


async def test_what_waits_is_counted_anew_for_what_was_told_twice_waits_once(running: Running) -> None:
    running.fcm.hold()
    await running.hub.put_installation(HUB, installation("ann", templates=False))
    given = notification(content=GOOGLE)
    for _ in range(3):
        await running.hub.send(given)
    await running.fcm.received(1)
    await running.store.called("backlog", 2)
    assert running.hub.pending == 1


async def test_a_count_that_fails_is_told_and_tried_again(running: Running) -> None:
    running.store.failures["backlog"] = 2
    await running.store.called("backlog", 3)
    assert running.observer.store_failures == ["count"] * 2


async def test_a_defect_in_a_count_is_told_and_ends_no_delivery(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def defect() -> None:
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setattr(running.hub, "_tally", defect)
    await running.store.called("backlog", 2)
    await running.hub.put_installation(HUB, installation("ann", templates=False))
    await running.hub.send(notification(content=GOOGLE))
    await running.observer.until_ended(1)
    assert running.observer.crashes


async def test_what_was_left_by_a_process_before_goes_first(tmp_path: Path) -> None:
    before = Running(tmp_path / "hub.db")
    await before.hub.open()
    await before.hub.put_installation(HUB, installation("ann", templates=False))
    old = [notification(content=NativeContent(platform=FCM, payload=b"%d" % number)) for number in range(3)]
    assert len((await before.hub.accept(arrivals(old))).work) == 3
    await before.hub.close()

    after = Running(tmp_path / "hub.db")
    assert await after.hub.open() == 3
    assert after.hub.pending == 3
    new = notification(content=NativeContent(platform=FCM, payload=b"new"))
    assert not (await after.hub.accept(arrivals([new]))).work  # it queues behind the old ones
    task = asyncio.ensure_future(after.hub.run())
    await after.observer.until_ended(4)
    assert [push.payload for push in after.fcm.pushes] == [b"0", b"1", b"2", b"new"]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await after.hub.close()


async def test_a_platform_without_credential_shows_in_the_outcome(running: Running) -> None:
    apple = installation("bob", platform=Platform.APNS, push_channel="AB", templates=False)
    await running.hub.put_installation(HUB, apple)
    given = notification(content=APPLE)
    await running.hub.send(given)
    await running.observer.until_ended(1)
    details = await running.hub.details(HUB, given.id)
    assert details.counts == {Platform.APNS: {OutcomeName.INVALID_CREDENTIALS: 1}}
    assert not (await running.hub.get_installation(HUB, "bob")).push_channel_expired


async def test_the_registry_is_kept_by_the_store(running: Running) -> None:
    hub = running.hub
    await hub.put_installations(HUB, [installation("ann"), installation("bob")])
    assert await hub.get_installation(HUB, "ann") == installation("ann")
    await hub.delete_installation(HUB, "ann")
    await hub.delete_installation(HUB, "ann")
    with pytest.raises(NotFoundError):
        await hub.get_installation(HUB, "ann")
    registration = await hub.put_registration(
        HUB, Registration(registration_id="", platform=FCM, push_channel="x", tags=("a",))
    )
    assert await hub.get_registration(HUB, registration.registration_id) == registration
    await hub.delete_registration(HUB, registration.registration_id, if_match=1)
    with pytest.raises(NotFoundError):
        await hub.get_registration(HUB, registration.registration_id)


async def test_draining_then_closing_leaves_nothing_half_done(tmp_path: Path) -> None:
    running = Running(tmp_path / "hub.db")
    await running.start()
    await running.hub.put_installation(HUB, installation("ann", templates=False))
    await running.hub.accept(arrivals([notification(content=GOOGLE) for _ in range(50)]))
    await running.hub.drain(60)
    assert running.hub.in_hand == 0
    assert running.observer.states == {(HUB, State.COMPLETED): 50}
    await running.stop()
    assert running.fcm.closed
    again = Running(tmp_path / "hub.db")
    assert await again.start() == 0
    assert again.hub.pending == 0
    await again.stop()


@pytest.mark.parametrize("answered", [True, False])
async def test_clients_of_a_hub_taken_away_are_closed_when_they_have_finished_or_with_the_hub(
    tmp_path: Path, answered: bool
) -> None:
    running = Running(tmp_path / "hub.db")
    await running.start()
    await running.hub.put_installation(HUB, installation("ann", templates=False))
    running.fcm.hold()
    await running.hub.send(notification(content=GOOGLE))
    await running.fcm.received(1)
    running.hub.replace_hubs(gone=[HUB], hubs=[], senders={}, remotes={}, guards={})
    assert running.hub.bulkheads == {}
    await running.store.called("take", 2)
    assert not running.fcm.closed
    if answered:
        running.fcm.let_go()
        await running.observer.until_ended(1)
        assert running.observer.states == {(HUB, State.COMPLETED): 1}
    await running.stop()
    assert running.fcm.closed


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["tick", "look for stalls"])
async def test_a_defect_in_the_upkeep_of_the_store_is_named_and_ends_no_delivery(tmp_path: Path, loop: str) -> None:
    running = Running(tmp_path / "hub.db")
    defects = iter([RuntimeError("a defect")] * 3)
    turned = asyncio.Event()

    def defect() -> None:
        if (error := next(defects, None)) is not None:
            raise error
        turned.set()

    async def tick() -> None:
        defect()

    if loop == "tick":
        running.store.tick = tick  # type: ignore[method-assign]
    else:
        running.hub.health._look_for_stalls = defect  # type: ignore[method-assign]
    await running.start()
    try:
        async with asyncio.timeout(60):
            await turned.wait()
            await running.hub.accept(arrivals([notification()]))
            await running.observer.until_ended(1)
        assert len(running.observer.crashes) == 1, "one that comes again each time is told once a minute"
    finally:
        await running.stop()
