"""What one push service's outage costs the others: APNs answers nothing while notifications wait, FCM goes on.

The push services are the stand-ins. A push to FCM is timed from the send to its arrival at the stand-in, with APNs well
and then with notifications waiting for APNs. Afterwards APNs answers again and gets everything that waits.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.pinning import resident_mib
from sandbox.journal import Entry
from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.integration.daemon import HUB, Daemon, authorization, hubs

_PHONES = 50
_BATCH = 100
_RATE = 50
"""Sends to FCM a second."""
_RATE_BESIDE = 20
"""The same for each of two daemons, which share the machine with other work."""

_TEMPLATES = {
    "apns": '{"aps": {"alert": "$(text)"}}',
    "fcmv1": '{"message": {"notification": {"body": "$(text)"}}}',
}


def measure(directory: Path, *, waiting: int, probes: int) -> dict[str, float]:
    """Milliseconds until FCM has a push, with APNs well and with so many notifications waiting for APNs."""
    return asyncio.run(_measure(directory, waiting, probes))


def compare(directory: Path, *, waiting: int, probes: int) -> Mapping[str, Sequence[float]]:
    """Milliseconds until FCM has a push, of two daemons at the same time: one whose APNs is well, one whose APNs is away.

    What else runs on the machine delays both alike, so their ratio says something beside it.
    """
    return asyncio.run(_compare(directory, waiting, probes))


async def _compare(directory: Path, waiting: int, probes: int) -> Mapping[str, Sequence[float]]:
    for name in ("well", "away"):
        (directory / name).mkdir()
    async with _running(directory / "well") as well, _running(directory / "away") as away:
        services, daemon, client = away
        services.apns.faults.black_hole()
        await _fill(client, waiting)
        await _until_taken(daemon, waiting)
        for number in (probes // 10, probes):  # the first are for connections and caches
            taken = await asyncio.gather(*(_time_fcm(*each, number, rate=_RATE_BESIDE) for each in (well, away)))
        return {"well": taken[0], "away": taken[1]}


async def _measure(directory: Path, waiting: int, probes: int) -> dict[str, float]:
    async with _running(directory) as (services, daemon, client):
        await _warm(services, client, waiting)
        well = await _time_fcm(services, daemon, client, probes)
        memory = resident_mib(daemon.pid)
        services.apns.faults.black_hole()
        await _fill(client, waiting)
        await _until_taken(daemon, waiting)
        out = await _time_fcm(services, daemon, client, probes)
        grown = resident_mib(daemon.pid) - memory
        back = await _recover(services, daemon, waiting)
    return {
        "FCM p50 with APNs well, ms": statistics.median(well),
        "FCM p99 with APNs well, ms": quantile(well, 0.99),
        f"FCM p50 with {waiting:,} waiting for APNs, ms": statistics.median(out),
        f"FCM p99 with {waiting:,} waiting for APNs, ms": quantile(out, 0.99),
        "p99, outage / well": quantile(out, 0.99) / quantile(well, 0.99),
        "memory more, MB": grown,
        **back,
    }


@asynccontextmanager
async def _running(directory: Path) -> AsyncIterator[tuple[PushServices, Daemon, httpx.AsyncClient]]:
    async with PushServices(directory) as services, Daemon(directory, _configuration(services)) as daemon:
        await daemon.start()
        await daemon.register(*_installations(services))
        # The daemon closes a connection that is idle for 5 s: one that is about to be closed is not used again.
        limits = httpx.Limits(keepalive_expiry=2)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            client.base_url = httpx.URL(daemon.url)
            yield services, daemon, client
        await daemon.terminate()


def _configuration(services: PushServices) -> dict[str, Any]:
    platforms = hubs(services)
    del platforms[HUB]["platforms"]["wns"]
    return {
        "bridge": {"store": {"max_pending": 1_000_000}},
        "sources": {"web": {"http": {"path": "/events", "format": "cloudevents"}}},
        "rules": [
            {
                "name": "posting",
                "source": "web",
                "push": {"to": "{{ data.to }}", "with": {"text": "{{ data.text }}"}},
            }
        ],
        "hubs": platforms,
    }


def _installations(services: PushServices) -> list[dict[str, Any]]:
    phones: list[VirtualPhone] = []
    for number in range(_PHONES):
        phones += [services.add_phone(f"{platform}-{number}", platform) for platform in _TEMPLATES]
    return [
        {
            "installationId": phone.name,
            "platform": phone.platform,
            "pushChannel": phone.handle,
            "tags": [phone.name],
            "templates": {"text": {"body": _TEMPLATES[phone.platform]}},
        }
        for phone in phones
    ]


async def _warm(services: PushServices, client: httpx.AsyncClient, count: int) -> None:
    """Send as much through a service that is well: what the daemon keeps of that is no cost of an outage."""
    before = len(services.journal.accepted())
    await _fill(client, count, first=count)
    async with asyncio.timeout(600):
        while len(services.journal.accepted()) < before + count:
            await asyncio.sleep(0.2)


async def _fill(client: httpx.AsyncClient, count: int, *, first: int = 0) -> None:
    """Have so many events accepted, each for one of Apple's phones; their texts are their numbers, from the first on."""
    for begin in range(first, first + count, _BATCH):
        numbers = range(begin, min(begin + _BATCH, first + count))
        events = [_event(f"apns-{number % _PHONES}", number) for number in numbers]
        answer = await client.post(
            "/events", json=events, headers={"Content-Type": "application/cloudevents-batch+json"}
        )
        answer.raise_for_status()


