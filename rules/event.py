"""What goes into the rules: an event with CloudEvents names (CloudEvents 1.0, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hub.flow import Digest
from hub.frozen import frozen_dataclass
from rules.headers import with_headers


class _Missing:
    """The type of MISSING, which has a name in explanations."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()
"""What reading an event gives where there is no value."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """Data that nothing here can read, protobuf for example: it costs the rules that read it, not the event."""

    kind: str
    """What it is, in words: `binary data of the type application/protobuf`."""


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event, decoded and mapped.

    `origin` is the configured name of the source it came from (what a rule's `source:` names); `source` is the
    CloudEvents attribute. `data` is JSON-like (dict, list, str, int, float, bool, None, Decimal) or Opaque. `meta` holds
    the broker's properties, with application headers under `headers`, whose names compare without case. `trace` is a
    W3C traceparent or empty, `tracestate` what other tracing systems say beside it. `time` is aware UTC. `person` is the
    id of whom the event is about, empty where no `map` says it. `digest` is what a digest came to whose latest event this
    is; outside of one it is the event alone.
    """

    id: str
    origin: str
    source: str
    type: str
    subject: str = ""
    time: datetime
    data: Any = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    trace: str = ""
    tracestate: str = ""
    person: str = ""
    digest: Digest | None = None

    def __post_init__(self) -> None:
        if (meta := with_headers(self.meta)) is not self.meta:
            object.__setattr__(self, "meta", meta)
