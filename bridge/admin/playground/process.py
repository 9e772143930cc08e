"""Processes of the playground: each reads or tries once, within bounds, and ends; none gets a secret or writes a file.

`bridge/trial/playground` is what runs in them. It lies above this package, so it is known by its name alone.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from bridge.config.watch import fingerprint
from bridge.observe.facts import PlaygroundOutcome, PlaygroundTried, ProcessObserver
from hub.errors import CapacityError, InvalidRequestError

MODULE: Final = "bridge.trial.playground"

MOST_OUTPUT: Final = 8 * 1024 * 1024
"""Bytes of one answer of such a process."""

MOST_SECONDS: Final = 30.0
"""How long one may take; a busy machine gives it what the daemon leaves."""

_RETRY_AFTER = 3.0
_STOPPED = {
    -signal.SIGXCPU: "the processor time that a try has",
    -signal.SIGKILL: "the processor time that a try has",  # both bounds on it are the same
    -signal.SIGALRM: "the time that a try has",
    3: "the memory that a try has",
}
"""By exit code; the last is `TOO_MUCH` of `bridge/trial/playground/confinement.py`."""


class TryStoppedError(Exception):
    """A try came to a limit of its process; the message says which, and what to look for."""


class TryFailedError(Exception):
    """A try ended without an answer: a mistake of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a draft begins with: the rules as they are written, and the rest without secrets."""

    configuration: str
    rules: str
    directory: str


class Playground:
    """Tries events on drafts, each for `most_seconds` at most; `paths` says where the configuration is, if anywhere."""

    def __init__(
        self,
        *,
        paths: Callable[[], Sequence[Path]],
        observer: ProcessObserver,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        self._most_seconds = most_seconds
        self._paths = paths
        self._observer = observer
        self._running = 0
        self._read: tuple[str, Draft] | None = None
        self._reading = asyncio.Lock()

    async def draft(self) -> Draft:
        """Of the files as they are now, read once for each change. Raises: InvalidRequestError, TryFailedError."""
        paths = [path.absolute() for path in self._paths()]
        if not paths:
            raise InvalidRequestError(
                "this process was not started from files of a configuration, so there is no draft"
            )
        async with self._reading:
            version = await asyncio.to_thread(fingerprint, paths)
            if self._read is None or self._read[0] != version:
                self._read = version, await self._draft(paths)
            return self._read[1]

    async def tried(
        self,
        asked: Mapping[str, Any],
        *,
        at_once: int,
        found: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]],
    ) -> tuple[dict[str, Any], Sequence[Any]]:
        """What came of a try, and what would leave for each audience that it asked for: `found` answers for them.

        Raises: CapacityError: so many run already; TryStoppedError; TryFailedError; InvalidRequestError.
        """
        if self._running >= at_once:
            self._observer.observe(PlaygroundTried(outcome=PlaygroundOutcome.BUSY))
            raise CapacityError(f"{at_once} tries run already: come again in some seconds", retry_after=_RETRY_AFTER)
        self._running += 1
        try:
            answer = await self._tried(asked, found)
        except TryStoppedError:
            self._observer.observe(PlaygroundTried(outcome=PlaygroundOutcome.STOPPED))
            raise
        except TryFailedError as error:
            self._observer.observe(PlaygroundTried(outcome=PlaygroundOutcome.FAILED, detail=str(error)))
            raise
        finally:
            self._running -= 1
        is_mistaken = any(each["severity"] == "error" for each in answer[0]["problems"])
        outcome = PlaygroundOutcome.MISTAKES if is_mistaken else PlaygroundOutcome.DONE
        self._observer.observe(PlaygroundTried(outcome=outcome))
        return answer

    async def _draft(self, paths: Sequence[Path]) -> Draft:
        async with _started("read", *map(str, paths), seconds=MOST_SECONDS) as process:
            said = await _line(process)
        if mistake := said.get("mistake"):
            raise InvalidRequestError(f"the configuration cannot be read: {mistake}")
        return Draft(**said)

    async def _tried(
        self, asked: Mapping[str, Any], found: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]
    ) -> tuple[dict[str, Any], Sequence[Any]]:
        draft = await self.draft()
        trusted = {"configuration": draft.configuration, "directory": draft.directory}
        async with _started("try", seconds=self._most_seconds) as process:
            await _send(process, trusted, asked)
            answer = await _line(process)
            if not answer["audiences"]:
                return answer, ()
            await _send(process, {"found": await found(answer["audiences"])})
            return answer, (await _line(process))["notifications"]


@asynccontextmanager
async def _started(*arguments: str, seconds: float) -> AsyncIterator[Process]:
    """A process with nothing of ours but the places of its modules; it is gone afterwards.

    Raises: TryStoppedError, TryFailedError.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-s", "-m", MODULE, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        cwd="/",
        env=_environment(),
        limit=MOST_OUTPUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            yield process
    except TimeoutError as error:
        raise TryStoppedError(_stopped(f"{seconds:g} s, the time that a try has")) from error
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _environment() -> dict[str, str]:
    """Where modules are, and nothing that an operator has set: no secret is in it."""
    return {"PYTHONPATH": os.pathsep.join(os.path.abspath(each) for each in sys.path), "PYTHONDONTWRITEBYTECODE": "1"}


async def _send(process: Process, *contents: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.writelines(orjson.dumps(content) + b"\n" for content in contents)
        await process.stdin.drain()
    except ConnectionError:
        pass  # it has ended, and its answer, which is asked for next, says how


async def _line(process: Process) -> dict[str, Any]:
    """Raises: TryStoppedError, TryFailedError."""
    assert process.stdout is not None
    try:
        line = await process.stdout.readline()
    except ValueError as error:
        raise TryStoppedError(_stopped(f"{MOST_OUTPUT // 2**20} MiB, all that an answer may have")) from error
    if line.endswith(b"\n"):
        said: dict[str, Any] = orjson.loads(line)
        return said
    code = await process.wait()
    if code in _STOPPED:
        raise TryStoppedError(_stopped(_STOPPED[code]))
    raise TryFailedError(f"the process ended without an answer, with exit code {code}")


def _stopped(bound: str) -> str:
    return f"it took more than {bound}, and was stopped: look for a pattern, a template or a list that grows"
