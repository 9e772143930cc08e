"""A daemon that is killed in the middle of a broadcast repeats little of it, and no phone shows anything twice.

The push service answers after 10 ms, as Apple's does from near by. A crash may repeat what was in flight, and of each page
one piece that was not recorded yet.
"""

import os
import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.installation import Installation, Template
from hub.notification import Platform
from hub.store.sqlite.store import SqliteStore
from sandbox.journal import Entry
from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.integration.daemon import HUB, Daemon, authorization, hubs

PHONES = 3000
LATENCY, STREAMS = 0.01, 20
"""Seconds and requests at a time: 2,000 pushes/s, however fast the machine is."""
KILLS = 6
REPEATED = 100
"""Pushes that a kill repeats on average, at most."""

PROGRESS = 60.0
TEMPLATE = Template(body='{"aps": {"alert": "$(text)"}}')


@pytest.mark.timeout(300)
async def test_a_kill_in_a_broadcast_repeats_few_pushes_and_shows_none_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("PUSHBRIDGE_KILL_SEED") or random.SystemRandom().randrange(10**6))
    rng = random.Random(seed)
    async with PushServices(tmp_path) as services, Daemon(tmp_path, {"hubs": hubs(services)}, preloaded=True) as daemon:
        phones = [services.add_phone(f"phone-{number}", "apns") for number in range(PHONES)]
        await _register(daemon.database_file, phones)
        services.apns.faults.latency(LATENCY)
        services.apns.limit_streams(STREAMS)
        repeats = [
            await _broadcast_and_kill(daemon, services, f"news {number}", rng.randint(100, PHONES - 500))
            for number in range(KILLS)
        ]
        assert await daemon.terminate() == 0
    shown = Counter(one.body for phone in phones for one in phone.screen)
    with capsys.disabled():
        print(f"\nPUSHBRIDGE_KILL_SEED={seed}: pushes repeated by each kill: {repeats}")
    assert set(shown.values()) == {PHONES}, "a phone shows one twice, or another's in its place"
    assert sum(repeats) / KILLS < REPEATED
    assert any(repeats), "no kill came while pushes were in flight"


async def _register(database: Path, phones: Sequence[VirtualPhone]) -> None:
    """Straight into the store, before the daemon has it."""
    store = SqliteStore(database, allow_ephemeral=True)
    await store.open()
    await store.import_installations(
        HUB,
        [
            Installation(
                id=phone.name, platform=Platform.APNS, push_channel=phone.handle.upper(), templates={"text": TEMPLATE}
            )
            for phone in phones
        ],
    )
    await store.close()


async def _broadcast_and_kill(daemon: Daemon, services: PushServices, text: str, pushes: int) -> int:
    """Send to everyone, kill after so many pushes, and start again; how many pushes were repeated."""
    if not services.journal.last:
        await daemon.launch()
    await daemon.until_ready()
    first = services.journal.last
    await _send(daemon, text)
    await services.journal.wait_for(lambda entry: entry.seq > first, count=pushes, timeout=PROGRESS)
    await daemon.kill()
    await daemon.launch()

    ids: dict[str, set[str]] = {}

    def of_this(entry: Entry) -> bool:
        return entry.seq > first and entry.accepted

    while len(ids) < PHONES:
        seen = len(services.journal)
        for entry in services.journal.after(first):
            ids.setdefault(entry.handle, set()).add(entry.push_id)
        if len(ids) < PHONES:
            await services.journal.wait_for(partial(_is_after, seen), count=1, timeout=PROGRESS)
    await _until_ended(daemon)
    assert {len(each) for each in ids.values()} == {1}, "a phone got it under two ids"
    return sum(map(of_this, services.journal.after(first))) - PHONES


def _is_after(seen: int, entry: Entry) -> bool:
    return entry.seq > seen


async def _send(daemon: Daemon, text: str) -> None:
    url = f"{daemon.hub_url}/{HUB}/messages"
    headers = {"Authorization": authorization(url), "ServiceBusNotification-Format": "template"}
    params: dict[str, Any] = {"api-version": "2020-06"}
    async with httpx.AsyncClient(verify=False, timeout=PROGRESS) as client:
        (await client.post(url, params=params, json={"text": text}, headers=headers)).raise_for_status()


async def _until_ended(daemon: Daemon) -> None:
    """Return when nothing waits and nothing is under way any more."""
    await daemon.until_ready()
    while True:
        metrics = await daemon.metrics()
        if not sum(count for name, count in metrics.items() if name.startswith("pushbridge_queue_messages")):
            return
