"""Requests to the REST API of a remote hub, signed for it; sends go another way (`remote.py`)."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from hub.delivery.remote import API_VERSION, TOKEN_LIFETIME, signature
from hub.delivery.remote_settings import RemoteSettings
from hub.errors import RemoteUnreachableError
from hub.tls import Tls

PATIENCE: Final = 10.0
_CONNECTIONS: Final = 16
_RENEW_BEFORE: Final = 300


class RemoteApi:
    """An Azure Notification Hub, or a hub of a central pushbridge; `clock` is in seconds since 1970."""

    def __init__(
        self, settings: RemoteSettings, *, clock: Callable[[], float] = time.time, patience: float = PATIENCE
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._patience = patience
        self._token, self._token_ends = "", 0.0
        self._client: httpx.AsyncClient | None = None

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """`path` is below the hub, as it stands in a URL. Raises: RemoteUnreachableError."""
        settings = self.settings
        sent = {"Authorization": self._authorization(), **(headers or {})}
        asked = "".join(f"&{quote(name, safe='$')}={quote(value, safe='')}" for name, value in (query or {}).items())
        url = f"{settings.endpoint}/{quote(settings.hub, safe='')}/{path}?api-version={API_VERSION}{asked}"
        try:
            self._client = self._client or self._connected()
            return await self._client.request(method, url, content=body, headers=sent)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise RemoteUnreachableError(f"{settings.endpoint}: {str(error) or type(error).__name__}") from error

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _connected(self) -> httpx.AsyncClient:
        egress = self.settings.egress
        proxy = egress.proxy_for(urlsplit(self.settings.endpoint).hostname or "")
        more: dict[str, Any] = {} if proxy is None else {"proxy": proxy.url}
        return httpx.AsyncClient(
            verify=(egress.tls or Tls()).client_context(),
            trust_env=False,
            timeout=self._patience,
            limits=httpx.Limits(max_connections=_CONNECTIONS),
            **more,
        )

    def _authorization(self) -> str:
        now = self._clock()
        if now > self._token_ends - _RENEW_BEFORE:
            self._token_ends = now + TOKEN_LIFETIME
            self._token = signature(self.settings, int(self._token_ends))
        return self._token
