"""Structured logs: one JSON object a line, with secrets and personal data taken out on the way.

Modules log through `structlog.get_logger()`; libraries that use `logging` (pika, uvicorn) come out the same way.
"""

import asyncio
import io
import json as stdlib_json
import logging
import sys
import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TextIO

import orjson

from bridge.config.models.process import LogLevel
from bridge.logger import structlog
from bridge.observe.redaction import clean, redact

_LEVELS: Mapping[LogLevel, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_TALKATIVE = ("azure", "pika", "httpx", "httpcore", "h2", "hpack", "asyncio", "uvicorn.error")
"""Libraries that log every step at `info`: heard from `warning` on, unless the level is `debug`."""


def configure(level: LogLevel = "info", stream: TextIO | None = None, *, json: bool = True) -> None:
    """Send all logs from `level` on to `stream` (standard output unless given), one line each.

    A line has `timestamp` (ISO 8601, UTC), `level`, `event` (the message) and the context given. `json=False` writes
    for people instead, with the same things taken out. Call it before anything logs: a logger keeps the configuration
    of its first use.
    """
    threshold = _LEVELS[level]
    stream = stream or sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        # JSON is UTF-8 whatever the locale is (RFC 8259, section 8.1), and no character may cost a line.
        stream.reconfigure(encoding="utf-8" if json else None, errors="backslashreplace")
    shared: list[structlog.typing.Processor] = [_completed]
    renderer: structlog.typing.Processor = _as_json if json else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    writer = _TickWriter(stream)
    processors = [*shared, renderer]
    global _in_force
    _in_force = _Configured(threshold, writer, processors)
    structlog.configure(
        processors=processors,
        wrapper_class=_plain_logger(threshold),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    _route_stdlib(threshold, stream, shared, renderer)


def info_lines(event: str, lines: Sequence[dict[str, Any]]) -> None:
    """Lines of one kind at level `info`, as a logger writes them, for a fraction of the cost: there are several an event.

    The caller answers for the names of the fields: none is that of a secret. Values are texts, numbers, sequences of texts,
    or mappings from names of ours to numbers. Texts are cleaned here, because others may have written them. The lines
    belong to this function from then on.
    """
    now = _in_force
    if now is None or not (now.writer.has_known or now.writes_json):  # for people, or in a test
        for line in lines:
            _log.info(event, **line)
    elif now.threshold <= logging.INFO:
        for line in lines:
            for name, value in line.items():
                if type(value) is str:
                    if not value.isalnum():
                        line[name] = clean(value)
                elif type(value) in _SEQUENCES:
                    line[name] = [clean(each) for each in value]
            line["event"] = event
        now.writer.write(lines)


def error_at_once(event: str, **line: Any) -> None:
    """An error from another thread than the event loop's, while that one may never come to write what it has."""
    now = _in_force
    if now is None or not now.writes_json:
        _log.error(event, **line)
        return
    now.writer.write_at_once(_as_json(None, "error", dict(_completed(None, "error", {"event": event, **line}))))


def _as_lines(known: Sequence[dict[str, Any]]) -> str:
    """Lines of `info_lines` as JSON; they have one time, for they are of one turn of the event loop."""
    at = _timestamp()
    for line in known:
        line["level"] = "info"
        line["timestamp"] = at
    try:
        return b"\n".join(map(orjson.dumps, known)).decode()
    except orjson.JSONEncodeError:
        return "\n".join([_as_json(None, "info", line) for line in known])


_SEQUENCES = frozenset([list, tuple])


class _TickWriter:
    """Writes the lines of one turn of the event loop together: a batch of events is one system call, not hundreds.

    Outside of a loop each line is written at once.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._parts: list[str | list[dict[str, Any]]] = []

    def msg(self, line: str) -> None:
        self._parts.append(line)
        if len(self._parts) == 1:
            self._flush_soon()

    log = debug = info = warning = error = critical = exception = fatal = warn = failure = err = msg

    @property
    def has_known(self) -> bool:
        """Whether lines of `info_lines` came last in this turn: what was asked for them holds for the next ones."""
        return bool(self._parts) and type(self._parts[-1]) is list

    def write(self, known: Sequence[dict[str, Any]]) -> None:
        """Lines of `info_lines`; neighbours become text together."""
        parts = self._parts
        if parts and type(parts[-1]) is list:
            parts[-1].extend(known)
            return
        parts.append(list(known))
        if len(parts) == 1:
            self._flush_soon()

    def write_at_once(self, line: str) -> None:
        """Before the lines that wait for the end of the turn."""
        self._stream.write(line + "\n")
        self._stream.flush()

    def _flush_soon(self) -> None:
        """At the end of the turn, which its first line asks for."""
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:
            self.flush()

    def flush(self) -> None:
        parts, self._parts = self._parts, []
        self._stream.write("\n".join([part if isinstance(part, str) else _as_lines(part) for part in parts]) + "\n")
        self._stream.flush()


@dataclass(frozen=True, slots=True)
class _Configured:
    """What `configure` was asked for last."""

    threshold: int
    writer: _TickWriter
    processors: Sequence[structlog.typing.Processor]

    @property
    def writes_json(self) -> bool:
        """Whether it is still so; tests put processors of their own into the list, or another list in its place."""
        return structlog.get_config()["processors"] is self.processors and self.processors[-1] is _as_json


_in_force: _Configured | None = None
_log = structlog.get_logger("pushbridge")


def _route_stdlib(
    threshold: int, stream: TextIO, shared: list[structlog.typing.Processor], renderer: structlog.typing.Processor
) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(threshold if threshold <= logging.DEBUG else max(threshold, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True


def _plain_logger(threshold: int) -> type[structlog.typing.FilteringBoundLogger]:
    """structlog's loggers with one call a line: theirs takes three, and copies the fields twice."""

    class PlainLogger(structlog.make_filtering_bound_logger(threshold)):  # type: ignore[misc]  # a class made when called
        def _proxy_to_logger(self, method_name: str, event: str | None = None, **line: Any) -> Any:
            if self._context:
                line = {**self._context, **line}
            line["event"] = event
            try:
                for process in self._processors:
                    line = process(self._logger, method_name, line)
            except structlog.DropEvent:
                return
            self._logger.msg(line)

    return PlainLogger


def _completed(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What may be shown of a line, with its traceback, level and time."""
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, method, event)
    line = redact(event)
    line["level"] = method
    line["timestamp"] = _timestamp()
    return line


def _timestamp() -> str:
    second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_to_the_second(second)}.{nanoseconds // 1000:06d}Z"


@lru_cache(maxsize=2)
def _to_the_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _as_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    try:
        return orjson.dumps(event).decode()
    except orjson.JSONEncodeError:
        # Text with lone surrogates, integers beyond 64 bits: rare, and a log line never fails.
        return stdlib_json.dumps(event, default=str)
