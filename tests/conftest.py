"""What all tests share: the brokers of a session, started when the first test asks for one."""

import gc
import time
from asyncio.selector_events import BaseSelectorEventLoop
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hub.store.sqlite.volume import Volume, VolumeKind, volume_of
from tests import selection, temporary
from tests.brokers import kafka as kafkas
from tests.brokers import mariadb as mariadbs
from tests.brokers import postgres as databases
from tests.brokers import rabbitmq as backends
from tests.brokers.kafka import Kafka
from tests.brokers.mariadb import MariaDb
from tests.brokers.postgres import Postgres
from tests.brokers.rabbitmq import RabbitMq

gc.disable()  # until all tests are collected: nothing of that is garbage

settings.register_profile(
    "suite", deadline=None, derandomize=True, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fuzz", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
"""A slow machine is no failure, and the same tree passes or fails each time; `make fuzz` explores."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--brokers",
        choices=["auto", "native", "docker"],
        default="auto",
        help="installed servers, containers, or whichever is there, installed first (default: auto)",
    )
    parser.addoption(
        "--fast", action="store_true", help="only what is quick and needs no broker, TLS, browser or process"
    )
    parser.addoption(
        "--if-changed",
        type=Path,
        metavar="STAMP",
        help="leave out the tests of the Service Bus stand-in if they passed with its files as they are, as STAMP says",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import nothing of the folders that a fast run leaves out."""
    if not (config.option.fast and selection.is_never_fast(collection_path)):
        return None
    folder = collection_path.relative_to(selection.ROOT).as_posix()
    config.stash.setdefault(_NOT_RUN, set()).add(f"{folder}: all of it, make test runs it")
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot or need not run; `pytest_terminal_summary` says so."""
    by_reason = selection.left_out(items, fast=config.option.fast, if_changed=config.option.if_changed)
    out = {item for chosen in by_reason.values() for item in chosen}
    items[:] = [item for item in items if item not in out]
    config.hook.pytest_deselected(items=list(out))
    if hasattr(config, "workerinput"):
        items[:] = selection.longest_first(items)
        for item in items:
            if not selection.is_fast(item):
                item.add_marker(pytest.mark.flaky(reruns=1))
    config.stash.setdefault(_NOT_RUN, set()).update(
        f"{file}: {count} that {reason}"
        for reason, chosen in by_reason.items()
        for file, count in Counter(item.nodeid.partition("::")[0] for item in chosen).items()
    )


def pytest_collection_finish() -> None:
    """Thousands of tests stay until the end: garbage is looked for in what they make, not in them.

    In a new clone the first text that is made up takes a second for a table of all characters: no test is to pay for it.
    """
    st.text().validate()
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A fast run stays fast: a test in it that takes long fails, whatever else it found."""
    began = time.process_time()
    result = yield
    if item.config.option.fast:
        complaint = selection.complaint_about(time.process_time() - began)
        assert complaint is None, complaint
    return result


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Hand what was left out to the process that reports, and remember with which files all passed."""
    not_run = session.config.stash.get(_NOT_RUN, set())
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["not_run"] = sorted(not_run)
    stamp: Path | None = session.config.option.if_changed
    if stamp is None:
        return
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and not_run:
        session.exitstatus = pytest.ExitCode.OK
    elif exitstatus == pytest.ExitCode.OK:
        stamp.write_text(selection.digest())


class NotRunByWorkers:
    """Collects what the workers of pytest-xdist left out."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        node.config.stash.setdefault(_NOT_RUN, set()).update(getattr(node, "workeroutput", {}).get("not_run", ()))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(NotRunByWorkers())
    if config.option.fast:
        temporary.keep_in_memory()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    not_run: set[str] = config.stash.get(_NOT_RUN, set())
    for line in sorted(not_run):
        terminalreporter.write_line(f"NOT RUN {line}")


@pytest.fixture(scope="session", autouse=True)
def connections_to_closed_servers_end() -> Iterator[None]:
    """asyncio leaves a connection open that it accepts in the moment in which its server closes (Python 3.11 to 3.13).

    The warning of that would come with some later garbage collection and fail the test that happens to run.
    """
    accept = BaseSelectorEventLoop._accept_connection2  # type: ignore[attr-defined]

    async def accept_or_close(
        loop: Any, factory: Any, connection: Any, extra: Any, context: Any, server: Any, *more: Any
    ) -> None:
        if server is not None and not server.sockets:
            connection.close()
        else:
            await accept(loop, factory, connection, extra, context, server, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseSelectorEventLoop, "_accept_connection2", accept_or_close)
        yield


@pytest.fixture(scope="session", autouse=True)
def stores_of_tests_may_lie_where_tests_run(request: pytest.FixtureRequest) -> Iterator[None]:
    """A store refuses a file in memory; the files of a fast run are there because no test of it is about disks.

    Where all tests run on a container's own layer, that layer is a disk to them.
    """

    def as_of_tests(path: Path) -> Volume:
        found = volume_of(path)
        if request.config.option.fast or found.kind is VolumeKind.LAYER:
            return Volume(mount="", file_system="", kind=VolumeKind.UNKNOWN)
        return found

    with pytest.MonkeyPatch.context() as patch:
        for module in ("hub.store.sqlite.database", "bridge.config.unstored"):
            patch.setattr(f"{module}.volume_of", as_of_tests)
        yield


@pytest.fixture(scope="session")
def rabbitmq(request: pytest.FixtureRequest) -> Iterator[RabbitMq]:
    """RabbitMQ for the whole session; a test that stops or kills it starts it again. Name queues uniquely."""
    choice = request.config.getoption("--brokers")
    use_docker = choice == "docker" or (choice == "auto" and backends.native_scripts() is None)
    with backends.docker() if use_docker else backends.native() as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """PostgreSQL for the whole session; a test that stops or kills it starts it again. Each test makes its own database.

    It does not wait for the disk: a copy of a database would take a second, and only the end of the machine loses what the
    system has.
    """
    choice = request.config.getoption("--brokers")
    use_docker = choice == "docker" or (choice == "auto" and databases.native_programs() is None)
    with databases.docker() if use_docker else databases.native(fsync=False) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(request: pytest.FixtureRequest) -> Iterator[MariaDb]:
    """MariaDB for the whole session; a test that stops or kills it starts it again. Each test makes its own database."""
    choice = request.config.getoption("--brokers")
    use_docker = choice == "docker" or (choice == "auto" and mariadbs.native_program() is None)
    with mariadbs.docker() if use_docker else mariadbs.native() as server:
        yield server


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[Kafka]:
    """Kafka for the whole session; a test that stops or kills it starts it again. Name topics and groups uniquely."""
    choice = request.config.getoption("--brokers")
    use_docker = choice == "docker" or (choice == "auto" and not kafkas.has_native())
    with kafkas.docker() if use_docker else kafkas.native() as broker:
        yield broker


_NOT_RUN = pytest.StashKey[set[str]]()
