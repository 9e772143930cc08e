"""A process that is killed while it accepts: no event of a throttled key is lost, and none is counted twice."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hub.store.sqlite.store import SqliteStore
from tests.hub.examples import HUB
from tests.hub.store.suite.flow_control import throttled, title_of

EVENTS, KEYS, KILLS = 300, 3, 4


async def intake(path: Path) -> None:
    """Take all events from the first on, as a broker that had no acknowledgement delivers them; say when they are in."""
    store = SqliteStore(path, allow_ephemeral=True)
    await store.open()
    events = [throttled(str(number), f"k{number % KEYS}", most=2, seconds=86_400) for number in range(EVENTS)]
    for first in range(0, EVENTS, 5):
        await store.accept(events[first : first + 5], start=0)
        print(first, flush=True)
    await store.close()


@pytest.mark.processes
def test_however_often_it_is_killed_each_event_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "flow.db"
    chance = random.Random(8)
    kills = 0
    while True:
        command = [sys.executable, "-m", __name__, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as process:
            assert process.stdout is not None
            if kills == KILLS:
                process.communicate()
                assert process.returncode == 0
                break
            for _ in range(chance.randint(1, 10) + kills * 12):
                process.stdout.readline()
            time.sleep(chance.random() * 0.01)
            process.send_signal(signal.SIGKILL)
            kills += 1
    assert asyncio.run(counted(path)) == (2 * KEYS, {EVENTS // KEYS - 2})


async def counted(path: Path) -> tuple[int, set[int]]:
    """How many notifications went at once, and what the digests count."""
    store = SqliteStore(path, allow_ephemeral=True)
    await store.open()
    kept = (await store.notifications(hub=HUB, limit=100)).items
    digests = [each for each in kept if each.schedule_at is not None]
    counts = {int(title_of(await store.sent(each.id)).split()[0]) for each in digests}
    assert len(digests) == KEYS
    await store.close()
    return len(kept) - len(digests), counts


if __name__ == "__main__":
    asyncio.run(intake(Path(sys.argv[1])))
