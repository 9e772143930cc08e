"""Spans as data, and how a trace that comes in goes on here (W3C Trace Context, section 3.2)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from hub.trace_context import TraceContext

Value = str | int | float | bool | Sequence[str]

_RATIO_BITS = 56
"""The right-most 7 bytes of a trace id are random (W3C Trace Context, level 2, section 2.2.2.1)."""


class Kind(Enum):
    """What a span is to the other side, by its number in OTLP (`opentelemetry.proto.trace.v1.Span.SpanKind`)."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    CONSUMER = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One stretch of a trace, over; times are seconds since 1970 UTC.

    `context` is its own, with the tracestate that goes with its trace, and `parent` the traceparent above it, empty for
    the first of a trace. `links` are traceparents of other traces that it served. `trouble` says why it failed.
    """

    name: str
    kind: Kind
    context: TraceContext
    parent: str
    start: float
    end: float
    attributes: Mapping[str, Value]
    links: Sequence[str] = ()
    trouble: str = ""


@dataclass(slots=True)
class EventTrace:
    """Of one event, who sent it in which trace, our own place in that, and when each step of its way was over.

    `batch` is the traceparent of the transaction that it was stored in, with `together` other events.
    """

    parent: TraceContext
    context: TraceContext
    received: float
    decoded: float = 0.0
    routed: float = 0.0
    accepting: float = 0.0
    stored: float = 0.0
    batch: str = ""
    together: int = 0


def child_of(parent: TraceContext, *, ratio: float) -> TraceContext:
    """A span's context below `parent`, or at the beginning of a trace where there is none.

    Whether it is sampled says the parent; of traces that begin here it is the share `ratio`.
    """
    if parent.trace:
        return TraceContext(f"{parent.trace[:36]}{_span_id()}{parent.trace[52:]}", parent.tracestate)
    trace_id = random.getrandbits(128) or 1
    is_sampled = trace_id & ((1 << _RATIO_BITS) - 1) < ratio * (1 << _RATIO_BITS)
    return TraceContext(f"00-{trace_id:032x}-{_span_id()}-0{3 if is_sampled else 2}")


def _span_id() -> str:
    return f"{random.getrandbits(64) or 1:016x}"
