"""What quiet hours cost a broadcast: phones of 40 time zones, all of them awake, and half of them in their night.

    python -m benchmarks --only quiet
    python -m benchmarks.quiet PHONES TURNS

The hub in a process of its own, with its store on SQLite and a sender that answers at once, so that a push costs least and
quiet hours show most. What half held costs has the release in it.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import orjson
import uvloop

from hub.notification import Platform
from hub.quiet import QuietHours
from hub.windows import Window
from tests.hub.examples import HUB, arrivals, installation, notification
from tests.hub.running import Running

_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
_ZONES = 40
_AWAKE = (3 * 60 + 7, 3 * 60 + 8)
"""A minute of the day in which no zone is at that time."""
_BATCH = 1000


def measure(*, phones: int, turns: int, cores: Set[int]) -> Mapping[str, float]:
    """CPU seconds of each, and how many times that of a broadcast without quiet hours."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.quiet", str(phones), str(turns)],
        check=True,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    seen: Mapping[str, list[float]] = orjson.loads(done.stdout)
    found = {name: statistics.median(values) for name, values in seen.items()}
    return {f"{name}, CPU-s": value for name, value in found.items()} | {
        f"{name} / none": found[name] / found["none"] for name in ("all awake", "half held")
    }


def _zones() -> list[str]:
    """Zones of as many different offsets as there are, and then more of them."""
    by_offset: dict[timedelta | None, list[str]] = {}
    for name in sorted(each for each in available_timezones() if "/" in each and not each.startswith("Etc")):
        by_offset.setdefault(_NOON.astimezone(ZoneInfo(name)).utcoffset(), []).append(name)
    return [names[turn] for turn in range(_ZONES) for names in by_offset.values() if turn < len(names)][:_ZONES]


async def _costs(phones: int, turns: int) -> dict[str, list[float]]:
    zones = _zones()
    minutes = sorted(local.hour * 60 + local.minute for zone in zones for local in [_NOON.astimezone(ZoneInfo(zone))])
    ways = {"none": None, "all awake": _AWAKE, "half held": (0, minutes[len(minutes) // 2])}
    costs: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as directory:
        running = Running(Path(directory) / "hub.db")
        running.clock.now = _NOON.timestamp()
        await running.start()
        for first in range(0, phones, _BATCH):
            installations = [
                replace(
                    installation(f"p{number}", "news", platform=Platform.FCM, push_channel=f"token of {number}"),
                    time_zone=zones[number % _ZONES],
                )
                for number in range(first, min(first + _BATCH, phones))
            ]
            await running.hub.put_installations(HUB, installations)
        for _ in range(turns):
            for name, times in ways.items():
                hours = None if times is None else QuietHours(window=Window(name=name, times=(times,)), zone="UTC")
                begun, before = time.process_time(), len(running.fcm.pushes)
                await running.hub.accept(arrivals([notification("news", quiet=hours)]))
                if name == "half held":
                    await _pushed(running, before + 1, still=10)
                    for _ in range(24):
                        running.clock.advance(3600)
                        await running.store.looked()
                await _pushed(running, before + phones)
                costs[name].append(time.process_time() - begun)
        await running.stop()
    return costs


async def _pushed(running: Running, count: int, *, still: int = 0) -> None:
    """Return when so many pushes were made, and so many looks saw no more of them."""
    last, looks = -1, 0
    while last < count or looks < still:
        await asyncio.sleep(0.05)
        await running.store.looked()
        looks = looks + 1 if (now := len(running.fcm.pushes)) == last else 0
        last = now


if __name__ == "__main__":
    print(orjson.dumps(uvloop.run(_costs(int(sys.argv[1]), int(sys.argv[2])))).decode())
