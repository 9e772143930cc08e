"""A configuration and a registry for the daemon of an earlier tree: run by an interpreter, and with the packages, of it.

PYTHONPATH=TREE TREE/.venv/bin/python -P benchmarks/earlier_tree.py JSON
"""

import asyncio
import inspect
import json
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def main(asked: dict[str, Any]) -> None:
    """Write `bench.yaml` and `bench.db` into a directory, as the benchmarks of the tree do for their events."""
    directory = Path(asked["directory"])
    broker = "rabbitmq" if find_spec("connectors.rabbitmq") else "amqp"  # as 0.1.0 spells it
    import_module("benchmarks.daemon").configuration(
        directory,
        apns_endpoint=asked["apns_endpoint"],
        ca_file=Path(asked["ca_file"]),
        sources={"bank": {broker: asked["rabbitmq"], **asked["source"]}} if asked["rabbitmq"] else {},
        rules=[asked["rule"]] if asked["rabbitmq"] else [],
    )
    if asked["phones"]:
        asyncio.run(_register(directory / "bench.db", asked["phones"]))


async def _register(path: Path, phones: int) -> None:
    register = import_module("benchmarks.figures").register
    takes_path = "database" in inspect.signature(register).parameters
    await register(path if takes_path else import_module("hub.store.sqlite.store").SqliteStore(path), phones)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
