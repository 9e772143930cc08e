"""Benthos with the components that do the daemon's way of an event: a broker, a mapping, a request an event."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.nginx import FastPushService
from benchmarks.peers.build import go_program
from benchmarks.pinning import on_the_measured_core
from benchmarks.ways import Way

_IN_FLIGHT = 256
"""Requests that are open: 64, as Benthos has it by default, leave its core idle beside a slow service."""

_MAPPING = """\
root = if this.kind == "debit" && this.amount >= 100 {
  {"aps": {
    "alert": {"title": "Card debit %v".format(this.amount), "body": "For you: " + this.merchant.name}, "sound": "default"
  }}
} else { deleted() }
meta handle = "%064X".format(this.customer.trim_prefix("u").number().int64())
"""


def input_of(way: Way) -> Mapping[str, Any]:
    """How Benthos reads a way's broker: as many messages under way as the daemon takes."""
    if way.name == "rabbitmq":
        source = way.source["rabbitmq"]
        return {
            "amqp_0_9": {
                "urls": [source["url"]],
                "queue": source["queue"]["name"],
                "prefetch_count": source["receive"]["prefetch"],
            }
        }
    source = way.source["kafka"]
    return {
        "kafka_franz": {
            "seed_brokers": source["bootstrap"],
            "topics": source["topics"],
            "consumer_group": "benthos",
            "checkpoint_limit": source["receive"]["max_in_flight"],
            "start_from_oldest": True,
        }
    }


@contextmanager
def running(way: Way, service: FastPushService, directory: Path) -> Iterator[int]:
    """Benthos on the measured core; its process id. Raises: NotBuiltError."""
    program = go_program("benthos")
    config = {
        "http": {"enabled": False},
        "logger": {"level": "WARN"},
        "input": input_of(way),
        "pipeline": {"processors": [{"mapping": _MAPPING}]},
        "output": {
            "http_client": {
                "url": f'{service.url}/3/device/${{! meta("handle") }}',
                "verb": "POST",
                "headers": {"apns-topic": "com.example.bench", "apns-push-type": "alert", "apns-priority": "10"},
                "tls": {"enabled": True, "root_cas_file": str(service.ca_file)},
                "max_in_flight": _IN_FLIGHT,
            }
        },
    }
    directory.mkdir(exist_ok=True)
    file = directory / "benthos.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    with (directory / "benthos.log").open("ab") as log:
        process = subprocess.Popen(
            [str(program), "-c", str(file)],
            stdout=log,
            stderr=log,
            preexec_fn=on_the_measured_core,
            env={**os.environ, "GOMAXPROCS": "1"},
        )
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(30)
