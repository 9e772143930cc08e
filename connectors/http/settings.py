"""What a configuration says about a source that is posted to."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from connectors.duration import Duration
from connectors.size import Size

Secret = Annotated[SecretStr, Field(min_length=1)]


def _origin(text: str) -> str:
    if re.fullmatch(r"https?://[^/\s@?#]+", text.lower()) is None:
        raise ValueError("not an origin; write scheme and host, such as https://app.example.com")
    return text.lower()


Origin = Annotated[str, AfterValidator(_origin)]
"""Of a web page (RFC 6454), in small letters as browsers write it."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BasicAuth(_Settings):
    """HTTP Basic (RFC 7617)."""

    username: Annotated[str, Field(min_length=1, pattern=r"^[^:]+$")]
    """The name that a sender shows."""
    password: Secret
    """The secret that goes with it."""


class Auth(_Settings):
    """What a sender has to show: a bearer token (RFC 6750) or a name and password, one of the two."""

    bearer: Secret | None = None
    """A token that a sender shows in its Authorization header."""
    basic: BasicAuth | None = None
    """A name and a password instead (RFC 7617)."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.bearer is None) == (self.basic is None):
            raise ValueError("write either bearer or basic")
        return self


class Limits(_Settings):
    """`body` is in bytes for one request; `in_flight` counts requests that are being read or wait for their answer."""

    body: Annotated[Size, Field(gt=0)] = 1024 * 1024
    """The largest request that is read."""
    in_flight: Annotated[int, Field(ge=1)] = 200
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
    """Where to post, below the admin listener."""
    format: Literal["cloudevents", "plain"] = "plain"
    """CloudEvents and Event Grid in all their modes, or any body."""
    auth: Auth | None = None
    """What a sender has to show; without it all may post."""
    limits: Limits = Limits()
    """How large and how many requests may be."""
    handshake: Handshake | None = None
    """Consent to web hooks that ask before they deliver."""
    allow_origins: tuple[Origin, ...] = ()
    """Web pages whose scripts may post."""
    answer_timeout: Annotated[Duration, Field(gt=0)] = 25.0
    """How long a request may wait for its events to be stored."""
