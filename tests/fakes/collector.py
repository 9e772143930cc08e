"""An OpenTelemetry collector as a test sees it: it takes OTLP over HTTP, reads the protobuf, and keeps the spans."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSpan:
    """A span as it came; ids are hex, `parent` is empty for the first of a trace, `links` are (trace, span)."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    tracestate: str
    start: int
    end: int
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    trouble: str
    service: str


@dataclass
class Collector:
    """`async with Collector() as collector`; each request is answered as `answer` says: a status and a body."""

    answer: Callable[[], tuple[int, bytes]] = lambda: (200, b"")
    spans: list[SeenSpan] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    """While it is cleared, no request is answered."""

    async def __aenter__(self) -> Self:
        collector = self
        self.hold.set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.paths.append(self.path)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                collector.hold.wait()
                status, said = collector.answer()
                if status < 300:
                    collector.spans += spans_in(body)
                self.send_response(status)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.hold.set()
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def of(self, trace: str) -> dict[str, SeenSpan]:
        """The spans of a trace, by name."""
        return {span.name: span for span in self.spans if span.trace == trace}

    async def until(self, found: Callable[[], bool]) -> None:
        """Wait until it is so."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not found():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError([(span.trace, span.name) for span in self.spans]) from None


def spans_in(body: bytes) -> list[SeenSpan]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        SeenSpan(
            name=span.name,
            kind=span.kind,
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            tracestate=span.trace_state,
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            attributes={each.key: _value(each.value) for each in span.attributes},
            links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
            trouble=span.status.message if span.status.code == 2 else "",
            service=next(_value(each.value) for each in resource.resource.attributes if each.key == "service.name"),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)
