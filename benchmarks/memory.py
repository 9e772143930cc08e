"""What the daemon's memory grows by over many events: after a third or a tenth of them, and after all.

The events wait in parts at the broker, so that its own memory is none of the figure's.
"""

import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import brokers, daemon, figures
from benchmarks.nginx import FastPushService, PushCounter

BROKERS = ("rabbitmq", "kafka")
EARLY = 100_000
_PART = 50_000
_PATIENCE = 1800.0
_PAUSE = 3.0
"""Seconds before each look: what is under way has ended by then."""


def measure(directory: Path, service: FastPushService, *, count: int) -> figures.Figures:
    """MB (10^6 bytes) after the first 100,000 events, or a third where there are fewer, and how many more after all."""
    found: dict[str, float] = {}
    early = EARLY if count > EARLY else count // 3
    for name in BROKERS:
        with ExitStack() as opened:
            own = directory / name
            own.mkdir()
            (run,) = brokers.open_runs(own, service, opened=opened, only=[name])
            with daemon.running(run.config) as running:
                counter = PushCounter(service)
                _through(run, counter, upto=early, done=0)
                begun = _resident(running)
                _through(run, counter, upto=count, done=early)
                found[f"{name}, MB after {early:,}"] = begun
                found[f"{name}, MB more after all"] = _resident(running) - begun
    return found


def _through(run: brokers.Run, counter: PushCounter, *, upto: int, done: int) -> None:
    """The next part is put while the one before is read."""
    while done < upto:
        part = min(_PART, upto - done)
        run.put(part)
        figures.await_(lambda before=done: counter.pushes >= before, timeout=_PATIENCE)  # type: ignore[misc]
        done += part
    figures.await_(lambda: counter.pushes >= upto, timeout=_PATIENCE)


def _resident(running: daemon.Daemon) -> float:
    time.sleep(_PAUSE)
    return running.resident_mib * 2**20 / 1e6
