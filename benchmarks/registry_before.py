"""The figures of `benchmarks/registry.py` with 0.1.0's store: run by an interpreter, and with the packages, of its tree.

PYTHONPATH=TREE TREE/.venv/bin/python benchmarks/registry_before.py REGISTRATIONS [DIRECTORY]
"""

import importlib
from pathlib import Path
from typing import Any

import registry  # type: ignore[import-not-found]  # of this folder: the package `benchmarks` is the old tree's


async def _open_store(path: Path) -> Any:
    store = importlib.import_module("hub.store.sqlite").SqliteStore(path)
    await store.open()
    return store


async def _main(registrations: int, directory: Path) -> registry.Figures:
    return await registry.measured(registrations, directory, _open_store)


if __name__ == "__main__":
    registry.run(_main)
