"""Which tests a run leaves out, and why: each is told at the end of the run, none is skipped in silence.

A run of several workers tries a test of processes, brokers or browsers a second time, eight tests at the most: beside three
others on two cores one may meet a second in which it gets no CPU. The end of the run shows how each first failed, and its
closing line counts them. A fast test has no such excuse, and has one try.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from tests.brokers.server import docker_answers

ROOT = Path(__file__).parent.parent
STAND_IN = "tests/sandbox/servicebus"
"""The tests of the Service Bus stand-in itself."""

BEARING_ON_IT = ("sandbox", STAND_IN, "connectors/servicebus", "pyproject.toml")
"""A change of these may change how the tests of the stand-in come out: they are its code, its users and its client."""

NOT_FAST = (
    "tests/integration/",
    f"{STAND_IN}/",
    "tests/brokers/",
    "tests/deploy/",
    "tests/hub/api/conformance/",
    "tests/hub/registration/test_abuse.py",
    "tests/hub/store/test_store.py",
    *(
        f"tests/bridge/test_{name}.py"
        for name in (
            "admin_api",
            "client_commands",
            "console",
            "http_answers",
            "mirror_commands",
            "no_secrets",
            "reload",
            "replay",
            "why",
        )
    ),
)
"""Where tests need servers, start a whole daemon each, or try a contract case by case: together as long as all others."""

STAND_INS = {"rabbitmq", "kafka", "postgres", "mariadb", "services", "authority"}
"""Fixtures that start a broker, a database, or a server that speaks TLS with keys and certificates of its own."""

NOT_FAST_MARKERS = ("browser", "processes", "docker", "slow")

FAST = 1.0
"""Seconds of CPU that a fast test may take. A test that takes a third of a second on an idle machine is `slow`."""

LONGEST = (
    "tests/integration/test_source_faults.py",
    "tests/integration/test_kafka_source.py",
    "tests/integration/test_publisher_faults.py",
    "tests/integration/test_runbooks.py",
    "tests/integration/test_outage_memory.py",
    "tests/integration/test_live_commands_in_trouble.py",
    "tests/integration/test_pages.py",
    "tests/deploy/test_release.py",
    "tests/integration/test_flow_kill.py",
    "tests/integration/test_silence_kill.py",
    "tests/integration/test_kill.py",
    "tests/integration/test_servicebus_source.py",
    "tests/deploy/test_image.py",
    "tests/integration/test_fleet.py",
    "tests/integration/test_outage.py",
    "tests/integration/test_dead_handles.py",
    "tests/integration/test_live_activities.py",
    "tests/integration/test_canaries.py",
    "tests/integration/test_doctor_clock.py",
    "tests/integration/test_fleet_versions.py",
    "tests/bridge/test_alerts.py",
    "tests/integration/test_rates.py",
    "tests/integration/test_unopened.py",
    "tests/integration/test_postgres_backup.py",
    "tests/integration/test_mirrored_fleet.py",
    "tests/integration/test_fleet_broadcast.py",
    "tests/integration/test_sql_source.py",
    "tests/integration/test_kill_broadcast.py",
    "tests/integration/test_mirror.py",
    "tests/integration/test_hostile_load.py",
    "tests/integration/test_kafka_daemon.py",
    "tests/integration/test_broker_logs.py",
    "tests/integration/test_servicebus_daemon.py",
    "tests/integration/test_replay.py",
    "tests/integration/test_drill.py",
    "tests/integration/test_phones_of_a_remote.py",
    "tests/integration/test_postgres.py",
    "tests/hub/platforms/test_against_sandbox.py",
    "tests/bridge/test_loading.py",
    "tests/bridge/test_config_memory.py",
    "tests/integration/test_reloads.py",
    "tests/hub/store/sqlite/test_power_loss.py",
    "tests/hub/store/test_store_model.py",
    "tests/hub/store/postgres/test_store.py",
    "tests/hub/store/postgres/test_oracle.py",
)
"""Files of few tests that take long; a run whose workers begin with these has no worker idle at its end."""

WAITING = ("tests/integration/", "tests/deploy/")
"""Where tests wait for servers, daemons and deadlines more than they compute: 3 to 40 % of their time is CPU."""


def digest(root: Path = ROOT, paths: Iterable[str] = BEARING_ON_IT) -> str:
    """Of the names and contents of all files under `paths` but for what Python caches."""
    state = sha256()
    for path in paths:
        under = root / path
        files = [under] if under.is_file() else (file for file in under.rglob("*") if file.is_file())
        for file in sorted(files):
            if "__pycache__" not in file.parts:
                content = file.read_bytes()
                state.update(f"{file.relative_to(root)}\0{len(content)}\0".encode() + content)
    return state.hexdigest()


def left_out(
    items: Iterable[pytest.Item], *, fast: bool, if_changed: Path | None, environ: Mapping[str, str] = os.environ
) -> dict[str, list[pytest.Item]]:
    """The tests that this run leaves out, by reason.

    `if_changed` holds the digest with which the tests of the stand-in last passed. With `PUSHBRIDGE_TESTS=all`, as CI
    sets it, they run whatever it says.
    """
    items = list(items)
    found: dict[str, list[pytest.Item]] = {}
    if any(item.get_closest_marker("docker") for item in items) and not docker_answers():
        found["need a Docker engine, and none answers"] = [item for item in items if item.get_closest_marker("docker")]
    if fast:
        found["are slow, or need a broker, TLS, a browser or processes: make test runs them"] = [
            item for item in items if not is_fast(item)
        ]
    is_unchanged = if_changed is not None and if_changed.exists() and if_changed.read_text() == digest()
    if is_unchanged and environ.get("PUSHBRIDGE_TESTS") != "all":
        why = f"passed with the same {', '.join(BEARING_ON_IT)}: PUSHBRIDGE_TESTS=all runs them"
        found[why] = [item for item in items if item.nodeid.startswith(f"{STAND_IN}/")]
    seen: set[pytest.Item] = set()
    for reason, chosen in found.items():
        found[reason] = [item for item in chosen if item not in seen]
        seen.update(chosen)
    return {reason: chosen for reason, chosen in found.items() if chosen}


def longest_first(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests with the files in the order in which workers should take them.

    Files that wait and files that compute take turns, so that at no time all workers wait or all want the CPU. Of each kind
    come `LONGEST` first, then those of most tests.
    """
    items = list(items)
    file_of = {item: item.nodeid.partition("::")[0] for item in items}
    tests = Counter(file_of.values())
    rank = {file: number for number, file in enumerate(LONGEST)}
    place: dict[str, float] = {}
    by_length = sorted(tests, key=lambda file: (rank.get(file, len(LONGEST)), -tests[file], file))
    waiting = [file for file in by_length if file.startswith(WAITING)]
    computing = [file for file in by_length if not file.startswith(WAITING)]
    for kind in (waiting, computing):
        place |= {file: number / len(kind) for number, file in enumerate(kind)}
    return sorted(items, key=lambda item: (place[file_of[item]], not file_of[item].startswith(WAITING), file_of[item]))


def is_never_fast(path: Path, root: Path = ROOT) -> bool:
    """Whether no test under a path can be fast, so that a fast run need not import it."""
    return path.is_relative_to(root) and f"{path.relative_to(root).as_posix()}/".startswith(NOT_FAST)


def is_fast(item: pytest.Item) -> bool:
    """Whether a test runs in this process alone, without TLS, in a moment."""
    starts_stand_in = not STAND_INS.isdisjoint(getattr(item, "fixturenames", ()))
    is_marked = any(item.get_closest_marker(name) for name in NOT_FAST_MARKERS)
    return not (starts_stand_in or is_marked or item.nodeid.startswith(NOT_FAST))


def complaint_about(seconds: float) -> str | None:
    """What is wrong with a fast test that took so many seconds of CPU."""
    if seconds <= FAST:
        return None
    return f"took {seconds:.1f} s of CPU, and a fast test may take {FAST:.0f}: mark it slow, or make it quicker"
