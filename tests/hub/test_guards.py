"""What the guard of a hub leaves out is reached by nobody: no rule, no send, direct or not, no page from another time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.errors import ConfirmationError, NotFoundError
from hub.guards import AudienceGuard, guarded
from hub.installation import Registration
from hub.notification import EVERYONE, NativeContent, Platform
from hub.outcome import DeviceAnswer, OutcomeName, State, Unreached
from hub.store.contracts.telemetry import KeptNotification
from hub.tags import parse
from tests.hub.examples import HUB, arrival, installation, notification
from tests.hub.running import Running

FCM = Platform.FCM
GOOGLE = NativeContent(platform=FCM, payload=b"{}")
TESTERS = {HUB: AudienceGuard(only_to=parse("tester"))}


async def ended(running: Running, notification_id: str) -> KeptNotification:
    await running.observer.until(lambda: running.observer.states.total() >= 1)
    return await running.hub.store.notification(notification_id)


@pytest.mark.parametrize(
    ("only_to", "audience", "joined"),
    [
        ("tester", "everyone", "tester"),
        ("tester", "news", "tester && news"),
        ("tester", "a || b", "tester && (a || b)"),
        ("qa || dev", "a && b", "(qa || dev) && a && b"),
        ("tester && !vip", "!a", "tester && !vip && !a"),
    ],
)
def test_an_audience_is_joined_by_and(only_to: str, audience: str, joined: str) -> None:
    one = notification(EVERYONE if audience == "everyone" else audience)
    assert str(guarded(one, {HUB: AudienceGuard(only_to=parse(only_to))}).audience) == joined
    assert guarded(one, {"another": AudienceGuard(only_to=parse(only_to))}) is one
    assert guarded(one, {HUB: AudienceGuard(confirm_above=1)}) is one


@pytest.mark.parametrize("audience", [EVERYONE, "news", "news || !vip", "!news", "tester || news"])
async def test_only_who_is_meant_by_only_to_is_reached(tmp_path: Path, audience: str) -> None:
    running = Running(tmp_path / "hub.db", guards=TESTERS)
    await running.start()
    await running.hub.put_installations(
        HUB, [installation("customer", "news"), installation("tester", "news", "tester"), installation("other", "vip")]
    )
    await running.hub.send(notification(audience))
    await running.observer.until_ended(1)
    expected = [] if audience == "!news" else ["token of tester"]
    assert running.fcm.push_channels == expected
    await running.stop()


async def test_whom_only_to_leaves_out_is_said(tmp_path: Path) -> None:
    running = Running(tmp_path / "hub.db", guards=TESTERS)
    await running.start()
    await running.hub.put_installations(HUB, [installation("a", "news"), installation("b", "news")])
    one = notification("news")
    await running.hub.send(one)
    kept = await ended(running, one.id)
    assert (kept.state, kept.unreached, kept.unreached_count) == (State.NO_TARGET_FOUND, Unreached.ONLY_TO, 2)
    traced = await running.hub.store.trace(one.id, "a", only_to=parse("tester"))
    assert {(each.template, each.answer, each.unmet) for each in traced} == {
        ("greeting", DeviceAnswer.ONLY_TO, "tester"),
        (None, DeviceAnswer.ONLY_TO, "tester"),
    }
    nobody = notification("typo")
    await running.hub.send(nobody)
    await running.observer.until_ended(2)
    assert (await running.hub.store.notification(nobody.id)).unreached is Unreached.NO_TAG
    await running.stop()


async def test_a_direct_send_reaches_handles_of_testers_alone(tmp_path: Path) -> None:
    running = Running(tmp_path / "hub.db", guards=TESTERS)
    await running.start()
    await running.hub.put_installations(HUB, [installation("customer"), installation("tester", "tester")])
    await running.hub.put_registration(
        HUB, Registration(registration_id="1-1-1", platform=FCM, push_channel="alone", tags=("tester",))
    )
    one = notification(content=GOOGLE)
    channels = ["token of customer", "token of tester", "nowhere", "alone"]
    await running.hub.send_direct(one, channels)
    kept = await ended(running, one.id)
    assert sorted(running.fcm.push_channels) == ["alone", "token of tester"]
    assert kept.state is State.COMPLETED
    assert kept.counts == {"fcmv1": {"Success": 2, "NoTargets": 2}}
    assert kept.failures == [("NoTargets", "only_to", 2)]
    other = notification(content=GOOGLE)
    await running.hub.send_direct(other, ["token of customer"])
    await running.observer.until_ended(2)
    kept = await running.hub.store.notification(other.id)
    assert (kept.state, kept.unreached) == (State.NO_TARGET_FOUND, Unreached.ONLY_TO)
    await running.stop()


async def test_a_large_batch_of_handles_is_held_to_only_to(tmp_path: Path) -> None:
    running = Running(tmp_path / "hub.db", guards=TESTERS)
    await running.start()
    await running.hub.put_installations(HUB, [installation(f"t{n}", "tester") for n in range(300)])
    one = notification(content=GOOGLE)
    await running.hub.send_direct(one, [f"token of {kind}{n}" for n in range(300) for kind in "tc"])
    kept = await ended(running, one.id)
    assert kept.counts == {"fcmv1": {"Success": 300, "NoTargets": 300}}
    assert {channel.split()[-1][0] for channel in running.fcm.push_channels} == {"t"}
    await running.stop()


async def test_a_test_send_reaches_testers_alone(tmp_path: Path) -> None:
    running = Running(tmp_path / "hub.db", guards=TESTERS)
    await running.start()
    await running.hub.put_installations(
        HUB, [installation("customer", "news"), installation("tester", "news", "tester")]
    )
    results = await running.hub.send_test(notification("news"))
    assert [each.push_channel for each in results] == ["token of tester"]
    results = await running.hub.send_test(notification(content=GOOGLE), push_channel="token of customer")
    assert [each.outcome for each in results] == [OutcomeName.NO_TARGETS]
    results = await running.hub.send_test(notification(content=GOOGLE), push_channel="token of tester")
    assert [each.outcome for each in results] == [OutcomeName.SUCCESS]
    assert running.fcm.push_channels == ["token of tester", "token of tester"]
    await running.stop()


@pytest.mark.parametrize("kind", ["expression", "direct"])
async def test_pages_of_a_store_that_was_copied_reach_testers_alone(tmp_path: Path, kind: str) -> None:
    """What production had in hand is in a copy of its store, and the copy is opened in a test environment."""
    production = Running(tmp_path / "hub.db")
    await production.start()
    await production.hub.put_installations(
        HUB, [installation(f"c{n}", "news") for n in range(1500)] + [installation("t", "news", "tester")]
    )
    production.fcm.hold()
    if kind == "direct":
        await production.hub.send_direct(notification(content=GOOGLE), ["token of c1", "token of t"])
    else:
        await production.hub.send(notification("news"))
    await production.fcm.received(1)
    await production.hub.drain(0)
    await production.stop()
    test = Running(tmp_path / "hub.db", guards=TESTERS)
    await test.start()
    await test.observer.until_ended(1)
    assert test.fcm.push_channels == ["token of t"]
    await test.stop()


async def test_a_guard_that_changes_is_in_force_at_once(tmp_path: Path) -> None:
    running = Running(tmp_path / "hub.db")
    await running.start()
    await running.hub.put_installation(HUB, installation("customer", "news"))
    running.hub.replace_hubs(gone=[HUB], hubs=[HUB], senders={(HUB, FCM): running.fcm}, remotes={}, guards=TESTERS)
    await running.hub.send(notification("news"))
    await running.observer.until_ended(1)
    assert running.fcm.push_channels == []
    running.hub.replace_hubs(gone=[HUB], hubs=[HUB], senders={(HUB, FCM): running.fcm}, remotes={}, guards={})
    await running.hub.send(notification("news"))
    await running.observer.until_ended(2)
    assert running.fcm.push_channels == ["token of customer"]
    await running.stop()


LIMITED = {HUB: AudienceGuard(confirm_above=2)}


async def with_news(path: Path, phones: int = 3, **options: Any) -> Running:
    running = Running(path / "hub.db", guards=LIMITED, **options)
    await running.start()
    await running.hub.put_installations(HUB, [installation(f"p{n}", "news") for n in range(phones)])
    return running


async def held_now(running: Running, count: dict[str, int]) -> None:
    while running.hub.held != count:
        await running.store.called("held")


async def held_by_a_rule(running: Running, **changes: Any) -> str:
    one = notification("news", **changes)
    await running.hub.accept([arrival(one)])
    await running.observer.until(lambda: bool(running.observer.held))
    return one.id


@pytest.mark.parametrize("phones", [3, 1100])
async def test_what_a_rule_sends_to_many_is_held_until_it_is_approved(tmp_path: Path, phones: int) -> None:
    running = await with_news(tmp_path, phones)
    id_ = await held_by_a_rule(running)
    assert [(one.id, count) for one, count in running.observer.held] == [(id_, phones)]
    kept = await running.hub.store.notification(id_)
    assert (kept.state, kept.unreached_count, kept.ended_at) == (State.HELD, phones, None)
    await held_now(running, {HUB: 1})
    assert running.fcm.push_channels == []
    assert [each.answer for each in await running.hub.store.trace(id_, "p1")][-1] is DeviceAnswer.HELD
    running.clock.advance(6 * 3600)  # far longer than pushes are tried
    await running.hub.approve(id_, actor="ann")
    await running.observer.until_ended(1)
    assert len(running.fcm.push_channels) == phones
    kept = await running.hub.store.notification(id_)
    assert (kept.state, kept.counts) == (State.COMPLETED, {"fcmv1": {"Success": phones}})
    (audit,) = (await running.hub.store.audit(limit=10)).items
    assert (audit.entry.actor, audit.entry.action, audit.entry.target) == ("ann", "notification.approve", id_)
    with pytest.raises(NotFoundError):
        await running.hub.approve(id_, actor="ann")
    await held_now(running, {})
    await running.stop()


async def test_what_nobody_approves_expires(tmp_path: Path) -> None:
    running = await with_news(tmp_path)
    expires_at = datetime.fromtimestamp(running.clock() + 60, UTC)
    id_ = await held_by_a_rule(running, expires_at=expires_at)
    running.clock.advance(61)
    await running.observer.until_ended(1)
    kept = await running.hub.store.notification(id_)
    assert (kept.state, kept.unreached, kept.unreached_count) == (State.ABANDONED, Unreached.EXPIRED, 3)
    assert running.observer.nobody == [(id_, Unreached.EXPIRED)]
    assert running.fcm.push_channels == []
    await running.stop()


async def test_what_comes_with_a_queue_and_is_held_expires_where_nothing_is_held_by_itself(tmp_path: Path) -> None:
    running = await with_news(tmp_path)
    expires_at = datetime.fromtimestamp(running.clock() + 60, UTC)
    id_ = await held_by_a_rule(running, expires_at=expires_at)
    await held_now(running, {HUB: 1})
    running.hub.guards.clear()  # as in a process that has no hub with a guard, and got the row with another's queue
    running.hub.held.clear()
    running.clock.advance(61)
    await running.observer.until_ended(1)
    assert (await running.hub.store.notification(id_)).unreached is Unreached.EXPIRED
    await running.stop()


async def test_what_is_held_can_be_cancelled_and_survives_a_restart(tmp_path: Path) -> None:
    running = await with_news(tmp_path)
    first, second = await held_by_a_rule(running), notification("news")
    await running.hub.accept([arrival(second)])
    await running.observer.until(lambda: len(running.observer.held) == 2)
    await running.stop()
    running = await with_news(tmp_path)
    assert running.hub.held == {HUB: 2}
    await running.hub.stop(first, actor="ann")
    await running.hub.approve(second.id, actor="ann")
    await running.observer.until_ended(2)
    assert len(running.fcm.push_channels) == 3
    assert (await running.hub.store.notification(first)).state is State.CANCELLED
    await running.stop()


async def test_a_send_to_many_needs_a_confirmation_of_as_many(tmp_path: Path) -> None:
    running = await with_news(tmp_path)
    for confirmed in (0, 2):
        with pytest.raises(ConfirmationError) as refused:
            await running.hub.send(notification("news"), confirmed=confirmed)
        assert (refused.value.count, refused.value.above) == (3, 2)
    await running.hub.send(notification("news"), confirmed=3)
    await running.observer.until_ended(1)
    assert len(running.fcm.push_channels) == 3
    await running.hub.send(notification("$InstallationId:{p1}"))
    await running.hub.send_direct(notification(content=GOOGLE), [f"handle {n}" for n in range(5)])
    await running.observer.until_ended(3)
    assert not running.observer.held
    await running.stop()


async def test_a_scheduled_send_is_held_that_is_for_more_than_was_confirmed_when_its_time_comes(tmp_path: Path) -> None:
    running = await with_news(tmp_path)
    one = notification("news", schedule_at=datetime.fromtimestamp(running.clock() + 60, UTC))
    await running.hub.send(one, confirmed=3)
    await running.hub.put_installation(HUB, installation("another", "news"))
    running.clock.advance(61)
    await running.observer.until(lambda: bool(running.observer.held))
    assert [count for _, count in running.observer.held] == [4]
    await running.hub.approve(one.id, actor="ann")
    await running.observer.until_ended(1)
    assert len(running.fcm.push_channels) == 4
    await running.stop()
