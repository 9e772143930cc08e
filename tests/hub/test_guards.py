"""What the guard of a hub leaves out is reached by nobody: no rule, no send, direct or not, no page from another time."""

from pathlib import Path

import pytest

from hub.guards import AudienceGuard, guarded
from hub.installation import Registration
from hub.notification import EVERYONE, NativeContent, Platform
from hub.outcome import DeviceAnswer, OutcomeName, State, Unreached
from hub.store.contracts.telemetry import KeptNotification
from hub.tags import parse
from tests.hub.examples import HUB, installation, notification
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
