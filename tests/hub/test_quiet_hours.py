"""Quiet hours in a whole hub: phones of three zones in one audience, large audiences, and pushes without a sound."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from hub.facts import QuietHoursKept
from hub.installation import Installation
from hub.notification import NativeContent, Notification, Platform, Priority
from hub.outcome import OutcomeName, Reaction, State, Unreached
from hub.push import SendResult
from hub.quiet import Fate, OnQuiet, QuietHours
from hub.store.contracts.outbox import QuietUsage
from hub.store.rows import moment
from hub.windows import Window
from tests.hub.examples import HUB, arrivals, installation, notification
from tests.hub.running import Running

ZURICH, NEW_YORK, TOKYO = "Europe/Zurich", "America/New_York", "Asia/Tokyo"
NIGHT = QuietHours(window=Window(name="night", times=((22 * 60, 7 * 60),)), zone=ZURICH)
MIDNIGHT = datetime(2026, 3, 2, 23, 0, tzinfo=UTC).timestamp()
"""00:00 in Zurich, 18:00 in New York, and 08:00 in Tokyo."""
HOUR = 3600.0
ADM = Platform("adm")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    running = Running(tmp_path / "store.db", senders=[Platform.APNS, ADM])
    running.clock.now = MIDNIGHT
    await running.start()
    yield running
    await running.stop()
    assert not running.observer.crashes


def phone(name: str, zone: str = "", platform: Platform = Platform.FCM) -> Installation:
    channel = name.encode().hex().upper() if platform is Platform.APNS else f"token of {name}"
    return replace(installation(name, "news", platform=platform, push_channel=channel), time_zone=zone)


async def send(running: Running, quiet: QuietHours = NIGHT, **changes: Any) -> Notification:
    one = notification("news", quiet=quiet, **changes)
    await running.hub.accept(arrivals([one]))
    return one


def names(running: Running) -> list[str]:
    return sorted(each.removeprefix("token of ") for each in running.fcm.push_channels)


async def kept(running: Running, *fates: Fate) -> list[QuietHoursKept]:
    """What quiet hours did, once it was all of these, in any order."""
    async with asyncio.timeout(30):
        await running.observer.until(lambda: Counter(fact.fate for fact in running.observer.quiet) == Counter(fates))
    return running.observer.quiet


async def test_of_three_zones_in_one_audience_each_phone_gets_its_push_outside_of_its_night(running: Running) -> None:
    phones = [phone("zurich", ZURICH), phone("new-york", NEW_YORK), phone("tokyo", TOKYO), phone("nowhere")]
    await running.hub.put_installations(HUB, phones)
    one = await send(running)
    await running.fcm.received(2)
    (held,) = await kept(running, Fate.HELD)
    assert names(running) == ["new-york", "tokyo"]
    assert (held.count, held.zones, held.until) == (2, [ZURICH], MIDNIGHT + 7 * HOUR), "nowhere has the hub's zone"
    running.clock.advance(7 * HOUR - 1)
    await running.store.looked()
    assert names(running) == ["new-york", "tokyo"]
    running.clock.advance(1)
    await running.fcm.received(4)
    await running.observer.until_ended(1)
    assert names(running) == ["new-york", "nowhere", "tokyo", "zurich"]
    assert (await running.store.details(HUB, one.id)).state is State.COMPLETED
    assert max(seconds for _, seconds, _ in running.observer.deliveries) < 60, "it counts from the end of the night"


async def test_in_the_night_of_a_change_of_the_clocks_each_zone_wakes_by_its_own_clock(running: Running) -> None:
    """On 29 March 2026 Zurich's clocks leap from 02:00 to 03:00; New York's leapt on the 8th, Tokyo's never do."""
    running.clock.now = datetime(2026, 3, 28, 22, 30, tzinfo=UTC).timestamp()  # 23:30, 18:30 and 07:30
    phones = [phone("zurich", ZURICH), phone("new-york", NEW_YORK), phone("tokyo", TOKYO)]
    await running.hub.put_installations(HUB, phones)
    await send(running)
    await running.fcm.received(2)
    (held,) = await kept(running, Fate.HELD)
    assert names(running) == ["new-york", "tokyo"]
    assert held.until == datetime(2026, 3, 29, 5, 0, tzinfo=UTC).timestamp(), (
        "07:00 of summer time: a night of 6.5 hours"
    )
    running.clock.advance(6.5 * HOUR - 1)
    await running.store.looked()
    assert len(names(running)) == 2
    running.clock.advance(1)
    await running.fcm.received(3)
    assert names(running) == ["new-york", "tokyo", "zurich"]
    await running.observer.until_ended(1)


