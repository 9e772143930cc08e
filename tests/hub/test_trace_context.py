"""W3C Trace Context as senders write it, well and badly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.trace_context import NO_TRACE, TraceContext, joined_trace, parted_trace, trace_from, trace_id_of

ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACE = f"00-{ID}-{SPAN}-01"


@pytest.mark.parametrize(
    "values, expected",
    [
        ({"traceparent": TRACE}, (TRACE, "")),
        ({"traceparent": TRACE, "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}, (TRACE, ...)),
        ({"traceparent": TRACE, "tracestate": "a@b=1 , ,c=2"}, (TRACE, ...)),
        ({"traceparent": TRACE, "tracestate": ""}, (TRACE, "")),
        ({"traceparent": TRACE, "tracestate": "no member"}, (TRACE, "")),
        ({"traceparent": TRACE, "tracestate": "a=1\r\nx: y"}, (TRACE, "")),
        ({"traceparent": TRACE, "tracestate": "a=\u00e9"}, (TRACE, "")),
        ({"traceparent": TRACE, "tracestate": "a=" + "x" * 511}, (TRACE, "")),
        ({"traceparent": TRACE, "tracestate": 7}, (TRACE, "")),
        ({"tracestate": "a=1"}, NO_TRACE),
        ({"Diagnostic-Id": TRACE}, (TRACE, "")),
        ({"diagnostic-id": TRACE}, (TRACE, "")),
        ({"Diagnostic-Id": f"|{ID}.{SPAN}."}, NO_TRACE),  # the form before W3C, which has no such ids
        ({"Diagnostic-Id": TRACE.replace("b7", "c8"), "traceparent": TRACE}, (TRACE, "")),
        ({"traceparent": "broken", "Diagnostic-Id": TRACE}, (TRACE, "")),
        ({"traceparent": f"cc-{ID}-{SPAN}-01-what-comes-later"}, (TRACE, "")),
        ({"traceparent": f"cc-{ID}-{SPAN}-01"}, (TRACE, "")),
        ({"traceparent": f"cc-{ID}-{SPAN}-01x"}, NO_TRACE),
        ({"traceparent": f"{TRACE}-more"}, NO_TRACE),
        ({"traceparent": b"bytes"}, NO_TRACE),
    ],
)
def test_a_context_is_taken_where_it_is_valid(values: dict[str, object], expected: tuple[object, object]) -> None:
    trace, tracestate = expected
    assert trace_from(values) == (trace, values["tracestate"] if tracestate is ... else tracestate)


@given(trace=st.text(), state=st.text())
def test_no_header_breaks_and_what_is_handed_on_is_one_line_of_ascii(trace: str, state: str) -> None:
    for given_trace in (trace, TRACE):
        found = trace_from({"traceparent": given_trace, "tracestate": state})
        assert all(text.isascii() and text.replace("\t", " ").isprintable() for text in found)


@pytest.mark.parametrize("context", [NO_TRACE, TraceContext(TRACE), TraceContext(TRACE, "a=1 , b=2")])
def test_both_texts_are_kept_as_one(context: TraceContext) -> None:
    assert parted_trace(joined_trace(*context)) == context
    assert trace_id_of(context.trace) == (ID if context.trace else "")
