"""Another configuration without a restart: validate, build, exchange, and keep the old one on any mistake."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bridge.config.load import check
from bridge.config.memory import kept
from bridge.config.models.credentials import ListenerTls
from bridge.config.models.document import TAKES_A_RESTART, Settings
from bridge.config.models.listeners import ListenerSettings
from bridge.config.models.store import StoreSettings
from bridge.config.watch import ConfigWatch
from bridge.logger import structlog
from rules.document import Paths, files_of, says_nothing, shown
from rules.problems import Problem, Severity
from rules.read_files import ReadFiles

_LOOK_EVERY = 1.0
_MOST_LOGGED = 100

_log = structlog.get_logger("pushbridge")


class Reloadable(Protocol):
    """What takes a new configuration, whole or not at all."""

    async def apply(self, settings: Settings, *, config_hash: str) -> Sequence[str]:
        """Run by it from now on; return the keys whose change needs a restart. If this raises, the old one is in force."""


class Reloaded(NamedTuple):
    """Whether a configuration is in force now, every mistake and warning it had, and which keys wait for a restart."""

    applied: bool
    complaints: Sequence[str]
    restart: Sequence[str] = ()


class Refusal(NamedTuple):
    """Since when a configuration is refused, in seconds since 1970 UTC, and what mistakes were found last."""

    since: float
    mistakes: Sequence[str]


class _Read(NamedTuple):
    """What reading gave: the settings, None where they are refused, and the files that said something."""

    settings: Settings | None
    config_hash: str = ""
    complaints: Sequence[str] = ()
    mistakes: Sequence[str] = ()
    speaking: frozenset[str] = frozenset()

    @classmethod
    def failed(cls, error: Exception) -> "_Read":
        """What could not be read or applied, whatever the reason."""
        said = [f"could not be applied: {type(error).__name__}: {error}"]
        return cls(settings=None, complaints=said, mistakes=said)


class Reloader:
    """Applies the configuration at `path` whenever its files or those it names change, on SIGHUP, and on `POST /-/reload`.

    What was cut off while it was written is not taken for the wish to stop everything: a file that had something in it and
    has nothing now is a mistake, and so is a configuration without sources, rules and hubs.
    `config_hash` is the fingerprint of what is in force, and `files` are those that it names. `on_result` gets after each
    try whether it was valid and applied. `refusal` is None once a try went well.
    """

    def __init__(
        self,
        path: Paths,
        target: Reloadable,
        *,
        config_hash: str,
        files: ReadFiles,
        on_result: Callable[[bool], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._target = target
        self._on_result = on_result
        self._clock = clock
        self._watch = ConfigWatch(path, read=config_hash, files=files)
        self._in_force = _files_of(path)
        """The files that said something when they were read last."""
        self.refusal: Refusal | None = None
        self._asked = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    @property
    def paths(self) -> Sequence[Path]:
        """Where the configuration is."""
        return [self._path] if isinstance(self._path, Path) else self._path

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """`POST /-/reload`: 200 with the keys that wait for a restart, or 400 with every mistake."""
        return [Route("/-/reload", self._reload, methods=["POST"])]

    async def run(self) -> None:
        """Until cancelled."""
        with suppress(NotImplementedError, AttributeError):  # no such signal on this system
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._asked.wait()
            if self._asked.is_set() or await asyncio.to_thread(self._watch.changed):
                self._asked.clear()
                await self.reload()

    async def reload(self) -> Reloaded:
        """Read and check it; the old one stays in force unless the new one is valid and could be applied."""
        async with self._one_at_a_time:
            with kept():
                read = await asyncio.to_thread(self._read)
            applied = read.settings is not None
            restart: Sequence[str] = ()
            if read.settings is not None:
                try:
                    restart = await self._target.apply(read.settings, config_hash=read.config_hash)
                    self._in_force = read.speaking
                except Exception as error:  # whatever it is, the events go on by the old one
                    applied = False
                    read = _Read.failed(error)
            if applied:
                self.refusal = None
            else:
                since = self._clock() if self.refusal is None else self.refusal.since
                self.refusal = Refusal(since, read.mistakes)
                _log.error("configuration refused", problems=_named(read))
            self._on_result(applied)
            return Reloaded(applied, read.complaints, restart)

    def _read(self) -> "_Read":
        """Read and check everything; for a thread, as ten thousand rules take seconds."""
        try:
            files = self._watch.renew()
            settings, problems = check(self._path, files=files)
            lost = [] if settings is None else self._lost(settings, problems)
            return _Read(
                settings=None if lost else settings,
                config_hash=self._watch.read,
                complaints=[*map(str, problems), *lost],
                mistakes=lost or [str(problem) for problem in problems if problem.severity is Severity.ERROR],
                speaking=_files_of(self._path) - _silent(problems),
            )
        except Exception as error:
            return _Read.failed(error)

    def _lost(self, settings: Settings, problems: Sequence[Problem]) -> list[str]:
        """What is not there any more though its file is: as after a full disk, or a copy that was cut off."""
        said = "nothing is left of what this file held, and all of it stays in force (delete the file if that is meant)"
        lost = [f"{file}:1:1: {said}" for file in sorted(self._in_force & _silent(problems))]
        if not lost and not (settings.sources or settings.rules.rules or settings.hubs):
            lost = [
                f"{shown(self._path)}: neither sources nor rules nor hubs are left (stop the daemon if that is meant)"
            ]
        return lost

    async def _reload(self, request: Request) -> Response:
        result = await self.reload()
        content = {"applied": result.applied, "problems": result.complaints, "restart": result.restart}
        return JSONResponse(content, 200 if result.applied else 400)


def waiting_for_restart(started_by: Settings, settings: Settings) -> list[str]:
    """The keys that say something else than at the start, and that only another start takes up."""
    kept = [part for part in TAKES_A_RESTART if _as_kept(settings, part) != _as_kept(started_by, part)]
    has_api, needs_api = (any(hub.is_kept_here for hub in each.hubs.values()) for each in (started_by, settings))
    return [*kept, "hubs (there was no listener for their API)"] if needs_api and not has_api else kept


def _as_kept(settings: Settings, part: str) -> object:
    """What a key says, but for what is in files that are read again: a listener's certificate, which is exchanged while it
    listens, and those of the store, which each connection reads."""
    said = attrgetter(part)(settings)
    if isinstance(said, StoreSettings) and said.tls is not None:
        files = [str(file) for file in (said.tls.ca_file, said.tls.cert, said.tls.key)]
        return said.model_copy(update={"tls": None}), files
    if isinstance(said, ListenerTls):
        return True
    return said.model_copy(update={"tls": said.tls is not None}) if isinstance(said, ListenerSettings) else said


def _named(read: _Read) -> Sequence[str]:
    """What a line of the log takes, the mistakes ahead of the warnings: ten thousand rules may have as many of both."""
    said = [*dict.fromkeys([*read.mistakes, *read.complaints])]
    more = len(said) - _MOST_LOGGED
    return said if more <= 0 else [*said[:_MOST_LOGGED], f"and {more} more: `pushbridge check` names them"]


def _files_of(path: Paths) -> frozenset[str]:
    try:
        return frozenset(map(str, files_of(path)))
    except OSError:  # gone this moment: the next reading says so
        return frozenset()


def _silent(problems: Sequence[Problem]) -> frozenset[str]:
    return frozenset(problem.mark.file for problem in problems if says_nothing(problem))
