"""A large configuration is read in seconds and in little memory."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

HEAD = """
sources: { erp: { amqp: { url: amqp://localhost/, queue: { name: erp } }, map: { id: "{{ data.id }}" } } }
hubs: { main: {} }
rules:
"""

_MEASURE = """
import gc, re, sys, time
from pathlib import Path

from bridge.config.load import check

def used():
    peak = re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]  # ru_maxrss has the parent's in it
    return time.process_time(), int(peak) // 1024

gc.disable()
check(Path(sys.argv[1]))
seconds, megabytes = used()
settings, problems = check(Path(sys.argv[2]))
assert settings is not None, problems
print(len(settings.rules.rules), used()[0] - seconds, used()[1] - megabytes)
"""


def measured(rules: list[str], directory: Path) -> tuple[int, float, int]:
    """How many rules are read, in how many seconds of CPU, and in how many MB beside all that is imported."""
    small, large = directory / "small.yaml", directory / "large.yaml"
    small.write_text(HEAD + rules[0])
    large.write_text(HEAD + "".join(rules))
    command = [sys.executable, "-c", _MEASURE, str(small), str(large)]
    number, seconds, megabytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(number), float(seconds), int(megabytes)


def assert_tenfold_takes_tenfold(rules: list[str], directory: Path, *, megabytes: int) -> None:
    """All of the rules take at most 15 times the seconds of a tenth of them, and so many MB; three turns are tried.

    A neighbour of the same core costs a turn up to half as much again, so one turn proves nothing.
    """
    turns = []
    for _ in range(3):
        _, a_tenth, _ = measured(rules[: len(rules) // 10], directory)
        number, seconds, used = measured(rules, directory)
        assert number == len(rules)
        assert used <= megabytes
        turns.append(seconds / a_tenth)
        if turns[-1] < 15:
            break
    assert min(turns) < 15, turns


def test_ten_thousand_rules_take_ten_times_what_a_thousand_take_and_sixty_megabytes_at_most(tmp_path: Path) -> None:
    """How many seconds that are is for the machine, and for `make bench`."""
    rules = [
        f"""
  - name: late-{number}
    match: {{ type: order.{number}, data: {{ state: open }} }}
    push:
      to: "customer:{{{{ data.customer }}}}"
      with: {{ title: "Order {{{{ data.number }}}}", body: "It is {number % 100} days late" }}
"""
        for number in range(10_000)
    ]
    assert_tenfold_takes_tenfold(rules, tmp_path, megabytes=60)


def test_rules_that_stop_are_not_compared_with_each_other_one_by_one(tmp_path: Path) -> None:
    rules = [
        f"  - {{ name: r{number}, match: {{ data: {{ customer: c{number}, n: {{ gte: 3 }} }} }}, stop: true }}\n"
        for number in range(3_000)
    ]
    assert_tenfold_takes_tenfold(rules, tmp_path, megabytes=60)
