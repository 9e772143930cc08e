"""The figures of the daemon, in one run: `python -m benchmarks [--quick] [--only NAME] [--json FILE]`.

The daemon is pinned to one core and everything else to the others: RabbitMQ, nginx as the push service, the publisher.
Handles are unique, templates are rendered, outcomes are recorded, the store is as durable as in production.
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import figures, outage, rules, servicebus
from benchmarks.nginx import fast_push_service
from benchmarks.pinning import MEASURED, OTHERS
from tests.brokers.rabbitmq import native

AIMS = {
    ("broadcast", "pushes/CPU-s"): 25_000.0,
    ("events", "events/CPU-s"): 5_000.0,
    ("servicebus", "daemon / bare SDK"): 0.6,
    ("outage", "p99, outage / well"): 1.5,
    ("rules", "loading, CPU-s"): 4.0,
    ("rules", "loading, MB"): 60.0,
}


def main() -> None:
    """Measure what was asked for, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: for a look, not for a claim")
    parser.add_argument("--only", choices=["broadcast", "events", "latency", "idle", "servicebus", "rules", "outage"])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/figures.json"))
    arguments = parser.parse_args()
    scale = 10 if arguments.quick else 1
    os.sched_setaffinity(0, OTHERS)  # what is started from here inherits it, unless it is measured
    with (
        tempfile.TemporaryDirectory(prefix="pushbridge-bench-") as name,
        fast_push_service(Path(name) / "nginx") as service,
        native() as broker,
    ):
        directory = Path(name)
        measures: Mapping[str, Callable[[Path], figures.Figures]] = {
            "broadcast": lambda own: figures.broadcast(own, service, phones=100_000 // scale),
            "events": lambda own: figures.events(
                own, service, broker.url, phones=50_000 // scale, count=100_000 // scale
            ),
            "latency": lambda own: figures.latency(
                own, service, broker.url, phones=20_000, rate=500, seconds=30 // min(scale, 3)
            ),
            "idle": lambda own: figures.idle(own, service, broker.url),
            "servicebus": lambda own: asyncio.run(servicebus.measure(own, messages=200_000 // scale)),
            "outage": lambda own: outage.measure(own, waiting=50_000 // scale, probes=1000 // scale),
            "rules": lambda own: rules.measure(own, rules=10_000 // scale, cores=MEASURED),
        }
        results: dict[str, figures.Figures] = {}
        for figure, measure in measures.items():
            if arguments.only in (None, figure):
                own = directory / figure
                own.mkdir()
                results[figure] = measure(own)
                show(figure, results[figure])
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def show(figure: str, values: figures.Figures) -> None:
    """A table, with the aim beside the value where there is one."""
    table = Table("figure", "value", "aim", title=figure)
    for name, value in values.items():
        aim = AIMS.get((figure, name))
        table.add_row(name, f"{value:,.3g}" if value < 1000 else f"{value:,.0f}", "" if aim is None else f"{aim:,g}")
    Console().print(table)


if __name__ == "__main__":
    main()
