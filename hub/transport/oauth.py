"""Access tokens for push services (RFC 6749): fetched when first needed, shared by all pushes, renewed in time."""

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import orjson

from hub.egress import Egress, refusal
from hub.host_time import HostTime, host_time
from hub.outcome import OutcomeName, Reaction
from hub.push import SendResult
from hub.tls import Tls
from hub.transport.answers import retry_after

_PATIENCE: Final = 10.0  # seconds; a push's own deadline may end the wait before
_EARLY: Final = 300.0  # seconds before its end that a token is replaced
_REFUSALS: Final = {400, 401, 403}  # the provider knows us and says no (RFC 6749, 5.2)
_TROUBLE: Final = {429, 500, 502, 503, 504}
_TOKEN: Final = re.compile(r"[!-~]+")  # it becomes part of a header


class AccessTokens:
    """The access token of one credential. `form` makes the fields of each token request.

    However many pushes need a token at once, it is asked for once, and they share what comes of it.
    """

    def __init__(
        self,
        url: str,
        form: Callable[[], Mapping[str, str]],
        *,
        egress: Egress | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._form = form
        self._egress = egress or Egress()
        self._clock = clock
        self._lock = asyncio.Lock()
        self._answers = 0  # how often the provider was asked and something came of it
        self._answer: str | SendResult = ""
        self._good_until = float("-inf")
        self.host_time: HostTime | None = None
        """The provider's clock by its last answer, if it said it."""

    async def get(self, *, deadline: float) -> str | SendResult:
        """A token that is good for some minutes, or the result of every push that wanted one."""
        if self._clock() < self._good_until:
            return self._answer
        seen = self._answers
        try:
            async with asyncio.timeout(deadline), self._lock:
                if self._answers == seen:
                    self._answer, self._good_until = await self._ask()
                    self._answers += 1
                return self._answer
        except TimeoutError:
            return _trouble(OutcomeName.TOKEN_PROVIDER_UNREACHABLE, f"{self._url}: no answer in time", timed_out=True)

    def forget(self, token: str) -> None:
        """The service says that `token` is stale; a newer one is left alone."""
        if token == self._answer:
            self._good_until = float("-inf")

    async def _ask(self) -> tuple[str | SendResult, float]:
        """The provider's answer, and until when it is good: a token for its time, a failure for no later caller."""
        try:
            context, form = await asyncio.to_thread(self._prepare)
        except OSError as error:  # a file of certificates is gone
            return _trouble(OutcomeName.TOKEN_PROVIDER_UNREACHABLE, f"{self._url}: {error}"), float("-inf")
        import httpx

        proxy = self._egress.proxy_for(urlsplit(self._url).hostname or "")
        try:
            async with httpx.AsyncClient(
                verify=context,
                proxy=None if proxy is None else proxy.url,
                trust_env=False,
                timeout=_PATIENCE,
            ) as client:
                response = await client.post(self._url, data=form)
        except httpx.ProxyError as error:
            assert proxy is not None
            reason = f"{self._url}: {refusal(proxy, int(str(error)[:3]))}"
            return _trouble(OutcomeName.TOKEN_PROVIDER_UNREACHABLE, reason), float("-inf")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            way = "" if proxy is None else f"by proxy {proxy.address}: "
            reason = f"{self._url}: {way}{error or type(error).__name__}"
            return _trouble(OutcomeName.TOKEN_PROVIDER_UNREACHABLE, reason), float("-inf")
        self.host_time = host_time(urlsplit(self._url).hostname or "", response.headers)
        answer = token_from(response.status_code, response.headers, response.content)
        if isinstance(answer, SendResult):
            return answer, float("-inf")
        token, lifetime = answer
        return token, self._clock() + max(lifetime - _EARLY, lifetime / 2)

    def _prepare(self) -> tuple[ssl.SSLContext, dict[str, str]]:
        """What takes the processor for long, in a thread: all other pushes would wait for the loop meanwhile."""
        import httpx  # noqa: F401  # only who needs a token pays for it: httpx is a third of the time to start

        return (self._egress.tls or Tls()).client_context(), dict(self._form())


def token_from(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, float] | SendResult:
    """The token and its lifetime in seconds (RFC 6749, 5.1), or what its absence means for the pushes."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        answer = {}
    error = ": ".join(str(answer[name]) for name in ("error", "error_description") if answer.get(name))
    reason = f"token provider: HTTP {status} {error}".rstrip()
    if status in _TROUBLE:
        return _trouble(OutcomeName.TOKEN_PROVIDER_UNREACHABLE, reason, retry_after=retry_after(headers))
    if status in _REFUSALS:
        return SendResult(
            reaction=Reaction.CONFIG, outcome=OutcomeName.INVALID_CREDENTIALS, reason=reason, lane_wide=True
        )
    try:
        token, lifetime = answer["access_token"], float(answer.get("expires_in", 3600))  # Entra writes it as a string
    except (KeyError, ValueError, TypeError):
        return _trouble(OutcomeName.TOKEN_PROVIDER_INTERFACE_ERROR, f"{reason}: no access token")
    if status != 200 or not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return _trouble(OutcomeName.TOKEN_PROVIDER_INTERFACE_ERROR, f"{reason}: no usable access token")
    return token, lifetime


def _trouble(
    outcome: OutcomeName, reason: str, *, retry_after: float | None = None, timed_out: bool = False
) -> SendResult:
    return SendResult(
        reaction=Reaction.RETRY,
        outcome=outcome,
        reason=reason,
        retry_after=retry_after,
        lane_wide=True,
        timed_out=timed_out,
    )
