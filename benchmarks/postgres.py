"""The daemon on PostgreSQL beside itself on SQLite, in one run: an event to a push, a broadcast, one daemon and two; and
how long the queues of a killed daemon have no owner.

What the database costs stands beside what the daemon costs: its processes run on the cores of the others. All events wait
with their broker when the daemons get the first: daemons that wait for events take fewer at a time, and pay more for each.
"""

import asyncio
import os
import signal
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from benchmarks import daemon, figures, relayed
from benchmarks.nginx import FastPushService, PushCounter
from benchmarks.pinning import cpu_seconds
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.store import PostgresStore
from hub.store.sqlite.store import SqliteStore
from tests.brokers.postgres import PASSWORD, USER, NativePostgres, native
from tests.brokers.postgres_relay import CountingRelay
from tests.brokers.relay import Relay
from tests.ports import free_ports

_WAYS = (("sqlite", 0), ("postgres", 1), ("postgres, two", 2))
"""How many daemons share PostgreSQL; none: one daemon on SQLite."""
_WARM = 4000
"""Events before those that are measured: each daemon meets its rules, its statements and its phones once."""
_IDLE = 3.0
"""Seconds for which daemons are looked at that have nothing to do."""
_RECORDED = 0.5
"""Seconds after the last push in which its record is written."""
_OWNER_TIMEOUT = 60.0