def _event(to: str, number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{to}-{number}",
        "source": "/bench",
        "type": "posting",
        "data": {"to": to, "text": f"number {number}"},
    }


async def _until_taken(daemon: Daemon, count: int) -> None:
    """Return when the pushes to APNs have failed often enough that the service is known to be away."""
    async with asyncio.timeout(120):
        while True:
            metrics = await daemon.metrics()
            waiting = sum(value for name, value in metrics.items() if name.startswith("pushbridge_queue_messages"))
            if waiting >= count * 0.9:
                return
            await asyncio.sleep(0.2)


async def _time_fcm(
    services: PushServices, daemon: Daemon, client: httpx.AsyncClient, probes: int, *, rate: int = _RATE
) -> Sequence[float]:
    """Milliseconds from each send over the hub API to its push at the stand-in; so many sends a second."""
    loop = asyncio.get_running_loop()
    arrived: dict[str, float] = {}

    def take(entry: Entry) -> None:
        if entry.service == "fcmv1":
            arrived[entry.payload.partition(b"probe ")[2].partition(b'"')[0].decode()] = loop.time()

    forget = services.journal.subscribe(take)
    sent: dict[str, float] = {}
    run = f"{time.time_ns()}"
    async with asyncio.TaskGroup() as group:
        for number in range(probes):
            name = f"{run}-{number}"
            sent[name] = loop.time()
            group.create_task(_send(client, daemon, f"fcmv1-{number % _PHONES}", f"probe {name}"))
            await asyncio.sleep(1 / rate)
    async with asyncio.timeout(120):
        while not sent.keys() <= arrived.keys():
            await asyncio.sleep(0.05)
    forget()
    return [(arrived[name] - sent[name]) * 1000 for name in sent]


async def _send(client: httpx.AsyncClient, daemon: Daemon, tag: str, text: str) -> None:
    url = f"{daemon.hub_url}/{HUB}/messages"
    answer = await client.post(
        url,
        params={"api-version": "2020-06"},
        json={"text": text},
        headers={
            "Authorization": authorization(url),
            "ServiceBusNotification-Format": "template",
            "ServiceBusNotification-Tags": tag,
        },
    )
    assert answer.is_success, f"{answer.status_code}: {answer.text}"


async def _recover(services: PushServices, daemon: Daemon, count: int) -> dict[str, float]:
    """Let APNs answer again, and see what it gets: how soon, in which order, how fast at first."""
    order: list[int] = []
    times: list[float] = []
    loop = asyncio.get_running_loop()

    def take(entry: Entry) -> None:
        if entry.service == "apns" and entry.accepted:
            order.append(int(entry.payload.partition(b"number ")[2].partition(b'"')[0]))
            times.append(loop.time())

    services.journal.subscribe(take)
    services.apns.faults.black_hole(False)
    began = loop.time()
    async with asyncio.timeout(600):
        while len(set(order)) < count:
            await asyncio.sleep(0.1)
    first = {number: place for place, number in reversed(list(enumerate(order)))}
    displaced = sorted(abs(first[number] - number) for number in first)
    in_first_second = sum(at - times[0] <= 1 for at in times)
    return {
        "APNs back: first push after, s": times[0] - began,
        "APNs back: everything after, s": times[-1] - began,
        "APNs back: pushes in the first second": float(in_first_second),
        "APNs back: places out of order, median": float(displaced[len(displaced) // 2]),
        "APNs back: pushed twice": float(len(order) - count),
    }


def quantile(values: Sequence[float], part: float) -> float:
    """What such a part of the values is below."""
    return sorted(values)[int(len(values) * part)]
