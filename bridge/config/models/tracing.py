"""`bridge.tracing`: where spans of what is done go, and of how much."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from bridge.config.section import Positive, Secret, Section, form
from hub.egress import Egress

_PATH = "/v1/traces"
_LOCAL = ("localhost", "127.0.0.1", "::1")
_FORM = "write the address of a collector that takes OTLP over HTTP, such as http://otel-collector:4318"


def _endpoint(url: str) -> str:
    if not url:  # `${env:OTEL_EXPORTER_OTLP_ENDPOINT:-}` without one
        return url
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"not an address; {_FORM}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"not an address; {_FORM}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a password stands in the address; write it to headers")
    return url


HeaderName = Annotated[str, form(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", "the name of a header")]


class Tracing(Section, Egress):
    """Spans of what is done with events, as OpenTelemetry has them, for a collector that takes OTLP over HTTP.

    Without it traces that come in go on to remote hubs, logs and dead letters, and no span is made.
    """

    endpoint: Annotated[str, AfterValidator(_endpoint)] = ""
    """The collector, such as http://otel-collector:4318; /v1/traces is added where it is not there. Empty: no spans."""
    headers: Mapping[HeaderName, Secret] = Field(default_factory=dict)
    """What each request shows, such as the key of a service; each value is a secret."""
    ratio: float = Field(default=1.0, ge=0, le=1)
    """The share of traces that begin here of which spans are kept; those that come in say it themselves."""
    max_queue: int = Field(default=10_000, ge=512, le=1_000_000)
    """How many spans wait at most, at about 2 KB each; more are lost, and counted."""
    timeout: Positive = 10.0
    """How long the collector may take to answer."""

    @model_validator(mode="after")
    def _check_collector(self) -> Self:
        if not self.endpoint:
            return self
        parts = urlsplit(self.endpoint)
        if self.headers and parts.scheme == "http" and parts.hostname not in _LOCAL:
            raise ValueError("headers hold a secret, which would go in clear: the endpoint has to be https")
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.proto") is None:
            raise ValueError("endpoint needs a library: install pushbridge[tracing]")
        return self

    @property
    def url(self) -> str:
        """Where spans are posted to (OpenTelemetry Protocol Exporter, "Endpoint URLs for OTLP/HTTP")."""
        base = self.endpoint.rstrip("/")
        return base if base.endswith(_PATH) else base + _PATH
