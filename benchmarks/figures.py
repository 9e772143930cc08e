"""What is measured, one function a figure; each returns plain numbers under the names that the table shows."""

import asyncio
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks import daemon, plain_libcurl
from benchmarks.bare import QUEUE
from benchmarks.nginx import FastPushService
from benchmarks.pinning import MEASURED, forget_peak, peak_mib
from benchmarks.postings import RULE, SOURCE, posting
from connectors.base import OutMessage
from connectors.rabbitmq import RabbitMqPublisher, RabbitMqPublisherSettings
from hub.installation import Installation, Template
from hub.notification import Platform
from hub.store.sqlite.store import SqliteStore
from hub.store.store import SqlStore

TEMPLATES = {
    "alert": Template(
        body='{"aps":{"alert":{"title":"$(title)","body":"{\'For you: \' + $(body)}"},"sound":"default"}}'
    )
}
_H2LOAD_STREAMS, _CONNECTIONS = 100, 4
_REACHED = 1_000_000_000
"""The first number of the phones that a broadcast beside events reaches, beyond those of the events."""
_FOR_P99 = 500
"""Events, of which a p99 is no accident of five."""

Figures = Mapping[str, float]


def handle(number: int) -> str:
    """A device token of its own for each number, shaped like Apple's."""
    return f"{number:064X}"


async def register(store: SqlStore, count: int, *, first: int = 0, tags: tuple[str, ...] = ("news",)) -> None:
    """Installations with a template each, written as the engine writes them, before the daemon starts."""
    await store.open()
    end = first + count
    for start in range(first, end, 1000):
        await store.put_installations(
            daemon.HUB,
            [
                Installation(
                    id=f"phone-{number}",
                    platform=Platform.APNS,
                    push_channel=handle(number),
                    user_id=f"u{number}",
                    tags=tags,
                    templates=TEMPLATES,
                )
                for number in range(start, min(start + 1000, end))
            ],
        )
    await store.close()


def broadcast(directory: Path, service: FastPushService, *, phones: int, rounds: int = 3) -> Figures:
    """(a) One template notification to everyone, several times; beside h2load and a plain libcurl loop on that nginx."""
    config = daemon.configuration(directory, apns_endpoint=service.url, ca_file=service.ca_file)
    asyncio.run(register(SqliteStore(directory / "bench.db"), phones))
    ours, cpu, libcurl, libcurl_cpu, h2load = [], [], [], [], []
    with daemon.running(config) as running:
        running.broadcast({"title": "warm", "body": "up"})
        await_(lambda: running.metric("pushbridge_pns_deliveries_total", 'outcome="success"') >= phones)
        for number in range(rounds):
            cpu_before = running.cpu_seconds
            sent = running.broadcast({"title": "Bench", "body": f"round {number}"})
            await_(partial(running.is_completed, sent), pause=0.5)  # seldom: asking is work for the measured core too
            ours.append(phones / running.took(sent))
            cpu.append(phones / (running.cpu_seconds - cpu_before))
            wall, seconds = plain_libcurl.measure(service, pushes=phones, cores=MEASURED)
            libcurl.append(phones / wall)
            libcurl_cpu.append(phones / seconds)
            h2load.append(_h2load(service, phones))
    return {
        "pushes/s": statistics.median(ours),
        "pushes/CPU-s": statistics.median(cpu),
        "plain libcurl pushes/s": statistics.median(libcurl),
        "plain libcurl pushes/CPU-s": statistics.median(libcurl_cpu),
        "h2load requests/s": statistics.median(h2load),
    }


