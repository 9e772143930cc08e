"""Tokens for OAUTHBEARER (RFC 7628): of an authority with client credentials, or of the machine's identity in Azure."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
from aiokafka.abc import AbstractTokenProvider

from connectors.errors import AuthenticationError, NotConnectedError
from connectors.kafka.settings import Brokers, OAuth

_SPARE = 60.0
"""Seconds before its end at which a token is replaced."""

Fetch = Callable[[], Awaitable[tuple[str, float]]]
"""A token, and the seconds that it is good for."""


class Tokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """Keeps a token as long as it is good. aiokafka asks with each connection.

    aiokafka passes on what is raised here as a connection that failed, so `trouble` keeps it.
    """

    def __init__(self, fetch: Fetch, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._token, self._until = "", float("-inf")
        self._one_at_a_time = asyncio.Lock()
        self.trouble: Exception | None = None

    async def token(self) -> str:
        async with self._one_at_a_time:
            if self._monotonic() >= self._until:
                try:
                    self._token, good_for = await self._fetch()
                except Exception as error:
                    self.trouble = error
                    raise
                self.trouble = None
                self._until = self._monotonic() + max(good_for - _SPARE, good_for / 2)
            return self._token


def tokens_for(settings: Brokers, timeout: float) -> Tokens | None:
    """What the settings say about tokens; None where they want none."""
    if settings.event_hubs is not None and settings.event_hubs.credential is not None:
        host = settings.event_hubs.host
        return Tokens(lambda: _from_machine(f"https://{host}/.default"))
    oauth = settings.security.oauth
    return None if oauth is None else Tokens(lambda: _from_authority(oauth, settings, timeout))


async def _from_authority(oauth: OAuth, settings: Brokers, timeout: float) -> tuple[str, float]:
    form = {"grant_type": "client_credentials"} | ({"scope": oauth.scope} if oauth.scope else {})
    context = None if settings.tls is None else settings.tls.client_context()
    try:
        async with httpx.AsyncClient(
            verify=True if context is None else context, timeout=timeout, trust_env=False
        ) as client:
            answer = await client.post(
                oauth.token_url, data=form, auth=(oauth.client_id, oauth.client_secret.get_secret_value())
            )
        fields = answer.json() if answer.status_code == httpx.codes.OK else {}
        if 400 <= answer.status_code < 500:
            raise AuthenticationError(f"{oauth.token_url} refuses the client: HTTP {answer.status_code}")
        return str(fields["access_token"]), float(fields.get("expires_in", 300))
    except (httpx.HTTPError, OSError) as error:
        raise NotConnectedError(f"no token from {oauth.token_url}: {type(error).__name__}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotConnectedError(f"{oauth.token_url} answers with no token: HTTP {answer.status_code}") from error


async def _from_machine(scope: str) -> tuple[str, float]:
    try:
        from azure.identity.aio import ManagedIdentityCredential
    except ImportError as error:
        raise AuthenticationError("credential needs azure-identity: install pushbridge[azure]") from error
    async with ManagedIdentityCredential() as credential:
        given = await credential.get_token(scope)
    return given.token, given.expires_on - time.time()
