"""What a configuration says about a source that is posted to."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from connectors.auth import one_or_more
from connectors.duration import Duration
from connectors.http.auth import SourceAuth
from connectors.http.signature import signing_key
from hub.egress import Egress, EgressDefaults


def _origin(text: str) -> str:
    if re.fullmatch(r"https?://[^/\s@?#]+", text.lower()) is None:
        raise ValueError("not an origin; write scheme and host, such as https://app.example.com")
    return text.lower()


Origin = Annotated[str, AfterValidator(_origin)]
"""Of a web page (RFC 6454), in small letters as browsers write it."""


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("not a URL to post to; write https://HOST/PATH, without a user or a password")
    return text


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)


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
    auth: SourceAuth | None = None
    """What a sender has to show; without it all may post."""
    receive: Reception = Reception()
    """How many requests may be under way."""
    handshake: Handshake | None = None
    """Consent to web hooks that ask before they deliver."""
    allow_origins: tuple[Origin, ...] = ()
    """Web pages whose scripts may post."""
    answer_timeout: Annotated[Duration, Field(gt=0)] = 25.0
    """How long a request may wait for its events to be stored."""

    def behind(self, default: EgressDefaults) -> "HttpSettings":
        """With what `bridge.egress` says of the way to a provider whose tokens are good."""
        return self if self.auth is None else self.model_copy(update={"auth": self.auth.behind(default)})


_SHORTEST_SECRET = 16
"""Bytes."""


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(signing_key(secret.get_secret_value())) < _SHORTEST_SECRET:
        raise ValueError(f"a secret has {_SHORTEST_SECRET} bytes at least; write one that was made at random")
    return secret


SigningSecrets = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(_long_enough)], ...], BeforeValidator(one_or_more), Field(min_length=1)
]


class SinkUrl(_Settings, Egress):
    """A URL that reports are posted to, one a request; an answer of the 200s says that a report was taken.

    Requests are signed as Standard Webhooks says, by each of the secrets.
    """

    url: Annotated[str, AfterValidator(_url)]
    """Where reports are posted."""
    secret: SigningSecrets
    """What requests are signed with, 16 bytes at least; of a list each signs, so that a receiver can change over."""
    timeout: Annotated[Duration, Field(gt=0, le=60)] = 10.0
    """How long an answer may take."""
