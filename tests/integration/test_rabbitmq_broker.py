"""The test broker itself: what a session uses, and the container, keep port and data over an end of either kind."""

from collections.abc import Iterator

import pytest

from tests.brokers import rabbitmq as backends
from tests.brokers.rabbitmq import BrokerError, RabbitMq


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
        with pytest.raises(BrokerError):
            broker.control("list_users")
        broker.start()
        assert "keeper" in broker.control("list_users")


def test_a_missing_server_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "native_scripts", lambda: None)
    with pytest.raises(BrokerError, match="make test"), backends.native():
        pass
