"""Structured logs: one JSON object a line, with secrets and personal data taken out on the way.

Modules log through `structlog.get_logger()`; libraries that use `logging` (pika, uvicorn) come out the same way. What
belongs to one event is bound once, with `structlog.contextvars.bound_contextvars(event_id=..., source=...)`.
"""

import json as stdlib_json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import orjson
import structlog

from bridge.redaction import redact

Level = Literal["debug", "info", "warning", "error"]

_LEVELS: Mapping[Level, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_TALKATIVE = ("pika", "httpx", "httpcore", "h2", "hpack", "asyncio", "uvicorn.error")
"""Libraries that log every step at `info`: heard from `warning` on, unless the level is `debug`."""


def configure(level: Level = "info", stream: TextIO | None = None, *, json: bool = True) -> None:
    """Send all logs from `level` on to `stream` (standard output unless given), one line each.

    A line has `timestamp` (ISO 8601, UTC), `level`, `event` (the message) and the context given. `json=False` writes
    for people instead, with the same things taken out. Call it before anything logs: a logger keeps the configuration
    of its first use.
    """
    threshold = _LEVELS[level]
    stream = stream or sys.stdout
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        _redacted,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = _as_json if json else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    _route_stdlib(threshold, stream, shared, renderer)


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


def _redacted(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return redact(event)


def _as_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    try:
        return orjson.dumps(event).decode()
    except orjson.JSONEncodeError:
        # Text with lone surrogates, integers beyond 64 bits: rare, and a log line never fails.
        return stdlib_json.dumps(event, default=str)
