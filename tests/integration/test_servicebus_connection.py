"""The ways to reach a namespace and to say who we are."""

import sys
from typing import Any

import pytest

from connectors.base import ACK
from connectors.errors import AuthenticationError, NotConnectedError
from sandbox.servicebus import QueueSettings, ServiceBus
from tests.connectors.behaviour import bodies, bodies_of, take
from tests.connectors.servicebus.harness import SUBSCRIPTION, harness
from tests.connectors.servicebus.quick import close_at_once


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    close_at_once(monkeypatch)


def in_tls(broker: ServiceBus) -> dict[str, Any]:
    return {
        "endpoint": broker.endpoint_address,
        "administration": f"https://127.0.0.1:{broker.port}",
        "tls": {"ca_file": broker.ca_file},
    }


@pytest.mark.parametrize("kind", ["connection string", "shared access policy"])
async def test_a_namespace_is_reached_in_tls_for_messages_and_for_its_administration(kind: str) -> None:
    async with harness(QueueSettings(max_delivery_count=4)) as bus:
        who: dict[str, Any] = {"connection_string": bus.broker.tls_connection_string}
        if kind == "shared access policy":
            who = {"namespace": "127.0.0.1", "sas": {"name": "RootManageSharedAccessKey", "key": "SAS_KEY_VALUE"}}
        new = {"name": SUBSCRIPTION, "create_if_missing": {}}
        source = bus.another(connection=who | in_tls(bus.broker), subscription=new)
        await source.connect()
        assert source.warnings == ("max_delivery_count: configured 10, at the broker 4",)
        await bus.publish(bodies(2))
        messages = await take(source, 2)
        assert bodies_of(messages) == bodies(2)
        await source.settle([(message, ACK) for message in messages])
        assert (await source.backlog()).messages == 0


async def test_a_namespace_with_another_certificate_is_not_trusted() -> None:
    async with harness(QueueSettings()) as bus, harness(QueueSettings()) as other:
        who = {"connection_string": bus.broker.tls_connection_string} | in_tls(bus.broker)
        source = bus.another(connection=who | {"tls": {"ca_file": other.broker.ca_file}})
        with pytest.raises(NotConnectedError, match="certificate verify failed"):
            await source.connect()


async def test_an_identity_without_what_it_takes_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity.aio", None)
    async with harness(QueueSettings()) as bus:
        source = bus.another(connection={"namespace": "acme.servicebus.windows.net", "credential": "managed_identity"})
        with pytest.raises(AuthenticationError, match=r"install pushbridge\[azure\]"):
            await source.connect()
