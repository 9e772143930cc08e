"""A broker that is away is one line of ours with its cause, in the log of the daemon as it is run."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sandbox.servicebus import ServiceBus
from tests.brokers import queues
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.relay import Relay
from tests.integration.daemon import HUB, Daemon
from tests.ports import free_ports

SAS = "SharedAccessKeyName=Full;SharedAccessKey=SAS_KEY_VALUE"


def configuration(source: Mapping[str, Any]) -> dict[str, Any]:
    rule = {"name": "all", "push": {"to": "team:hr", "with": {"title": "x"}}}
    watchdog = {"loop_held_after": "60s"}  # other work on the machine is told in a line too
    return {"hubs": {HUB: {}}, "rules": [rule], "sources": {"orders": source}, "bridge": {"watchdog": watchdog}}


def rabbit(port: int, **changes: Any) -> dict[str, Any]:
    return {"rabbitmq": {"url": f"amqp://guest:guest@127.0.0.1:{port}/%2F", "queue": {"name": "q"}} | changes}


def bus(port: int) -> dict[str, Any]:
    emulator = f"Endpoint=sb://127.0.0.1:{port};{SAS};UseDevelopmentEmulator=true;"
    return {
        "servicebus": {"connection": {"connection_string": emulator}, "queue": {"name": "q", "create_if_missing": {}}}
    }


def bus_in_tls(port: int) -> dict[str, Any]:
    sas = {"name": "Full", "key": "SAS_KEY_VALUE"}
    connection = {"namespace": "127.0.0.1", "sas": sas, "endpoint": f"127.0.0.1:{port}"}
    return {"servicebus": {"connection": connection, "queue": {"name": "q"}}}


def log(port: int) -> dict[str, Any]:
    return {"kafka": {"bootstrap": [f"127.0.0.1:{port}"], "topics": ["t"]}}


def loud(daemon: Daemon) -> list[dict[str, Any]]:
    return [line for line in daemon.log() if line["level"] not in ("debug", "info")]


@pytest.mark.parametrize("source", [rabbit, bus, bus_in_tls, log])
async def test_a_broker_that_is_down_is_one_line_with_its_cause(tmp_path: Path, source: Any) -> None:
    (port,) = free_ports(1)
    async with Daemon(tmp_path, configuration(source(port))) as daemon:
        await daemon.launch()
        await daemon.until_readiness(lambda _, lines: any("orders: connecting: " in line for line in lines))
        await asyncio.sleep(2.5)  # some more tries, each of which has nothing new to say
        await daemon.terminate()
    (line,) = loud(daemon)
    assert (line["event"], line["source"], line["state"]) == ("source", "orders", "connecting")
    assert "Connection refused" in line["detail"]
    assert "(" not in line["detail"].replace("(s)", "")


async def test_a_rabbitmq_that_breaks_off_is_told_in_our_words_only(rabbitmq: RabbitMq, tmp_path: Path) -> None:
    queue = f"test.{uuid4().hex[:12]}"
    async with Relay(rabbitmq.port) as relay:
        source = rabbit(relay.port, queue={"name": queue, "create_if_missing": {"type": "classic"}})
        async with Daemon(tmp_path, configuration(source)) as daemon:
            await daemon.start()
            assert loud(daemon) == []  # though nothing existed at this first start
            await relay.cut()
            await daemon.until_readiness(lambda _, lines: any("orders: running" in line for line in lines))
            await daemon.terminate()
    assert {line["event"] for line in loud(daemon)} <= {"source"}
    assert not [line["detail"] for line in loud(daemon) if "Error" in line["detail"]]
    for name in (queue, f"{queue}.dead-letter"):
        queues.delete(rabbitmq.url, name)


async def test_a_service_bus_that_breaks_off_is_told_in_our_words_only(tmp_path: Path) -> None:
    async with ServiceBus() as broker, Daemon(tmp_path, configuration(bus(broker.port))) as daemon:
        await daemon.start()
        assert loud(daemon) == []
        await broker.stop()
        await daemon.until_readiness(lambda _, lines: any("orders: connecting" in line for line in lines))
        await broker.start()
        await daemon.until_ready()
        await daemon.terminate()
    assert {line["event"] for line in loud(daemon)} == {"source"}
