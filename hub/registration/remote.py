"""Installations at a remote hub (Notification Hubs REST API, "Create or overwrite an installation")."""

import time
from collections.abc import Callable
from urllib.parse import quote

import httpx
import orjson

from hub.delivery.remote import detail_of
from hub.delivery.remote_api import RemoteApi
from hub.delivery.remote_settings import RemoteSettings
from hub.errors import GoneError, InvalidRequestError, RemoteUnreachableError
from hub.installation import Installation
from hub.registration.errors import EngineError
from hub.registry.documents import document_of

_JSON = {"Content-Type": "application/json;charset=utf-8"}


class RemoteEngine:
    """An Azure Notification Hub, or a hub of a central pushbridge; `clock` is in seconds since 1970."""

    def __init__(self, settings: RemoteSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._api = RemoteApi(settings, clock=clock)

    async def put(self, installation: Installation) -> None:
        document = document_of(installation.spoken_in_variables)
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
        await self._api.close()

    def _check(self, response: httpx.Response) -> None:
        if not response.is_success:
            raise EngineError(f"HTTP {response.status_code} {detail_of(response.content)}".rstrip())

    async def _request(self, method: str, installation_id: str, body: bytes | None = None) -> httpx.Response:
        """Raises: EngineError."""
        path = f"installations/{quote(installation_id, safe='')}"
        try:
            return await self._api.request(method, path, body, headers=_JSON)
        except RemoteUnreachableError as error:
            raise EngineError(str(error)) from error
