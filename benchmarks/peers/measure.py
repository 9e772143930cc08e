"""The daemon beside its peers, by turns in one run: events of a broker to requests, and a broadcast.

Every rate is of the measured process's CPU. Both ends are the same for all: the broker, and nginx as the push service.
"""

import asyncio
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import brokers, daemon, figures
from benchmarks.nginx import FastPushService, PushCounter
from benchmarks.peers import pipelines, pushers
from benchmarks.peers.build import NotBuiltError
from hub.store.sqlite.store import SqliteStore

_PUSHERS: Mapping[str, tuple[Callable[[FastPushService, Path, int], float], int]] = {
    "h2load": (pushers.h2load, 1),
    "apns2": (pushers.apns2, 1),
    "aioapns": (pushers.aioapns, 10),
}
"""Each with the part of the pushes that it makes: one that is slow makes a tenth."""


def measure(
    directory: Path, service: FastPushService, *, count: int, phones: int, notify: Callable[[str], None] = print
) -> figures.Figures:
    """Medians, and ratios of ours to theirs. `notify` hears of a peer that cannot be had here, and why."""
    events = _events(directory, service, count, notify)
    return {**events, **_broadcasts(directory / "broadcast", service, phones, notify)}


def _events(
    directory: Path, service: FastPushService, count: int, notify: Callable[[str], None]
) -> Mapping[str, float]:
    with ExitStack() as opened:
        runs = brokers.open_runs(directory, service, only=("rabbitmq", "kafka"), opened=opened)
        rates: dict[str, list[float]] = defaultdict(list)
        for _ in range(brokers.ROUNDS):
            for run in runs:
                rates[f"{run.way.name}, events/CPU-s"].append(run.daemon_rate(count))
                try:
                    rates[f"{run.way.name}, Benthos, events/CPU-s"].append(_benthos_rate(run, service, count))
                except NotBuiltError as error:
                    notify(str(error))
    found = {name: statistics.median(each) for name, each in rates.items()}
    for run in runs:
        ours, theirs = (found.get(f"{run.way.name}, {who}events/CPU-s") for who in ("", "Benthos, "))
        if ours and theirs:
            found[f"{run.way.name}, daemon / Benthos"] = ours / theirs
    return found


def _benthos_rate(run: brokers.Run, service: FastPushService, count: int) -> float:
    """It has the same events, and no less of them for warming up."""
    warm = count // 10
    counter = PushCounter(service)
    run.put(count + warm, is_for_group=True)
    with pipelines.running(run.way, service, run.directory / "benthos") as pid:
        return brokers.steady_rate(counter, pid, warm=warm, count=count)


def _broadcasts(
    directory: Path, service: FastPushService, phones: int, notify: Callable[[str], None]
) -> Mapping[str, float]:
    directory.mkdir()
    config = daemon.configuration(directory, apns_endpoint=service.url, ca_file=service.ca_file)
    asyncio.run(figures.register(SqliteStore(directory / "bench.db"), phones))
    rates: dict[str, list[float]] = defaultdict(list)
    with daemon.running(config) as running:
        _broadcast_rate(running, phones)  # connections, caches
        for _ in range(brokers.ROUNDS):
            rates["daemon"].append(_broadcast_rate(running, phones))
            for name, (push, part) in _PUSHERS.items():
                try:
                    rates[name].append(push(service, directory, phones // part))
                except NotBuiltError as error:
                    notify(str(error))
    medians = {name: statistics.median(each) for name, each in rates.items()}
    return {
        **{f"broadcast, {name}, pushes/CPU-s": rate for name, rate in medians.items()},
        **{f"broadcast, daemon / {name}": medians["daemon"] / medians[name] for name in medians if name != "daemon"},
    }


def _broadcast_rate(running: daemon.Daemon, phones: int) -> float:
    before = running.cpu_seconds
    sent = running.broadcast({"title": "Bench", "body": "round 1"})
    figures.await_(partial(running.is_completed, sent), pause=0.5)  # seldom: asking is work for the measured core too
    return phones / (running.cpu_seconds - before)
