"""One device as the other hub has it now: a list takes long, and is of many moments.

A list says which devices to look at. An installation may be put while its registrations are listed, half of them before and
half after; a list may lag behind what was written a moment ago. So before anything that is here is overwritten or taken
away, the device itself is asked for.
"""

import asyncio
from urllib.parse import quote

import httpx
import orjson

from hub.delivery.remote import detail_of
from hub.delivery.remote_api import RemoteApi
from hub.errors import InvalidRequestError, RemoteError
from hub.installation import Installation, Registration
from hub.moving.found import found_in, read
from hub.moving.listing import Sleep, check, description_in, patiently
from hub.registry.documents import installation_from_document


class Asking:
    """Of one hub. Both methods raise RemoteError, and InvalidRequestError for what no hub can keep."""

    def __init__(self, api: RemoteApi, *, sleep: Sleep = asyncio.sleep) -> None:
        self._api = api
        self._sleep = sleep

    async def installation(self, id: str) -> Installation | None:
        """None: there is none whose push channel lives."""
        answer = await self._answer(f"installations/{quote(id, safe='')}")
        if answer is None:
            return None
        try:
            document = orjson.loads(answer.content)
        except orjson.JSONDecodeError as error:
            raise RemoteError(f"{self._api.settings.endpoint} answers with an installation that is no JSON") from error
        if not isinstance(document, dict):
            raise InvalidRequestError("the installation is no JSON object")
        if document.pop("pushChannelExpired", None):
            return None
        return installation_from_document(id, document)

    async def registration(self, id: str) -> Registration | None:
        """None: there is none."""
        answer = await self._answer(f"registrations/{quote(id, safe='')}")
        return None if answer is None else read(found_in(description_in(answer.content)))

    async def _answer(self, path: str) -> httpx.Response | None:
        async def once() -> httpx.Response | None:
            answer = await self._api.request("GET", path)
            if answer.status_code in (404, 410):
                return None
            if answer.status_code == 400:
                raise InvalidRequestError(f"HTTP 400: {detail_of(answer.content) or 'refused'}")
            check(answer.status_code, dict(answer.headers), answer.content, api=self._api)
            return answer

        return await patiently(once, sleep=self._sleep)
