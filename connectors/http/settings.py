"""What a configuration says about a source that is posted to."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from connectors.auth import Auth
from connectors.duration import Duration


def _origin(text: str) -> str:
    if re.fullmatch(r"https?://[^/\s@?#]+", text.lower()) is None:
        raise ValueError("not an origin; write scheme and host, such as https://app.example.com")
    return text.lower()


Origin = Annotated[str, AfterValidator(_origin)]
"""Of a web page (RFC 6454), in small letters as browsers write it."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Reception(_Settings):
    """How much is taken at a time."""

    max_in_flight: Annotated[int, Field(ge=1)] = 200
    """Requests that are read or wait for their answer, at most."""


class Handshake(_Settings):
    """Who may ask for deliveries to this path (CloudEvents web hooks 1.0, section 4).

    `allow_origins` are host names as the sender gives them, or `*` for anybody. `rate` is in requests a minute; None
    sets no limit.
    """

    allow_origins: Annotated[tuple[str, ...], Field(min_length=1)]
    """Hosts that may ask for deliveries, or * for all."""
    rate: Annotated[int, Field(ge=1)] | None = None
    """Requests a minute that a sender is allowed; without it as many as it likes."""

    def allows(self, origin: str) -> bool:
        return "*" in self.allow_origins or origin.lower() in (allowed.lower() for allowed in self.allow_origins)


class HttpSettings(_Settings):
    """Where a source is posted to, and what it takes.

    `cloudevents` takes structured, binary and batched CloudEvents and the Event Grid schema; `plain` takes any body.
    Without a `handshake`, senders that ask for consent get none. `allow_origins` are the web pages that may post, such
    as `https://app.example.com`; without it no browser may. `answer_timeout` is in seconds, below the 30 that
    Event Grid waits.
    """

    path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)+$")]
    """Where to post, on `listeners.intake`, or on the admin listener where that is not set."""
    format: Literal["cloudevents", "plain"] = "plain"
    """CloudEvents and Event Grid in all their modes, or any body."""
    auth: Auth | None = None
    """What a sender has to show; without it all may post."""
    receive: Reception = Reception()
    """How many requests may be under way."""
    handshake: Handshake | None = None
    """Consent to web hooks that ask before they deliver."""
    allow_origins: tuple[Origin, ...] = ()
    """Web pages whose scripts may post."""
    answer_timeout: Annotated[Duration, Field(gt=0)] = 25.0
    """How long a request may wait for its events to be stored."""
