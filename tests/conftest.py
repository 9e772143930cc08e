"""What all tests share: the brokers of a session, started when the first test asks for one."""

from asyncio.selector_events import BaseSelectorEventLoop
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.brokers import rabbitmq as backends
from tests.brokers.rabbitmq import RabbitMq

settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
"""A slow machine is no failure, and the same tree passes or fails each time; `--hypothesis-profile=default` explores."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--brokers",
        choices=["auto", "native", "docker"],
        default="auto",
        help="installed servers, containers, or whichever is there, installed first (default: auto)",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a Docker engine where none answers; `pytest_terminal_summary` says so."""
    for_docker = [item for item in items if item.get_closest_marker("docker")]
    if for_docker and not backends.docker_answers():
        items[:] = [item for item in items if item not in for_docker]
        config.hook.pytest_deselected(items=for_docker)
        config.stash[_NOT_RUN] = [item.nodeid for item in for_docker]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    by_file = Counter(nodeid.partition("::")[0] for nodeid in config.stash.get(_NOT_RUN, []))
    for file, count in by_file.items():
        terminalreporter.write_line(f"NOT RUN {file}: {count} that need a Docker engine, and none answers")


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


@pytest.fixture(scope="session")
def rabbitmq(request: pytest.FixtureRequest) -> Iterator[RabbitMq]:
    """RabbitMQ for the whole session; a test that stops or kills it starts it again. Name queues uniquely."""
    choice = request.config.getoption("--brokers")
    use_docker = choice == "docker" or (choice == "auto" and backends.native_scripts() is None)
    with backends.docker() if use_docker else backends.native() as broker:
        yield broker


_NOT_RUN = pytest.StashKey[list[str]]()