async def test_a_phone_that_travels_while_its_push_is_held_sleeps_on_where_it_is(running: Running) -> None:
    await running.hub.put_installation(HUB, phone("ann", ZURICH))
    await send(running)
    await kept(running, Fate.HELD)
    await running.hub.put_installation(HUB, phone("ann", NEW_YORK))
    running.clock.advance(7 * HOUR)  # 01:00 in New York
    *_, again = await kept(running, Fate.HELD, Fate.HELD)
    assert (again.zones, again.until) == ([NEW_YORK], datetime(2026, 3, 3, 12, 0, tzinfo=UTC).timestamp())
    assert not names(running)
    running.clock.advance(6 * HOUR)
    await running.fcm.received(1)


async def test_a_push_that_is_tried_again_in_the_night_waits_for_its_end(running: Running) -> None:
    running.clock.now = datetime(2026, 3, 2, 20, 59, 50, tzinfo=UTC).timestamp()  # 21:59:50
    running.fcm.answer = SendResult(
        reaction=Reaction.THROTTLED, outcome=OutcomeName.THROTTLED, reason="QUOTA", retry_after=30.0
    )
    await running.hub.put_installation(HUB, phone("ann", ZURICH))
    await send(running)
    await running.fcm.received(1)
    await running.observer.until(lambda: bool(running.observer.retries))
    running.fcm.answer = SendResult(reaction=Reaction.DELIVERED, outcome=OutcomeName.SUCCESS)
    while not running.observer.quiet:  # the retry is due 30 seconds after it was recorded
        running.clock.advance(31)
        await running.store.looked()
    await kept(running, Fate.HELD)
    running.clock.now = datetime(2026, 3, 3, 6, 0, tzinfo=UTC).timestamp()
    await running.fcm.received(2)
    await running.observer.until_ended(1)


@pytest.mark.parametrize(
    ("quiet", "lives", "fate", "why"),
    [
        (replace(NIGHT, on_quiet=OnQuiet.DROP), None, Fate.DROPPED, Unreached.QUIET_HOURS),
        (replace(NIGHT, expire=6.9 * HOUR), None, Fate.TOO_LONG, Unreached.QUIET_HOURS),
        (NIGHT, 6.9 * HOUR, Fate.EXPIRED, Unreached.EXPIRED),
    ],
)
@pytest.mark.parametrize("zone", ["", ZURICH])
async def test_what_is_not_held_ends_and_says_why(
    running: Running, quiet: QuietHours, lives: float | None, fate: Fate, why: Unreached, zone: str
) -> None:
    quiet = replace(quiet, window=replace(quiet.window, zone=zone))
    await running.hub.put_installation(HUB, phone("ann", ZURICH))
    one = await send(running, quiet, expires_at=None if lives is None else moment(MIDNIGHT + lives))
    await kept(running, fate)
    await running.observer.until_ended(1)
    kept_one = await running.store.notification(one.id)
    assert (kept_one.state, kept_one.unreached) == (State.ABANDONED, why)
    assert not names(running)
    if not zone:
        ((outcome, reason, count),) = kept_one.failures
        assert (outcome, count) == (OutcomeName.ABANDONED.value, 1)
        assert reason.startswith("quiet hours of window night: ")
        traced = [each for each in await running.store.trace(one.id, "ann") if each.template is not None]
        assert [each.reason for each in traced] == [reason]


async def test_what_lives_and_may_wait_for_long_enough_is_held(running: Running) -> None:
    await running.hub.put_installation(HUB, phone("ann", ZURICH))
    await send(running, replace(NIGHT, expire=7 * HOUR), expires_at=moment(MIDNIGHT + 7 * HOUR + 60))
    await kept(running, Fate.HELD)
    running.clock.advance(7 * HOUR)
    await running.fcm.received(1)


