"""What was accepted reaches every phone it is for, once if at all possible, whatever fails on the way."""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap

from hub.acceptance import AuditEntry
from hub.content.rendering import Rendering
from hub.delivery.bulkhead import Bulkhead
from hub.delivery.dispatch import Dispatcher, Timing
from hub.delivery.retry import RetryPolicy
from hub.delivery.window import SHORT
from hub.errors import NotFoundError
from hub.installation import Registration, Template
from hub.notification import NativeContent, Notification, Platform
from hub.outcome import NotificationDetails, OutcomeName, Reaction, State
from hub.precedence import Precedence
from hub.push import PageVerdict, PushPage, SendResult, host_of
from hub.store.contracts.fleet import FleetState, Member
from hub.store.contracts.outbox import PAGE_SIZE, Service, Work
from hub.store.health import StoreHealth
from hub.target import Target
from hub.work import Lane
from tests.fakes.clock import FakeClock
from tests.fakes.observer import FakeObserver
from tests.fakes.pushes import Push
from tests.fakes.senders import DELIVERED, DROPPED, GONE, UNAVAILABLE, WRONG_KEY, FakeSender
from tests.fakes.stores import FlakyStore, dead_letters
from tests.hub.examples import HUB, arrivals, installation, notification
from tests.hub.store.suite.registering import channels

APNS, FCM, WNS = Platform.APNS, Platform.FCM, Platform.WNS
SUCCESS, SKIPPED, ABANDONED = OutcomeName.SUCCESS, OutcomeName.SKIPPED, OutcomeName.ABANDONED
POLICY = RetryPolicy(base=2.0, cap=120.0, max_age=1800.0)
FIRST_WAIT = 2.0  # seconds within which a first retry is due
APPLE = NativeContent(platform=APNS, payload=b"{}")
GOOGLE = NativeContent(platform=FCM, payload=b"{}")
WHOLE = 10**6
"""A limit that is none."""
AFTER_CRASH = 60.0  # seconds until work that met a defect is tried again
QUICK = Timing(poll=0.003, sum_every=0.003, record_backoff=(0.001, 0.01))


class FakeOutlet:
    """A hub elsewhere that takes everything, unless it has a defect."""

    def __init__(self) -> None:
        self.taken: list[Notification] = []
        self.defect: Exception | None = None

    async def send(self, batch: Sequence[Notification], /) -> PageVerdict:
        if self.defect is not None:
            raise self.defect
        self.taken += batch
        return PageVerdict(delivered=len(batch))

    async def close(self) -> None: ...


class Delivery:
    """A dispatcher at work between a real store and push services that are played."""

    def __init__(
        self,
        store: FlakyStore,
        clock: FakeClock,
        *,
        slots: int = 4000,
        timing: Timing = QUICK,
        precedence: Precedence | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.observer = FakeObserver()
        self.apns, self.fcm, self.wns = map(FakeSender, (Platform.APNS, Platform.FCM, Platform.WNS))
        self.bulkheads = {
            (HUB, sender.platform): Bulkhead(
                sender, clock=clock, host_of=lambda page, position: host_of(page.push_channels[position])
            )
            for sender in (self.apns, self.fcm, self.wns)
        }
        self.without_credential: set[tuple[str, Platform]] = set()
        self.elsewhere = FakeOutlet()
        self.remotes = {"elsewhere": Bulkhead(self.elsewhere, clock=clock)}
        self.dispatcher = Dispatcher(
            StoreHealth(store, observer=self.observer),
            self.bulkheads,
            without_credential=self.without_credential,
            remotes=self.remotes,
            observer=self.observer,
            policy=POLICY,
            slots=slots,
            clock=clock,
            timing=timing,
            precedence=precedence,
        )

    async def accept(self, *notifications: Notification) -> None:
        """As the hub does it: what there are slots for is in hand at once."""
        result = await self.store.accept(arrivals(notifications), start=self.dispatcher.free_slots)
        self.dispatcher.submit(result.work, accepted=len(notifications))

    async def deliver(self, *notifications: Notification) -> None:
        """Accept these, and return when as many have ended."""
        ended = self.observer.states.total()
        await self.accept(*notifications)
        await self.observer.until_ended(ended + len(notifications))

    async def later(self, seconds: float) -> None:
        """Let this much time pass once nothing is under way any more."""
        while self.dispatcher.in_hand:
            await self.store.called("take")
        self.clock.advance(seconds)

    async def details(self, given: Notification) -> NotificationDetails:
        return await self.store.details(HUB, given.id)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[FlakyStore]:
    store = FlakyStore(tmp_path / "hub.db", clock=clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def delivery(store: FlakyStore, clock: FakeClock) -> AsyncIterator[Delivery]:
    delivery = Delivery(store, clock)
    async for running in run(delivery):
        yield running
    assert delivery.observer.crashes == []


@pytest.fixture
async def crashing(store: FlakyStore, clock: FakeClock) -> AsyncIterator[Delivery]:
    """For tests that provoke a defect."""
    async for running in run(Delivery(store, clock)):
        yield running


async def run(delivery: Delivery) -> AsyncIterator[Delivery]:
    task = asyncio.ensure_future(delivery.dispatcher.run())
    try:
        yield delivery
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def waiting(store: FlakyStore) -> int:
    """Notifications and pages that are not done."""
    return sum((await store.backlog()).values())


async def due(store: FlakyStore, lane: Lane = Lane.SINGLE) -> Sequence[Work]:
    """All that is due in a lane."""
    wanted: dict[Service | None, int] = {(HUB, platform): WHOLE for platform in Platform.declared()}
    return await store.take(lane, {None: WHOLE, **wanted})


def phones(count: int) -> list[str]:
    return [f"p{number:05d}" for number in range(count)]


async def register(delivery: Delivery, count: int, *tags: str) -> list[str]:
    """So many phones with one native registration each; their push channels."""
    made = [installation(name, *tags, templates=False) for name in phones(count)]
    await delivery.store.put_installations(HUB, made)
    return sorted(phone.push_channel for phone in made)


# The common case


async def test_a_notification_reaches_every_phone_it_is_for_and_is_recorded(delivery: Delivery) -> None:
    apple = installation("bob", "news", platform=APNS, push_channel="AB")
    await delivery.store.put_installations(HUB, [installation("ann", "news"), apple, installation("eve", "sports")])
    given = notification("news", platforms=frozenset([FCM]))
    await delivery.deliver(given)
    assert delivery.fcm.push_channels == ["token of ann"]
    assert delivery.apns.pushes == []
    details = await delivery.details(given)
    assert (details.state, details.counts) == (State.COMPLETED, {FCM: {SUCCESS: 1}})
    observer = delivery.observer
    assert observer.audiences == [(given, {FCM: 1})]
    assert observer.outcomes == {(FCM, SUCCESS): 1}
    assert observer.answers == {(HUB, FCM, SUCCESS): 1}
    assert observer.deliveries == [(FCM, 0.0, 1)]
    assert observer.states == {(HUB, State.COMPLETED): 1}
    assert delivery.dispatcher.in_hand == 0
    assert delivery.dispatcher.pending == await waiting(delivery.store) == 0


async def test_a_push_that_fails_among_single_ones_costs_the_others_nothing(delivery: Delivery) -> None:
    await register(delivery, 1, "news")
    given = [notification("news", content=GOOGLE) for _ in range(4)]
    answers = iter([DELIVERED, UNAVAILABLE, DROPPED, DELIVERED])
    delivery.fcm.answer = lambda push: next(answers, DELIVERED)
    await delivery.accept(*given)
    await delivery.observer.until_ended(3)
    assert [state.state for state in [await delivery.details(one) for one in given]] == [
        State.COMPLETED,
        State.PROCESSING,
        State.COMPLETED,
        State.COMPLETED,
    ]
    assert SUCCESS not in (await delivery.details(given[2])).counts[FCM]
    await delivery.later(FIRST_WAIT)
    await delivery.observer.until_ended(4)
    assert (await delivery.details(given[1])).counts == {FCM: {SUCCESS: 1}}
    assert Counter(push.id for push in delivery.fcm.pushes).most_common(1)[0][1] == 2
    assert len(delivery.observer.audiences) == 4
    assert delivery.observer.outcomes[FCM, SUCCESS] == 3


async def test_a_notification_for_nobody_ends_with_no_target(delivery: Delivery) -> None:
    given = notification("nobody")
    await delivery.deliver(given)
    assert (await delivery.details(given)).state is State.NO_TARGET_FOUND
    assert delivery.observer.audiences == [(given, {})]


async def test_what_waits_in_the_store_is_delivered_oldest_first(store: FlakyStore, clock: FakeClock) -> None:
    given = [notification(content=replace(GOOGLE, payload=b"%d" % number)) for number in range(10)]
    await store.put_installations(HUB, [installation("ann", templates=False)])
    for one in given:
        await store.accept(arrivals([one]), start=0)
        clock.advance(1)
    delivery = Delivery(store, clock, slots=2)
    async for _ in run(delivery):
        await delivery.observer.until_ended(10)
    assert [push.payload for push in delivery.fcm.pushes] == [b"%d" % number for number in range(10)]
    assert {len(batch) for batch in delivery.fcm.batches} <= {1, 2}
    assert delivery.observer.claims == {Lane.SINGLE: 10}
    assert len(delivery.observer.waits) == 10


async def test_no_more_is_taken_than_there_are_slots_and_the_rest_queues_behind(
    store: FlakyStore, clock: FakeClock
) -> None:
    slots = 5
    delivery = Delivery(store, clock, slots=slots)
    await store.put_installations(HUB, [installation("ann", templates=False)])
    delivery.fcm.hold()
    async for _ in run(delivery):
        await delivery.accept(*(notification(content=GOOGLE) for _ in range(30)))
        await delivery.fcm.received(slots)
        assert delivery.dispatcher.free_slots == 0
        held = delivery.dispatcher.in_hand
        assert slots <= held <= 2 * slots  # an acceptance and a look into the store may happen at the same time
        await delivery.accept(notification(content=GOOGLE))
        await store.called("take", 3)
        assert delivery.dispatcher.in_hand == held
        assert delivery.dispatcher.pending == 31
        delivery.fcm.let_go()
        await delivery.observer.until_ended(31)
        await store.looked()
        assert delivery.dispatcher.free_slots == slots


async def test_an_acceptance_that_left_none_behind_causes_no_look_for_work(store: FlakyStore, clock: FakeClock) -> None:
    delivery = Delivery(store, clock, timing=replace(QUICK, poll=1e6))
    await register(delivery, 1, "news")
    async for _ in run(delivery):
        await store.called("take")  # the look that begins
        for _ in range(3):
            await delivery.deliver(notification("news", content=GOOGLE))
        assert store.calls["take"] == 2  # a look in each lane as it begins


@pytest.mark.parametrize(("of_calls", "most_before"), [(10, 0), (1000, 128)], ids=["little", "much"])
async def test_what_a_source_sends_behind_a_flood_of_another_is_pushed_before_most_of_it(
    store: FlakyStore, clock: FakeClock, of_calls: int, most_before: int
) -> None:
    precedence = Precedence(clock=lambda: 0.0)
    precedence.did("flood", 2000)
    precedence.did("calls", of_calls)
    delivery = Delivery(store, clock, precedence=precedence)
    await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "call")])
    flood = [notification("news", source="flood", content=GOOGLE) for _ in range(500)]
    await delivery.accept(*flood)
    await delivery.accept(notification("call", source="calls", content=GOOGLE))
    async for _ in run(delivery):
        await delivery.observer.until_ended(len(flood) + 1)
    assert delivery.fcm.push_channels.index("token of bob") <= most_before


