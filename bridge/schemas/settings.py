"""What a configuration says of a schema registry: where it is, and who we are."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from connectors.auth import Secret, one_or_more
from connectors.duration import Duration
from hub.egress import Egress


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.username is not None:
        raise ValueError("a URL is shown in logs: write user and password at registry.auth.basic")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("not a URL of a registry; write https://HOST:PORT, or with a path")
    return text.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BasicCredential(_Settings):
    """HTTP Basic (RFC 7617)."""

    username: Annotated[str, Field(min_length=1, pattern=r"^[^:]+$")]
    """The name that the registry knows us by; of Confluent Cloud the API key."""
    password: Secret
    """The secret that goes with it; better read from a file."""


class RegistryAuth(_Settings):
    """Who we are: a bearer token (RFC 6750) or a name and password, one of the two."""

    bearer: Secret | None = None
    """The token that is shown in the Authorization header; better read from a file."""
    basic: BasicCredential | None = None
    """A name and a password instead (RFC 7617)."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.bearer is None) == (self.basic is None):
            raise ValueError("write either bearer or basic")
        return self


class RegistrySettings(Egress):
    """A registry that speaks the HTTP API of Confluent's. Of several URLs the next is asked where one does not answer."""

    url: Annotated[tuple[BaseUrl, ...], BeforeValidator(one_or_more), Field(min_length=1)]
    """Where the registry is, or a list of its instances."""
    auth: RegistryAuth | None = None
    """Who we are, where the registry wants to know."""
    timeout: Annotated[Duration, Field(gt=0, le=60)] = 5.0
    """How long an answer may take."""
    give_up_after: Annotated[Duration, Field(gt=0)] | None = None
    """How long messages wait for an id that the registry does not know, before they are dead letters; unset, for ever."""
