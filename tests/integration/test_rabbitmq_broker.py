"""The test broker itself: what a session uses, and the container, keep port and data over an end of either kind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import rabbitmq as backends
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.server import ServerError, docker_answers


@pytest.fixture(scope="module")
def container() -> Iterator[RabbitMq]:
    with backends.docker() as broker:
        yield broker


@pytest.fixture(params=["rabbitmq", pytest.param("container", marks=pytest.mark.docker)])
def broker(request: pytest.FixtureRequest) -> RabbitMq:
    chosen: RabbitMq = request.getfixturevalue(request.param)
    return chosen


def test_data_and_port_survive_stop_and_kill(broker: RabbitMq) -> None:
    broker.control("add_user", "keeper", "of-data")
    for end in (broker.stop, broker.kill):
        end()
        with pytest.raises(ServerError):
            broker.control("list_users")
        broker.start()
        assert "keeper" in broker.control("list_users")


def test_a_missing_server_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "native_scripts", lambda: None)
    with pytest.raises(ServerError, match="make test"), backends.native():
        pass


def test_a_docker_engine_that_does_not_answer_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\nexec sleep 60\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert not docker_answers(timeout=0.1)
