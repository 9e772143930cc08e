"""What flow control costs at many keys, without brokers and pushes: events through a rule into the store.

    python -m benchmarks --only flow
    python -m benchmarks.flow WAY KEYS sqlite:FILE | postgresql://…

Each key comes three times, in another order each time: the first event of a key begins its state, the others are kept back
or counted. A rule without flow control stands beside, and all ways go by turns. Each is a process of its own, whose memory
is looked at after each round: what a key costs is rows, so the second and the third round have to add nothing.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from pathlib import Path

import orjson
import uvloop

from bridge.config.load import check
from hub.acceptance import Ingest
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.store import PostgresStore
from hub.store.sqlite.store import SqliteStore
from hub.store.store import SqlStore
from rules.engine import RuleSet
from rules.event import Event
from tests.brokers.postgres import native

NONE = "none"
WAYS: Mapping[str, str] = {
    NONE: "",
    "dedupe": "dedupe: { key: '{{ data.key }}', for: 24h }",
    "throttle": "throttle: { key: '{{ data.key }}', max: 1, per: 24h }",
    "digest": "throttle: { key: '{{ data.key }}', max: 1, per: 24h, on_excess: digest }",
    "order": "key: '{{ data.key }}', order: key",
}
ENGINES = ("sqlite", "postgres")
ROUNDS = 3
BATCH = 500
_NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def measure(directory: Path, *, keys: int, turns: int, cores: Set[int]) -> Mapping[str, float]:
    """Events per CPU-second of the process, and MB (10^6 bytes) that its memory grew by after the first round."""
    seen: dict[str, list[float]] = {}
    with native() as server:
        for turn in range(turns):
            for engine in ENGINES:
                for way in list(WAYS)[:: 1 if turn % 2 == 0 else -1]:
                    file = directory / f"{way}-{turn}.db"
                    database = server.create() if engine == "postgres" else ""
                    place = server.url(database) if database else f"sqlite:{file}"
                    for figure, value in _apart(way, keys, place, cores).items():
                        seen.setdefault(f"{engine}, {way}, {figure}", []).append(value)
                    file.unlink(missing_ok=True)
                    if database:
                        server.drop(database)
    found = {figure: statistics.median(values) for figure, values in seen.items()}
    for engine in ENGINES:
        for way in WAYS:
            if way != NONE:
                plain, own = (found[f"{engine}, {each}, events/CPU-s"] for each in (NONE, way))
                found[f"{engine}, {way}, cost / none"] = plain / own
    return found


def _apart(way: str, keys: int, place: str, cores: Set[int]) -> Mapping[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.flow", way, str(keys), place],
        check=True,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    found: Mapping[str, float] = orjson.loads(done.stdout)
    return found


def _rules(way: str) -> RuleSet:
    flow = f", {WAYS[way]}" if WAYS[way] else ""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "flow.yaml"
        file.write_text(
            "sources: { bank: { http: { path: /in }, map: { id: '{{ data.id }}' } } }\nhubs: { app: {} }\n"
            "rules:\n  - { name: r, push: { to: 'customer:{{ data.key }}', with: { body: '{{ digest.count }}"
            f" of {{{{ data.id }}}}' }} }}{flow} }}\n"
        )
        settings, problems = check(file, environ={})
    assert settings is not None, problems
    return settings.rules


def _store(place: str) -> SqlStore:
    kind, _, path = place.partition(":")
    if kind == "sqlite":
        return SqliteStore(Path(path), allow_ephemeral=True)
    return PostgresStore(PostgresAddress(url=place))


def _ingest(rules: RuleSet, number: int, key: int) -> Ingest:
    data = {"id": str(number), "key": f"c{key}"}
    event = Event(id=data["id"], origin="bank", source="/bank", type="spike", time=_NOW, data=data)
    decision = rules.route(event, now=_NOW)
    notifications = [intent.notification for intent in decision.intents]
    return Ingest(source="bank", event_id=event.id, notifications=notifications, flow=decision.flow)


async def _flood(way: str, keys: int, place: str) -> dict[str, float]:
    rules, store, chance = _rules(way), _store(place), random.Random(16)
    await store.open()
    resident: list[float] = []
    suppressed = 0
    begun, cpu = time.monotonic(), time.process_time()
    for turn in range(ROUNDS):
        order = list(range(keys))
        chance.shuffle(order)
        for first in range(0, keys, BATCH):
            batch = [
                _ingest(rules, turn * keys + first + place_, key)
                for place_, key in enumerate(order[first : first + BATCH])
            ]
            suppressed += len((await store.accept(batch, start=0)).suppressed)
        resident.append(_resident())
    spent, seconds = time.process_time() - cpu, time.monotonic() - begun
    kept_back = 0 if way in (NONE, "order") else (ROUNDS - 1) * keys
    assert suppressed == kept_back, f"{suppressed} events were suppressed, not {kept_back}"
    await store.close()
    return {
        "events/CPU-s": ROUNDS * keys / spent,
        "events/s": ROUNDS * keys / seconds,
        "MB more after round 1": resident[-1] - resident[0],
    }


def _resident() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    print(orjson.dumps(uvloop.run(_flood(sys.argv[1], int(sys.argv[2]), sys.argv[3]))).decode())
