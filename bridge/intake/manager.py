"""The sources that run: built from a configuration, and made those of another one without touching what stays."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import Route

from bridge.config.models.dead_letters import DeadLetterTarget
from bridge.config.models.document import Settings
from bridge.config.models.sources import SourceSettings
from bridge.errors import StoppingError
from bridge.intake.supervisor import Supervisor
from bridge.relay import Relay
from connectors.base import Source
from hub.rate import RateLimiter

SOURCE_STOP = 10.0
"""Seconds that a source of an earlier configuration has to settle what it has taken."""

Start = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


@dataclass(frozen=True, slots=True)
class _Wiring:
    """What a running source is connected by. Anything else of its settings changes between two batches."""

    connector: object
    dead_letters: DeadLetterTarget | None
    stall_after: float


@dataclass(slots=True, kw_only=True)
class RunningSource:
    """One source as it runs: `route` is where it is posted to, `relay` sends its dead letters on."""

    source: Source
    supervisor: Supervisor
    relay: Relay | None = None
    limiter: RateLimiter = field(default_factory=RateLimiter)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    @property
    def route(self) -> Route | None:
        """The path of a source that is posted to."""
        return self.source.route() if hasattr(self.source, "route") else None

    async def stop(self, seconds: float) -> None:
        """Take no more and settle the batch under way, within `seconds`."""
        self.supervisor.stop()
        if self.tasks:
            await asyncio.wait(self.tasks[:1], timeout=seconds)
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with suppress(asyncio.CancelledError, Exception):  # its failure is raised where it was started
                await task


class SourceManager:
    """The sources that run. `build` makes one, connecting to nothing; `start` runs a part of it as a task.

    `stop_timeout` is the time, in seconds, that a source of an earlier configuration has to settle.
    """

    def __init__(
        self,
        build: Callable[[str, SourceSettings, Settings], RunningSource],
        *,
        start: Start,
        stop_timeout: float = SOURCE_STOP,
    ) -> None:
        self._build = build
        self._start = start
        self._stop_timeout = stop_timeout
        self._running: dict[str, tuple[_Wiring, RunningSource]] = {}
        self._stopping = False
        self._one_at_a_time = asyncio.Lock()

    def __iter__(self) -> Iterator[RunningSource]:
        return (source for _, source in self._running.values())

    @property
    def routes(self) -> Sequence[Route]:
        """The paths that are posted to at the moment."""
        return [route for source in self if (route := source.route) is not None]

    async def apply(self, settings: Settings, *, between: Callable[[], None]) -> tuple[list[str], list[str]]:
        """Run the sources of `settings`: names of those stopped and of those started; all others go on untouched.

        `between` is called when what goes has stopped and before what comes has started: the moment to exchange what
        all of them share.

        Raises: StoppingError, and what building a source may raise: in either case nothing was replaced.
        """
        async with self._one_at_a_time:
            wanted = {name: _wiring(name, source, settings) for name, source in settings.sources.items()}
            leaving = [name for name, (wiring, _) in self._running.items() if wanted.get(name) != wiring]
            arriving = [name for name in wanted if name not in self._running or name in leaving]
            new = {name: self._build(name, settings.sources[name], settings) for name in arriving}
            await asyncio.gather(*(self._running.pop(name)[1].stop(self._stop_timeout) for name in leaving))
            if self._stopping:
                raise StoppingError("the process is stopping")
            between()
            for name, (_, running) in self._running.items():
                running.limiter.change(settings.sources[name].rate)
            for name, source in new.items():
                self._running[name] = (wanted[name], source)
                source.tasks.append(self._start(source.supervisor.run(), f"source {name}"))
                if source.relay is not None:
                    source.tasks.append(self._start(source.relay.run(), f"relay {name}"))
            return leaving, arriving

    async def stop(self, seconds: float) -> None:
        """Stop all, side by side and for good; what an exchange under way is stopping is stopped when it is."""
        self._stopping = True
        for source in self:
            source.supervisor.stop()
        clock = asyncio.get_running_loop().time
        ends_at = clock() + seconds
        async with self._one_at_a_time:
            left = max(0.0, ends_at - clock())
            await asyncio.gather(*(source.stop(left) for source in self))


def _wiring(name: str, source: SourceSettings, settings: Settings) -> _Wiring:
    return _Wiring(
        source.connector_settings, settings.dead_letters.sources.get(name), settings.bridge.watchdog.stall_after
    )
