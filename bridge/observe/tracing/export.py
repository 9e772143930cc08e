"""Spans on their way to a collector (OTLP over HTTP), from a thread of its own: what is slow there delays nothing here.

Spans wait in a bounded queue. What finds it full, and what the collector does not take within a few tries, is lost and
counted; nothing else is.
"""

import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from bridge.config.models.tracing import Tracing
from bridge.observe.facts import SpanOutcome
from bridge.observe.tracing.spans import Span
from hub.tls import Tls

if TYPE_CHECKING:
    import httpx

TOGETHER: Final = 512
"""Spans of one request, as the batch processor of OpenTelemetry has it."""

_EVERY: Final = 1.0
"""Seconds after which fewer go too."""

_TRIES: Final = 3
_AGAIN: Final = frozenset([429, 502, 503, 504])
"""Answers after which the same spans may be sent again (OTLP, "Retryable Response Codes")."""

_MAX_WAIT: Final = 5.0
_MAX_ANSWER: Final = 64 * 1024


class Sent(NamedTuple):
    """What became of spans, and the collector's trouble, empty where it has none."""

    counts: Mapping[SpanOutcome, int]
    trouble: str


class _Answer(NamedTuple):
    outcome: SpanOutcome
    trouble: str = ""
    refused: int = 0
    may_be_repeated: bool = False


class SpanExport:
    """Sends spans to the endpoint of `settings`; `report` is called in the thread, once for each batch.

    The thread begins with the first span: a process without traffic needs none.
    """

    def __init__(
        self,
        settings: Tracing,
        resource: Mapping[str, str],
        *,
        report: Callable[[Sent], None],
        pause: float = 1.0,
    ) -> None:
        self._settings = settings
        self._resource = resource
        self._report = report
        self._pause = pause
        self._queue: deque[Span] = deque()
        self._lost = 0
        self._wake = threading.Condition()
        self._closing = False
        self._connection: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def put(self, spans: Sequence[Span]) -> None:
        """Returns at once. Called in one thread."""
        room = self._settings.max_queue - len(self._queue)
        with self._wake:
            self._queue.extend(spans[:room] if room > 0 else ())
            self._lost += max(0, len(spans) - max(0, room))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
                self._thread.start()
            elif len(self._queue) >= TOGETHER:
                self._wake.notify()

    def close(self, seconds: float) -> None:
        """Send what waits, for so long at most; the rest is lost. Blocks."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        client: httpx.Client | None = None
        while True:
            with self._wake:
                if len(self._queue) < TOGETHER and not self._closing:
                    self._wake.wait(_EVERY)
                batch = [self._queue.popleft() for _ in range(min(TOGETHER, len(self._queue)))]
                lost, self._lost = self._lost, 0
                if not batch and self._closing:
                    break
            if batch:
                try:
                    client = client or self._client()
                    answer = self._send(client, batch)
                except OSError as error:  # a file of the TLS settings is gone
                    answer = _Answer(SpanOutcome.UNREACHABLE, f"TLS: {error}")
                self._tell(answer, len(batch), lost)
            elif lost:
                self._tell(_Answer(SpanOutcome.EXPORTED), 0, lost)
        if client is not None:
            client.close()

    def _tell(self, answer: _Answer, count: int, lost: int) -> None:
        counts = {answer.outcome: count - answer.refused}
        if answer.refused:
            counts[SpanOutcome.REFUSED] = counts.get(SpanOutcome.REFUSED, 0) + answer.refused
        if lost:
            counts[SpanOutcome.QUEUE_FULL] = lost
        self._report(Sent({outcome: number for outcome, number in counts.items() if number}, answer.trouble))

    def _client(self) -> "httpx.Client":
        """Raises: OSError."""
        import httpx

        settings = self._settings
        parts = urlsplit(settings.url)
        proxy = settings.proxy_for(parts.hostname or "")
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        return httpx.Client(
            verify=(settings.tls or Tls()).client_context() if parts.scheme == "https" else False,
            proxy=None if proxy is None else proxy.url,
            trust_env=False,
            timeout=settings.timeout,
            headers={"User-Agent": "pushbridge", "Accept-Encoding": "identity"}
            | headers
            | {"Content-Type": "application/x-protobuf"},
        )

    def _send(self, client: "httpx.Client", batch: Sequence[Span]) -> _Answer:
        from bridge.observe.otlp.messages import request_of

        body = request_of(batch, self._resource)
        answer = _Answer(SpanOutcome.UNREACHABLE)
        for number in range(_TRIES):
            answer = self._post(client, body)
            if not answer.may_be_repeated or number == _TRIES - 1:
                break
            with self._wake:
                if self._closing:
                    break
                self._wake.wait_for(lambda: self._closing, min(_MAX_WAIT, self._pause * 2**number))
        return answer

    def _post(self, client: "httpx.Client", body: bytes) -> _Answer:
        """One try. Never raises: a fault of the collector's is no fault of ours."""
        is_late = threading.Event()

        def late() -> None:
            is_late.set()
            self._cut()

        timer = threading.Timer(self._settings.timeout, late)
        timer.daemon = True
        timer.start()
        try:
            answer = self._exchange(client, body)
        finally:
            timer.cancel()
        if is_late.is_set():
            trouble = f"no whole answer within {self._settings.timeout:g} s"
            return _Answer(SpanOutcome.UNREACHABLE, trouble, may_be_repeated=True)
        return answer

    def _connected(self, event: str, said: dict[str, Any]) -> None:
        """Keeps the connection that was made last (httpcore's extension `trace`)."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._connection = said["return_value"].get_extra_info("socket")

    def _cut(self) -> None:
        """A timeout of the client's is for one read: a collector that says a byte now and then would hold the thread."""
        if self._connection is not None:
            with suppress(OSError):  # closed by now
                self._connection.shutdown(socket.SHUT_RDWR)

    def _exchange(self, client: "httpx.Client", body: bytes) -> _Answer:
        import httpx

        from bridge.observe.otlp.messages import rejected_in

        extensions = {"trace": self._connected}
        try:
            with client.stream("POST", self._settings.url, content=body, extensions=extensions) as response:
                said = b""
                for part in response.iter_raw():
                    said += part
                    if len(said) > _MAX_ANSWER:
                        break
                status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return _Answer(SpanOutcome.UNREACHABLE, str(error) or type(error).__name__, may_be_repeated=True)
        if 200 <= status < 300:
            refused, why = rejected_in(said)
            return _Answer(SpanOutcome.EXPORTED, why if refused else "", refused)
        again = status in _AGAIN
        outcome = SpanOutcome.UNREACHABLE if again else SpanOutcome.REFUSED
        return _Answer(outcome, f"HTTP {status}", may_be_repeated=again)
