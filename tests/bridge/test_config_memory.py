"""What a configuration leaves behind when another one replaces it: nothing, and without a halt."""

import asyncio
import gc
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bridge.app import Daemon
from bridge.config.load import check
from bridge.config.memory import give_up, kept
from bridge.config.reload import Reloader
from bridge.config.watch import fingerprint
from rules.engine import Rule
from rules.match.index import Index
from rules.match.lookups import Lookup
from rules.match.patterns import Match
from rules.read_files import ReadFiles

HEAD = """
sources: { erp: { http: { path: /in/erp }, map: { id: "{{ data.id }}", type: "{{ data.kind }}" } } }
hubs: { main: {} }
rules:
"""
PATTERNS = (
    "{{ type: order.{n}, data: {{ state: open }} }}",
    "{{ data: {{ key: {{ prefix: 'orders/{n}/' }} }} }}",
    "{{ data: {{ file: {{ suffix: '-{n}.pdf' }} }} }}",
    "{{ data: {{ amount: {{ gte: {n}, lt: {n}1 }} }} }}",
    "{{ data: {{ address: {{ cidr: 10.{high}.{low}.0/24 }} }} }}",
    "{{ data: {{ lines: {{ any: {{ sku: k{n} }} }} }} }}",
    "{{ data: {{ city: {{ ignore_case: City }} }} }}",
)


def configuration(directory: Path, count: int) -> Path:
    rules = [
        f"  - {{ name: r{shape}-{n}, match: {pattern.format(n=n, high=n // 250, low=n % 250)}, when: data.days > 3,"
        f' push: {{ to: "customer:{{{{ data.customer }}}}", with: {{ title: "{{{{ data.n }}}}" }} }} }}\n'
        for n in range(count)
        for shape, pattern in enumerate(PATTERNS)
    ]
    file = directory / "config.yaml"
    file.write_text(HEAD + "".join(rules))
    return file


def compiled() -> Counter[type]:
    """What there is of rules in this process."""
    kinds = (Rule, Match, Index, Lookup)
    return Counter(type(each) for each in gc.get_objects() if type(each) in kinds)


@pytest.fixture
def without_looks_for_garbage() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
def test_a_rule_set_is_freed_with_its_last_user_and_needs_no_look_for_garbage(
    without_looks_for_garbage: None, tmp_path: Path
) -> None:
    """After `gc.freeze` there is none: what refers to itself would stay for as long as the process lives."""
    before = compiled()
    settings, problems = check(configuration(tmp_path, 40))
    assert settings is not None, problems
    made = compiled() - before
    assert made[Rule] == 40 * len(PATTERNS)
    assert {Match, Index, Lookup} <= made.keys()
    del settings, problems
    assert compiled() - before == Counter()


class _Part:
    """Takes note of when it is freed."""

    freed: list[str]

    def __init__(self, name: str, *parts: object) -> None:
        self.name = name
        self.parts = parts

    def __del__(self) -> None:
        _Part.freed.append(self.name)


_Part.__module__ = "rules.made_for_a_test"


def test_what_is_given_up_is_freed_from_the_outside_in_and_what_others_use_stays() -> None:
    _Part.freed = []
    shared = _Part("shared")
    root = _Part("root", _Part("branch", _Part("leaf"), shared), [_Part("other leaf")])
    held: list[object] = [root]
    del root
    give_up(held)
    assert held == []
    assert _Part.freed[:2] == ["root", "branch"]
    assert set(_Part.freed[2:]) == {"leaf", "other leaf"}
    assert shared.name == "shared"


def test_giving_up_does_not_look_into_what_is_no_part_of_a_configuration() -> None:
    foreign = SimpleNamespace(inner=["kept"])
    held: list[object] = [[foreign]]
    give_up(held)
    assert foreign.inner == ["kept"]


def test_while_a_configuration_is_read_only_young_garbage_is_looked_for() -> None:
    gc.unfreeze()  # what other tests of this process froze goes when its last user does, while this one counts
    before = gc.get_threshold()
    gc.collect()
    made = [[number] for number in range(7 * before[0])]
    assert gc.get_count()[1] >= 5, "looks that came before the reading"
    with kept():
        assert min(gc.get_threshold()[1:]) > 1_000_000
        made = [[number] for number in range(1000)]
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0, "a look at so little takes no time"
    with kept():
        made = [[number] for number in range(150_000)]
    assert gc.get_freeze_count() >= len(made)
    gc.unfreeze()


_RELOADS = 4
_LONGEST = 0.05
"""Of all CPU of a reload of ten thousand rules, what one turn of the loop beside it may take: idle 0.007, which is
30 ms, and 0.04 when neighbours have the cores."""

_OF_A_SET = 60
"""MB of ten thousand rules. What the allocator scatters is 1 to 10 MB a reload, and comes to an end."""


@pytest.mark.processes
def test_a_reload_of_ten_thousand_rules_does_not_hold_the_loop_and_leaves_no_memory(tmp_path: Path) -> None:
    """In a process of its own, as the daemon sets it up."""
    command = [sys.executable, "-m", "tests.bridge.test_config_memory", str(tmp_path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    turns, sizes = [float(each) for each in output[:_RELOADS]], [float(each) for each in output[_RELOADS:]]
    assert sorted(turns)[1] < _LONGEST, turns
    assert sizes[-1] < sizes[1] + _OF_A_SET / 2, sizes


async def _measure(directory: Path) -> None:
    """Print the longest turn of each reload as a part of its CPU, and then the resident MB after each."""
    file = configuration(directory, 10_000 // len(PATTERNS))
    file.write_text(_DAEMON + file.read_text())
    settings, problems = check(file)
    assert settings is not None, problems
    config_hash = fingerprint(file)
    daemon = Daemon(
        settings,
        config_hash=config_hash,
        reload=lambda daemon: Reloader(
            file, daemon, config_hash=config_hash, files=ReadFiles(), on_result=daemon.reloaded
        ),
    )
    del settings, problems
    text = file.read_text()
    turns: list[float] = []
    sizes: list[float] = []

    async def turn() -> None:
        while True:
            began = time.process_time()
            await asyncio.sleep(0.002)
            turns.append(time.process_time() - began)

    async with daemon.running():
        assert daemon.reloader is not None
        gc.freeze()
        turning = asyncio.create_task(turn())
        longest = []
        for number in range(_RELOADS):
            await asyncio.to_thread(file.write_text, text.replace("days > 3", f"days > {number + 4}"))
            turns.clear()
            began = time.process_time()
            assert (await daemon.reloader.reload()).applied
            await asyncio.sleep(0.5)
            longest.append(max(turns) / (time.process_time() - began))
            sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20)
        turning.cancel()
    print(*longest, *sizes)


_DAEMON = """
bridge: { store: { url: "sqlite:///bridge.db", allow_ephemeral: true }, log: { level: error } }
listeners: { admin: { address: "127.0.0.1:0" }, hub_api: { address: "127.0.0.1:0" } }
"""

if __name__ == "__main__":
    gc.disable()
    from bridge.observe import log

    log.configure("error", json=True)
    gc.enable()
    gc.set_threshold(20_000, 20, 20)
    sys.setswitchinterval(0.0002)
    asyncio.run(_measure(Path(sys.argv[1])))
