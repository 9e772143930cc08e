"""Loading a large configuration, and routing an event by it, in a process of its own.

python -m benchmarks.rules SMALL LARGE
"""

import gc
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Set
from datetime import UTC, datetime
from pathlib import Path

from bridge.config.load import check
from rules.event import Event

_HEAD = """
sources: { erp: { rabbitmq: { url: amqp://localhost/, queue: { name: erp } }, map: { id: "{{ data.id }}" } } }
hubs: { main: {} }
rules:
"""
_RULE = """
  - name: late-{number}
    match: {{ type: order.{number}, data: {{ state: open }} }}
    when: data.days > 3 and data.total >= 100
    push:
      to: "customer:{{{{ data.customer }}}}"
      with: {{ title: "Order {{{{ data.number }}}}", body: "It is {{{{ data.days }}}} days late" }}
"""
_EVENTS, _ROUNDS = 10_000, 5


def measure(directory: Path, *, rules: int, cores: Set[int]) -> dict[str, float]:
    """Seconds of CPU and MB for loading, µs of CPU for an event; each event finds one rule, and half of them fire it."""
    small, large = directory / "small.yaml", directory / "large.yaml"
    small.write_text(_HEAD + _RULE.format(number=0))
    large.write_text(_HEAD + "".join(_RULE.format(number=number) for number in range(rules)))
    command = [sys.executable, "-m", "benchmarks.rules", str(small), str(large)]
    output = subprocess.run(
        command, check=True, capture_output=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)
    ).stdout
    figures: dict[str, float] = json.loads(output)
    return figures


def run(small: Path, large: Path) -> dict[str, float]:
    """Measure in this process; the small configuration has everything imported before the clock starts."""
    gc.disable()
    check(small)
    seconds, peak = time.process_time(), _peak_mb()
    settings, problems = check(large)
    seconds, peak = time.process_time() - seconds, _peak_mb() - peak
    assert settings is not None, problems
    rules, now = settings.rules, datetime.now(UTC)
    gc.enable()
    events = [_event(number % len(rules.rules), number, now) for number in range(_EVENTS)]
    fired = sum(len(rules.route(event, now=now).intents) for event in events)
    assert fired == _EVENTS // 2, fired
    took = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        for event in events:
            rules.route(event, now=now)
        took.append(time.process_time() - start)
    return {
        "rules": len(rules.rules),
        "loading, CPU-s": seconds,
        "loading, MB": peak,
        "route, µs/event": min(took) / _EVENTS * 1e6,
    }


def _event(rule: int, number: int, now: datetime) -> Event:
    data = {"state": "open", "days": 5 if number % 2 else 2, "total": 250, "customer": f"c{number}", "number": number}
    return Event(id=str(number), origin="erp", source="/erp", type=f"order.{rule}", time=now, data=data)


def _peak_mb() -> float:
    peak = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    assert peak is not None
    return int(peak[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))
