"""A sender over HTTP made of what its service differs in: the requests of a page, the meaning of an answer, a token."""

from collections.abc import Sequence
from typing import Final

from hub.notification import Platform
from hub.platforms.batches import send_in_batches
from hub.platforms.traits import Seen
from hub.push import PageVerdict, PushGroup, PushPage, SendResult
from hub.requests import Requests
from hub.transport.client import Transport
from hub.transport.http_send import Requesting, Verdict, post, send_authorized
from hub.transport.oauth import AccessTokens

_PATIENCE: Final = 20.0  # seconds for a look
_ID: Final = "00000000-0000-4000-8000-000000000000"


class HttpSender:
    """One credential of a service that takes a POST for each push.

    Without `tokens` the requests carry `secret` where others carry an access token. With a `batch` up to so many pushes
    that share a group are one request, whose push channels come with `SEPARATOR` between them.
    """

    def __init__(
        self,
        platform: Platform,
        *,
        transport: Transport,
        requests: Requesting,
        verdict: Verdict,
        tokens: AccessTokens | None = None,
        secret: str = "",
        batch: int = 1,
    ) -> None:
        self.platform = platform
        self._transport = transport
        self._requests = requests
        self._verdict = verdict
        self._tokens = tokens
        self._secret = secret
        self._batch = batch

    async def send(self, page: PushPage, *, deadline: float = 10.0) -> PageVerdict:
        """See `Sender.send`."""
        if self._batch == 1:
            return await self._send(page, deadline)
        return await send_in_batches(page, self._send, most=self._batch, deadline=deadline)

    async def _send(self, page: PushPage, deadline: float) -> PageVerdict:
        if self._tokens is None:
            requests = self.requests(page, token=self._secret)
            return await post(self._transport, requests, self._verdict, deadline=deadline, in_order=page.in_order)
        return await send_authorized(
            self._transport, self._tokens, page, self._requests, self._verdict, deadline=deadline
        )

    async def look(self, *, dry_run: bytes = b"", push_channel: str = "") -> Sequence[Seen]:
        """See `Traits.look`: whether an access token is given, and what a payload `dry_run` becomes for a push channel."""
        seen = []
        if self._tokens is not None:
            token = await self._tokens.get(deadline=_PATIENCE)
            if isinstance(token, SendResult):
                cure = "look at the credential, and at what its provider allows it"
                return [Seen(text=token.reason, cure=cure, host_time=self._tokens.host_time)]
            seen.append(Seen(text="an access token was given", host_time=self._tokens.host_time))
        if dry_run and push_channel:
            page = PushPage()
            page.add(PushGroup(payload=dry_run), [push_channel], [_ID])
            for result in (await self.send(page, deadline=_PATIENCE)).exceptions.values():
                text = f"a dry run is refused: {result.outcome.value} ({result.reason})"
                return [*seen, Seen(text=text, cure="look at the project, and at whether its app registered the token")]
            seen.append(Seen(text="a dry run is taken; nothing was shown"))
        return seen

    def requests(self, page: PushPage, *, token: str) -> Requests:
        """See `Sender.requests`."""
        return self._requests(page, token=token)

    async def close(self) -> None:
        """See `Sender.close`."""
        await self._transport.close()
