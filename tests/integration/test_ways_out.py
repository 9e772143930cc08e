"""Brokers beyond TLS and beyond a proxy: whom a source trusts, what it shows, and which way it goes."""

from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr, ValidationError

from connectors.base import ACK
from connectors.errors import NotConnectedError
from connectors.rabbitmq import RabbitMqSettings, RabbitMqSource
from connectors.servicebus.settings import Connection
from connectors.servicebus.source import ServiceBusSource
from hub.egress import EgressDefaults
from sandbox.servicebus import QueueSettings
from sandbox.tls import Authority
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.ways import ConnectProxy, asking_for, client_certificate, tls_front, websocket_front
from tests.connectors.behaviour import bodies, bodies_of, take
from tests.connectors.servicebus.harness import SUBSCRIPTION, harness
from tests.connectors.servicebus.quick import close_at_once


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_rabbitmq_is_trusted_by_the_certificates_of_egress_and_gets_ours(
    rabbitmq: RabbitMq, authority: Authority, tmp_path: Path
) -> None:
    client = client_certificate(tmp_path)
    context = asking_for(authority.server_context(()), client)
    queue = {"name": f"test.{uuid4().hex[:12]}", "create_if_missing": {"type": "classic", "durable": False}}
    async with tls_front(rabbitmq.port, context) as port:

        def source(**tls: str) -> RabbitMqSource:
            written = {"url": f"amqps://guest:guest@127.0.0.1:{port}/%2F", "queue": queue, "tls": tls}
            settings = RabbitMqSettings.model_validate(written)
            return RabbitMqSource("shop", settings.behind(EgressDefaults(ca_file=authority.ca_file)))

        known = source(cert=str(client), key=str(client))
        await known.connect()
        await known.close()
        with pytest.raises(NotConnectedError):
            await source().connect()
        with pytest.raises(NotConnectedError, match="certificate verify failed"):
            await source(ca_file=str(client), cert=str(client), key=str(client)).connect()


async def test_service_bus_is_reached_over_a_web_socket_through_a_proxy(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_at_once(monkeypatch)
    async with (
        ConnectProxy(credentials="bridge:canary") as proxy,
        harness(QueueSettings(max_delivery_count=4)) as bus,
        websocket_front(bus.broker.port, authority.server_context(("http/1.1",))) as port,
    ):
        connection = {
            "connection_string": bus.broker.tls_connection_string,
            "endpoint": f"127.0.0.1:{port}",
            "administration": f"https://127.0.0.1:{bus.broker.port}",
            "tls": {"ca_file": authority.ca_file},
        }
        new = {"name": SUBSCRIPTION, "create_if_missing": {}}
        by_proxy = {"proxy": proxy.url, "tls": {"ca_file": tls_of_both(authority, bus.broker.ca_file)}}
        source = bus.another(connection=connection | by_proxy, subscription=new)
        await source.connect()
        await bus.publish(bodies(2))
        assert bodies_of(await take(source, 2)) == bodies(2)
        await source.close()
        assert set(proxy.tunnels) == {f"127.0.0.1:{port}", f"127.0.0.1:{bus.broker.port}"}
        async with ConnectProxy(credentials="bridge:right") as refusing:
            url = f"http://bridge:canary@127.0.0.1:{refusing.port}"
            lost = bus.another(connection=connection | by_proxy | {"proxy": url})
            refusal = f"proxy 127.0.0.1:{refusing.port} refuses: HTTP 407, it takes another user and password"
            with pytest.raises(NotConnectedError, match=refusal) as error:
                await lost.connect()
        assert "canary" not in str(error.value)


async def test_service_bus_is_reached_over_a_web_socket_without_a_proxy(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_at_once(monkeypatch)
    async with (
        harness(QueueSettings(max_delivery_count=4)) as bus,
        websocket_front(bus.broker.port, authority.server_context(("http/1.1",))) as port,
    ):
        connection = {
            "connection_string": bus.broker.tls_connection_string,
            "endpoint": f"127.0.0.1:{port}",
            "administration": f"https://127.0.0.1:{bus.broker.port}",
            "tls": {"ca_file": tls_of_both(authority, bus.broker.ca_file)},
            "transport": "websockets",
        }
        source = bus.another(connection=connection, subscription={"name": SUBSCRIPTION, "create_if_missing": {}})
        await source.connect()
        await bus.publish(bodies(3))
        messages = await take(source, 3)
        assert bodies_of(messages) == bodies(3)
        await source.settle([(message, ACK) for message in messages])
        await source.close()
        await source.connect()
        assert await source.receive(1) == [], "all were settled"
        await source.close()
        without = bus.another(connection={**connection, "transport": "amqp"})
        with pytest.raises(NotConnectedError):
            await without.connect()
        await without.close()


async def test_amqp_itself_goes_past_the_proxy_of_everything_that_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    close_at_once(monkeypatch)
    async with ConnectProxy() as proxy, harness(QueueSettings(max_delivery_count=4)) as bus:
        connection = {
            "connection_string": bus.broker.tls_connection_string,
            "endpoint": f"127.0.0.1:{bus.broker.port}",
            "administration": f"https://127.0.0.1:{bus.broker.port}",
            "tls": {"ca_file": bus.broker.ca_file},
            "transport": "amqp",
        }
        settings = bus.another(connection=connection)._settings
        behind = settings.connection.behind(EgressDefaults(proxy=SecretStr(proxy.url)))
        source = ServiceBusSource("bus", settings.model_copy(update={"connection": behind}))
        await source.connect()
        await bus.publish(bodies(1))
        assert bodies_of(await take(source, 1)) == bodies(1)
        await source.close()
        assert proxy.tunnels == [], "administration is asked for nothing, and messages went straight"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"transport": "tcp"}, "transport"),
        (
            {
                "transport": "websockets",
                "connection_string": "Endpoint=sb://localhost;SharedAccessKeyName=k;"
                "SharedAccessKey=eA==;UseDevelopmentEmulator=true;",
            },
            "an emulator speaks over no web socket",
        ),
        ({"transport": "amqp", "proxy": "http://proxy:3128"}, "a proxy takes AMQP over web sockets only"),
    ],
)
def test_a_transport_that_cannot_be_is_refused_with_the_cure(changes: dict[str, str], complaint: str) -> None:
    written = {"connection_string": "Endpoint=sb://n;SharedAccessKeyName=k;SharedAccessKey=eA==", **changes}
    with pytest.raises(ValidationError, match=complaint):
        Connection.model_validate(written)


def tls_of_both(authority: Authority, other: Path) -> Path:
    """A file with the certificates of two authorities."""
    both = authority.ca_file.with_name("both.pem")
    both.write_bytes(authority.ca_file.read_bytes() + other.read_bytes())
    return both