async def test_a_dispatcher_that_is_alone_and_has_nothing_looks_for_work_at_every_fourth_time(
    store: FlakyStore, clock: FakeClock
) -> None:
    poll, polls = 0.02, 20
    async for _ in run(Delivery(store, clock, timing=replace(QUICK, poll=poll))):
        await asyncio.sleep(polls * poll)
        assert store.calls["take"] <= 2 * (1 + polls / 4 + 1)  # in each lane one as it begins


async def test_a_dispatcher_beside_others_looks_as_seldom_once_it_had_no_work_for_some_seconds(
    store: FlakyStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [Member(id=id_, version="", queues=32, share=32, is_this=id_ == "a") for id_ in ("a", "b")]
    monkeypatch.setattr(store, "fleet", lambda: FleetState(queues=64, unowned=0, members=members))
    poll, polls = 0.02, 20
    async for _ in run(Delivery(store, clock, timing=replace(QUICK, poll=poll, calm_after=0.0))):
        await asyncio.sleep(polls * poll)
        assert store.calls["take"] <= 2 * (1 + polls / 4 + 1)


async def test_a_dispatcher_without_work_leaves_the_writer_alone(tmp_path: Path, clock: FakeClock) -> None:
    written: list[float] = []
    store = FlakyStore(tmp_path / "hub.db", clock=clock, observe=lambda _, seconds: written.append(seconds))
    await store.open()
    opening = len(written)
    async for _ in run(Delivery(store, clock)):
        await store.looked()
    assert len(written) == opening
    await store.close()


async def test_a_scheduled_notification_goes_out_at_its_time(delivery: Delivery) -> None:
    await register(delivery, 1)
    at = datetime.fromtimestamp(delivery.clock() + 7200, UTC)  # later than retries of an unscheduled one would end
    await delivery.accept(notification(content=GOOGLE, schedule_at=at))
    await delivery.later(7199)
    await delivery.store.looked()
    assert delivery.fcm.pushes == []
    await delivery.later(1)
    await delivery.observer.until_ended(1)
    assert delivery.observer.outcomes == {(FCM, SUCCESS): 1}
    assert delivery.observer.deliveries == [(FCM, 0.0, 1)], "counted from its time on: to wait for it is no delay"


async def test_registrations_that_share_a_channel_get_one_push_and_the_others_count_as_skipped(
    delivery: Delivery,
) -> None:
    twins = [installation(name, "news", push_channel="same", templates=False) for name in ("ann", "bob", "eve")]
    await delivery.store.put_installations(HUB, twins)
    given = notification("news", content=GOOGLE)
    await delivery.deliver(given)
    assert delivery.fcm.push_channels == ["same"]
    assert (await delivery.details(given)).counts == {FCM: {SUCCESS: 1, SKIPPED: 2}}


async def test_a_template_that_is_not_valid_any_more_costs_only_its_own_push(delivery: Delivery) -> None:
    await delivery.store.put_installations(HUB, [installation("ann", "news")])
    broken = Template(body="no json")
    await delivery.store.put_registration(
        HUB,
        Registration(
            registration_id="", platform=FCM, push_channel="x", tags=("news",), template_name="t", template=broken
        ),
    )
    given = notification("news")
    await delivery.deliver(given)
    assert delivery.fcm.push_channels == ["token of ann"]
    assert (await delivery.details(given)).counts == {FCM: {SUCCESS: 1, OutcomeName.INVALID_NOTIFICATION_FORMAT: 1}}


# What services answer


async def test_a_dead_channel_is_hidden_and_its_push_not_repeated(delivery: Delivery) -> None:
    await register(delivery, 3, "news")
    dead = phones(3)[1]
    delivery.fcm.answer = lambda push: GONE if push.push_channel == f"token of {dead}" else DELIVERED
    given = notification("news", content=GOOGLE)
    await delivery.deliver(given)
    assert (await delivery.details(given)).counts == {FCM: {SUCCESS: 2, OutcomeName.EXPIRED_CHANNEL: 1}}
    assert delivery.observer.dead_channels == {(HUB, FCM): 1}
    assert f"token of {dead}" not in await channels(delivery.store, given)
    assert (await delivery.store.get_installation(HUB, dead)).push_channel_expired


@pytest.mark.parametrize("gone_since", [None, 1.0])
async def test_a_phone_that_registers_anew_while_its_old_channel_is_found_dead_stays(
    delivery: Delivery, gone_since: float | None
) -> None:
    await register(delivery, 1, "news")
    delivery.fcm.hold()
    given = notification("news", content=GOOGLE)
    await delivery.accept(given)
    await delivery.fcm.received(1)
    delivery.clock.advance(1)
    anew = installation(phones(1)[0], "news", push_channel="new token", templates=False)
    await delivery.store.put_installations(HUB, [anew])
    known = None if gone_since is None else datetime.fromtimestamp(delivery.clock() + gone_since, UTC)
    delivery.fcm.answer = replace(GONE, gone_since=known)
    delivery.fcm.let_go()
    await delivery.observer.until_ended(1)
    assert await channels(delivery.store, given) == ["new token"]


@pytest.mark.slow
@pytest.mark.parametrize("change", ["tag", "user", "gone"])
@pytest.mark.parametrize("retried", [True, False])
async def test_a_page_does_not_reach_a_phone_that_its_audience_no_longer_means(
    delivery: Delivery, change: str, retried: bool
) -> None:
    """A large audience is found long before its last page is pushed."""
    count = PAGE_SIZE + 1
    everyone = [replace(installation(name, "news", templates=False), user_id="ann") for name in phones(count)]
    await delivery.store.put_installations(HUB, everyone)
    changed, given = everyone[0], notification("news" if change == "tag" else "$UserId:{ann}", content=GOOGLE)

    async def change_it() -> None:
        match change:
            case "tag":
                await delivery.store.put_installations(HUB, [replace(changed, tags=("sports",))])
            case "user":
                await delivery.store.put_installations(HUB, [replace(changed, user_id="bob")])
            case _:
                await delivery.store.delete_installation(HUB, changed.id)

    if retried:
        delivery.fcm.answer = lambda push: UNAVAILABLE if push.push_channel == changed.push_channel else DELIVERED
        await delivery.accept(given)
        await delivery.fcm.received(count)
        await change_it()
        delivery.fcm.answer = DELIVERED
        await delivery.later(FIRST_WAIT)
    else:
        (piece,) = (await delivery.store.accept(arrivals([given]), start=1)).work
        (found,) = await delivery.store.audiences([given])
        await change_it()
        await delivery.store.expand(piece, found)
    await delivery.observer.until_ended(1)
    assert delivery.fcm.push_channels.count(changed.push_channel) == int(retried)
    assert len(set(delivery.fcm.push_channels)) == count - (not retried)


@pytest.mark.slow
async def test_a_topic_that_is_wrong_for_every_phone_hides_none(delivery: Delivery) -> None:
    everyone = await register(delivery, PAGE_SIZE + 500)
    delivery.fcm.answer = replace(GONE, reason="DeviceTokenNotForTopic", suspect=True)
    given = notification(content=GOOGLE)
    await delivery.deliver(given)
    assert (await delivery.details(given)).counts == {FCM: {OutcomeName.INVALID_CREDENTIALS: len(everyone)}}
    delivery.fcm.answer = DELIVERED
    again = notification(content=GOOGLE)
    await delivery.deliver(again)
    assert (await delivery.details(again)).counts == {FCM: {SUCCESS: len(everyone)}}


@pytest.mark.slow
async def test_a_service_that_calls_everybody_gone_empties_no_registry(delivery: Delivery) -> None:
    """It is braked from the first thousand answers on, and what went before comes back."""
    everyone = await register(delivery, PAGE_SIZE + 500)
    delivery.fcm.answer = GONE
    given = notification(content=GOOGLE)
    await delivery.deliver(given)
    assert (await delivery.details(given)).counts == {FCM: {OutcomeName.EXPIRED_CHANNEL: len(everyone)}}
    audit = AuditEntry(actor="anna", action="devices.restore", target=HUB)
    hidden = await delivery.store.revive(HUB, within=3600.0, audit=audit)
    assert hidden == PAGE_SIZE
    delivery.fcm.answer = DELIVERED
    again = notification(content=GOOGLE)
    await delivery.deliver(again)
    assert (await delivery.details(again)).counts == {FCM: {SUCCESS: len(everyone)}}


async def test_a_push_channel_that_the_service_names_is_pushed_to_from_then_on(delivery: Delivery) -> None:
    await register(delivery, 2, "news")
    named = replace(DELIVERED, outcome=OutcomeName.REFRESH_TOKEN, new_push_channel="named")
    old = f"token of {phones(2)[0]}"
    delivery.fcm.answer = lambda push: named if push.push_channel == old else DELIVERED
    given = notification("news", content=GOOGLE)
    await delivery.deliver(given)
    assert (await delivery.details(given)).counts == {FCM: {SUCCESS: 1, OutcomeName.REFRESH_TOKEN: 1}}
    async with asyncio.timeout(60):
        while old in await channels(delivery.store, given):
            await asyncio.sleep(0.01)
    assert sorted(await channels(delivery.store, given)) == sorted(["named", f"token of {phones(2)[1]}"])


async def test_a_channel_registered_again_since_it_was_gone_stays(delivery: Delivery) -> None:
    await register(delivery, 1, "news")
    before = datetime.fromtimestamp(delivery.clock() - 60, UTC)
    delivery.fcm.answer = replace(GONE, gone_since=before)
    given = notification("news", content=GOOGLE)
    await delivery.deliver(given)
    assert len(await channels(delivery.store, given)) == 1


async def test_a_push_that_is_refused_for_good_is_not_repeated_and_its_channel_stays(delivery: Delivery) -> None:
    await register(delivery, 1, "news")
    delivery.fcm.answer = DROPPED
    given = notification("news", content=GOOGLE)
    await delivery.deliver(given)
    assert len(delivery.fcm.pushes) == 1
    assert (await delivery.details(given)).counts == {FCM: {DROPPED.outcome: 1}}
    assert len(await channels(delivery.store, given)) == 1


async def test_a_push_keeps_its_id_on_every_try_and_only_what_failed_is_tried_again(delivery: Delivery) -> None:
    await register(delivery, 5, "news")
    failing = {f"token of {name}" for name in phones(5)[:2]}
    delivery.fcm.answer = lambda push: UNAVAILABLE if push.push_channel in failing else DELIVERED
    given = notification("news", content=GOOGLE)
    await delivery.accept(given)
    await delivery.fcm.received(5)
    first = {push.push_channel: push.id for push in delivery.fcm.pushes}
    assert len(set(first.values())) == 5
    await delivery.observer.until(lambda: delivery.observer.retries.total() == 2)
    delivery.fcm.answer = DELIVERED
    await delivery.later(FIRST_WAIT)
    await delivery.observer.until_ended(1)
    again = delivery.fcm.pushes[5:]
    assert {push.push_channel: push.id for push in again} == {name: first[name] for name in failing}
    assert (await delivery.details(given)).counts == {FCM: {SUCCESS: 5}}
    assert delivery.observer.retries == {(FCM, OutcomeName.PNS_UNAVAILABLE): 2}


async def test_pushes_to_be_tried_again_are_told_together_with_why_and_when(delivery: Delivery) -> None:
    await register(delivery, 19, "news")
    refusal = SendResult(reaction=Reaction.RETRY, outcome=OutcomeName.PNS_UNAVAILABLE, reason="INTERNAL")
    rarer = replace(refusal, reason="UNAVAILABLE")
    slow_down = SendResult(reaction=Reaction.THROTTLED, outcome=OutcomeName.CHANNEL_THROTTLED, retry_after=100.0)
    verdicts = dict(zip((f"token of {name}" for name in phones(19)), [rarer, slow_down] + [refusal] * 17, strict=True))
    delivery.fcm.answer = lambda push: verdicts[push.push_channel]
    await delivery.accept(notification("news", content=GOOGLE))
    await delivery.observer.until(lambda: delivery.observer.retries.total() == 19)
    (why, soon), (_, later) = sorted(delivery.observer.retry_lines, key=lambda line: line[1])
    assert why == "INTERNAL"
    assert delivery.clock() <= soon <= delivery.clock() + FIRST_WAIT
    assert 100 <= later - delivery.clock() <= 101


async def test_a_service_that_says_when_is_not_asked_earlier(delivery: Delivery) -> None:
    await register(delivery, 2, "news")
    patient, hasty = (f"token of {name}" for name in phones(2))
    slow_down = SendResult(reaction=Reaction.THROTTLED, outcome=OutcomeName.CHANNEL_THROTTLED, retry_after=100.0)
    verdicts = {patient: slow_down, hasty: UNAVAILABLE}
    delivery.fcm.answer = lambda push: verdicts[push.push_channel]
    await delivery.accept(notification("news", content=GOOGLE))
    await delivery.observer.until(lambda: delivery.observer.retries.total() == 2)
    delivery.fcm.answer = DELIVERED
    await delivery.later(FIRST_WAIT)
    await delivery.fcm.received(3)
    await delivery.later(100 - FIRST_WAIT - 0.01)
    await delivery.store.looked()
    assert delivery.fcm.push_channels[2:] == [hasty]
    await delivery.later(1.01)
    await delivery.observer.until_ended(1)
    assert delivery.fcm.push_channels[2:] == [hasty, patient]


@pytest.mark.slow
async def test_a_service_that_stays_away_is_tried_until_the_age_is_reached_and_then_given_up(
    delivery: Delivery,
) -> None:
    await register(delivery, 1, "news")
    delivery.fcm.answer = UNAVAILABLE
    given = notification("news", content=GOOGLE)
    accepted_at = delivery.clock()
    await delivery.accept(given)
    tried_at: list[float] = []
    while not delivery.observer.states:
        tries = len(delivery.fcm.pushes)
        await delivery.store.looked()
        tried_at += [delivery.clock() - accepted_at] * (len(delivery.fcm.pushes) - tries)
        await delivery.later(10)
    details = await delivery.details(given)
    assert (details.state, details.counts) == (State.ABANDONED, {FCM: {ABANDONED: 1}})
    assert 10 <= len(delivery.fcm.pushes) <= 60
    assert 1600 < max(tried_at) < POLICY.max_age
    assert len(await channels(delivery.store, given)) == 1


async def test_nothing_is_pushed_after_its_time_to_live(delivery: Delivery) -> None:
    await register(delivery, 1, "news")
    delivery.fcm.answer = UNAVAILABLE
    expires_at = datetime.fromtimestamp(delivery.clock() + 60, UTC)
    given = notification("news", content=GOOGLE, expires_at=expires_at)
    await delivery.accept(given)
    await delivery.observer.until(lambda: delivery.observer.retries.total() == 1)
    delivery.fcm.answer = DELIVERED
    await delivery.later(60)
    await delivery.observer.until_ended(1)
    assert len(delivery.fcm.pushes) == 1
    assert (await delivery.details(given)).counts == {FCM: {ABANDONED: 1}}


async def test_what_had_expired_before_its_first_try_is_abandoned_unpushed(delivery: Delivery) -> None:
    await register(delivery, 2, "news")
    given = notification("news", content=GOOGLE, expires_at=datetime.fromtimestamp(delivery.clock() - 1, UTC))
    await delivery.deliver(given)
    assert delivery.fcm.pushes == []
    details = await delivery.details(given)
    assert (details.state, details.counts) == (State.ABANDONED, {FCM: {ABANDONED: 2}})


@pytest.mark.parametrize("answer, ends_as", [(DELIVERED, SUCCESS), (UNAVAILABLE, ABANDONED)])
async def test_what_waited_while_nobody_was_there_is_tried_once_whatever_its_age(
    store: FlakyStore, clock: FakeClock, answer: SendResult, ends_as: OutcomeName
) -> None:
    await store.put_installations(HUB, [installation("ann", "news", templates=False)])
    given = notification("news", content=GOOGLE)
    await store.accept(arrivals([given]), start=0)
    clock.advance(10 * POLICY.max_age)
    delivery = Delivery(store, clock)
    delivery.fcm.answer = answer
    delivery.bulkheads[HUB, FCM].closed_until = clock() + 20
    async for _ in run(delivery):
        await store.called("postpone")
        await delivery.later(20)
        await delivery.observer.until_ended(1)
    assert len(delivery.fcm.pushes) == 1
    assert (await delivery.details(given)).counts == {FCM: {ends_as: 1}}


async def test_what_was_tried_before_nobody_was_there_is_not_tried_again_beyond_its_age(
    store: FlakyStore, clock: FakeClock
) -> None:
    await store.put_installations(HUB, [installation("ann", "news", templates=False)])
    given = notification("news", content=GOOGLE)
    before = Delivery(store, clock)
    before.fcm.answer = UNAVAILABLE
    async for _ in run(before):
        await before.accept(given)
        await store.called("record")
        await before.dispatcher.drain(60)
    clock.advance(POLICY.max_age)
    after = Delivery(store, clock)
    async for _ in run(after):
        await after.observer.until_ended(1)
    assert after.fcm.pushes == []
    assert (await after.details(given)).counts == {FCM: {ABANDONED: 1}}


async def test_a_push_that_finds_its_door_closed_for_as_long_as_it_may_wait_is_given_up(delivery: Delivery) -> None:
    await register(delivery, 1, "news")
    delivery.bulkheads[HUB, FCM].closed_until = delivery.clock() + 2 * POLICY.max_age
    given = notification("news", content=GOOGLE)
    await delivery.accept(given)
    await delivery.store.called("postpone")
    await delivery.later(POLICY.max_age)
    await delivery.dispatcher.end_orphans()
    await delivery.observer.until_ended(1)
    assert delivery.fcm.pushes == []
    assert (await delivery.details(given)).counts == {FCM: {ABANDONED: 1}}


async def test_a_wrong_key_stops_its_platform_touches_no_registration_and_all_goes_out_when_it_is_mended(
    delivery: Delivery,
) -> None:
    await register(delivery, 3, "news")
    delivery.fcm.answer = WRONG_KEY
    first, second = notification("news", content=GOOGLE), notification("news", content=GOOGLE)
    await delivery.accept(first)
    await delivery.fcm.received(3)
    await delivery.observer.until(lambda: delivery.observer.retries.total() == 3)
    assert delivery.bulkheads[HUB, FCM].is_open
    await delivery.accept(second)
    await delivery.later(30)
    await delivery.store.looked()
    assert len(delivery.fcm.pushes) == 3
    assert len(await channels(delivery.store, first)) == 3
    delivery.fcm.answer = DELIVERED
    await delivery.later(60)
    await delivery.observer.until_ended(2)
    for given in (first, second):
        assert (await delivery.details(given)).counts == {FCM: {SUCCESS: 3}}


@pytest.mark.slow
async def test_a_broadcast_that_finds_its_service_closed_is_told_as_deferred(delivery: Delivery) -> None:
    await register(delivery, 2 * PAGE_SIZE + 500, "news")
    bulkhead = delivery.bulkheads[HUB, FCM]
    bulkhead.closed_until, bulkhead.trouble = delivery.clock() + 60, "QUOTA_EXCEEDED"
    given = notification("news", content=GOOGLE)
    await delivery.accept(given)
    await delivery.observer.until(lambda: bool(delivery.observer.deferrals))
    assert delivery.observer.deferrals == [(given.id, FCM, "QUOTA_EXCEEDED", bulkhead.closed_until)]
    await delivery.later(60)
    await delivery.observer.until_ended(1)


async def test_a_key_that_stays_wrong_is_told_as_such_in_the_end(delivery: Delivery) -> None:
    await register(delivery, 1, "news")
    delivery.fcm.answer = WRONG_KEY
    expires_at = datetime.fromtimestamp(delivery.clock() + 0.001, UTC)
    given = notification("news", content=GOOGLE, expires_at=expires_at)
    await delivery.deliver(given)
    assert (await delivery.details(given)).counts == {FCM: {OutcomeName.INVALID_CREDENTIALS: 1}}


async def test_timeouts_are_told_apart(delivery: Delivery) -> None:
    await register(delivery, 2, "news")
    timed_out = SendResult(reaction=Reaction.RETRY, outcome=OutcomeName.PNS_UNREACHABLE, timed_out=True)
    verdicts = iter([timed_out, replace(timed_out, timed_out=False)])
    delivery.fcm.answer = lambda push: next(verdicts)
    await delivery.accept(notification("news", content=GOOGLE))
    await delivery.observer.until(lambda: delivery.observer.answers.total() == 2)
    assert delivery.observer.answers == {(HUB, FCM, OutcomeName.PNS_UNREACHABLE): 2}
    assert delivery.observer.timeouts == 1


# Large audiences


@pytest.mark.slow
async def test_a_large_audience_is_pushed_in_pages_each_phone_once(delivery: Delivery) -> None:
    everyone = await register(delivery, 2 * PAGE_SIZE + 500)
    await delivery.store.put_installations(HUB, [installation("ann", push_channel="same", templates=False)])
    await delivery.store.put_installations(HUB, [installation("bob", push_channel="same", templates=False)])
    given = notification(content=GOOGLE)
    await delivery.deliver(given)
    assert sorted(delivery.fcm.push_channels) == ["same", *everyone]
    assert max(len(batch) for batch in delivery.fcm.batches) <= PAGE_SIZE
    assert len({push.id for push in delivery.fcm.pushes}) == len(everyone) + 1
    assert (await delivery.details(given)).counts == {FCM: {SUCCESS: len(everyone) + 1, SKIPPED: 1}}
    assert delivery.observer.audiences == [(given, {FCM: len(everyone) + 1})]
    assert delivery.observer.claims == {Lane.SINGLE: 1, Lane.BROADCAST: 3}
    assert delivery.dispatcher.pending == await waiting(delivery.store) == 0


@pytest.mark.slow
async def test_an_audience_stays_as_it_was_when_it_was_expanded(delivery: Delivery) -> None:
    everyone = await register(delivery, 4 * PAGE_SIZE + 1)
    delivery.fcm.hold()
    await delivery.accept(notification(content=GOOGLE))
    pushed = {push.push_channel for push in await delivery.fcm.received(SHORT)}
    late = [name for name in phones(len(everyone)) if f"token of {name}" not in pushed][-1]
    await delivery.store.put_installations(HUB, [installation("new", templates=False)])
    await delivery.store.delete_installation(HUB, late)
    delivery.fcm.let_go()
    await delivery.observer.until_ended(1)
    assert sorted(delivery.fcm.push_channels) == sorted({*everyone} - {f"token of {late}"})


@pytest.mark.slow
async def test_a_large_audience_survives_an_outage_without_a_row_more_for_each_try(delivery: Delivery) -> None:
    everyone = await register(delivery, 3 * PAGE_SIZE)
    delivery.fcm.answer = UNAVAILABLE
    given = notification(content=GOOGLE)
    await delivery.accept(given)
    for _ in range(40):
        await delivery.store.looked()
        await delivery.later(5)
    tried = len(delivery.fcm.pushes)
    assert tried < 2 * len(everyone)  # the breaker let a few probes through, not everything again and again
    assert await waiting(delivery.store) < 30
    delivery.fcm.answer = DELIVERED
    while not delivery.observer.states:
        await delivery.store.looked()
        await delivery.later(5)
    assert sorted(delivery.fcm.push_channels[tried:]) == everyone
    assert (await delivery.details(given)).counts == {FCM: {SUCCESS: len(everyone)}}


async def test_a_host_that_is_away_costs_the_phones_of_other_hosts_nothing_and_its_own_get_their_push_later(
    delivery: Delivery,
) -> None:
    channels = [f"https://{host}.example/{number}" for number in range(30) for host in ("bad", "good")]
    made = [installation(channel, "news", push_channel=channel, templates=False) for channel in channels]
    await delivery.store.put_installations(HUB, made)
    delivery.fcm.answer = lambda push: UNAVAILABLE if "bad" in push.push_channel else DELIVERED
    first, second = notification("news", content=GOOGLE), notification("news", content=GOOGLE)
    await delivery.accept(first)
    await delivery.fcm.received(60)
    await delivery.observer.until(lambda: delivery.bulkheads[HUB, FCM].is_open)
    await delivery.accept(second)
    assert {push.push_channel for push in (await delivery.fcm.received(90))[60:]} == set(channels[1::2])
    delivery.fcm.answer = DELIVERED
    while delivery.observer.states.total() < 2:
        await delivery.store.looked()
        await delivery.later(5)
    for given in (first, second):
        assert (await delivery.details(given)).counts == {FCM: {SUCCESS: 60}}


@pytest.mark.slow
async def test_single_pushes_do_not_wait_for_a_broadcast(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    everyone = await register(delivery, 5 * PAGE_SIZE)
    await delivery.store.put_installations(HUB, [installation("ann", "one-time-code", templates=False)])
    send, busy = delivery.fcm.send, asyncio.Event()

    async def slow_for_pages(page: PushPage, *, deadline: float = 10.0) -> PageVerdict:
        verdict = await send(page, deadline=deadline)
        if len(page) > 1:
            await busy.wait()
        return verdict

    monkeypatch.setattr(delivery.fcm, "send", slow_for_pages)
    await delivery.accept(notification(content=GOOGLE))
    await delivery.fcm.received(SHORT)
    for _ in range(20):
        await delivery.deliver(notification("one-time-code", content=GOOGLE))
    assert delivery.fcm.push_channels[-20:] == ["token of ann"] * 20
    busy.set()
    await delivery.observer.until_ended(21)
    assert len(delivery.fcm.pushes) == len(everyone) + 1 + 20


# Bulkheads


async def test_a_platform_that_does_not_answer_holds_up_no_other(delivery: Delivery) -> None:
    apple = installation("bob", "news", platform=APNS, push_channel="AB", templates=False)
    await delivery.store.put_installations(HUB, [installation("ann", "news", templates=False), apple])
    delivery.apns.hold()
    stuck = [notification("news", content=APPLE) for _ in range(5)]
    flowing = [notification("news", content=GOOGLE) for _ in range(5)]
    await delivery.accept(*(one for pair in zip(stuck, flowing, strict=True) for one in pair))
    await delivery.observer.until_ended(5)
    for _ in range(10):
        await delivery.deliver(notification("news", content=GOOGLE))
    assert len(delivery.fcm.pushes) == 15
    assert {(await delivery.details(one)).state for one in stuck} == {State.PROCESSING}
    delivery.apns.let_go()
    await delivery.observer.until_ended(20)
    assert len(delivery.apns.pushes) == 5


@pytest.mark.slow
async def test_a_platform_that_is_down_is_left_alone_and_probed_until_it_is_back(delivery: Delivery) -> None:
    await register(delivery, 200, "news")
    delivery.fcm.answer = UNAVAILABLE
    await delivery.accept(notification("news", content=GOOGLE))
    await delivery.observer.until(lambda: delivery.observer.retries.total() == SHORT)
    probes = []
    for _ in range(6):
        await delivery.later(delivery.bulkheads[HUB, FCM].closed_until - delivery.clock() + FIRST_WAIT * 64)
        before = len(delivery.fcm.pushes)
        await delivery.store.looked()
        await delivery.store.looked()
        probes.append(len(delivery.fcm.pushes) - before)
    assert max(probes) <= 10
    assert sum(probes) >= 10
    delivery.fcm.answer = DELIVERED
    while not delivery.observer.states:
        await delivery.later(5)
        await delivery.store.looked()
    assert delivery.observer.outcomes == {(FCM, SUCCESS): 200}


async def test_after_an_outage_the_oldest_go_first_whether_they_were_under_way_or_waited(delivery: Delivery) -> None:
    await delivery.store.put_installations(HUB, [installation("ann", templates=False)])
    numbered = [notification(content=replace(GOOGLE, payload=b"%d" % number)) for number in range(600)]
    delivery.fcm.answer = UNAVAILABLE
    delivery.fcm.hold()
    for first in range(0, 300, 50):
        await delivery.accept(*numbered[first : first + 50])
        delivery.clock.advance(0.01)
    await delivery.fcm.received(300)
    delivery.fcm.let_go()
    await delivery.observer.until(lambda: delivery.observer.retries.total() == 300)
    for first in range(300, 600, 50):
        await delivery.accept(*numbered[first : first + 50])
        delivery.clock.advance(0.01)
    await delivery.later(60)
    delivery.fcm.batches.clear()
    delivery.fcm.answer = DELIVERED
    await delivery.observer.until_ended(600)
    order = [int(push.payload) for push in delivery.fcm.pushes]
    assert sorted(order) == list(range(600))
    # Pages of 64 are sent side by side, and on a busy machine one more may begin before the one ahead of it ends.
    assert max(abs(place - number) for place, number in enumerate(order)) <= 128


async def test_a_probe_that_fails_waits_longer_so_that_others_may_be_the_probe(delivery: Delivery) -> None:
    await delivery.store.put_installations(HUB, [installation("ann", templates=False)])
    bad = [notification(content=replace(GOOGLE, payload=b"bad%d" % number)) for number in range(30)]
    good = notification(content=replace(GOOGLE, payload=b"good"))
    delivery.fcm.answer = lambda push: UNAVAILABLE if push.payload.startswith(b"bad") else DELIVERED
    delivery.fcm.hold()
    for one in bad:
        await delivery.accept(one)
        delivery.clock.advance(0.001)
    await delivery.fcm.received(30)
    delivery.fcm.let_go()
    await delivery.observer.until(lambda: delivery.observer.retries.total() == 30)
    await delivery.accept(good)
    for _ in range(6):
        await delivery.later(delivery.bulkheads[HUB, FCM].closed_until - delivery.clock())
        await delivery.store.looked()
        await delivery.store.looked()
        if delivery.observer.outcomes:
            break
    assert delivery.observer.outcomes == {(FCM, SUCCESS): 1}


async def test_pages_of_one_phone_each_are_read_together(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    await delivery.store.put_installations(HUB, [installation(name, templates=False) for name in ("ann", "bob")])
    delivery.fcm.answer = UNAVAILABLE
    given = [notification(name, content=GOOGLE) for name in ["$InstallationId:{ann}", "$InstallationId:{bob}"] * 30]
    await delivery.accept(*given)
    await delivery.observer.until(lambda: delivery.observer.retries.total() == 60)
    read: list[int] = []
    targets = delivery.store.targets

    async def counted(hub: str, ordinals: BitMap) -> Sequence[Target]:
        read.append(len(ordinals))
        return await targets(hub, ordinals)

    monkeypatch.setattr(delivery.store, "targets", counted)
    delivery.fcm.answer = DELIVERED
    while delivery.observer.states.total() < 60:
        await delivery.later(5)
        await delivery.store.looked()
    assert delivery.observer.outcomes == {(FCM, SUCCESS): 60}
    assert len(read) <= 12


async def test_a_push_that_found_its_door_closed_has_not_been_tried(delivery: Delivery) -> None:
    await register(delivery, 2, "news")
    delivery.bulkheads[HUB, FCM].closed_until = delivery.clock() + 20
    given = notification("news", content=GOOGLE)
    await delivery.accept(given)
    await delivery.store.called("postpone")
    await delivery.dispatcher.drain(60)
    (deferred,) = await due(delivery.store)
    assert (deferred.notification, deferred.attempt, deferred.number) == (given, 0, 0)
    assert deferred.service == (HUB, FCM)
    assert deferred.was_deferred


async def test_a_defect_of_one_sender_is_its_own_platforms_trouble(crashing: Delivery) -> None:
    apple = installation("bob", "news", platform=APNS, push_channel="AB", templates=False)
    await crashing.store.put_installations(HUB, [installation("ann", "news", templates=False), apple])
    verdicts = iter([ZeroDivisionError("a defect")])

    def answer(push: Push) -> SendResult:
        for error in verdicts:
            raise error
        return DELIVERED

    crashing.apns.answer = answer
    broken, whole = notification("news", content=APPLE), notification("news", content=GOOGLE)
    await crashing.accept(broken, whole)
    await crashing.observer.until_ended(1)
    assert (await crashing.details(whole)).counts == {FCM: {SUCCESS: 1}}
    assert [type(error) for error in crashing.observer.crashes] == [ZeroDivisionError]
    await crashing.later(FIRST_WAIT)
    await crashing.observer.until_ended(2)
    assert (await crashing.details(broken)).counts == {APNS: {SUCCESS: 1}}


async def test_a_notification_that_a_defect_stops_costs_only_itself_and_ends_with_its_age(
    crashing: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(crashing, 1, "news")
    good, bad, better = (notification("news", content=GOOGLE) for _ in range(3))

    def defective(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(self: Rendering, given: Notification, *more: Any, **named: Any) -> Any:
            if given.id == bad.id:
                raise ZeroDivisionError
            return make(self, given, *more, **named)

        return made

    monkeypatch.setattr(Rendering, "pages", defective(Rendering.pages))
    monkeypatch.setattr(Rendering, "single", defective(Rendering.single))
    await crashing.accept(good, bad, better)
    await crashing.observer.until_ended(2)
    assert len(crashing.fcm.pushes) == 2
    assert [type(error) for error in crashing.observer.crashes] == [ZeroDivisionError]
    await crashing.later(POLICY.max_age)
    await crashing.observer.until_ended(3)
    assert (await crashing.details(bad)).counts == {FCM: {ABANDONED: 1}}
    assert {(await crashing.details(one)).state for one in (good, better)} == {State.COMPLETED}


async def test_a_defect_in_the_way_to_another_hub_costs_no_push_and_no_place(crashing: Delivery) -> None:
    await register(crashing, 1, "news")
    crashing.elsewhere.defect = ZeroDivisionError("a defect")
    away = notification(hub="elsewhere")
    here = [notification("news", content=GOOGLE) for _ in range(3)]
    await crashing.accept(here[0], away, *here[1:])
    await crashing.observer.until_ended(3)
    assert len(crashing.fcm.pushes) == 3
    assert [type(error) for error in crashing.observer.crashes] == [ZeroDivisionError]
    crashing.elsewhere.defect = None
    await crashing.later(AFTER_CRASH)
    await crashing.observer.until_ended(4)
    assert {one.id for one in crashing.elsewhere.taken} == {away.id}


async def test_a_notification_for_a_hub_that_is_not_configured_any_more_ends(delivery: Delivery) -> None:
    await register(delivery, 1, "news")
    await delivery.store.put_installations("removed", [installation("eve", "news", templates=False)])
    removed = notification("news", hub="removed", content=GOOGLE)
    await delivery.deliver(removed, notification("news", content=GOOGLE))
    assert delivery.fcm.push_channels == [f"token of {phones(1)[0]}"]
    assert (await delivery.store.details("removed", removed.id)).state is State.ABANDONED
    (kept,) = await dead_letters(delivery.store)
    assert (kept.reason, kept.detail) == ("hub_reject", "hub removed: not configured any more")


async def test_work_of_a_hub_that_another_process_knows_leaves_the_hand(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[Work] = []

    async def pass_on(work: Sequence[Work], *, waited: float) -> Sequence[Work]:
        passed.extend(work)
        return ()

    monkeypatch.setattr(delivery.store, "pass_on", pass_on)
    removed = notification("news", hub="removed", content=GOOGLE)
    await delivery.accept(removed)
    while not passed or delivery.dispatcher.in_hand:
        await asyncio.sleep(0)
    assert [work.notification.id for work in passed] == [removed.id]
    assert (await delivery.store.details("removed", removed.id)).state is not State.ABANDONED
    assert delivery.dispatcher.free_slots


@pytest.mark.parametrize("audience", ["news", ""])
async def test_pushes_for_a_platform_whose_credential_another_process_has_are_left_to_that_one(
    store: FlakyStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, audience: str
) -> None:
    monkeypatch.setattr(store, "serves_better", lambda service: service == (HUB, FCM))
    delivery = Delivery(store, clock)
    del delivery.bulkheads[HUB, FCM]
    delivery.without_credential.add((HUB, FCM))
    await register(delivery, 2 if audience else PAGE_SIZE + 1, "news")
    async for _ in run(delivery):
        await delivery.accept(notification(audience, content=GOOGLE) if audience else notification(content=GOOGLE))
        while delivery.dispatcher.in_hand or None in await store.backlog():
            await asyncio.sleep(0)
        await store.looked()
        assert (await store.backlog()).keys() == {(HUB, FCM)}
        assert not delivery.observer.answers
        assert not delivery.observer.states


@pytest.mark.slow
async def test_a_broadcast_waits_for_a_hub_taken_away_and_goes_on_when_it_is_back(
    delivery: Delivery,
) -> None:
    everyone = await register(delivery, 2 * PAGE_SIZE)
    bulkhead = delivery.bulkheads.pop((HUB, FCM))
    await delivery.accept(notification(content=GOOGLE))
    await delivery.later(POLICY.max_age - 1)
    await delivery.dispatcher.end_orphans()
    assert await waiting(delivery.store) == 2
    delivery.bulkheads[HUB, FCM] = bulkhead
    await delivery.observer.until_ended(1)
    assert sorted(delivery.fcm.push_channels) == everyone


@pytest.mark.slow
async def test_a_broadcast_whose_hub_stays_away_ends_and_makes_room(
    delivery: Delivery,
) -> None:
    everyone = await register(delivery, 6 * PAGE_SIZE)
    given = notification(content=GOOGLE)
    delivery.fcm.hold()
    await delivery.accept(given)
    await delivery.fcm.received(SHORT)
    bulkhead = delivery.bulkheads.pop((HUB, FCM))
    delivery.fcm.let_go()
    await delivery.later(POLICY.max_age)
    await delivery.dispatcher.end_orphans()
    await delivery.observer.until_ended(1)
    pushed = len(delivery.fcm.pushes)
    assert bulkhead.in_flight == 0
    details = await delivery.details(given)
    assert details.counts == {FCM: {SUCCESS: pushed, ABANDONED: len(everyone) - pushed}}
    assert delivery.observer.outcomes == {(FCM, SUCCESS): pushed, (FCM, ABANDONED): len(everyone) - pushed}
    assert delivery.dispatcher.pending == await waiting(delivery.store) == 0


async def test_a_broadcast_left_by_a_process_before_waits_for_its_hub_too(store: FlakyStore, clock: FakeClock) -> None:
    await store.put_installations(HUB, [installation(name, templates=False) for name in phones(PAGE_SIZE + 1)])
    given = notification(content=GOOGLE)
    await store.accept(arrivals([given]), start=0)
    (work,) = await due(store)
    (audience,) = await store.audiences([given])
    await store.expand(work, audience)
    clock.advance(2 * POLICY.max_age)
    delivery = Delivery(store, clock)
    del delivery.bulkheads[HUB, FCM]
    async for _ in run(delivery):
        await store.called("take")
        clock.advance(POLICY.max_age - 1)
        await delivery.dispatcher.end_orphans()
        assert delivery.observer.claims == {}
        clock.advance(1)
        await delivery.dispatcher.end_orphans()
        await delivery.observer.until_ended(1)
    assert (await delivery.details(given)).counts == {FCM: {ABANDONED: PAGE_SIZE + 1}}


async def test_a_retry_waits_for_a_hub_taken_away_and_is_given_up_with_its_age(delivery: Delivery) -> None:
    await register(delivery, 1, "news")
    delivery.fcm.answer = UNAVAILABLE
    given = notification("news", content=GOOGLE)
    await delivery.accept(given)
    await delivery.observer.until(lambda: delivery.observer.retries.total() == 1)
    bulkhead = delivery.bulkheads.pop((HUB, FCM))
    await delivery.later(FIRST_WAIT)
    await delivery.store.looked()
    assert len(delivery.fcm.pushes) == 1
    delivery.bulkheads[HUB, FCM] = bulkhead
    await delivery.observer.until(lambda: delivery.observer.retries.total() == 2)
    del delivery.bulkheads[HUB, FCM]
    await delivery.later(POLICY.max_age)
    while not delivery.observer.states:  # a retry is reported before it is recorded
        await delivery.dispatcher.end_orphans()
        await asyncio.sleep(0.01)
    details = await delivery.details(given)
    assert (details.state, details.counts) == (State.ABANDONED, {FCM: {ABANDONED: 1}})


@pytest.mark.parametrize("audience", ["news", ""])
async def test_a_phone_whose_platform_has_no_credential_is_counted_as_refused(
    delivery: Delivery, audience: str
) -> None:
    count = PAGE_SIZE + 1 if not audience else 2
    await register(delivery, count, "news")
    for key in list(delivery.bulkheads):
        del delivery.bulkheads[key]
        delivery.without_credential.add(key)
    given = notification(audience, content=GOOGLE) if audience else notification(content=GOOGLE)
    await delivery.deliver(given)
    refused = OutcomeName.INVALID_CREDENTIALS
    assert (await delivery.details(given)).counts == {FCM: {refused: count}}
    assert delivery.observer.answers == {(HUB, FCM, refused): count}
    assert delivery.observer.outcomes == {(FCM, refused): count}
    assert set(delivery.observer.reasons) == {"no credential is configured for this platform"}
    assert not delivery.observer.retries
    await delivery.dispatcher.end_orphans()
    assert await waiting(delivery.store) == 0


@pytest.mark.slow
async def test_services_without_credential_are_looked_at_only_when_they_may_have_pages(
    store: FlakyStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []
    take = store.take

    async def noting(lane: Lane, wanted: Mapping[Service | None, int]) -> Sequence[Work]:
        if lane is Lane.BROADCAST:
            looks.append((HUB, FCM) in wanted)
        return await take(lane, wanted)

    monkeypatch.setattr(store, "take", noting)
    delivery = Delivery(store, clock)
    del delivery.bulkheads[HUB, FCM]
    delivery.without_credential.add((HUB, FCM))
    await register(delivery, PAGE_SIZE + 1)
    async for _ in run(delivery):
        await store.called("take", 2)
        assert looks == [True]
        await delivery.deliver(notification(content=GOOGLE))
        assert delivery.observer.outcomes == {(FCM, OutcomeName.INVALID_CREDENTIALS): PAGE_SIZE + 1}


# The store in trouble


@pytest.mark.parametrize("operation", ["audiences", "record"])
async def test_a_store_that_fails_is_asked_again_and_nothing_is_pushed_twice(
    delivery: Delivery, operation: str
) -> None:
    await register(delivery, 3, "news")
    delivery.store.failures[operation] = 5
    given = notification("news", content=GOOGLE)
    await delivery.deliver(given)
    assert len(delivery.fcm.pushes) == 3
    assert (await delivery.details(given)).counts == {FCM: {SUCCESS: 3}}
    assert len(delivery.observer.store_failures) == 5


@pytest.mark.parametrize("operation", ["expand", "take", "targets", "record"])
async def test_a_large_audience_is_reached_once_though_the_store_fails(delivery: Delivery, operation: str) -> None:
    everyone = await register(delivery, PAGE_SIZE + 1)
    delivery.store.failures[operation] = 5
    given = notification(content=GOOGLE)
    await delivery.deliver(given)
    assert sorted(delivery.fcm.push_channels) == everyone
    assert (await delivery.details(given)).counts == {FCM: {SUCCESS: len(everyone)}}


async def test_an_expansion_that_fails_for_a_while_holds_up_none_of_its_batch(delivery: Delivery) -> None:
    await register(delivery, PAGE_SIZE + 1)
    await delivery.store.put_installations(HUB, [installation("ann", "news", templates=False)])
    delivery.store.failures["expand"] = WHOLE
    small = [notification("news", content=GOOGLE) for _ in range(3)]
    await delivery.accept(small[0], notification(content=GOOGLE), *small[1:])
    await delivery.observer.until_ended(3)
    assert delivery.fcm.push_channels == ["token of ann"] * 3
    delivery.store.failures["expand"] = 0
    await delivery.observer.until_ended(4)


@pytest.mark.slow
async def test_a_page_leased_as_its_door_closed_is_given_back_though_the_store_fails(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone = await register(delivery, 2 * PAGE_SIZE)
    bulkhead = delivery.bulkheads[HUB, FCM]
    bulkhead.closed_until = delivery.clock() + 10
    delivery.store.failures["postpone"] = 3
    with monkeypatch.context() as patch:
        patch.setattr(bulkhead, "wanted", lambda lane, held=0: 3 - held)
        await delivery.accept(notification(content=GOOGLE))
        await delivery.observer.until(lambda: delivery.observer.store_failures.count("postpone") == 3)
    await delivery.store.looked()
    assert delivery.fcm.pushes == []
    assert await waiting(delivery.store) == 2
    await delivery.later(10)
    await delivery.observer.until_ended(1)
    assert sorted(delivery.fcm.push_channels) == everyone


# Draining


async def test_draining_finishes_what_is_under_way_and_takes_nothing_new(delivery: Delivery) -> None:
    await register(delivery, 1, "news")
    delivery.fcm.hold()
    await delivery.accept(notification("news", content=GOOGLE))
    await delivery.fcm.received(1)
    draining = asyncio.ensure_future(delivery.dispatcher.drain(60))
    await asyncio.sleep(0)
    assert delivery.dispatcher.free_slots == 0
    late = notification("news", content=GOOGLE)
    await delivery.accept(late)
    delivery.fcm.let_go()
    await draining
    assert delivery.dispatcher.in_hand == 0
    assert len(delivery.fcm.pushes) == 1
    assert (await delivery.details(late)).state is State.ENQUEUED


async def test_draining_that_begins_during_a_look_starts_nothing_of_what_the_look_finds(
    store: FlakyStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = Delivery(store, clock)
    await register(delivery, 1, "news")
    await store.accept(arrivals([notification("news", content=GOOGLE)]), start=0)
    take = store.take

    async def slow(lane: Lane, wanted: Mapping[Service | None, int]) -> Sequence[Work]:
        work = await take(lane, wanted)
        if work:
            await delivery.dispatcher.drain(60)
        return work

    monkeypatch.setattr(store, "take", slow)
    async for _ in run(delivery):
        await store.called("give_back")
    assert delivery.fcm.pushes == []
    assert len(await due(store)) == 1


@pytest.mark.slow
async def test_draining_gives_back_what_is_not_done_in_time(delivery: Delivery) -> None:
    await register(delivery, 3 * PAGE_SIZE)
    await delivery.store.put_installations(HUB, [installation("ann", "news", templates=False)])
    delivery.fcm.hold()
    single, broadcast = notification("news", content=GOOGLE), notification(content=GOOGLE)
    await delivery.accept(single, broadcast)
    await delivery.fcm.received(1 + SHORT)
    await delivery.dispatcher.drain(0.01)
    assert [work.notification for work in await due(delivery.store)] == [single]
    pages = await due(delivery.store, Lane.BROADCAST)
    assert [(work.notification, work.attempt) for work in pages] == [(broadcast, 0)] * 4


async def test_draining_does_not_fail_with_the_store(delivery: Delivery) -> None:
    await register(delivery, 1, "news")
    delivery.fcm.hold()
    await delivery.accept(notification("news", content=GOOGLE))
    await delivery.fcm.received(1)
    delivery.store.failures["give_back"] = 1
    await delivery.dispatcher.drain(0.01)
    assert delivery.observer.store_failures == ["give_back"]


# Everything at once


@pytest.mark.slow
async def test_under_mixed_answers_every_push_ends_exactly_once(delivery: Delivery) -> None:
    await register(delivery, 30, "news")
    verdicts = [DELIVERED, UNAVAILABLE, DROPPED, replace(UNAVAILABLE, retry_after=3.0), DELIVERED, WRONG_KEY]
    tries = Counter[str]()

    def answer(push: Push) -> SendResult:
        tries[push.id] += 1
        return verdicts[zlib.crc32(f"{push.id} {tries[push.id]}".encode()) % len(verdicts)]

    delivery.fcm.answer = answer
    given = [notification("news", content=GOOGLE, id=f"{number:08x}{0:024x}") for number in range(20)]
    await delivery.accept(*given)
    while delivery.observer.states.total() < len(given):
        await delivery.store.looked()
        await delivery.later(7)
    for one in given:
        counts = (await delivery.details(one)).counts
        assert sum(counts[FCM].values()) == 30
    assert delivery.observer.outcomes.total() == 600
    assert len(tries) == 600
    assert delivery.dispatcher.pending == 0


# Persons who are erased


async def test_what_is_in_hand_of_a_person_is_not_pushed_after_the_erasure(delivery: Delivery) -> None:
    await delivery.store.put_installations(HUB, [installation("phone", "customer:1", templates=False)])
    ann, bob = (
        notification("customer:1", content=replace(GOOGLE, payload=person.encode()), person=person)
        for person in ("ann", "bob")
    )
    remote = notification("customer:1", hub="elsewhere", person="ann")
    taken = await delivery.store.accept(arrivals([ann, bob, remote]), start=WHOLE)
    await delivery.store.erase_person("ann", actor="eve")
    delivery.dispatcher.submit(taken.work, accepted=3)
    await delivery.observer.until_ended(1)
    while delivery.dispatcher.in_hand:
        await delivery.store.called("take")
    assert [push.payload for push in delivery.fcm.pushes] == [b"bob"]
    assert delivery.elsewhere.taken == []
    await delivery.store.tick()
    assert await waiting(delivery.store) == 0


async def test_a_push_that_is_out_while_its_person_is_erased_ends_and_is_not_tried_again(
    delivery: Delivery, clock: FakeClock
) -> None:
    await delivery.store.put_installations(HUB, [installation("phone", "customer:1", templates=False)])
    delivery.fcm.answer = UNAVAILABLE
    delivery.fcm.hold()
    ann = notification("customer:1", content=GOOGLE, person="ann")
    await delivery.accept(ann)
    await delivery.fcm.received(1)
    await delivery.store.erase_person("ann", actor="eve")
    delivery.fcm.let_go()
    await delivery.later(FIRST_WAIT)
    await delivery.store.looked()
    assert len(delivery.fcm.pushes) == 1
    assert delivery.observer.late == {}
    assert await due(delivery.store) == []
    with pytest.raises(NotFoundError):
        await delivery.details(ann)
