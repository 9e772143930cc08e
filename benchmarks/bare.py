"""The least that a client of each broker can do: receive messages and settle them, with nothing in between.

    python -m benchmarks.bare CLIENT ADDRESS MESSAGES

Prints the seconds of CPU that it took, without the imports.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

QUEUE = TOPIC = TABLE = "bench"
BATCH = 500
"""Messages that are settled together, as the daemon takes at most."""

PREFETCH = 2000


async def pika_alone(url: str, messages: int) -> None:
    """Acknowledge every hundredth delivery with all before it."""
    import pika
    from pika.adapters.asyncio_connection import AsyncioConnection

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


async def aiokafka_alone(bootstrap: str, messages: int) -> None:
    """Commit the offsets of each batch."""
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=bootstrap,
        group_id="bare",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=BATCH,
    )
    await consumer.start()
    done = 0
    while done < messages:
        read = await consumer.getmany(timeout_ms=500)
        done += sum(map(len, read.values()))
        if read:
            await consumer.commit()
    await consumer.stop()


async def uvicorn_alone(port: str, messages: int) -> None:
    """Read each request and answer 202."""
    import uvicorn

    done = 0

    async def answer(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        nonlocal done
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        done += 1
        server.should_exit = done >= messages

    config = uvicorn.Config(
        answer, port=int(port), http="httptools", log_level="warning", access_log=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    await server.serve()


async def psycopg_alone(url: str, messages: int) -> None:
    """Claim, read and delete a batch of rows in one statement, and commit."""
    import psycopg

    statement = (
        f"DELETE FROM {TABLE} WHERE seq = ANY(ARRAY(SELECT seq FROM {TABLE} ORDER BY seq LIMIT {BATCH} "
        "FOR UPDATE SKIP LOCKED)) RETURNING body"
    )
    done = 0
    with psycopg.connect(url) as connection:
        while done < messages:
            done += len(connection.execute(statement).fetchall())
            connection.commit()


async def lines_alone(directory: str, messages: int) -> None:
    """Read each line of each file and delete the file."""
    done = 0
    while done < messages:
        for path in sorted(Path(directory).glob("*.jsonl")):
            with path.open("rb") as lines:
                done += sum(bool(line.rstrip(b"\n")) for line in lines)
            path.unlink()


CLIENTS: Mapping[str, Callable[[str, int], Awaitable[None]]] = {
    "pika": pika_alone,
    "aiokafka": aiokafka_alone,
    "uvicorn": uvicorn_alone,
    "psycopg": psycopg_alone,
    "lines": lines_alone,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("address")
    parser.add_argument("messages", type=int)
    arguments = parser.parse_args()
    consume = partial(CLIENTS[arguments.client], arguments.address, arguments.messages)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_nothing())  # the loop is made before the clock starts
        before = time.process_time()
        runner.run(consume())  # type: ignore[arg-type]
    print(time.process_time() - before)


async def _nothing() -> None:
    pass


if __name__ == "__main__":
    main()
