"""What a configuration says of a schema registry: where it is, and who we are."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from connectors.auth import Auth, one_or_more
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


class RegistrySettings(Egress):
    """A registry that speaks the HTTP API of Confluent's. Of several URLs the next is asked where one does not answer."""

    url: Annotated[tuple[BaseUrl, ...], BeforeValidator(one_or_more), Field(min_length=1)]
    """Where the registry is, or a list of its instances."""
    auth: Auth | None = None
    """Who we are, where the registry wants to know."""
    timeout: Annotated[Duration, Field(gt=0, le=60)] = 5.0
    """How long an answer may take."""
    give_up_after: Annotated[Duration, Field(gt=0)] | None = None
    """How long messages wait for an id that the registry does not know, before they are dead letters; unset, for ever."""
