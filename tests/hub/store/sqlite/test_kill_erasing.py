"""A process that is killed while it erases: who was acknowledged is gone; a half erasure is finished when asked again."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from hub.store.contracts.people import Kept
from hub.store.sqlite.store import SqliteStore
from tests.hub.store.sqlite.erasing_process import PEOPLE, ROWS

WHOLE = dict.fromkeys(Kept, 0) | {Kept.NOTIFICATION: ROWS, Kept.DEAD_LETTER: ROWS, Kept.DEVICE: 2}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_who_was_acknowledged_is_gone_and_a_half_erasure_is_finished(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.hub.store.sqlite.erasing_process",
        str(tmp_path / "hub.db"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    acknowledged = rng.randint(1, 6)
    for _ in range(acknowledged):
        await process.stdout.readline()
    await asyncio.sleep(rng.uniform(0, 0.03))
    process.kill()
    acknowledged += len((await process.stdout.read()).splitlines())
    await process.wait()
    store = SqliteStore(tmp_path / "hub.db", allow_ephemeral=True)
    await store.open()
    counts = [dict(await store.count_person(f"p{number}")) for number in range(PEOPLE)]
    assert not any(any(each.values()) for each in counts[:acknowledged])
    assert counts[acknowledged + 1 :] == [WHOLE] * (PEOPLE - acknowledged - 1), "one erasure at a time"
    half = f"p{acknowledged}"
    await store.erase_person(half, actor="eve")
    assert not any((await store.count_person(half)).values())
    await store.close()
