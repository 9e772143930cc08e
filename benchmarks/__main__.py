"""The figures of the daemon, in one run: `python -m benchmarks [--quick | --large] [--only NAME] [--json FILE]`.

The daemon is pinned to one core and everything else to the others: RabbitMQ, nginx as the push service, the publisher.
Handles are unique, templates are rendered, outcomes are recorded, the store is as durable as in production.
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    api,
    before,
    brokers,
    fairness,
    figures,
    flow,
    history,
    memory,
    outage,
    postgres,
    quiet,
    quota,
    registry,
    rule_sets,
    rules,
    servicebus,
    webpush,
    wire,
)
from benchmarks.nginx import FastPushService, fast_push_service
from benchmarks.peers import measure as peers
from benchmarks.pinning import MEASURED, OTHERS
from tests.brokers.rabbitmq import native

AIMS = {
    ("broadcast", "pushes/CPU-s"): 25_000.0,
    ("events", "events/CPU-s"): 5_000.0,
    ("brokers", "kafka / rabbitmq"): 1.5,
    ("peers", "rabbitmq, daemon / Benthos"): 1.0,
    ("peers", "broadcast, daemon / h2load"): 0.8,
    ("peers", "broadcast, daemon / apns2"): 6.5,
    **{("memory", f"{broker}, MB more after all"): 20.0 for broker in memory.BROKERS},
    ("postgres", "postgres / sqlite, events"): 0.6,
    ("postgres", "postgres / sqlite, pushes"): 0.6,
    ("postgres", "two daemons / one, CPU an event"): 1.1,
    ("postgres", "new owner after, worst s"): 10.0,
    ("before", "events, now / before"): 2.0,
    ("before", "installation PUT, new, now / before"): 2.0,
    ("before", "installation PUT, again, now / before"): 2.0,
    ("wire", "broadcast, 50 ms / 0 ms, pushes/s"): 0.8,
    ("wire", "500 FCM tokens, 50 ms added, new connections, s"): 0.3,
    ("wire", "500 FCM tokens, 50 ms added, open ones, s"): 0.3,
    **{("wire", f"{names}, pushes/CPU-s"): 0.9 for names in wire.BESIDE},
    ("servicebus", "daemon / bare SDK"): 0.6,
    ("outage", "p99, outage / well"): 1.1,
    **{("fairness", f"{way}, beside a flood, p99 / alone"): 2.0 for way in fairness.WAYS},
    **{("fairness", f"{way}, beside a broadcast, p99 / alone"): 1.5 for way in fairness.WAYS},
    ("latency", "beside a broadcast, p99 / alone"): 1.5,
    ("webpush", "encryptions/CPU-s"): 10_000.0,
    **{("quota", f"used, {who}"): 0.98 for who in quota.WAYS},
    **{("quota", f"refused once learnt, {who}"): 0.001 for who in quota.WAYS},
    **{("flow", f"{engine}, {way}, MB more after round 1"): 20.0 for engine in flow.ENGINES for way in flow.WAYS},
    ("quiet", "all awake / none"): 1.15,
    ("rules", "loading, CPU-s"): 4.0,
    ("rules", "loading, MB"): 60.0,
    **{("rules", f"{each.name}, 10,000 rules, names/CPU-s"): 50_000.0 for each in rule_sets.SETS},
    **{("rules", f"{each.name}, cost of 10,000 rules / {each.sizes[0]}"): 1.5 for each in rule_sets.SETS},
    ("registry", "import, registrations/CPU-s"): 15_000.0,
    ("registry", "bytes of file a registration"): 600.0,
    ("registry", "single writes, new/CPU-s"): 6_000.0,
    ("registry", "single writes, again/CPU-s"): 6_000.0,
    ("registry", "open, s"): 2.0,
    ("registry", "broadcast, MB"): 300.0,
    **{("registry", f"three tags, {name}, warm ms"): 10.0 for name in registry.EXPRESSIONS},
    **{("registry", f"three tags, {name}, restarted ms"): 50.0 for name in registry.EXPRESSIONS},
}


NAMES = (
    "broadcast",
    "events",
    "brokers",
    "peers",
    "before",
    "wire",
    "memory",
    "postgres",
    "latency",
    "fairness",
    "idle",
    "servicebus",
    "rules",
    "outage",
    "registry",
    "api",
    "webpush",
    "quota",
    "flow",
    "quiet",
)
_SERVED = {
    "broadcast",
    "events",
    "brokers",
    "peers",
    "before",
    "wire",
    "memory",
    "postgres",
    "latency",
    "fairness",
    "idle",
    "api",
}
"""These need RabbitMQ or nginx."""

_LARGE = {"memory", "registry", "fairness"}

_REGISTRATIONS, _MANY_REGISTRATIONS = 200_000, 10_000_000

Measures = Mapping[str, Callable[[Path], figures.Figures]]


def main() -> None:
    """Measure what was asked for, print a table, write JSON."""
    arguments = _arguments()
    wanted = {arguments.only} if arguments.only else _LARGE if arguments.large else set(NAMES)
    os.sched_setaffinity(0, OTHERS)  # what is started from here inherits it, unless it is measured
    with tempfile.TemporaryDirectory(prefix="pushbridge-bench-") as name, ExitStack() as servers:
        directory = Path(name)
        measures = _measures_alone(arguments)
        if wanted & _SERVED:
            service = servers.enter_context(fast_push_service(directory / "nginx"))
            broker = servers.enter_context(native())
            measures = {**_measures_served(arguments, service, broker.url), **measures}
        results: dict[str, figures.Figures] = {}
        for figure, measure in measures.items():
            if figure in wanted:
                own = directory / figure
                own.mkdir()
                results[figure] = measure(own)
                show(figure, results[figure])
    kind = "quick" if arguments.quick else "large" if arguments.large else "full"
    written = history.write(history.result_of(kind, results), arguments.json)
    print(f"written to {written}; make bench-compare names what moved since the result before")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: for a look, not for a claim")
    parser.add_argument(
        "--large",
        action="store_true",
        help="10,000,000 registrations, memory over 1,000,000 events, others beside a broadcast to 1,000,000",
    )
    parser.add_argument("--registrations", type=int, help="how many the registry has: 200,000 unless said")
    parser.add_argument("--before", type=Path, help="a tree of 0.1.0 with its environment: it too, by turns")
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--json", type=Path, help="where the result is written: a file of its own unless said")
    arguments = parser.parse_args()
    if arguments.only == "before" and arguments.before is None:
        parser.error("--only before needs the tree: --before TREE")
    return arguments


def _scale(arguments: argparse.Namespace) -> int:
    return 10 if arguments.quick else 1


def _measures_served(arguments: argparse.Namespace, service: FastPushService, url: str) -> Measures:
    scale = _scale(arguments)
    tree = arguments.before
    beside_before: Measures = {}
    if tree is not None:
        beside_before = {
            "before": lambda own: before.measure(
                own, service, tree=tree.resolve(), count=20_000 // scale, writes=6_000 // scale
            )
        }
    return {
        **beside_before,
        "broadcast": lambda own: figures.broadcast(own, service, phones=100_000 // scale),
        "events": lambda own: figures.events(own, service, url, phones=50_000 // scale, count=100_000 // scale),
        "brokers": lambda own: brokers.measure(own, service, count=20_000 // scale),
        "peers": lambda own: peers.measure(own, service, count=20_000 // scale, phones=100_000 // scale),
        "wire": lambda own: wire.measure(own, service, phones=100_000 // scale, pushes=50_000 // scale),
        "memory": lambda own: memory.measure(own, service, count=1_000_000 if arguments.large else 300_000 // scale),
        "postgres": lambda own: postgres.measure(
            own,
            service,
            url,
            phones=200_000 // scale,
            count=150_000 // min(scale, 5),
            kills=5 if scale == 1 else 3,
            turns=5 if scale == 1 else 3,
        ),
        "latency": lambda own: figures.latency(
            own, service, url, reached=1_000_000 // scale, rate=1000, seconds=30 // min(scale, 3)
        ),
        "fairness": lambda own: fairness.measure(
            own,
            service,
            url,
            phones=1_000_000 if arguments.large else 200_000 // scale,
            backlog=150_000 // min(scale, 2),
            rate=100,
            seconds=10 // min(scale, 2),
        ),
        "idle": lambda own: figures.idle(own, service, url),
        "api": lambda own: api.measure(own, ca_file=service.ca_file, writes=6_000 // scale, cores=MEASURED),
    }


def _measures_alone(arguments: argparse.Namespace) -> Measures:
    scale = _scale(arguments)
    registrations = arguments.registrations or (_MANY_REGISTRATIONS if arguments.large else _REGISTRATIONS // scale)
    return {
        "servicebus": lambda own: asyncio.run(servicebus.measure(own, messages=200_000 // scale)),
        "webpush": lambda own: webpush.measure(own, encryptions=20_000 // scale, origins=1000),
        "quota": lambda own: quota.measure(own, quota=6_000, minutes=6 // min(scale, 3)),
        "flow": lambda own: flow.measure(own, keys=100_000 // scale, turns=3 if scale == 1 else 1, cores=MEASURED),
        "quiet": lambda own: quiet.measure(phones=200_000 // scale, turns=3, cores=MEASURED),
        "outage": lambda own: outage.measure(own, waiting=50_000 // scale, probes=1000 // scale),
        "rules": lambda own: {
            **rules.measure(own, rules=10_000 // scale, cores=MEASURED),
            **rule_sets.measure(own, cores=MEASURED),
        },
        "registry": lambda own: registry.measure(
            own, registrations=registrations, cores=MEASURED, before=arguments.before
        ),
    }


def show(figure: str, values: figures.Figures) -> None:
    """A table, with the aim beside the value where there is one."""
    table = Table("figure", "value", "aim", title=figure)
    for name, value in values.items():
        aim = AIMS.get((figure, name))
        table.add_row(name, f"{value:,.3g}" if value < 1000 else f"{value:,.0f}", "" if aim is None else f"{aim:,g}")
    Console().print(table)


if __name__ == "__main__":
    main()
