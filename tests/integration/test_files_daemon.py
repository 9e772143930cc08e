"""The daemon on a directory: each line is accepted once, though the daemon is killed again and again while it reads."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemon import HUB, Daemon
from tests.integration.outboxes import seen

pytestmark = pytest.mark.processes
PATIENCE = 60.0
FILES, LINES = 3, 700


def configuration(incoming: Path) -> dict[str, Any]:
    files = {"path": str(incoming), "records": "lines", "settle": 0, "poll": "50ms", "receive": {"max_in_flight": 100}}
    rule = {"name": "r", "push": {"to": "customer:{{ data.c }}", "with": {"title": "{{ data.n }}"}}}
    return {
        "version": 1,
        "bridge": {"shutdown": {"delay": 0.0}, "log": {"level": "warning"}},
        "hubs": {HUB: {}},
        "sources": {"nightly": {"files": files}},
        "rules": [rule],
    }


@pytest.mark.slow
async def test_each_line_is_accepted_once_though_the_daemon_is_killed(tmp_path: Path) -> None:
    """Half of the lines are poison: those have no identity but their number, and one accepted twice has two rows."""
    incoming, chance = tmp_path / "in", random.Random(5)
    incoming.mkdir()
    for file in range(FILES):
        temporary = incoming / f"{file}.tmp"
        lines = (f'{{"c": "c1", "n": {file * LINES + n}}}' if n % 2 else "{" for n in range(LINES))
        temporary.write_text("\n".join(lines))
        temporary.rename(incoming / f"{file}.jsonl")
    async with Daemon(tmp_path, configuration(incoming), preloaded=True) as daemon:
        for _ in range(4):
            await daemon.start()
            await asyncio.sleep(chance.uniform(0, 0.3))
            await daemon.kill()
        await daemon.start()
        async with asyncio.timeout(PATIENCE):
            while list(incoming.glob("*.jsonl")) or list((incoming / ".pushbridge").glob("*.jsonl")):
                await asyncio.sleep(0.05)
        assert await daemon.terminate() == 0
    counted = Counter(seen(daemon))
    assert len(counted) == FILES * LINES // 2
    assert set(counted.values()) == {1}
    with daemon.database() as store:
        assert store.execute("SELECT count(*) FROM dead_letter").fetchone() == (FILES * LINES // 2,)
        (forgotten_late,) = store.execute("SELECT count(*) FROM kafka_offset").fetchone()
    assert forgotten_late <= 4  # a kill between the end of a file and that of its offset leaves a row
