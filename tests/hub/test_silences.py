"""A silence holds or drops what goes through its hub and has not begun; what it held goes out at its end."""

from pathlib import Path

from hub.outcome import State
from hub.silence import NewSilence, SilenceAction
from tests.fakes.senders import DELIVERED, UNAVAILABLE
from tests.hub.examples import HUB, arrival, installation, notification
from tests.hub.running import Running

DROP = SilenceAction.DROP


def of_hub(id: str = "s1", action: SilenceAction = SilenceAction.HOLD) -> NewSilence:
    return NewSilence(id=id, action=action, seconds=3600.0, reason="a trial", actor="ann", hub=HUB)


async def running(path: Path) -> Running:
    test = Running(path / "hub.db")
    await test.start()
    await test.hub.put_installation(HUB, installation("p", "news"))
    return test


async def test_a_send_is_held_by_a_silence_of_its_hub_and_goes_out_when_that_is_removed(tmp_path: Path) -> None:
    test = await running(tmp_path)
    await test.hub.add_silence(of_hub())
    one = notification("news")
    await test.hub.send(one)
    await test.store.looked()
    assert ((await test.store.notification(one.id)).state, test.fcm.push_channels) == (State.HELD, [])
    await test.hub.remove_silence("s1", actor="bob")
    await test.observer.until_ended(1)
    assert test.fcm.push_channels == ["token of p"]
    await test.stop()


async def test_what_is_dropped_reaches_no_phone_and_ends_as_cancelled(tmp_path: Path) -> None:
    test = await running(tmp_path)
    await test.hub.add_silence(of_hub(action=DROP))
    await test.hub.accept([arrival(notification("news"), event_id="1")])
    await test.observer.until_ended(1)
    assert (test.observer.states, test.fcm.push_channels) == ({(HUB, State.CANCELLED): 1}, [])
    await test.hub.remove_silence("s1", actor="bob")
    again = await test.hub.accept([arrival(notification("news"), event_id="1")])
    assert again.duplicates == {0}
    await test.stop()


async def test_what_waits_for_a_closed_service_is_held_and_what_another_silence_lets_go_too(tmp_path: Path) -> None:
    test = Running(tmp_path / "hub.db")
    await test.hub.open()
    await test.hub.put_installation(HUB, installation("p", "news"))
    await test.store.accept([arrival(notification("news"))], start=0)
    await test.hub.add_silence(of_hub())
    await test.stop()
    test = Running(tmp_path / "hub.db")
    await test.start()
    await test.store.called("silence")
    await test.hub.add_silence(of_hub("s2"))
    await test.hub.remove_silence("s1", actor="bob")
    while not (await test.store.silence_usage())["s2"].held:
        await test.store.called("take")
    assert test.fcm.push_channels == []
    await test.hub.remove_silence("s2", actor="bob")
    await test.observer.until_ended(1)
    assert test.fcm.push_channels == ["token of p"]
    await test.stop()


async def test_a_push_that_is_to_be_tried_again_has_begun_and_goes_on(tmp_path: Path) -> None:
    test = await running(tmp_path)
    test.fcm.answer = UNAVAILABLE
    await test.hub.send(notification("news"))
    await test.observer.until(lambda: bool(test.observer.retries))
    await test.hub.add_silence(of_hub())
    test.fcm.answer = DELIVERED
    test.clock.advance(60)
    await test.observer.until_ended(1)
    assert test.observer.states == {(HUB, State.COMPLETED): 1}
    await test.stop()


async def test_many_that_were_held_all_go_out_once(tmp_path: Path) -> None:
    test = await running(tmp_path)
    await test.hub.add_silence(of_hub())
    for _ in range(3):
        await test.hub.accept([arrival(notification("news")) for _ in range(500)])
    await test.hub.remove_silence("s1", actor="bob")
    await test.observer.until_ended(1500)
    assert test.observer.states == {(HUB, State.COMPLETED): 1500}
    assert len(test.fcm.push_channels) == 1500
    await test.stop()


async def test_silences_are_known_before_anything_is_taken(tmp_path: Path) -> None:
    test = await running(tmp_path)
    await test.hub.add_silence(of_hub())
    await test.stop()
    test = Running(tmp_path / "hub.db")
    await test.hub.open()
    assert [each.id for each in test.store.silences_in_force] == ["s1"]
    await test.stop()
