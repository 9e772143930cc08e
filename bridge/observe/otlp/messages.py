"""Spans in the words of the OpenTelemetry Protocol (OTLP 1.x, `opentelemetry.proto.collector.trace.v1`), as protobuf.

The only file that knows the OpenTelemetry package: it is loaded when the first spans are to be sent.
"""

from collections.abc import Iterable, Mapping, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from bridge.observe.redaction import clean
from bridge.observe.tracing.spans import Span, Value


def request_of(spans: Iterable[Span], resource: Mapping[str, str]) -> bytes:
    """The body of an export of spans of the process that `resource` describes."""
    scope = trace_pb2.ScopeSpans(scope=InstrumentationScope(name="pushbridge"), spans=map(_span, spans))
    described = Resource(attributes=_attributes(resource))
    exported = trace_pb2.ResourceSpans(resource=described, scope_spans=[scope])
    request: bytes = ExportTraceServiceRequest(resource_spans=[exported]).SerializeToString()
    return request


def rejected_in(body: bytes) -> tuple[int, str]:
    """Of a good answer, how many of the spans the collector did not take, and why (OTLP, "Partial Success")."""
    try:
        said = ExportTraceServiceResponse.FromString(body).partial_success
    except Exception:  # DecodeError, of whose module the versions differ: an answer in other words is no refusal
        return 0, ""
    return int(said.rejected_spans), str(said.error_message)


def _span(span: Span) -> trace_pb2.Span:
    trace, tracestate = span.context
    return trace_pb2.Span(
        trace_id=bytes.fromhex(trace[3:35]),
        span_id=bytes.fromhex(trace[36:52]),
        trace_state=tracestate,
        parent_span_id=bytes.fromhex(span.parent[36:52]),
        flags=int(trace[53:55], 16),
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind.value),
        start_time_unix_nano=_nanoseconds(span.start),
        end_time_unix_nano=_nanoseconds(max(span.start, span.end)),
        attributes=_attributes(span.attributes),
        links=[
            trace_pb2.Span.Link(trace_id=bytes.fromhex(link[3:35]), span_id=bytes.fromhex(link[36:52]))
            for link in span.links
        ],
        status=trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR, message=clean(span.trouble))
        if span.trouble
        else None,
    )


def _nanoseconds(seconds: float) -> int:
    return max(0, int(seconds * 1e6)) * 1000  # a float has no finer time than that


def _attributes(values: Mapping[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in values.items() if value != ""]


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=clean(each)) for each in value]))
    return AnyValue(string_value=clean(value))