def _h2load(service: FastPushService, requests: int) -> float:
    """Requests a second that nginx answers when somebody costs nothing; h2load has the measured core to itself."""
    body = Path(service.arrivals).with_name("body.json")
    body.write_text('{"aps":{"alert":{"title":"Bench","body":"For you: round 1"},"sound":"default"}}')
    command = ["h2load", "-n", str(requests), "-c", str(_CONNECTIONS), "-m", str(_H2LOAD_STREAMS), "-d", str(body)]
    pinned = ["taskset", "-c", ",".join(map(str, MEASURED))] if shutil.which("taskset") else []
    output = subprocess.run(
        [*pinned, *command, f"{service.url}/3/device/{handle(1)}"], check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"([\d.]+) req/s", output)
    assert found is not None, output
    return float(found[1])


def events(directory: Path, service: FastPushService, url: str, *, phones: int, count: int) -> Figures:
    """(b) Events a second from a RabbitMQ quorum queue to a push each, everything durable in between."""
    config = events_configuration(directory, service.url, service, url)
    asyncio.run(register(SqliteStore(directory / "bench.db"), phones))
    with daemon.running(config) as running:
        publish(url, 2000, first=count, phones=phones)
        await_(lambda: delivered(running) >= 2000)
    publish(url, count, first=0, phones=phones)
    with daemon.running(config) as running:
        await_(lambda: delivered(running) >= count, pause=1.0)  # seldom: a scrape is work for the measured core too
        cpu = running.cpu_seconds
    with sqlite3.connect(directory / "bench.db") as database:
        query = "SELECT min(accepted_at), max(ended_at) FROM notification WHERE CAST(event_id AS INTEGER) < ?"
        first, last = database.execute(query, (count,)).fetchone()
    return {
        "events/s": count / (last - first),
        "events/CPU-s": count / (cpu - _start_up_cpu(config)),
        "start-up included, events/CPU-s": count / cpu,
    }


def _start_up_cpu(config: Path) -> float:
    """What a start costs before the first event; the queue is empty."""
    with daemon.running(config) as running:
        return running.cpu_seconds


def latency(directory: Path, service: FastPushService, url: str, *, reached: int, rate: int, seconds: int) -> Figures:
    """(c) From acceptance to the push's arrival at the service, at a steady rate of events: alone, and while a broadcast to
    `reached` other phones runs. Each event has a phone of its own; the service's clock has milliseconds. Also what memory
    the daemon has before the broadcast, at its peak and after it.
    """
    config = events_configuration(directory, service.logged_url, service, url)
    count = rate * seconds
    phones = 2 * count + rate
    asyncio.run(register(SqliteStore(directory / "bench.db"), phones, tags=()))
    asyncio.run(register(SqliteStore(directory / "bench.db"), reached, first=_REACHED))
    with daemon.running(config) as running:
        publish(url, rate, first=2 * count, phones=phones)
        await_(lambda: delivered(running) >= rate)
        asyncio.run(_publish_steadily(url, range(count), rate=rate, phones=phones))
        await_(lambda: delivered(running) >= count + rate)
        memory = running.resident_mib
        forget_peak(running.pid)
        sent = running.broadcast({"title": "Bench", "body": "to all"}, tags="news")
        asyncio.run(_publish_steadily(url, range(count, 2 * count), rate=rate, phones=phones))
        await_(partial(running.is_completed, sent), pause=0.5, timeout=1800)
        await_(lambda: delivered(running) >= phones + reached)
        began, ended = running.ran(sent)
        time.sleep(1.5)  # nginx writes its log once a second
        peak, after = peak_mib(running.pid), running.resident_mib
    arrived = {}
    for line in service.arrivals.read_text().splitlines():
        at, _, path = line.partition(" ")
        arrived[int(path.rpartition("/")[2], 16)] = float(at)
    with sqlite3.connect(directory / "bench.db") as database:
        rows = database.execute("SELECT event_id, accepted_at FROM notification WHERE event_id <> ''").fetchall()
    accepted = {int(event_id): at for event_id, at in rows}
    alone = _milliseconds({number: accepted[number] for number in range(count)}, arrived)
    beside = _milliseconds(
        {number: at for number, at in accepted.items() if count <= number < 2 * count and began <= at < ended}, arrived
    )
    return {
        "p50 ms": _percentile(alone, 50),
        "p99 ms": _percentile(alone, 99),
        "worst ms": alone[-1],
        "beside a broadcast, events/s accepted": len(beside) / (ended - began),
        "beside a broadcast, p50 ms": _percentile(beside, 50),
        "beside a broadcast, p99 ms": _percentile(beside, 99),
        "beside a broadcast, p99 / alone": _percentile(beside, 99) / _percentile(alone, 99),
        "pushes/s of the broadcast": reached / (ended - began),
        "before the broadcast, MiB": memory,
        "at the broadcast's peak, MiB more": peak - memory,
        "after the broadcast, MiB more": after - memory,
    }