async def test_hours_that_are_the_same_for_all_hold_a_notification_whole(running: Running) -> None:
    quiet = replace(NIGHT, window=replace(NIGHT.window, zone=ZURICH))
    one = await send(running, quiet)
    (held,) = await kept(running, Fate.HELD)
    assert (held.count, held.until) == (None, MIDNIGHT + 7 * HOUR)
    assert await running.store.quiet() == QuietUsage(notifications={HUB: 1})
    await running.hub.put_installation(HUB, phone("new", NEW_YORK))  # not there yet when it was sent
    running.clock.advance(7 * HOUR)
    await running.fcm.received(1)
    await running.observer.until_ended(1)
    assert (await running.store.details(HUB, one.id)).state is State.COMPLETED


async def test_a_large_audience_is_held_in_one_part_for_each_end_of_its_nights(running: Running) -> None:
    zones = (ZURICH, "Europe/Paris", NEW_YORK, "Asia/Kolkata")  # Kolkata: 04:30
    phones = [phone(f"{number}", zones[number % 4]) for number in range(1400)]
    await running.store.import_installations(HUB, phones)
    one = await send(running)
    held = await kept(running, Fate.HELD, Fate.HELD)
    assert sorted((fact.count, tuple(fact.zones)) for fact in held) == [
        (350, ("Asia/Kolkata",)),
        (700, ("Europe/Paris", ZURICH)),
    ]
    await running.fcm.received(350)
    assert {int(name) % 4 for name in names(running)} == {2}
    running.clock.now = datetime(2026, 3, 3, 1, 30, tzinfo=UTC).timestamp()
    await running.fcm.received(700)
    running.clock.now = MIDNIGHT + 7 * HOUR
    await running.fcm.received(1400)
    await running.observer.until_ended(1)
    assert len(set(names(running))) == len(names(running)) == 1400
    details = await running.store.details(HUB, one.id)
    assert (details.state, details.counts) == (State.COMPLETED, {Platform.FCM: {OutcomeName.SUCCESS: 1400}})


async def test_of_a_large_audience_those_who_get_nothing_are_counted(running: Running) -> None:
    phones = [phone(f"{number}", ZURICH if number % 2 else TOKYO) for number in range(1400)]
    await running.store.import_installations(HUB, phones)
    one = await send(running, replace(NIGHT, on_quiet=OnQuiet.DROP))
    await running.fcm.received(700)
    await running.observer.until_ended(1)
    details = await running.store.details(HUB, one.id)
    assert details.counts == {Platform.FCM: {OutcomeName.SUCCESS: 700, OutcomeName.ABANDONED: 700}}
    (traced,) = [each for each in await running.store.trace(one.id, "1") if each.template is not None]
    assert (traced.outcome, traced.reason) == (
        "AbandonedNotificationMessages",
        "quiet hours of window night: on_quiet: drop",
    )


async def test_a_silent_push_goes_out_without_a_sound_and_is_held_where_the_service_has_no_word_for_it(
    running: Running,
) -> None:
    await running.hub.put_installations(
        HUB, [phone("android", ZURICH), phone("awake", TOKYO), phone("fire", ZURICH, ADM)]
    )
    await send(running, replace(NIGHT, on_quiet=OnQuiet.SILENT))
    pushes = await running.fcm.received(2)
    await kept(running, Fate.HELD, Fate.SILENT)
    by_name = {push.push_channel.removeprefix("token of "): push for push in pushes}
    quiet = orjson.loads(by_name["android"].payload)["message"]["android"]
    assert (quiet["priority"], quiet["notification"]["notification_priority"]) == ("NORMAL", "PRIORITY_LOW")
    assert "android" not in orjson.loads(by_name["awake"].payload)["message"]
    assert (by_name["android"].priority, by_name["awake"].priority) == (Priority.NORMAL, Priority.HIGH)


async def test_the_sound_of_a_native_payload_is_taken_out_for_phones_in_their_night_alone(running: Running) -> None:
    await running.hub.put_installations(HUB, [phone("a", ZURICH, Platform.APNS)])
    payload = b'{"aps":{"alert":{"title":"hi"},"sound":"loud.caf"}}'
    await send(
        running, replace(NIGHT, on_quiet=OnQuiet.SILENT), content=NativeContent(platform=Platform.APNS, payload=payload)
    )
    (push,) = await running.others[Platform.APNS].received(1)
    assert orjson.loads(push.payload)["aps"] == {"alert": {"title": "hi"}, "interruption-level": "passive"}
