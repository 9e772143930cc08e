"""`make chaos`: power cuts by the thousand, in parallel, each from a seed of its own. It ends with 1 after a loss."""

import argparse
import logging
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.hub.store.power_loss import Loss, cuts
from tests.hub.store.sqlite.entries import Entries

_SLICE = 250
"""Cuts of one task: their files are removed when it ends."""
_OPERATIONS = 400


def cut_slice(first: int, count: int) -> list[Loss]:
    """The losses of so many seeds from `first` on."""
    logging.getLogger("pushbridge.store").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="pushbridge-chaos-") as directory:
        return cuts(Entries, Path(directory), range(first, first + count), operations=_OPERATIONS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed; a loss is made again with its own")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    started, done = time.monotonic(), 0
    end = arguments.first + arguments.cuts
    losses: list[Loss] = []
    with ProcessPoolExecutor(arguments.workers) as pool:
        waiting = {
            pool.submit(cut_slice, first, min(_SLICE, end - first)): min(_SLICE, end - first)
            for first in range(arguments.first, end, _SLICE)
        }
        for task in as_completed(waiting):
            losses += task.result()
            done += waiting[task]
            print(f"\r{done} cuts, {len(losses)} with a loss, {time.monotonic() - started:.0f} s", end="", flush=True)
    print()
    for loss in losses:
        print(f"seed {loss.seed}: {'; '.join(loss.what)}")
    return 1 if losses else 0


if __name__ == "__main__":
    sys.exit(main())
