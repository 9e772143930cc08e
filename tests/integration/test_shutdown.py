"""How the daemon ends when asked to, and that it does not begin where it could not go on."""

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from sandbox.services import PushServices
from tests.brokers import queues
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.relay import Relay
from tests.integration.daemon import START_TIMEOUT, Daemon, hubs, register_phone

EXIT_BY = 25.0
"""Seconds from SIGTERM to the exit, at most."""

CANNOT_START = 3


@pytest.fixture
def queue() -> str:
    return f"test.shutdown.{uuid4().hex[:8]}"


def configuration(url: str, queue: str, services: PushServices, **bridge: Any) -> dict[str, Any]:
    """One queue, one rule, and an APNs phone for everybody."""
    return {
        "bridge": bridge,
        "sources": {
            "orders": {"rabbitmq": {"url": url, "queue": {"name": queue, "create_if_missing": {}}}},
        },
        "rules": [{"name": "order", "push": {"to": "team:all", "with": {"text": "order {{ data.number }}"}}}],
        "hubs": hubs(services),
    }


async def publish(url: str, queue: str, numbers: range) -> None:
    messages = ((orjson.dumps({"number": number}), {"message_id": f"order-{number}"}) for number in numbers)
    await asyncio.to_thread(queues.put, url, queue, messages)


async def terminate(daemon: Daemon) -> float:
    """End it in good order; the seconds that took."""
    started = time.monotonic()
    assert await daemon.terminate() == 0, daemon.errors()
    return time.monotonic() - started


def rows(daemon: Daemon, query: str) -> list[tuple[Any, ...]]:
    with daemon.database() as database:
        return database.execute(query).fetchall()


async def test_sigterm_under_load_finishes_what_was_taken_and_leaves_the_rest(
    rabbitmq: RabbitMq, services: PushServices, queue: str, tmp_path: Path
) -> None:
    count = 3000
    store = {"max_pending": 300}  # however fast the machine, there is more to take when the signal comes
    async with Daemon(tmp_path, configuration(rabbitmq.url, queue, services, store=store)) as daemon:
        await daemon.start()
        await register_phone(daemon, services)
        services.apns.faults.latency(0.1)
        await publish(rabbitmq.url, queue, range(count))
        await services.journal.wait_for(count=500)
        assert await terminate(daemon) < EXIT_BY

        (accepted,) = rows(daemon, "SELECT count(*) FROM notification")[0]
        assert accepted < count, "it was to end while there was more to take"
        rest = count - accepted
        assert await asyncio.to_thread(queues.count, rabbitmq.url, queue, expected=rest) == rest
        assert rows(daemon, "SELECT count(*) FROM notification WHERE ended_at IS NULL") == [(0,)]
        pushed = len(services.journal)

        services.apns.faults.clear()
        await daemon.launch()
        await services.journal.wait_for(count=count, timeout=START_TIMEOUT)
        await terminate(daemon)
        assert len({entry.push_id for entry in services.journal}) == count
        assert len(services.journal) == count, f"pushes were repeated, {pushed} were made before the end"
        assert rows(daemon, "SELECT state, count(*) FROM notification GROUP BY 1") == [("Completed", count)]


async def test_work_that_a_silent_push_service_keeps_is_due_at_once_for_the_next_process(
    rabbitmq: RabbitMq, services: PushServices, queue: str, tmp_path: Path
) -> None:
    count = 50
    async with Daemon(tmp_path, configuration(rabbitmq.url, queue, services, shutdown={"drain": "1s"})) as daemon:
        await daemon.start()
        await register_phone(daemon, services)
        services.apns.faults.black_hole()
        await publish(rabbitmq.url, queue, range(count))
        await _until_accepted(daemon, count)
        assert await terminate(daemon) < 15, "the drain is bounded by what is configured; it would be twenty"

        due = [due for (due,) in rows(daemon, "SELECT due FROM notification WHERE due IS NOT NULL")]
        assert len(due) == count
        assert all(then <= time.time() for then in due)

        services.apns.faults.clear()
        await daemon.launch()
        await services.journal.wait_for(count=count, timeout=START_TIMEOUT)
        await terminate(daemon)
        assert rows(daemon, "SELECT state, count(*) FROM notification GROUP BY 1") == [("Completed", count)]


async def test_sigterm_does_not_wait_for_a_broker_that_does_not_answer(
    rabbitmq: RabbitMq, services: PushServices, queue: str, tmp_path: Path
) -> None:
    async with Relay(rabbitmq.port) as relay:
        relay.stall()
        url = f"amqp://guest:guest@127.0.0.1:{relay.port}/%2F"
        async with Daemon(tmp_path, configuration(url, queue, services)) as daemon:
            await daemon.launch()
            await daemon.until_readiness(lambda status, lines: "source orders: connecting" in "".join(lines))
            assert await terminate(daemon) < 15, "connecting would take thirty"


async def _until_accepted(daemon: Daemon, count: int) -> None:
    async with asyncio.timeout(START_TIMEOUT):
        while rows(daemon, "SELECT count(*) FROM notification") != [(count,)]:
            await asyncio.sleep(0.02)


def offline(**sections: Any) -> Mapping[str, Any]:
    """A configuration that needs nothing outside."""
    return {"sources": {"hr": {"http": {"path": "/in/hr"}}}, "hubs": {"app": {}}, **sections}


async def refusal(directory: Path, config: Mapping[str, Any]) -> Sequence[str]:
    """What a process that may not start says, line by line."""
    directory.mkdir()
    async with Daemon(directory, config) as daemon:
        await daemon.launch()
        async with asyncio.timeout(START_TIMEOUT):
            assert await daemon.exit_code() == CANNOT_START
        return [line for line in daemon.errors().splitlines() if "warning" not in line]


async def test_a_second_process_is_refused_the_database_of_the_first(tmp_path: Path) -> None:
    async with Daemon(tmp_path, offline()) as daemon:
        await daemon.start()
        store = {"store": {"url": f"sqlite:///{daemon.database_file}"}}
        said = await refusal(tmp_path / "second", offline(bridge=store))
        assert said == [
            f"pushbridge: another process uses {daemon.database_file}: a SQLite store belongs to one process"
        ]
        await daemon.until_ready()  # the first goes on


async def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    path = tmp_path / "file" / "pushbridge.db"
    said = await refusal(tmp_path / "daemon", offline(bridge={"store": {"url": f"sqlite:///{path}"}}))
    assert len(said) == 1
    assert said[0].startswith(f"pushbridge: cannot open {path}: ")


async def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        said = await refusal(tmp_path / "daemon", offline(hub_api={"listen": listen}))
        assert len(said) == 1
        assert said[0].startswith(f"pushbridge: cannot listen on {listen}: ")
