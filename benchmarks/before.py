"""The daemon beside that of an earlier tree with its environment, by turns in one run: events and writes of phones.

Rates are per second of CPU of the daemon. Each daemon has a store of its own, and both have the same broker, push
service and phones.
"""

import asyncio
import copy
import json
import os
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import api, brokers, daemon, figures, registry
from benchmarks.nginx import FastPushService
from benchmarks.postings import RULE, SOURCE

ROUNDS = 5


def measure(directory: Path, service: FastPushService, *, tree: Path, count: int, writes: int) -> figures.Figures:
    """Medians over the rounds, and the medians of each round's ratios of ours to the tree's."""
    return {
        **_by_turns(_events(directory / "events", service, tree, count)),
        **_by_turns(_puts(directory / "puts", service, tree, writes)),
    }


Rounds = Mapping[str, list[tuple[float, float]]]
"""By figure the rates of each round: the earlier tree's, and ours."""


def _by_turns(rounds: Rounds) -> figures.Figures:
    found: dict[str, float] = {}
    for name, pairs in rounds.items():
        found[f"{name}/CPU-s, before"] = statistics.median(before for before, _ in pairs)
        found[f"{name}/CPU-s"] = statistics.median(ours for _, ours in pairs)
        found[f"{name}, now / before"] = statistics.median(ours / before for before, ours in pairs)
    return found


def _events(directory: Path, service: FastPushService, tree: Path, count: int) -> Rounds:
    directory.mkdir()
    with ExitStack() as opened:
        (ours,) = brokers.open_runs(directory, service, only=("rabbitmq",), opened=opened)
        before = copy.copy(ours)
        before.tree, before.directory = tree, directory / "before"
        before.config = _prepared(
            before.directory, service, tree, phones=brokers.PHONES, rabbitmq=ours.way.source["rabbitmq"]
        )
        return {"events": [(before.daemon_rate(count), ours.daemon_rate(count)) for _ in range(ROUNDS)]}


def _puts(directory: Path, service: FastPushService, tree: Path, writes: int) -> Rounds:
    directory.mkdir()
    (directory / "now").mkdir()
    configs: list[tuple[Path, Path | None]] = [
        (_prepared(directory / "before", service, tree), tree),
        (
            daemon.configuration(directory / "now", apns_endpoint=service.url, ca_file=service.ca_file),
            None,
        ),
    ]
    rounds: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number in range(ROUNDS):
        phones = list(registry.phones(number * writes, writes))
        rates = []
        for config, of_tree in configs:
            with daemon.running(config, tree=of_tree) as running:
                rates.append(asyncio.run(api.puts(running, phones)))
        for name in rates[0]:
            rounds[name].append((rates[0][name], rates[1][name]))
    return rounds


def _prepared(
    directory: Path,
    service: FastPushService,
    tree: Path,
    *,
    phones: int = 0,
    rabbitmq: Mapping[str, Any] | None = None,
) -> Path:
    """The configuration for the tree's daemon, beside its registry."""
    directory.mkdir()
    asked = {
        "directory": str(directory),
        "apns_endpoint": service.url,
        "ca_file": str(service.ca_file),
        "rabbitmq": rabbitmq,
        "source": SOURCE,
        "rule": RULE,
        "phones": phones,
    }
    script = Path(__file__).with_name("earlier_tree.py")
    command = [str(tree / ".venv/bin/python"), "-P", str(script), json.dumps(asked)]
    subprocess.run(command, check=True, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)})
    return directory / "bench.yaml"
