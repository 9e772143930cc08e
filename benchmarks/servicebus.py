"""Events a second from a Service Bus subscription through the daemon, beside the bare SDK on the same stand-in.

    python -m benchmarks.servicebus [--quick] [--json FILE]

The daemon receives, routes, commits with full durability, logs and settles; each event becomes a notification, to
nobody, so that no push service is measured. The bare loop does nothing but receive and complete: whichever of its
batch sizes is the quickest counts. Either has one core, the stand-in and the publisher have the other. Memory is the
daemon's after the first tenth of its messages, and after all.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from benchmarks import daemon
from benchmarks.pinning import OTHERS, on_the_measured_core
from sandbox.servicebus import QueueSettings, ServiceBus

TOPIC, SUBSCRIPTION = "postings", "bench"
BODY = b'{"postingId": "p-%d", "kind": "debit", "customerId": "c9", "amount": 720.5, "currency": "CHF"}'
BARE_BATCHES = (100, 500)
ROUNDS = 3
_SEND_BATCH = 200
_PATIENCE = 600.0

Figures = Mapping[str, float]


async def measure(directory: Path, *, messages: int) -> Figures:
    """Both rates, their ratio (medians over rounds by turns), and what the daemon's memory grows by."""
    part = messages // 10
    bare_rates, daemon_rates = [], []
    async with ServiceBus() as broker:
        broker.create_topic(TOPIC)
        broker.create_subscription(TOPIC, SUBSCRIPTION, QueueSettings(lock_duration=300_000))
        for number in range(ROUNDS):
            bare_rates.append(max([await _bare_rate(broker, batch, part) for batch in BARE_BATCHES]))
            await fill(broker, part)
            own = directory / str(number)
            own.mkdir()
            with ExitStack() as stack:
                measured = daemon.running(_configuration(own, broker))
                # it needs the stand-in to become ready, and to end
                running = await asyncio.to_thread(stack.enter_context, measured)
                daemon_rates.append(await _drained(broker))
                early = late = running.resident_mib
                if number == ROUNDS - 1:
                    await fill(broker, messages - part)
                    await _drained(broker)
                    late = running.resident_mib
                await asyncio.to_thread(stack.close)
    bare_rate, daemon_rate = statistics.median(bare_rates), statistics.median(daemon_rates)
    return {
        "bare SDK, messages/s": bare_rate,
        "daemon, events/s": daemon_rate,
        "daemon / bare SDK": daemon_rate / bare_rate,
        f"MiB after {part:,}": early,
        f"MiB more after {messages:,}": late - early,
    }


async def _bare_rate(broker: ServiceBus, batch: int, messages: int) -> float:
    """What a process on the measured core says of itself."""
    await fill(broker, messages)
    command = [sys.executable, "-m", "benchmarks.servicebus", "--bare", str(batch), broker.connection_string]
    process = await asyncio.create_subprocess_exec(
        *command, str(messages), stdout=subprocess.PIPE, preexec_fn=on_the_measured_core
    )
    output, _ = await process.communicate()
    return float(output)


async def fill(broker: ServiceBus, messages: int) -> None:
    """Publish, in batches, with a message id each."""
    async with (
        ServiceBusClient.from_connection_string(broker.connection_string) as client,
        client.get_topic_sender(TOPIC) as sender,
    ):
        for first in range(0, messages, _SEND_BATCH):
            numbers = range(first, min(first + _SEND_BATCH, messages))
            await sender.send_messages(
                [ServiceBusMessage(BODY % number, message_id=f"{time.time_ns()}-{number}") for number in numbers]
            )


async def _drained(broker: ServiceBus) -> float:
    """Settled messages a second, from the first settlement until nothing is left."""
    counts = broker.queue(f"{TOPIC}/Subscriptions/{SUBSCRIPTION}").counts
    async with asyncio.timeout(_PATIENCE):
        at_first = counts.completed
        while counts.completed == at_first:
            await asyncio.sleep(0.001)
        begun_at, begun = time.perf_counter(), counts.completed
        while counts.completed < counts.enqueued:
            await asyncio.sleep(0.01)
    return (counts.completed - begun) / (time.perf_counter() - begun_at)


async def bare(connection_string: str, *, batch: int, messages: int) -> float:
    """Messages a second of the loop that the SDK's documentation shows, settling side by side."""
    async with (
        ServiceBusClient.from_connection_string(connection_string) as client,
        client.get_subscription_receiver(TOPIC, SUBSCRIPTION) as receiver,
    ):
        begun_at, done = time.perf_counter(), 0
        while done < messages:
            received = await receiver.receive_messages(max_message_count=min(batch, messages - done), max_wait_time=5)
            await asyncio.gather(*(receiver.complete_message(message) for message in received))
            done += len(received)
        return messages / (time.perf_counter() - begun_at)


def _configuration(directory: Path, broker: ServiceBus) -> Path:
    address = f"http://127.0.0.1:{broker.port}"
    source = {
        "servicebus": {
            "connection": {"connection_string": broker.connection_string, "administration": address},
            "topic": TOPIC,
            "subscription": {"name": SUBSCRIPTION},
        },
        "map": {"type": "bank.posting.{{ data.kind }}", "subject": "posting/{{ data.postingId }}"},
    }
    rule = {
        "name": "debit",
        "match": {"type": "bank.posting.debit", "data": {"amount": {"gte": 100}}},
        "push": {"to": "customer:{{ data.customerId }}", "with": {"title": "Debit", "body": "CHF {{ data.amount }}"}},
    }
    return daemon.configuration(
        directory,
        apns_endpoint="https://127.0.0.1:9",  # nobody is registered, so nobody is sent to
        ca_file=broker.ca_file,
        sources={"postings": source},
        rules=[rule],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: for a look, not for a claim")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/servicebus.json"))
    parser.add_argument("--bare", nargs=3, metavar=("BATCH", "CONNECTION", "MESSAGES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare is not None:
        batch, connection_string, messages = arguments.bare
        print(asyncio.run(bare(connection_string, batch=int(batch), messages=int(messages))))
        return
    os.sched_setaffinity(0, OTHERS)  # what is started from here inherits it, unless it is measured
    with tempfile.TemporaryDirectory(prefix="pushbridge-bench-") as directory:
        results = asyncio.run(measure(Path(directory), messages=20_000 if arguments.quick else 200_000))
    for name, value in results.items():
        print(f"{name:<32}{value:>10,.2f}")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
