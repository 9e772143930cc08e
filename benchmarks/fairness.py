"""What a steady sender waits while others flood: alone, beside a backlog of RabbitMQ, beside a broadcast.

    python -m benchmarks --only fairness

Each round measures all three in one daemon, one after the other. The backlog is in its queue before its source is
configured, so that it is worked off as fast as the daemon can.
"""

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import yaml

from benchmarks import daemon, figures
from benchmarks.nginx import FastPushService
from hub.store.sqlite.store import SqliteStore

_PATH = "/in/calls"
WAYS = ("202", "push")
_CALLER = 1_000_000_000
"""The first number of the phones that requests are for, beyond those that a broadcast reaches."""
_LOG_FLUSH = 1.5
"""Seconds after which the push service has written of each arrival."""
_SETTLED = 2.0
"""Seconds after a change of load until it is measured."""
_NICE = -10
"""Of the sender, where that is allowed: on a small machine the broker and nginx would have its core first."""
_HEADERS = {"content-type": "application/json"}


@dataclass(slots=True, kw_only=True)
class Requests:
    """When each was sent and answered, by the number of the phone that it is for: seconds since 1970."""

    sent: dict[int, float] = field(default_factory=dict)
    answered: dict[int, float] = field(default_factory=dict)

    def latencies(self, reached: Mapping[int, float]) -> list[float]:
        """Milliseconds from a request to what `reached` says. Raises: SystemExit: one never came so far."""
        if missing := len(self.sent.keys() - reached.keys()):
            raise SystemExit(f"{missing} of {len(self.sent)} requests were not answered, or their push did not arrive")
        return sorted(1000 * (reached[number] - at) for number, at in self.sent.items())


def measure(
    directory: Path,
    service: FastPushService,
    url: str,
    *,
    phones: int,
    backlog: int,
    rate: int,
    seconds: int,
    rounds: int = 3,
) -> figures.Figures:
    """(e) Requests at `rate` a second: milliseconds until their 202, and until their push arrives at the service.

    `phones` get the broadcast, and the events of the backlog by turns. Each request is for a phone of its own.
    """
    config = figures.events_configuration(directory, service.logged_url, service, url)
    flooded, alone = _configurations(config)
    asyncio.run(figures.register(SqliteStore(directory / "bench.db"), phones))
    callers = 3 * rounds * rate * seconds
    asyncio.run(figures.register(SqliteStore(directory / "bench.db"), callers, first=_CALLER, tags=()))
    measured: dict[str, list[Requests]] = {"alone": [], "beside a flood": [], "beside a broadcast": []}
    floods, costs, broadcasts = [], [], []
    config.write_text(flooded)  # which makes the queue
    numbers = iter(range(_CALLER, _CALLER + callers))
    with daemon.running(config) as running:
        send = partial(_send, running, numbers, rate=rate, seconds=seconds)
        for turn in range(rounds):
            config.write_text(alone)
            running.reload()
            measured["alone"].append(send())
            figures.publish(url, backlog, first=turn * backlog, phones=phones)
            config.write_text(flooded)
            running.reload()
            time.sleep(_SETTLED)
            before, cpu, started = _stored(running), running.cpu_seconds, time.perf_counter()
            measured["beside a flood"].append(send())
            stored = _stored(running) - before
            floods.append(stored / (time.perf_counter() - started))
            costs.append(stored / (running.cpu_seconds - cpu))
            if _stored(running) >= (turn + 1) * backlog:
                raise SystemExit("the backlog was over before its time: ask for a longer one")
            figures.await_(partial(_has_stored, running, (turn + 1) * backlog), pause=0.5)
            figures.await_(partial(_is_idle, running), pause=0.5)
            config.write_text(alone)
            running.reload()
            sent = running.broadcast({"title": "Bench", "body": f"round {turn}"}, tags="news")
            measured["beside a broadcast"].append(send())
            figures.await_(partial(running.is_completed, sent), pause=0.5)
            broadcasts.append(phones / running.took(sent))
        time.sleep(_LOG_FLUSH)
    return {
        **_table(measured, _arrivals(service.arrivals)),
        "events/s of the flood": statistics.median(floods),
        "events/CPU-s of the flood": statistics.median(costs),
        "pushes/s of the broadcast": statistics.median(broadcasts),
    }


