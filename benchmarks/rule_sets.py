"""Sets of 10, 1,000 and 10,000 rules that differ in nothing but their number, and events that find ten or twenty of them.

Ten rules of ten shapes ask for the values of one number, and an event has all values of one number: it fits the first
condition of ten rules, and both conditions of five. `typed` rules ask for a type too, of which there are ten rules;
`typeless` ones have their own conditions alone, once with each rule there twice, so that an event has twenty candidates.
Each set is measured in a process of its own, and event-ruler with the same rules and events beside it, where Java and Maven
are there: the same rules have to fire.

python -m benchmarks.rule_sets CONFIGURATION EVENTS
"""

import gc
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bridge.config.load import check
from rules.engine import RuleSet
from rules.event import Event

_HEAD = """
sources:
  erp: { rabbitmq: { url: amqp://localhost/, queue: { name: erp } }, map: { id: "{{ data.id }}", type: "{{ data.kind }}" } }
hubs: { main: {} }
rules:
"""
_PUSH = {
    "to": "customer:{{ data.customer }}",
    "with": {"title": "Order {{ data.number }}", "body": "In {{ data.city }}"},
}
_EVENTS, _ROUNDS = 2_000, 5
_PEERS = Path(__file__).parent / "peers"
_JARS = Path(sys.prefix) / "peers"

Data = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a rule asks of the data for a number, here and in event-ruler's words; data that meet it, and half of it."""

    ours: Callable[[int], Data]
    peers: Callable[[int], Data]
    hit: Callable[[int], Data]
    near: Callable[[int], Data]


def _network(number: int) -> str:
    return f"10.{number // 250}.{number % 250}"


