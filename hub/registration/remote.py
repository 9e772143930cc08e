"""Installations at a remote hub (Notification Hubs REST API, "Create or overwrite an installation")."""

import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import orjson

from hub.delivery.remote import API_VERSION, TOKEN_LIFETIME, detail_of, signature
from hub.delivery.remote_settings import RemoteSettings
from hub.errors import GoneError, InvalidRequestError
from hub.installation import Installation
from hub.registration.errors import EngineError
from hub.registry.documents import document_of
from hub.tls import Tls

_PATIENCE: Final = 10.0
_CONNECTIONS: Final = 16
_RENEW_BEFORE: Final = 300


class RemoteEngine:
    """An Azure Notification Hub, or a hub of a central pushbridge; `clock` is in seconds since 1970."""

    def __init__(self, settings: RemoteSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._token, self._token_ends = "", 0.0
        self._client: httpx.AsyncClient | None = None

    async def put(self, installation: Installation) -> None:
        document = document_of(installation)
        del document["pushChannelExpired"]
        response = await self._request("PUT", installation.id, orjson.dumps(document))
        if response.status_code == 410:
            raise GoneError(f"the remote hub serves {installation.id!r} no more")
        if response.status_code == 400:
            raise InvalidRequestError(detail_of(response.content) or "the remote hub refuses this installation")
        self._check(response)

    async def delete(self, installation_id: str) -> None:
        response = await self._request("DELETE", installation_id)
        if response.status_code not in (404, 410):
            self._check(response)

    async def has(self, installation: Installation) -> bool:
        """Taken for granted: asking would cost what a write costs."""
        return True

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _check(self, response: httpx.Response) -> None:
        if not response.is_success:
            raise EngineError(f"HTTP {response.status_code} {detail_of(response.content)}".rstrip())

    async def _request(self, method: str, installation_id: str, body: bytes | None = None) -> httpx.Response:
        """Raises: EngineError."""
        settings = self._settings
        path = f"/{quote(settings.hub, safe='')}/installations/{quote(installation_id, safe='')}"
        headers = {"Authorization": self._authorization(), "Content-Type": "application/json;charset=utf-8"}
        try:
            self._client = self._client or self._connected()
            return await self._client.request(
                method, f"{settings.endpoint}{path}?api-version={API_VERSION}", content=body, headers=headers
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise EngineError(f"{settings.endpoint}: {error or type(error).__name__}") from error

    def _connected(self) -> httpx.AsyncClient:
        egress = self._settings.egress
        proxy = egress.proxy_for(urlsplit(self._settings.endpoint).hostname or "")
        more: dict[str, Any] = {} if proxy is None else {"proxy": proxy.url}
        return httpx.AsyncClient(
            verify=(egress.tls or Tls()).client_context(),
            trust_env=False,
            timeout=_PATIENCE,
            limits=httpx.Limits(max_connections=_CONNECTIONS),
            **more,
        )

    def _authorization(self) -> str:
        now = self._clock()
        if now > self._token_ends - _RENEW_BEFORE:
            self._token_ends = now + TOKEN_LIFETIME
            self._token = signature(self._settings, int(self._token_ends))
        return self._token