def measure(
    directory: Path, service: FastPushService, url: str, *, phones: int, count: int, kills: int, turns: int
) -> figures.Figures:
    """Events and broadcasts on SQLite, on PostgreSQL, and on PostgreSQL with two daemons, by turns; then kills.

    Each turn has its part of phones and events, and a figure is the median of the turns: a machine that does other work
    does more of it in one minute than in another.
    """
    seen: dict[str, list[float]] = {}
    with native() as server:
        for turn in range(turns):
            for name, daemons in _WAYS if turn % 2 == 0 else reversed(_WAYS):  # what is first finds a colder machine
                own = directory / f"{name.replace(', ', '-')}-{turn}"
                own.mkdir()
                chosen = server if daemons else None
                costs = _costs(own, name, chosen, service, url, max(1, daemons), phones // turns, count // turns)
                for figure, value in costs.items():
                    seen.setdefault(figure, []).append(value)
        found = {figure: statistics.median(values) for figure, values in seen.items()}
        found["postgres / sqlite, events"] = found["postgres, events/CPU-s"] / found["sqlite, events/CPU-s"]
        found["postgres / sqlite, pushes"] = found["postgres, pushes/CPU-s"] / found["sqlite, pushes/CPU-s"]
        found["two daemons / one, CPU an event"] = (
            found["postgres, two, all CPU us an event"] / found["postgres, all CPU us an event"]
        )
        found |= _round_trips(directory / "trips", server, service, url, phones, count // 10)
        waits = _kills(directory / "kills", server, service, url, kills)
    return {
        **found,
        "new owner after, median s": statistics.median(waits),
        "new owner after, worst s": max(waits),
    }


def _costs(
    directory: Path,
    name: str,
    server: NativePostgres | None,
    service: FastPushService,
    url: str,
    daemons: int,
    phones: int,
    count: int,
) -> dict[str, float]:
    database = "" if server is None else server.create()
    (port,) = free_ports(1)
    broker = Relay(int(urlsplit(url).port or 0), port=port)
    near = url.replace(f":{urlsplit(url).port}", f":{port}")
    configs = [_configuration(directory / str(number), server, database, service, near) for number in range(daemons)]
    if server is None:
        asyncio.run(figures.register(SqliteStore(configs[0].parent / "bench.db"), phones))
        of_registrations = 0.0
    else:
        asyncio.run(figures.register(PostgresStore(PostgresAddress(url=server.url(database))), 0))
        of_registrations = -_size(server, database)
        asyncio.run(figures.register(PostgresStore(PostgresAddress(url=server.url(database))), phones))
        server.run(
            "VACUUM ANALYZE", database=database
        )  # what the server would do by itself, and not while it is measured
        server.run("CHECKPOINT")
        of_registrations += _size(server, database)
    with relayed.running(broker) as have_broker, _running(configs) as running:
        figures.publish(url, _WARM, first=count, phones=phones)
        figures.await_(partial(_is_delivered, running, _WARM), pause=1.0)
        if server is not None:
            figures.await_(partial(_is_shared, server, database, daemons))
        have_broker(broker.stall)
        figures.publish(url, count, first=0, phones=phones)
        idle = _idle(running, server)
        commits, log = _commits(server, database), _log_bytes(server)
        counter = PushCounter(service)  # a scrape of two daemons would cost twice what one costs
        cpu, of_database = _cpu(running), _database_cpu(server)
        have_broker(broker.flow)
        figures.await_(partial(_has_come, counter, count), pause=0.2)
        time.sleep(_RECORDED)
        cpu, of_database = _cpu(running) - cpu, _database_cpu(server) - of_database
        found = {
            f"{name}, idle, CPU ms a second": 1000 * idle,
            f"{name}, events/CPU-s": count / cpu,
            f"{name}, all CPU us an event": 1e6 * (cpu + of_database) / count,
        }
        if server is not None:
            found[f"{name}, events/CPU-s of the database"] = count / of_database
            found[f"{name}, events a transaction"] = count / (_commits(server, database) - commits)
            found[f"{name}, bytes of log an event"] = (_log_bytes(server) - log) / count
            found[f"{name}, bytes a registration"] = of_registrations / phones
        cpu, of_database = _cpu(running), _database_cpu(server)
        sent = running[0].broadcast({"title": "Bench", "body": "to all"})
        figures.await_(partial(running[0].is_completed, sent), pause=0.5)
        cpu, of_database = _cpu(running) - cpu, _database_cpu(server) - of_database
        found[f"{name}, pushes/CPU-s"] = phones / cpu
        if server is not None:
            found[f"{name}, pushes/CPU-s of the database"] = phones / of_database
    return found


def _idle(running: Sequence[daemon.Daemon], server: NativePostgres | None) -> float:
    """CPU that daemons and database take in a second in which nothing happens."""
    before, began = _cpu(running) + _database_cpu(server), time.monotonic()
    time.sleep(_IDLE)
    return (_cpu(running) + _database_cpu(server) - before) / (time.monotonic() - began)


def _has_come(counter: PushCounter, count: int) -> bool:
    return counter.pushes >= count


def _round_trips(
    directory: Path, server: NativePostgres, service: FastPushService, url: str, phones: int, count: int
) -> dict[str, float]:
    """How often one daemon waits for the database, by what passes between the two; its renewals are among it."""
    database = server.create()
    asyncio.run(figures.register(PostgresStore(PostgresAddress(url=server.url(database))), phones))
    figures.publish(url, count, first=0, phones=phones)
    with relayed.running(relay := CountingRelay(server.port)):
        config = _configuration(directory, server, database, service, url, port=relay.port)
        commits = _commits(server, database)
        with _running([config]) as running:
            figures.await_(partial(_is_delivered, running, count), pause=1.0)
            trips = relay.round_trips
            commits = _commits(server, database) - commits
    return {"postgres, round trips a transaction": trips / commits, "postgres, round trips an event": trips / count}


def _kills(directory: Path, server: NativePostgres, service: FastPushService, url: str, kills: int) -> Sequence[float]:
    """Seconds from each kill until another daemon owns the queues; the survivors have nothing else to do."""
    database = server.create()
    configs = [_configuration(directory / str(number), server, database, service, url) for number in range(kills + 1)]
    waits = []
    with _running(configs) as running:
        for number, victim in enumerate(running[:kills]):
            left = kills + 1 - number
            figures.await_(partial(_is_shared, server, database, left), timeout=_OWNER_TIMEOUT)
            mine = next(owner for owner in _owners(server, database) if f" {victim.pid} " in owner)
            os.kill(victim.pid, signal.SIGKILL)
            began = time.monotonic()
            figures.await_(partial(_is_without, server, database, mine), timeout=_OWNER_TIMEOUT)
            waits.append(time.monotonic() - began)
    return waits


def _configuration(
    directory: Path,
    server: NativePostgres | None,
    database: str,
    service: FastPushService,
    url: str,
    *,
    port: int | None = None,
) -> Path:
    """`port` is where the daemon finds the database, if not at its own."""
    directory.mkdir(parents=True)
    path = figures.events_configuration(directory, service.url, service, url)
    if server is not None:
        password = directory / "password"
        password.write_text(f"{PASSWORD}\n")
        config = yaml.safe_load(path.read_text())
        address = f"postgresql://{USER}@127.0.0.1:{port or server.port}/{database}?sslmode=disable&gssencmode=disable"
        config["bridge"]["store"] |= {"url": address, "password_file": str(password)}
        path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


@contextmanager
def _running(configs: Sequence[Path]) -> Iterator[Sequence[daemon.Daemon]]:
    with ExitStack() as stack:
        yield [stack.enter_context(daemon.running(config)) for config in configs]


def _delivered(running: Sequence[daemon.Daemon]) -> float:
    return sum(map(figures.delivered, running))


def _is_delivered(running: Sequence[daemon.Daemon], count: int) -> bool:
    return _delivered(running) >= count


def _cpu(running: Sequence[daemon.Daemon]) -> float:
    return sum(each.cpu_seconds for each in running)


def _database_cpu(server: NativePostgres | None) -> float:
    """Of all processes of the server, those that have ended too."""
    if server is None:
        return 0.0
    seconds = 0.0
    for child in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):  # a session that has ended since: the server has its time
            seconds += cpu_seconds(int(child))
    return seconds + cpu_seconds(server.pid, with_ended=True)


def _commits(server: NativePostgres | None, database: str) -> int:
    if server is None:
        return 0
    time.sleep(1.5)  # its sessions report once a second
    ((commits,),) = server.run(f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{database}'")
    return int(commits)


def _size(server: NativePostgres, database: str) -> float:
    ((size,),) = server.run(f"SELECT pg_database_size('{database}')")
    return float(size)


def _log_bytes(server: NativePostgres | None) -> float:
    """Written to the server's log so far."""
    if server is None:
        return 0.0
    ((position,),) = server.run("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8")
    return float(position)


def _owners(server: NativePostgres, database: str) -> set[str]:
    return {owner for (owner,) in server.run("SELECT DISTINCT owner FROM queue", database=database) if owner}


def _is_shared(server: NativePostgres, database: str, daemons: int) -> bool:
    return len(_owners(server, database)) == daemons


def _is_without(server: NativePostgres, database: str, owner: str) -> bool:
    return owner not in _owners(server, database)
