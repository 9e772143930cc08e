"""The way of a batch through a sender: pushes to requests, responses to results."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from hub.outcome import OutcomeName
from hub.platforms.base import Push, SendResult
from hub.platforms.results import unreachable
from hub.transport.client import Request, Transport
from hub.transport.oauth import AccessTokens

Builder = Callable[[Push], Request | SendResult]
"""Makes the request for a push, or says why there cannot be one: then nothing is sent."""

Verdict = Callable[[int, Mapping[str, str], bytes], SendResult]
"""What the status, the headers (lower-case names) and the body of an answer mean for its push."""


async def post(
    transport: Transport, pushes: Iterable[Push], request_for: Builder, verdict: Verdict, *, deadline: float
) -> list[SendResult]:
    """One result a push, in order."""
    refusals: dict[int, SendResult] = {}
    responses = await transport.post_many(_sendable(map(request_for, pushes), refusals), deadline=deadline)
    results = [
        verdict(response.status, response.headers, response.body) if response.status else unreachable(response)
        for response in responses
    ]
    for index, refusal in refusals.items():  # rising, so that each lands in its place
        results.insert(index, refusal)
    return results


def _sendable(requests: Iterable[Request | SendResult], refusals: dict[int, SendResult]) -> Iterator[Request]:
    for index, request in enumerate(requests):
        if isinstance(request, SendResult):
            refusals[index] = request
        else:
            yield request


async def send_renewing(
    pushes: Sequence[Push],
    attempt: Callable[[Sequence[Push], float], Awaitable[list[SendResult]]],
    is_stale: Callable[[SendResult], bool],
    *,
    deadline: float,
) -> list[SendResult]:
    """Results of `attempt(pushes, seconds)`; pushes whose answer says that our token was stale are tried once more.

    An attempt that gets such answers sees to it that the next one has another token or connection.
    """
    clock = asyncio.get_running_loop().time
    ends_at = clock() + deadline
    results = await attempt(pushes, deadline)
    stale = [index for index, result in enumerate(results) if is_stale(result)]
    if stale:
        again = await attempt([pushes[index] for index in stale], ends_at - clock())
        for index, result in zip(stale, again, strict=True):
            results[index] = result
    return results


async def send_authorized(
    transport: Transport,
    tokens: AccessTokens,
    pushes: Sequence[Push],
    builder: Callable[[str], Builder],
    verdict: Verdict,
    *,
    deadline: float,
) -> list[SendResult]:
    """Send with an access token, renewing it once if an answer says `INVALID_TOKEN`; `builder` is told the token."""

    async def attempt(some: Sequence[Push], seconds: float) -> list[SendResult]:
        ends_at = asyncio.get_running_loop().time() + seconds
        token = await tokens.get(deadline=seconds)
        if isinstance(token, SendResult):
            return [token] * len(some)
        left = ends_at - asyncio.get_running_loop().time()
        results = await post(transport, some, builder(token), verdict, deadline=left)
        if any(map(_says_stale, results)):
            tokens.forget(token)
        return results

    return await send_renewing(pushes, attempt, _says_stale, deadline=deadline)


def _says_stale(result: SendResult) -> bool:
    return result.outcome is OutcomeName.INVALID_TOKEN


def json_object(text: bytes) -> dict[str, Any]:
    """The JSON object in `text`, empty if there is none: an answer may come from anything between us and the service."""
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
