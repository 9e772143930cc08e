"""Messages a CPU-second through the RabbitMQ source, beside pika alone on the same queue.

    python -m benchmarks.rabbitmq [--messages 100000]

Both consume a quorum queue of 300-byte messages with a prefetch of 2,000 on uvloop; only the client's CPU counts. pika
alone does nothing with a delivery but acknowledge every hundredth with all before it.
"""

import argparse
import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from benchmarks.bare import PREFETCH, QUEUE, pika_alone
from connectors.base import ACK, OutMessage
from connectors.rabbitmq import RabbitMqPublisher, RabbitMqPublisherSettings, RabbitMqSettings, RabbitMqSource
from tests.brokers import queues
from tests.brokers.rabbitmq import native

BODY = b'{"eventId": "e-1", "orderNo": 4711, "customer": {"id": "c9", "optIn": true}}'.ljust(300)


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
            measure("pika alone", pika_alone, broker.url, messages)


if __name__ == "__main__":
    main()