def _configurations(config: Path) -> tuple[str, str]:
    """With the source of the flood, and without."""
    settings = yaml.safe_load(config.read_text())
    source = {
        "http": {"path": _PATH, "receive": {"max_in_flight": 10_000}},
        "decode": {"format": "json"},
        "map": {"id": "{{ data.id }}", "type": "call.missed"},
    }
    rule = {
        "name": "missed",
        "source": "calls",
        "push": {"to": {"user": "{{ data.callee }}"}, "with": {"title": "Missed call", "body": "{{ data.id }}"}},
    }
    flooded = {**settings, "sources": {**settings["sources"], "calls": source}, "rules": [*settings["rules"], rule]}
    alone = {**settings, "sources": {"calls": source}, "rules": [rule]}
    return yaml.safe_dump(flooded, sort_keys=False), yaml.safe_dump(alone, sort_keys=False)


def _send(running: daemon.Daemon, numbers: Iterator[int], *, rate: int, seconds: int) -> Requests:
    with _preferred():
        return asyncio.run(_send_steadily(f"{running.admin}{_PATH}", numbers, rate=rate, count=rate * seconds))


async def _send_steadily(url: str, numbers: Iterator[int], *, rate: int, count: int) -> Requests:
    """Each at its time, whether those before are answered or not."""
    requests = Requests()
    started = time.perf_counter()
    async with httpx.AsyncClient(timeout=60.0, limits=daemon.KEPT) as client, asyncio.TaskGroup() as group:
        for index in range(count):
            await asyncio.sleep(max(0.0, started + index / rate - time.perf_counter()))
            group.create_task(_post(client, url, next(numbers), requests))
    return requests


async def _post(client: httpx.AsyncClient, url: str, number: int, requests: Requests) -> None:
    body = f'{{"id":"call-{number}","callee":"u{number}"}}'
    requests.sent[number] = time.time()
    answer = await client.post(url, content=body, headers=_HEADERS)
    requests.answered[number] = time.time()
    answer.raise_for_status()


@contextmanager
def _preferred() -> Iterator[None]:
    """Have the core before others, so that what is measured is not the wait for it."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def _stored(running: daemon.Daemon) -> float:
    return running.metric("pushbridge_ingest_messages_total", 'source="bank"')


def _has_stored(running: daemon.Daemon, count: int) -> bool:
    return _stored(running) >= count


def _is_idle(running: daemon.Daemon) -> bool:
    return running.metric("pushbridge_queue_messages") == 0


def _arrivals(log: Path) -> Mapping[int, float]:
    """When the first push for each phone arrived, in seconds since 1970, by the number in its handle."""
    arrived: dict[int, float] = {}
    for line in log.read_text().splitlines():
        at, _, path = line.partition(" ")
        arrived.setdefault(int(path.rpartition("/")[2], 16), float(at))
    return arrived


def _table(measured: Mapping[str, list[Requests]], arrived: Mapping[int, float]) -> figures.Figures:
    """Medians over the rounds, and how many times those alone."""
    table: dict[str, float] = {}
    for way, reached in zip(WAYS, (None, arrived), strict=True):
        for load, rounds in measured.items():
            cuts = [
                statistics.quantiles(each.latencies(each.answered if reached is None else reached), n=100)
                for each in rounds
            ]
            for name, index in (("p50", 49), ("p99", 98)):
                table[f"{way}, {load}, {name} ms"] = statistics.median(cut[index] for cut in cuts)
                if load != "alone":
                    times = table[f"{way}, {load}, {name} ms"] / table[f"{way}, alone, {name} ms"]
                    table[f"{way}, {load}, {name} / alone"] = times
    return table
