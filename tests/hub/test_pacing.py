"""Rates of rules and hubs: what is over one waits in the store, goes out in order, and delays nothing else."""

from pathlib import Path

import pytest

from hub.delivery.pacing import Rates
from hub.outcome import State
from hub.rate import Rate
from tests.hub.examples import HUB, arrival, installation, notification
from tests.hub.running import Running
from tests.hub.test_dispatch import FakeOutlet


async def running(path: Path, rates: Rates) -> Running:
    test = Running(path / "hub.db", rates=rates)
    await test.start()
    await test.hub.put_installation(HUB, installation("p", "news"))
    return test


async def settled(test: Running, seconds: float) -> int:
    """How many pushes there are after so many seconds, looked at several times in each."""
    for _ in range(int(seconds * 4)):
        test.clock.advance(0.25)
        before = -1
        while before != len(test.fcm.pushes):  # all that may go out now has, before more may
            before = len(test.fcm.pushes)
            await test.store.looked()
    for _ in range(3):  # what was taken is answered by now
        await test.store.looked()
    return len(test.fcm.pushes)


@pytest.mark.slow
@pytest.mark.parametrize("rates", [Rates(rules={"r": Rate(per_second=1019 / 60, burst=1)}), None])
async def test_a_fractional_rate_is_kept_to_within_a_hundredth(tmp_path: Path, rates: Rates | None) -> None:
    test = await running(tmp_path, rates or Rates(hubs={HUB: Rate(per_second=1019 / 60, burst=1)}))
    await test.hub.accept([arrival(notification("news", rule="r")) for _ in range(450)])
    begun = await settled(test, 1)
    after = await settled(test, 20)
    assert after - begun == pytest.approx(1019 / 3, rel=0.01)
    assert test.hub.pacing.said(HUB, "r", test.store.paced())
    await test.stop()


async def test_what_waits_for_a_rate_delays_no_other_rule_and_goes_out_after_a_restart(tmp_path: Path) -> None:
    rates = Rates(rules={"slow": Rate(per_second=1, burst=1)})
    test = await running(tmp_path, rates)
    await test.hub.accept([arrival(notification("news", rule="slow")) for _ in range(5)])
    await test.hub.accept([arrival(notification("news", rule="other"))])
    await test.observer.until_ended(2)
    assert sum(test.store.paced().values()) == 4
    await test.stop()
    test = Running(tmp_path / "hub.db", rates=rates)
    test.clock.advance(3600)
    await test.start()
    while len(test.fcm.pushes) < 4:
        await settled(test, 1)
    await test.observer.until_ended(4)
    assert test.observer.states == {(HUB, State.COMPLETED): 4}
    await test.stop()


async def test_a_rate_that_is_taken_out_lets_go_what_waits_at_once(tmp_path: Path) -> None:
    test = await running(tmp_path, Rates(hubs={HUB: Rate(per_second=0.001)}))
    await test.hub.accept([arrival(notification("news")) for _ in range(300)])
    await test.observer.until_ended(1)
    test.hub.pacing.apply(Rates())
    await test.observer.until_ended(300)
    assert len(test.fcm.pushes) == 300
    await test.stop()


async def test_what_waited_long_for_a_rate_is_as_young_as_its_turn_when_the_rate_is_taken_out(tmp_path: Path) -> None:
    test = await running(tmp_path, Rates(hubs={HUB: Rate(per_second=0.000001)}))
    waiting = notification("news")
    await test.hub.accept([arrival(notification("news")), arrival(waiting)])
    await test.observer.until_ended(1)
    test.clock.advance(3600)
    test.hub.pacing.apply(Rates())
    await test.observer.until_ended(2)
    sent = await test.store.sent(waiting.id)
    assert sent.schedule_at is not None
    assert sent.schedule_at.timestamp() >= test.store.time_of_day() - 60
    await test.stop()


async def test_what_waits_for_a_rate_goes_to_the_hub_elsewhere_that_a_reload_made_of_its_own(tmp_path: Path) -> None:
    test = await running(tmp_path, Rates(hubs={HUB: Rate(per_second=0.000001)}))
    waiting = notification("news")
    await test.hub.accept([arrival(notification("news")), arrival(waiting)])
    await test.observer.until_ended(1)
    elsewhere = FakeOutlet()
    test.hub.replace_hubs(gone=[HUB], hubs=[], senders={}, remotes={HUB: elsewhere}, guards={})
    test.hub.pacing.apply(Rates())
    await test.observer.until_ended(2)
    assert [one.id for one in elsewhere.taken] == [waiting.id]
    await test.stop()


async def test_one_notification_for_many_phones_makes_the_next_one_wait_for_all_its_pushes(tmp_path: Path) -> None:
    test = await running(tmp_path, Rates(hubs={HUB: Rate(per_second=1, burst=1)}))
    for number in range(9):
        await test.hub.put_installation(HUB, installation(f"q{number}", "news"))
    await test.hub.accept([arrival(notification("news")), arrival(notification("news"))])
    assert await settled(test, 8) == 10
    assert await settled(test, 4) == 20
    await test.stop()
