"""The way of a page through a sender: columns to requests, answers to a verdict."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol

from hub.outcome import OutcomeName
from hub.push import PageVerdict, PushPage, SendResult
from hub.requests import Refused, RequestGroup, Requests, joined
from hub.transport.answers import unreachable
from hub.transport.client import Transport
from hub.transport.oauth import AccessTokens


class Requesting(Protocol):
    """See `hub.platforms.base.Sender.requests`."""

    def __call__(self, page: PushPage, /, *, token: str) -> Requests: ...


Verdict = Callable[[int, Mapping[str, str], bytes], SendResult]
"""What the status, the headers (lower-case names) and the body of an answer mean for its push."""


Heard = Callable[[int, Mapping[str, str]], None]
"""What is told the position of a request and the headers (lower-case names) of its answer."""


async def post(
    transport: Transport,
    requests: Requests,
    verdict: Verdict,
    *,
    deadline: float,
    in_order: bool = False,
    heard: Heard = lambda position, headers: None,
) -> PageVerdict:
    """The verdict on a page; an answer of 200 with nothing in it is a push that went well, and is not heard."""
    exceptions: dict[int, SendResult] = {}
    answers = await transport.post(joined(_sendable(requests, exceptions)), deadline=deadline, in_order=in_order)
    delivered = answers.plain
    for position, response in answers.others.items():
        result = verdict(response.status, response.headers, response.body) if response.status else unreachable(response)
        heard(position, response.headers)
        if result.is_plain:
            delivered += 1
        else:
            exceptions[position] = result
    return PageVerdict(delivered=delivered, exceptions=dict(sorted(exceptions.items())))


def _sendable(requests: Requests, exceptions: dict[int, SendResult]) -> Iterator[RequestGroup]:
    for request in requests:
        if isinstance(request, Refused):
            exceptions.update(dict.fromkeys(request.positions, request.result))
        else:
            yield request


async def send_renewing(
    page: PushPage,
    attempt: Callable[[PushPage, float], Awaitable[PageVerdict]],
    is_stale: Callable[[SendResult], bool],
    *,
    deadline: float,
) -> PageVerdict:
    """The verdict of `attempt(page, seconds)`; pushes whose answer says that our token was stale are tried once more.

    An attempt that gets such answers sees to it that the next one has another token or connection.
    """
    clock = asyncio.get_running_loop().time
    ends_at = clock() + deadline
    verdict = await attempt(page, deadline)
    stale = [position for position, result in verdict.exceptions.items() if is_stale(result)]
    if not stale:
        return verdict
    again = await attempt(page.select(stale), ends_at - clock())
    exceptions = {position: result for position, result in verdict.exceptions.items() if not is_stale(result)}
    exceptions |= {stale[position]: result for position, result in again.exceptions.items()}
    return PageVerdict(delivered=verdict.delivered + again.delivered, exceptions=dict(sorted(exceptions.items())))


async def send_authorized(
    transport: Transport,
    tokens: AccessTokens,
    page: PushPage,
    requests_for: Requesting,
    verdict: Verdict,
    *,
    deadline: float,
) -> PageVerdict:
    """Send with an access token, renewing it once if an answer says `INVALID_TOKEN`; `requests_for` gets the token."""

    async def attempt(some: PushPage, seconds: float) -> PageVerdict:
        ends_at = asyncio.get_running_loop().time() + seconds
        token = await tokens.get(deadline=seconds)
        if isinstance(token, SendResult):
            return PageVerdict(exceptions=dict.fromkeys(range(len(some)), token))
        left = ends_at - asyncio.get_running_loop().time()
        said = await post(transport, requests_for(some, token=token), verdict, deadline=left, in_order=some.in_order)
        if any(map(_says_stale, said.exceptions.values())):
            tokens.forget(token)
        return said

    return await send_renewing(page, attempt, _says_stale, deadline=deadline)


def _says_stale(result: SendResult) -> bool:
    return result.outcome is OutcomeName.INVALID_TOKEN
