"""The trace that an event or a send belongs to (W3C Trace Context, level 2), as its sender named it.

A context is two texts: `trace` is a `traceparent` of version 00, `tracestate` what other tracing systems say beside it.
Both are empty where there is no trace. A context that is not valid is none, as the standard asks (section 3.2.2.3): a
trace is never a reason to refuse an event.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

_TRACEPARENT: Final = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<more>-[ -~]{0,200})?"
)
_MEMBER: Final = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
"""Of one member alone: a pattern of the whole list could part the space between members in ways without end."""
MAX_TRACESTATE: Final = 512
"""Characters of a tracestate that are handed on; the standard asks for at least as many (section 3.3.1.5)."""

_NAMES: Final = ("traceparent", "Diagnostic-Id", "diagnostic-id")
"""`Diagnostic-Id` is the application property of Service Bus under which older Azure SDKs hand a traceparent on."""


class TraceContext(NamedTuple):
    """A `traceparent` and a `tracestate`, both empty where there is no trace."""

    trace: str = ""
    tracestate: str = ""


NO_TRACE: Final = TraceContext()


def trace_from(values: Mapping[str, Any]) -> TraceContext:
    """The context among headers, properties or attributes; `NO_TRACE` when there is none or it is not valid."""
    for name in _NAMES:
        value = values.get(name)
        if value is not None and (trace := _traceparent(value)):
            return TraceContext(trace, _tracestate(values.get("tracestate")))
    return NO_TRACE


def trace_id_of(trace: str) -> str:
    """The 32 hex digits that are the same in all of a trace; empty for none."""
    return trace[3:35]


def joined_trace(trace: str, tracestate: str) -> str | None:
    """Both as one text, as the store keeps them; None for none."""
    return (f"{trace} {tracestate}" if tracestate else trace) or None


def parted_trace(text: str | None) -> TraceContext:
    """What `joined_trace` joined."""
    if not text:
        return NO_TRACE
    trace, _, tracestate = text.partition(" ")
    return TraceContext(trace, tracestate)


def _traceparent(value: Any) -> str:
    """In the form of version 00; a later version begins with the same four fields (section 3.2.4)."""
    if not isinstance(value, str) or (found := _TRACEPARENT.fullmatch(value)) is None:
        return ""
    if found["version"] == "00":
        return "" if found["more"] else value
    return f"00-{found['trace']}-{found['span']}-{found['flags']}"


def _tracestate(value: Any) -> str:
    """Without its trace nobody knows what a broken one says: it is left out, and the trace goes on."""
    if not isinstance(value, str) or len(value) > MAX_TRACESTATE:
        return ""
    first, *others = (member.strip(" \t") for member in value.split(","))
    is_good = _MEMBER.fullmatch(first) and all(_MEMBER.fullmatch(each) for each in others if each)
    return value if is_good else ""


def is_sampled(trace: str) -> bool:
    """Whether spans of it are kept (section 3.2.2.5.1); not, for none."""
    return trace[-1:] in _ODD


_ODD: Final = frozenset("13579bdf")
