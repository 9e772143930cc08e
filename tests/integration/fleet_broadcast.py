"""A broadcast that all daemons of a fleet work on, and one that is cancelled from a daemon that did not accept it.

`make chaos` has it for a million phones; `test_fleet_broadcast.py` has fewer.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from hub.installation import Installation, Template
from hub.notification import Platform
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.store import PostgresStore
from sandbox.services import PushServices
from tests.integration.daemon import HUB, Daemon, authorization
from tests.integration.fleet import IN_FLIGHT, PROGRESS, Fleet, servers

TEMPLATE = Template(body='{"aps": {"alert": "$(text)"}}')
IMPORTED = 5000
"""Installations in one call."""
PIECE = 200
"""Pushes that a daemon may make of each page in hand before it records them and hears of an end."""
PAGES = 16
"""Pages that a daemon has in hand at most."""


def push_services(directory: Path) -> PushServices:
    """They take pushes for any phone, and keep no payloads."""
    return PushServices(directory, accept_unknown=True, keep_payload=False)


async def import_phones(fleet: Fleet, count: int) -> None:
    """Straight into the database, by a process that leaves it again."""
    store = PostgresStore(PostgresAddress(url=fleet.postgres.url(fleet.database)))
    await store.open()
    for first in range(0, count, IMPORTED):
        phones = [
            Installation(
                id=f"phone-{number}",
                platform=Platform.APNS,
                push_channel=f"{number:064X}",
                tags=("crowd",),
                templates={"text": TEMPLATE},
            )
            for number in range(first, min(first + IMPORTED, count))
        ]
        await store.import_installations(HUB, phones)
        await store.tick()
    await store.close()


async def send(daemon: Daemon, text: str) -> str:
    """Send to the crowd; the notification's id."""
    url = f"{daemon.hub_url}/{HUB}/messages"
    headers = {
        "Authorization": authorization(url),
        "ServiceBusNotification-Format": "template",
        "ServiceBusNotification-Tags": "crowd",
    }
    async with httpx.AsyncClient(verify=False, timeout=PROGRESS) as client:
        answer = await client.post(url, params={"api-version": "2020-06"}, json={"text": text}, headers=headers)
    answer.raise_for_status()
    return answer.headers["location"].partition("/messages/")[2].partition("?")[0]


async def cancel(daemon: Daemon, notification: str) -> None:
    async with Fleet.admin(daemon) as client:
        answer = await client.post(f"/api/v1/notifications/{notification}/cancel")
    answer.raise_for_status()


async def until_state(fleet: Fleet, notification: str, state: str) -> None:
    """Return when a daemon that was not asked to send says so."""
    deadline = time.monotonic() + PROGRESS
    async with Fleet.admin(fleet.daemons[1]) as client:
        while True:
            found = (await client.get(f"/api/v1/notifications/{notification}")).raise_for_status().json()
            if found["state"] == state:
                return
            assert time.monotonic() < deadline, f"{found}: {fleet.said()}"
            await asyncio.sleep(0.2)


async def delivered(daemon: Daemon) -> float:
    """Pushes that a daemon has had answered, since it started."""
    metrics = await daemon.metrics()
    return sum(count for name, count in metrics.items() if name.startswith("pushbridge_pns_deliveries_total"))


async def until_sent(fleet: Fleet, services: PushServices, total: int) -> None:
    """Return when so many pushes were sent, of all that ever were."""
    seen, seen_at = 0, time.monotonic()
    while (now := services.journal.last) < total:
        if now > seen:
            seen, seen_at = now, time.monotonic()
        assert time.monotonic() - seen_at < PROGRESS, f"stuck at {now} of {total}: {fleet.said()}"
        await asyncio.sleep(0.1)


MOST = 5
"""Broadcasts after which each daemon has had pages."""


async def whole(fleet: Fleet, services: PushServices, phones: int) -> dict[str, Any]:
    """All phones get one push of each broadcast, and each daemon has sent some by the last.

    Pages are dealt to queues by chance: of one broadcast, a daemon may get none.
    """
    shares = [0.0] * len(fleet.daemons)
    for number in range(1, MOST + 1):
        more = await _one_broadcast(fleet, services, phones, f"to all, {number}")
        shares = [one + other for one, other in zip(shares, more, strict=True)]
        if all(shares):
            break
    assert all(shares), shares
    return {"pushed by each": shares}


async def _one_broadcast(fleet: Fleet, services: PushServices, phones: int, text: str) -> list[float]:
    first, before = services.journal.last, [await delivered(daemon) for daemon in fleet.daemons]
    notification = await send(fleet.daemons[0], text)
    await until_sent(fleet, services, first + phones)
    await until_state(fleet, notification, "Completed")
    pushed = Counter(entry.handle for entry in services.journal.after(first))
    assert (len(pushed), pushed.total()) == (phones, phones), "a phone got it twice, or not at all"
    return [await delivered(daemon) - one for daemon, one in zip(fleet.daemons, before, strict=True)]


async def cancelled(fleet: Fleet, services: PushServices, phones: int) -> dict[str, Any]:
    """The daemons stop soon after another than the one that was asked to send is told so."""
    first = services.journal.last
    notification = await send(fleet.daemons[0], "cancelled")
    await until_sent(fleet, services, first + phones // 10)
    at = services.journal.last
    await cancel(fleet.daemons[-1], notification)
    done = services.journal.last
    await until_state(fleet, notification, "Cancelled")
    await asyncio.gather(*(daemon.until_ready() for daemon in fleet.daemons))
    while any([await waits(daemon) for daemon in fleet.daemons]):
        await asyncio.sleep(0.2)
    sent = services.journal.last - first
    assert sent <= done - first + len(fleet.daemons) * (IN_FLIGHT + PAGES * PIECE), (at - first, done - first, sent)
    assert sent < phones
    return {"sent when it was cancelled": done - first, "sent in all": sent}


async def waits(daemon: Daemon) -> bool:
    """Whether anything waits, or is under way."""
    metrics = await daemon.metrics()
    return any(count for name, count in metrics.items() if name.startswith("pushbridge_queue_messages"))


async def chaos(phones: int) -> dict[str, Any]:
    """What was seen. Raises: AssertionError: a promise was broken."""
    with servers() as (postgres, rabbitmq), tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        async with (
            push_services(directory) as services,
            Fleet.started(
                directory, postgres, rabbitmq, services, prepare=lambda fleet: import_phones(fleet, phones)
            ) as fleet,
        ):
            await fleet.until_shared(*fleet.daemons)
            return await cancelled(fleet, services, phones) | await whole(fleet, services, phones)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phones", type=int, default=1_000_000)
    print(asyncio.run(chaos(parser.parse_args().phones)))


if __name__ == "__main__":
    main()
