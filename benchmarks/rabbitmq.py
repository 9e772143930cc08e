"""Messages a CPU-second through the RabbitMQ source, beside pika alone on the same queue.

    python -m benchmarks.rabbitmq [--messages 100000]

Both consume a quorum queue of 300-byte messages with a prefetch of 1,000 on uvloop; only the client's CPU counts. pika
alone does nothing with a delivery but acknowledge every hundredth with all before it.
"""

import argparse
import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pika
import uvloop
from pika.adapters.asyncio_connection import AsyncioConnection

from connectors.base import ACK, OutMessage
from connectors.rabbitmq import RabbitMqPublisher, RabbitMqPublisherSettings, RabbitMqSettings, RabbitMqSource
from tests.brokers import queues
from tests.brokers.rabbitmq import native

QUEUE = "bench"
BODY = b'{"eventId": "e-1", "orderNo": 4711, "customer": {"id": "c9", "optIn": true}}'.ljust(300)
PREFETCH = 1000


async def fill(url: str, messages: int) -> None:
    publisher = RabbitMqPublisher("bench", RabbitMqPublisherSettings.model_validate({"url": url}))
    await publisher.connect()
    for first in range(0, messages, 1000):
        numbers = range(first, min(first + 1000, messages))
        await publisher.publish([OutMessage(id=f"m{number}", body=BODY, destination=QUEUE) for number in numbers])
    await publisher.close()


async def through_the_source(url: str, messages: int) -> None:
    source = RabbitMqSource(
        "bench",
        RabbitMqSettings.model_validate({"url": url, "queue": {"name": QUEUE}, "receive": {"prefetch": PREFETCH}}),
    )
    await source.connect()
    done = 0
    while done < messages:
        batch = await source.receive(500)
        await source.settle([(message, ACK) for message in batch])
        done += len(batch)
    await source.close()


async def through_pika_alone(url: str, messages: int) -> None:
    finished, closed = asyncio.Event(), asyncio.Event()
    done = 0

    def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        nonlocal done
        done += 1
        if done % 100 == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if done == messages:
            finished.set()

    def consume(channel: Any) -> None:
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(QUEUE, on_message)

    connection = AsyncioConnection(
        pika.URLParameters(url),
        on_open_callback=lambda opened: opened.channel(on_open_callback=consume),
        on_close_callback=lambda *_: closed.set(),
        custom_ioloop=asyncio.get_running_loop(),
    )
    await finished.wait()
    connection.close()
    await closed.wait()


def measure(name: str, consume: Callable[[str, int], Coroutine[Any, Any, None]], url: str, messages: int) -> None:
    asyncio.run(fill(url, messages))
    wall, cpu = time.perf_counter(), time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(consume(url, messages))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:<12}{messages / cpu:>10,.0f} messages per CPU-second{messages / wall:>10,.0f} messages/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    messages = parser.parse_args().messages // 100 * 100
    with native() as broker:
        queues.declare(broker.url, QUEUE, {"x-queue-type": "quorum"})
        for _ in range(2):  # the second round has warm caches and a settled queue
            measure("source", through_the_source, broker.url, messages)
            measure("pika alone", through_pika_alone, broker.url, messages)


if __name__ == "__main__":
    main()
