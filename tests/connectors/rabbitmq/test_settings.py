"""A configuration that cannot work is refused with what to write instead, and never shows the password."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.rabbitmq import RabbitMqPublisherSettings, RabbitMqSettings

URL = "amqp://bridge:canary@localhost/%2F"


def settings(**changes: Any) -> RabbitMqSettings:
    return RabbitMqSettings.model_validate({"url": URL, "queue": {"name": "push.orders"}} | changes)


def test_the_documented_shape_is_understood() -> None:
    parsed = settings(
        queue={"name": "push.orders", "create_if_missing": {"type": "quorum", "durable": True, "delivery_limit": 20}},
        bind=[{"exchange": "shop", "type": "topic", "key": "order.shipped.#"}],
        receive={"prefetch": 64, "heartbeat": "30s", "blocked_timeout": "2m"},
    )
    assert parsed.queue.create_if_missing is not None
    assert parsed.bind[0].key == "order.shipped.#"
    assert (parsed.receive.heartbeat, parsed.receive.blocked_timeout) == (30, 120)


@pytest.mark.parametrize(
    ("receive", "credit", "slots"),
    [
        ({}, 500, 500),
        ({"prefetch": 1000}, 1000, 1000),
        ({"max_in_flight": 32}, 32, 32),
        ({"max_in_flight": 32, "prefetch": 64}, 64, 32),
        ({"max_in_flight": 64, "prefetch": 32}, 32, 32),
    ],
)
def test_the_broker_hands_out_as_many_as_may_be_in_flight_unless_both_are_set(
    receive: dict[str, int], credit: int, slots: int
) -> None:
    read = settings(receive=receive).receive
    assert (read.credit, read.slots) == (credit, slots)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"url": "http://bridge:canary@localhost"}, "amqp://USER:PASSWORD@HOST"),
        ({"url": "amqp:///canary"}, "amqp://USER:PASSWORD@HOST"),
        ({"url": "amqp://bridge:pa#canary@localhost"}, "written %2F %3F %23 %40 %3A"),
        ({"url": "amqp://localhost:99999"}, "HOST is not followed by a port"),
        ({"url": "amqp://bridge:canary@localhost/a/b"}, "a / in its name is written %2F"),
        ({"url": URL + "?heartbaet=3"}, "Unknown URL parameter: 'heartbaet'"),
        ({"url": URL + "?ssl_options={"}, "behind ?: "),
        ({"queue": {"name": ""}}, "at least 1 character"),
        ({"queue": {"name": "q" * 200}}, "at most 127 characters"),
        ({"queue": {"name": "q", "create_if_missing": {"durable": False}}}, "quorum queue is always durable"),
        ({"queue": {"name": "q", "create_if_missing": {"type": "classic", "delivery_limit": 3}}}, "no delivery_limit"),
        ({"receive": {"prefetch": 0}}, "greater than or equal to 1"),
        ({"receive": {"heartbeat": "0s"}}, "greater than or equal to 1"),
        ({"receive": {"heartbeat": "soon"}}, "not a duration"),
        ({"bind": [{"exchange": "shop", "type": "x-random"}]}, "'direct', 'fanout', 'topic' or 'headers'"),
        ({"quque": {}}, "Extra inputs are not permitted"),
    ],
)
def test_a_mistake_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(**changes)
    assert complaint in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "rest", ["", "/", "/%2F", ":5671/push", "/a%2Fb?heartbeat=5", "/?ssl_options={'cafile': '/later.pem'}"]
)
def test_a_url_as_pika_takes_it_is_taken(rest: str) -> None:
    assert settings(url=f"amqps://bridge:p%40ss@localhost{rest}")


def test_silence_and_a_broker_that_blocks_have_an_end_by_default() -> None:
    """pika takes the broker's heartbeat, which may be none, and waits for ever for a broker that blocks it."""
    for read in (settings().receive, RabbitMqPublisherSettings.model_validate({"url": URL})):
        assert (read.heartbeat, read.blocked_timeout) == (30.0, 120.0)


def test_the_password_is_not_shown() -> None:
    publisher = RabbitMqPublisherSettings.model_validate({"url": URL})
    assert "canary" not in f"{settings()!r} {publisher!r} {settings().model_dump_json()}"


@pytest.mark.processes
def test_importing_the_connector_does_not_import_the_client_library() -> None:
    script = "import sys, connectors.rabbitmq; sys.exit('pika' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
