"""Events of each broker through the whole daemon, by turns with the broker's bare client.

The daemon receives, routes, commits with full durability, pushes to one phone an event, records and settles. Its rate is
of its CPU between two counts of arrived pushes, so a start is in none of them. The bare client receives and settles.
"""

import asyncio
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks import daemon, figures, ways
from benchmarks.nginx import FastPushService, PushCounter
from benchmarks.pinning import cpu_seconds, on_the_measured_core
from benchmarks.postings import RULE, SOURCE
from benchmarks.ways import Way
from hub.store.sqlite.store import SqliteStore

NAMES = ("rabbitmq", "kafka", "http", "sql", "files")
ROUNDS = 3
PHONES = 5_000
_TAIL = 1.0
"""Seconds after the last push in which its result is recorded and its event settled."""

_PATIENCE = 300.0


def measure(directory: Path, service: FastPushService, *, count: int) -> figures.Figures:
    """Medians over the rounds, and what Kafka makes of RabbitMQ's rate."""
    rates: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as opened:
        runs = open_runs(directory, service, opened=opened)
        for _ in range(ROUNDS):
            for run in runs:
                rates[f"{run.way.name}, events/CPU-s"].append(run.daemon_rate(count))
                rates[f"{run.way.name}, {run.way.bare[0]} alone, messages/CPU-s"].append(run.bare_rate(count))
    found = {name: statistics.median(each) for name, each in rates.items()}
    return {**found, "kafka / rabbitmq": found["kafka, events/CPU-s"] / found["rabbitmq, events/CPU-s"]}


def open_runs(
    directory: Path, service: FastPushService, *, opened: ExitStack, only: Collection[str] = NAMES
) -> Sequence["Run"]:
    """Start brokers, which `opened` ends, and write a configuration for each; all have the same phones."""
    registered = directory / "registered.db"
    asyncio.run(figures.register(SqliteStore(registered), PHONES))
    return [
        Run(directory / f"{name}-daemon", opened.enter_context(_opened(name, directory)), service, registered)
        for name in NAMES
        if name in only
    ]


def _opened(name: str, directory: Path) -> AbstractContextManager[Way]:
    if name == "files":
        return ways.files(PHONES, directory / name)
    of_brokers = {"rabbitmq": ways.rabbitmq, "kafka": ways.kafka, "http": ways.http, "sql": ways.sql}
    return of_brokers[name](PHONES)


class Run:
    """One way, over all its rounds; the registry is a copy, so that it is filled once for all ways."""

    def __init__(self, directory: Path, way: Way, service: FastPushService, registered: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.way = way
        self.tree: Path | None = None
        """Whose daemon it is, if not that of this tree."""
        self.config = daemon.configuration(
            directory,
            apns_endpoint=service.url,
            ca_file=service.ca_file,
            sources={"bank": {**way.source, **SOURCE}},
            rules=[RULE],
            port=way.port,
        )
        for file in registered.parent.glob(f"{registered.name}*"):
            shutil.copy(file, directory / file.name.replace(registered.name, "bench.db"))
        self._service = service
        self._sent = 0

    def daemon_rate(self, count: int) -> float:
        """Events a CPU-second of the daemon, without the first tenth."""
        warm = count // 10
        counter = PushCounter(self._service)
        with self._sending(count + warm), daemon.running(self.config, tree=self.tree) as running:
            rate = steady_rate(counter, running.pid, warm=warm, count=count)
        left = self.way.unsettled()
        if left:
            raise SystemExit(f"{self.way.name}: {left} events were pushed and are not settled")
        return rate

    def bare_rate(self, count: int) -> float:
        """Messages a CPU-second of the broker's client alone."""
        client, address = self.way.bare
        with self._sending(count, is_for_group=True):
            output = subprocess.run(
                [sys.executable, "-m", "benchmarks.bare", client, address, str(count)],
                check=True,
                capture_output=True,
                preexec_fn=on_the_measured_core,
            ).stdout
        return count / float(output)

    def put(self, count: int, *, is_for_group: bool = False) -> None:
        """So many more postings; a broker that keeps what the daemon read has them for another group already."""
        if not (is_for_group and self.way.keeps):
            self._sent += count
            self.way.send(range(self._sent - count, self._sent))

    @contextmanager
    def _sending(self, count: int, *, is_for_group: bool = False) -> Iterator[None]:
        """All of it before the block, or beside the block where a consumer has to listen first."""
        put = partial(self.put, count, is_for_group=is_for_group)
        if not self.way.is_pushed:
            put()
            yield
            return
        sending = threading.Thread(target=put, daemon=True)
        sending.start()
        yield
        sending.join(_PATIENCE)


def steady_rate(counter: PushCounter, pid: int, *, warm: int, count: int) -> float:
    """Pushes a CPU-second of a process from the first `warm` on, with what the last leave to do."""
    figures.await_(lambda: counter.pushes >= warm, timeout=_PATIENCE)
    begun, cpu = counter.pushes, cpu_seconds(pid)
    figures.await_(lambda: counter.pushes >= warm + count, timeout=_PATIENCE)
    time.sleep(_TAIL)
    return (counter.pushes - begun) / (cpu_seconds(pid) - cpu)
