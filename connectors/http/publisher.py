"""Publishing to a URL: one signed POST a message, as Standard Webhooks says (webhook-id, webhook-timestamp,
webhook-signature)."""

import asyncio
import base64
import hmac
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from connectors.base import OutMessage
from connectors.errors import AuthenticationError, NotConnectedError, PublishError
from connectors.http.settings import SinkUrl
from connectors.http.signature import signing_key
from hub.tls import Tls

if TYPE_CHECKING:
    import httpx

_AT_ONCE = 8
"""Requests under way at once."""
_PHASES = 3
"""Connecting, TLS and the answer have `timeout` each, and so many together: httpx ends each in order, and leaves its
socket open where it is cancelled in a handshake."""
_REFUSED_BY_ITSELF = frozenset([400, 409, 413, 415, 422])
"""Statuses that are about one message: the others may be taken all the same."""


class HttpPublisher:
    """As the contract says. A message that is refused by itself fails alone; 401 and 403 are about who we are, and any
    other status, no answer, and a redirect, which is not followed, about the receiver.
    """

    def __init__(self, name: str, settings: SinkUrl, *, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self._settings = settings
        self._clock = clock
        self._client: httpx.AsyncClient | None = None

    async def connect(self) -> None:
        """Nothing is asked of the receiver before there is something for it."""
        import httpx  # only where it is used: a third of the time to start

        settings = self._settings
        parts = urlsplit(settings.url)
        proxy = settings.proxy_for(parts.hostname or "")
        try:
            verify = (settings.tls or Tls()).client_context() if parts.scheme == "https" else False
        except OSError as error:
            raise NotConnectedError(f"{self.name}: TLS: {error}") from error
        self._client = httpx.AsyncClient(
            verify=verify, proxy=None if proxy is None else proxy.url, trust_env=False, timeout=settings.timeout
        )

    async def publish(self, messages: Sequence[OutMessage]) -> None:
        client = self._client
        if client is None:
            raise NotConnectedError(f"{self.name}: not connected")
        slots = asyncio.Semaphore(_AT_ONCE)
        problems: dict[str, str] = {}
        failures: list[NotConnectedError | AuthenticationError] = []

        async def post(message: OutMessage) -> None:
            async with slots:
                if failures:  # the receiver is not to be asked for each of a hundred
                    problems[message.id] = "not tried"
                    return
                try:
                    await self._post(client, message)
                except PublishError as error:
                    problems[message.id] = str(error)
                except (NotConnectedError, AuthenticationError) as error:
                    problems[message.id] = str(error)
                    failures.append(error)

        async with asyncio.TaskGroup() as group:
            for message in messages:
                group.create_task(post(message))
        published = frozenset(each.id for each in messages if each.id not in problems)
        if failures and not published:
            raise failures[0]
        if problems:
            named = "; ".join(f"{id}: {problem}" for id, problem in list(problems.items())[:5])
            raise PublishError(
                f"{self.name}: {len(problems)} of {len(messages)} not published: {named}", published=published
            )

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _post(self, client: "httpx.AsyncClient", message: OutMessage) -> None:
        """Raises: PublishError: it is about this message; NotConnectedError, AuthenticationError."""
        import httpx

        at = str(int(self._clock()))
        headers = {
            "content-type": message.content_type or "application/octet-stream",
            "webhook-id": message.id,
            "webhook-timestamp": at,
            "webhook-signature": " ".join(self._signatures(message, at)),
            "user-agent": "pushbridge",
        }
        host = urlsplit(self._settings.url).hostname
        try:
            async with (
                asyncio.timeout(_PHASES * self._settings.timeout),
                client.stream("POST", self._settings.url, content=message.body, headers=headers) as response,
            ):  # the body of an answer is not read: it may have no end
                status = response.status_code
        except TimeoutError:
            raise NotConnectedError(f"{host}: no answer within {_PHASES * self._settings.timeout:g} s") from None
        except httpx.TimeoutException:
            raise NotConnectedError(f"{host}: no answer within {self._settings.timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise NotConnectedError(f"{host}: {error or type(error).__name__}") from error
        if 200 <= status < 300:
            return
        if status in _REFUSED_BY_ITSELF:
            raise PublishError(f"HTTP {status}")
        if status in (401, 403):
            raise AuthenticationError(f"{self.name}: {host} refuses us: HTTP {status}")
        raise NotConnectedError(f"{self.name}: {host} answers HTTP {status}")

    def _signatures(self, message: OutMessage, at: str) -> Sequence[str]:
        signed = b".".join((message.id.encode(), at.encode(), message.body))
        return [
            f"v1,{base64.b64encode(hmac.digest(signing_key(secret.get_secret_value()), signed, 'sha256')).decode()}"
            for secret in self._settings.secret
        ]
