"""How much of a push service's quota is used, and how many pushes are refused, while more waits than the quota allows.

    python -m benchmarks --only quota

FCM's stand-in takes so many pushes a minute and says with its 429 when the next minute begins. Broadcasts wait in the
store of one daemon over SQLite, then of three that share a PostgreSQL database. The first refusals, which teach the
quota, are given apart from the minutes that follow.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from benchmarks.figures import Figures
from sandbox.services import PushServices
from tests.brokers.postgres import PASSWORD, USER, Postgres, native
from tests.integration.daemon import HUB, Daemon, authorization, hubs

_PHONES = 400
_LEARNT = 4.0
"""Minutes until the quota is learnt and made sure."""
_PLATFORM = "fcmv1"


WAYS: Mapping[str, int] = {"1 process": 1, "3 processes": 3}
"""Daemons that share the quota: one on SQLite, more on PostgreSQL."""


def measure(directory: Path, *, quota: int, minutes: float) -> Figures:
    """Parts of a `quota`, in pushes a minute, over so many minutes: for one daemon, then for three.

    Raises: ServerError: no PostgreSQL is installed, or it does not start.
    """
    found: dict[str, float] = {}
    with native() as server:
        for who, count in WAYS.items():
            own = directory / f"{count}"
            own.mkdir()
            found |= asyncio.run(_measure(own, who, quota, minutes, count, server if count > 1 else None))
    return found


async def _measure(
    directory: Path, who: str, quota: int, minutes: float, count: int, postgres: Postgres | None
) -> dict[str, float]:
    async with PushServices(directory, accept_unknown=True, keep_payload=False, journal_size=1000) as services:
        services.fcm.quota_per_minute = quota
        services.fcm.names_retry_after = True
        async with _daemons(directory, services, postgres, count) as daemons:
            await _register(daemons[0])
            feeding = asyncio.create_task(_feed(daemons[0], quota, minutes + _LEARNT))
            await asyncio.sleep(60 * _LEARNT)
            before = await _counts(daemons)
            await asyncio.sleep(60 * minutes)
            after = await _counts(daemons)
            learnt = await _learnt(daemons[0])
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feeding
    taken, refused = after[0] - before[0], after[1] - before[1]
    return {
        f"used, {who}": taken / (quota * minutes),
        f"refused once learnt, {who}": refused / max(1, taken + refused),
        f"refused while learning, {who}": before[1],
        f"learnt a minute, {who}": learnt,
    }


async def _learnt(daemon: Daemon) -> float:
    """Pushes a minute."""
    return (await daemon.metrics())[f'pushbridge_pns_quota_messages{{credential="{HUB}",platform="{_PLATFORM}"}}']


async def _counts(daemons: Sequence[Daemon]) -> tuple[float, float]:
    """What the daemons say of FCM's answers: pushes taken, and pushes over the quota."""
    taken = refused = 0.0
    for daemon in daemons:
        for name, value in (await daemon.metrics()).items():
            if name.startswith("pushbridge_pns_deliveries_total{") and f'platform="{_PLATFORM}"' in name:
                taken += value if 'outcome="success"' in name else 0
                refused += value if 'outcome="throttled"' in name else 0
    return taken, refused


@asynccontextmanager
async def _daemons(
    directory: Path, services: PushServices, postgres: Postgres | None, count: int
) -> AsyncIterator[list[Daemon]]:
    bridge: dict[str, Any] = {"store": {"max_pending": 1_000_000}}
    if postgres is not None:
        (directory / "password").write_text(f"{PASSWORD}\n")
        url = f"postgresql://{USER}@127.0.0.1:{postgres.port}/{postgres.create()}"
        bridge["store"] |= {"url": url, "password_file": str(directory / "password")}
    configuration = {"bridge": bridge, "hubs": hubs(services)}
    async with AsyncExitStack() as stack:
        daemons = []
        for number in range(count):
            place = directory / f"daemon-{number}"
            place.mkdir()
            daemons.append(await stack.enter_async_context(Daemon(place, configuration)))
            await daemons[-1].start()
        yield daemons
        await asyncio.gather(*(daemon.terminate() for daemon in daemons))


async def _register(daemon: Daemon) -> None:
    body = orjson.dumps({"message": {"notification": {"body": "$(text)"}}}).decode()
    await daemon.register(
        *(
            {
                "installationId": f"phone-{number}",
                "platform": _PLATFORM,
                "pushChannel": f"{number:0150d}",
                "templates": {"text": {"body": body}},
            }
            for number in range(_PHONES)
        )
    )


async def _feed(daemon: Daemon, quota: int, minutes: float) -> None:
    """Have broadcasts wait for twice what the quota allows in this time."""
    url = f"{daemon.hub_url}/{HUB}/messages?api-version=2020-06"
    headers = {"ServiceBusNotification-Format": "template", "Authorization": authorization(url)}
    async with httpx.AsyncClient(timeout=60) as client:
        for number in range(int(2 * quota * minutes / _PHONES) + 1):
            (await client.post(url, json={"text": f"number {number}"}, headers=headers)).raise_for_status()
