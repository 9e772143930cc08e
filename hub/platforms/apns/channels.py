"""The broadcast channels of an app at Apple (Apple, "Sending channel management requests to APNs"), over HTTP/2."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from hub.platforms.apns.handle import PREFIX, is_channel_id
from hub.platforms.apns.sender import bundle_id_of, provider_token
from hub.platforms.apns.settings import ApnsSettings
from hub.platforms.traits import ChannelError
from hub.tls import Tls
from hub.transport.answers import json_object

_PATIENCE: Final = 20.0  # seconds


class ApnsChannels:
    """The broadcast channels of one app (Apple, "Sending channel management requests to APNs").

    Raises: ValueError: the credential is unusable.
    """

    most = 10_000

    def __init__(self, settings: ApnsSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._certificate = None if settings.certificate is None else settings.read_certificate()
        topic = settings.topic or (self._certificate.topics[0] if self._certificate is not None else "")
        self._app = f"{settings.channels_origin}/1/apps/{bundle_id_of(topic)}"
        self._token = None if settings.key is None else provider_token(settings, clock)

    async def create(self, *, stored: bool) -> str:
        """See `BroadcastChannels.create`."""
        body = {"message-storage-policy": int(stored), "push-type": "LiveActivity"}
        _, headers = await self._ask("POST", "channels", body=orjson.dumps(body))
        channel = headers.get("apns-channel-id", "")
        if not is_channel_id(channel):
            raise ChannelError("the service made a channel and named no id")
        return PREFIX + channel

    async def all(self) -> Sequence[str]:
        """See `BroadcastChannels.all`."""
        content, _ = await self._ask("GET", "all-channels")
        found = content.get("channels")
        if not isinstance(found, list):
            raise ChannelError("the service answered with no list of channels")
        return [PREFIX + each for each in found if isinstance(each, str)]

    async def delete(self, push_channel: str) -> None:
        """See `BroadcastChannels.delete`."""
        try:
            await self._ask("DELETE", "channels", channel=push_channel.removeprefix(PREFIX))
        except ChannelError as error:
            if not str(error).startswith("ChannelNotRegistered"):
                raise

    async def _ask(
        self, method: str, path: str, *, body: bytes = b"", channel: str = ""
    ) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        import httpx  # for who manages channels, and for no push

        context = (self._settings.tls or Tls()).client_context()
        if self._certificate is not None:
            self._certificate.show(context)
        headers = {"apns-request-id": str(uuid.uuid4()), "content-type": "application/json"}
        headers |= {"apns-channel-id": channel} if channel else {}
        if self._token is not None:
            headers["authorization"] = f"bearer {self._token.current()}"
        url = f"{self._app}/{path}"
        proxy = self._settings.proxy_for(urlsplit(url).hostname or "")
        try:
            async with httpx.AsyncClient(
                verify=context,
                http1=False,
                http2=True,
                proxy=None if proxy is None else proxy.url,
                trust_env=False,
                timeout=_PATIENCE,
            ) as client:
                answer = await client.request(method, url, headers=headers, content=body or None)
        except (httpx.HTTPError, OSError) as error:
            raise ChannelError(f"{self._app}: {error or type(error).__name__}") from error
        content = json_object(answer.content)
        if answer.status_code not in (200, 201, 204):
            raise ChannelError(str(content.get("reason") or f"HTTP {answer.status_code}"))
        return content, answer.headers
