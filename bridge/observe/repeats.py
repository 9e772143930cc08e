"""Warnings that repeat: the first few of a cause are written, and then how many more there were."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from bridge.logger import structlog

MOST = 10
"""Lines of one cause that are written of each `SECONDS`."""
SECONDS = 10.0
_MAX_CAUSES = 500
"""Causes that are told apart in one time. More of them share one count for each kind of line, source and hub: what floods
one source hides no other's."""
_MAX_COUNTS = 2 * _MAX_CAUSES
_PLACES = ("source", "hub")

_OF_ONE = frozenset(
    {
        "event_id",
        "notification_id",
        "message_id",
        "position",
        "trace_id",
        "outcomes",
        "due_at",
        "given",
        "registrations",
        "failed",
    }
)
"""Fields that tell one event from another and say nothing of the cause."""

_log = structlog.get_logger("pushbridge")


class RepeatedWarnings:
    """Writes warnings of events and notifications, of which a wrong key or a bad release brings thousands of one cause.

    Lines are of one cause when they differ in the fields alone that name one event or notification. Of each cause `MOST`
    are written in `SECONDS`. At the end of that time one line says how many were left out, and what they have in common.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, ...], tuple[int, str, dict[str, Any]]] = {}
        self._ends = 0.0
        self._ending: asyncio.TimerHandle | None = None

    def warning(self, event: str, **line: Any) -> None:
        """Write the line, or count it."""
        if self._clock() >= self._ends:
            self.end()
            self._begin()
        cause = {name: value for name, value in line.items() if name not in _OF_ONE}
        key = _key(event, cause)
        if key not in self._counts and len(self._counts) >= _MAX_CAUSES:
            cause = {name: cause[name] for name in _PLACES if name in cause}
            key = _key(event, cause)
            if key not in self._counts and len(self._counts) >= _MAX_COUNTS:
                key, cause = (event,), {}
        count = self._counts.get(key, (0,))[0]
        self._counts[key] = count + 1, event, cause
        if count < MOST:
            _log.warning(event, **line)

    def end(self) -> None:
        """Say what was left out until now; call it when nothing comes any more."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        counts, self._counts = self._counts, {}
        for count, event, cause in counts.values():
            if count > MOST:
                _log.warning("more such lines left out", line=event, times=count - MOST, **cause)

    def _begin(self) -> None:
        self._ends = self._clock() + SECONDS
        with suppress(RuntimeError):  # outside of a loop the next line ends the time
            self._ending = asyncio.get_running_loop().call_later(SECONDS, self._run_out)

    def _run_out(self) -> None:
        self._ends = 0.0
        self.end()


def _key(event: str, cause: Mapping[str, Any]) -> tuple[str, ...]:
    return (event, *(f"{name}={value}" for name, value in cause.items()))