def _milliseconds(accepted: Mapping[int, float], arrived: Mapping[int, float]) -> Sequence[float]:
    """From acceptance to arrival, sorted. Raises: SystemExit: there are too few for a p99."""
    if len(accepted) < _FOR_P99:
        sys.exit(f"{len(accepted)} events were accepted while the broadcast ran: ask for a larger one")
    return sorted(1000 * (arrived[number] - at) for number, at in accepted.items())


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def idle(directory: Path, service: FastPushService, url: str, *, rounds: int = 3) -> Figures:
    """(d) Memory and start of a daemon with a RabbitMQ source and a platform, with nothing to do."""
    config = events_configuration(directory, service.url, service, url)
    memory, ready = [], []
    for _ in range(rounds):
        with daemon.running(config) as running:
            time.sleep(3)
            memory.append(running.resident_mib)
            ready.append(running.started_in)
    return {"resident MiB": statistics.median(memory), "ready after s": statistics.median(ready)}


def events_configuration(directory: Path, endpoint: str, service: FastPushService, url: str) -> Path:
    return daemon.configuration(
        directory,
        apns_endpoint=endpoint,
        ca_file=service.ca_file,
        sources={
            "bank": {
                "rabbitmq": {
                    "url": url,
                    "queue": {"name": QUEUE, "create_if_missing": {"type": "quorum"}},
                    "receive": {"prefetch": 2000},
                },
                **SOURCE,
            }
        },
        rules=[RULE],
    )


def publish(url: str, count: int, *, first: int, phones: int) -> None:
    """Put events into the queue, one phone each."""
    asyncio.run(_publish(url, range(first, first + count), phones))


async def _publish(url: str, numbers: range, phones: int) -> None:
    publisher = RabbitMqPublisher("bench", RabbitMqPublisherSettings.model_validate({"url": url}))
    await publisher.connect()
    for start in range(0, len(numbers), 1000):
        await publisher.publish([_message(number, phones) for number in numbers[start : start + 1000]])
    await publisher.close()


async def _publish_steadily(url: str, numbers: Sequence[int], *, rate: int, phones: int) -> None:
    """A hundredth of a second's events every hundredth of a second."""
    publisher = RabbitMqPublisher("bench", RabbitMqPublisherSettings.model_validate({"url": url}))
    await publisher.connect()
    chunk = max(1, rate // 100)
    started = time.perf_counter()
    for start in range(0, len(numbers), chunk):
        await asyncio.sleep(max(0.0, started + start / rate - time.perf_counter()))
        await publisher.publish([_message(number, phones) for number in numbers[start : start + chunk]])
    await publisher.close()


def _message(number: int, phones: int) -> OutMessage:
    body = posting(number, phones)
    return OutMessage(id=str(number), body=body, destination=QUEUE, content_type="application/json")


def delivered(running: daemon.Daemon) -> float:
    return running.metric("pushbridge_pns_deliveries_total", 'outcome="success"')


def await_(condition: Callable[[], bool], *, pause: float = 0.05, timeout: float = 300.0) -> None:
    deadline = time.perf_counter() + timeout
    while not condition():
        if time.perf_counter() > deadline:
            sys.exit("a figure did not come to its end in time; see daemon.log")
        time.sleep(pause)