SHAPES: Mapping[str, Shape] = {
    "exact": Shape(
        ours=lambda n: {"customer": f"c{n}", "state": "open"},
        peers=lambda n: {"customer": [f"c{n}"], "state": ["open"]},
        hit=lambda n: {"customer": f"c{n}", "state": "open"},
        near=lambda n: {"customer": f"c{n}", "state": "closed"},
    ),
    "anything-but": Shape(
        ours=lambda n: {"region": f"r{n}", "channel": {"not": ["b2b", "test"]}},
        peers=lambda n: {"region": [f"r{n}"], "channel": [{"anything-but": ["b2b", "test"]}]},
        hit=lambda n: {"region": f"r{n}", "channel": "web"},
        near=lambda n: {"region": f"r{n}", "channel": "b2b"},
    ),
    "prefix": Shape(
        ours=lambda n: {"key": {"prefix": f"orders/{n}/"}, "store": {"exists": True}},
        peers=lambda n: {"key": [{"prefix": f"orders/{n}/"}], "store": [{"exists": True}]},
        hit=lambda n: {"key": f"orders/{n}/items", "store": "main"},
        near=lambda n: {"key": f"orders/{n}/items"},
    ),
    "suffix": Shape(
        ours=lambda n: {"file": {"suffix": f"-{n}.pdf"}, "size": {"lt": 1000}},
        peers=lambda n: {"file": [{"suffix": f"-{n}.pdf"}], "size": [{"numeric": ["<", 1000]}]},
        hit=lambda n: {"file": f"invoice-{n}.pdf", "size": 400},
        near=lambda n: {"file": f"invoice-{n}.pdf", "size": 4000},
    ),
    "range": Shape(
        ours=lambda n: {"amount": {"gte": 10 * n, "lt": 10 * n + 10}, "currency": ["CHF", "EUR"]},
        peers=lambda n: {
            "amount": [{"numeric": [">=", 10 * n, "<", 10 * n + 10]}],
            "currency": ["CHF", "EUR"],
        },
        hit=lambda n: {"amount": 10 * n + 2.5, "currency": "EUR"},
        near=lambda n: {"amount": 10 * n + 2.5, "currency": "USD"},
    ),
    "exists": Shape(
        ours=lambda n: {"shop": f"s{n}", "coupon": {"exists": False}},
        peers=lambda n: {"shop": [f"s{n}"], "coupon": [{"exists": False}]},
        hit=lambda n: {"shop": f"s{n}"},
        near=lambda n: {"shop": f"s{n}", "coupon": "spring"},
    ),
    "cidr": Shape(
        ours=lambda n: {"address": {"cidr": f"{_network(n)}.0/24"}, "vpn": False},
        peers=lambda n: {"address": [{"cidr": f"{_network(n)}.0/24"}], "vpn": [False]},
        hit=lambda n: {"address": f"{_network(n)}.77", "vpn": False},
        near=lambda n: {"address": f"{_network(n)}.77", "vpn": True},
    ),
    "wildcard": Shape(
        ours=lambda n: {"url": {"glob": f"/api/{n}/*/items"}},
        peers=lambda n: {"url": [{"wildcard": f"/api/{n}/*/items"}]},
        hit=lambda n: {"url": f"/api/{n}/latest/items"},
        near=lambda n: {"url": f"/api/{n}/latest/total"},
    ),
    "nested array": Shape(
        ours=lambda n: {"lines": {"sku": f"k{n}", "quantity": {"gte": 2}}},
        peers=lambda n: {"lines": {"sku": [f"k{n}"], "quantity": [{"numeric": [">=", 2]}]}},
        hit=lambda n: {"lines": [{"sku": "other", "quantity": 1}, {"sku": f"k{n}", "quantity": 3}]},
        near=lambda n: {"lines": [{"sku": "other", "quantity": 3}, {"sku": f"k{n}", "quantity": 1}]},
    ),
    "ignore case": Shape(
        ours=lambda n: {"city": {"ignore_case": f"City {n}"}, "age": {"between": [18, 65]}},
        peers=lambda n: {
            "city": [{"equals-ignore-case": f"City {n}"}],
            "age": [{"numeric": [">=", 18, "<=", 65]}],
        },
        hit=lambda n: {"city": f"CITY {n}", "age": 40},
        near=lambda n: {"city": f"CITY {n}", "age": 70},
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """Sets of rules of several sizes, of which each number has so many of each shape."""

    is_typed: bool
    alike: int = 1
    sizes: Sequence[int] = (10, 1_000, 10_000)

    @property
    def name(self) -> str:
        return f"{'typed' if self.is_typed else 'typeless'}, {self.candidates} candidates"

    @property
    def candidates(self) -> int:
        """How many rules an event meets the first condition of; half of them fire."""
        return len(SHAPES) * self.alike


SETS = (Sets(is_typed=True), Sets(is_typed=False), Sets(is_typed=False, alike=2, sizes=(20, 1_000, 10_000)))


def measure(directory: Path, *, cores: Set[int], sets: Sequence[Sets] = SETS) -> dict[str, float]:
    """Events per CPU-second from a parsed event to the names of the rules that fire, and to finished decisions.

    Raises: AssertionError: event-ruler fires other rules.
    """
    figures: dict[str, float] = {}
    classes = _peer_classes(directory)
    for each in sets:
        rates = []
        for size in each.sizes:
            name = f"{each.name}, {size:,} rules"
            files = _write(directory / f"{each.name}-{size}", size, each)
            own = _output([sys.executable, "-m", "benchmarks.rule_sets", *files[:2]], cores)
            rates.append(own["names"])
            figures |= {f"{name}, {of}/CPU-s": own[of] for of in ("names", "decisions")}
            if classes:
                peer = _output(["java", "-Xmx2g", "-cp", classes, "EventRuler", *files[2:]], cores)
                assert [sorted(fired) for fired in peer["fired"]] == [sorted(fired) for fired in own["fired"]]
                figures[f"{name}, event-ruler/CPU-s"] = peer["events/CPU-s"]
        figures[f"{each.name}, cost of {each.sizes[-1]:,} rules / {each.sizes[0]}"] = rates[0] / rates[-1]
    return figures


def _output(command: Sequence[str], cores: Set[int]) -> dict[str, Any]:
    output = subprocess.run(
        command, check=True, capture_output=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)
    ).stdout
    found: dict[str, Any] = json.loads(output)
    return found


def _write(directory: Path, size: int, sets: Sets) -> tuple[str, str, str, str]:
    """The configuration and the events, and the same rules and events for event-ruler."""
    directory.mkdir()
    numbers = size // sets.candidates
    lines, peers = [], {}
    for number in range(numbers):
        type_ = {"type": f"order.{number}"} if sets.is_typed else {}
        for each in range(sets.alike):
            for shape_name, shape in SHAPES.items():
                name = f"{shape_name.replace(' ', '-')}-{number}-{each}"
                rule = {"name": name, "match": {**type_, "data": shape.ours(number)}, "push": _PUSH}
                lines.append(f"  - {json.dumps(rule)}\n")
                peers[name] = {key: [text] for key, text in type_.items()} | {"data": shape.peers(number)}
    events = [_event(number, number * 7919 % numbers) for number in range(_EVENTS)]
    contents = {
        "rules.yaml": _HEAD + "".join(lines),
        "events.json": json.dumps(events),
        "peers.json": json.dumps(peers),
    }
    for file, text in contents.items():
        (directory / file).write_text(text)
    configuration, of_events, of_peers = (str(directory / file) for file in contents)
    return configuration, of_events, of_peers, of_events


def _event(count: int, number: int) -> Data:
    data: Data = {"id": str(count), "number": number, "customer": "", "city": ""}
    for position, shape in enumerate(SHAPES.values()):
        data |= (shape.hit if (position + count) % 2 else shape.near)(number)
    return {"type": f"order.{number}", "data": data}


def _peer_classes(directory: Path) -> str:
    """Where Java finds event-ruler and what drives it; empty where there is no JDK or no Maven."""
    if not all(map(shutil.which, ("java", "javac", "mvn"))):
        return ""
    if not _JARS.exists():
        copy = [
            "mvn",
            "-q",
            "-f",
            str(_PEERS / "pom.xml"),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={_JARS}",
        ]
        subprocess.run(copy, check=True, capture_output=True)
    classes = f"{directory}:{_JARS}/*"
    subprocess.run(["javac", "-cp", classes, "-d", str(directory), str(_PEERS / "EventRuler.java")], check=True)
    return classes


def run(configuration: Path, events_file: Path) -> dict[str, Any]:
    """Measure one set in this process, and say what fires for each event."""
    settings, problems = check(configuration)
    assert settings is not None, problems
    now = datetime.now(UTC)
    events = [
        Event(id=str(number), origin="erp", source="/erp", type=each["type"], time=now, data=each["data"])
        for number, each in enumerate(json.loads(events_file.read_text()))
    ]
    rules = settings.rules
    names = RuleSet([replace(rule, push=None) for rule in rules.rules])
    gc.collect()
    gc.freeze()
    return {
        "names": _per_second(names, events, now),
        "decisions": _per_second(rules, events, now),
        "fired": [names.route(event, now=now).matched for event in events],
    }


def _per_second(rules: RuleSet, events: Sequence[Event], now: datetime) -> float:
    took = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        for event in events:
            rules.route(event, now=now)
        took.append(time.process_time() - start)
    return len(events) / min(took)


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))
