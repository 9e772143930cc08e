"""The registrations of another hub, page by page (Notification Hubs REST API, "Read all registrations")."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from lxml import etree

from hub.delivery.remote import detail_of
from hub.delivery.remote_api import RemoteApi
from hub.errors import RemoteError, RemoteRefusedError, RemoteUnreachableError
from hub.transport.answers import retry_after

PAGE: Final = 100
"""The most that the service gives in one page."""

CONTINUATION: Final = "x-ms-continuationtoken"
TRIES: Final = 10
_LONGEST_WAIT: Final = 300.0
_T = TypeVar("_T")

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Descriptions of registrations as XML, a text each; `next` is the token of the page behind, empty for none."""

    descriptions: list[str]
    next: str


class Listing:
    """The list of one hub. `waits` is told of each pause: seconds and why."""

    def __init__(
        self,
        api: RemoteApi,
        *,
        sleep: Sleep = asyncio.sleep,
        waits: Callable[[float, str], None] = lambda seconds, why: None,
    ) -> None:
        self._api = api
        self._sleep = sleep
        self._waits = waits

    async def pages(self, *, after: str = "") -> AsyncIterator[Page]:
        """From the page of a token on. Raises: RemoteError."""
        seen = {after}
        while True:
            page = await self.page(after)
            yield page
            if not page.next:
                return
            if page.next in seen:
                raise RemoteError("the list of registrations does not go on: it names the same page again")
            seen.add(page.next)
            after = page.next

    async def page(self, token: str) -> Page:
        """Raises: RemoteError."""
        return await patiently(lambda: self._page(token), sleep=self._sleep, waits=self._waits)

    async def _page(self, token: str) -> Page:
        query = {"$top": str(PAGE)} | ({"continuationtoken": token} if token else {})
        answer = await self._api.request("GET", "registrations", query=query)
        check(answer.status_code, dict(answer.headers), answer.content, api=self._api)
        return Page(descriptions=descriptions(answer.content), next=answer.headers.get(CONTINUATION, ""))


async def patiently(
    ask: Callable[[], Awaitable[_T]],
    *,
    sleep: Sleep = asyncio.sleep,
    waits: Callable[[float, str], None] = lambda seconds, why: None,
) -> _T:
    """The answer of a hub, which is asked again while it is busy or away: when it says, or after longer and longer pauses.

    Raises: what `ask` raises; RemoteUnreachableError: it was so each time.
    """
    pause = 1.0
    for tries_left in reversed(range(TRIES)):
        try:
            return await ask()
        except RemoteUnreachableError as error:
            if not tries_left:
                raise
            wait = min(pause if error.retry_after is None else error.retry_after, _LONGEST_WAIT)
            waits(wait, str(error))
            await sleep(wait)
            pause = min(2 * pause, 60.0)
    raise AssertionError("the last try returns or raises")


def check(status: int, headers: dict[str, str], body: bytes, *, api: RemoteApi) -> None:
    """Raises: RemoteError: the answer is none that was hoped for, in words for an operator."""
    if 200 <= status < 300:
        return
    settings, detail = api.settings, detail_of(body)
    said = f"HTTP {status}{f': {detail}' if detail else ''}"
    wait = retry_after(headers)
    if status in (408, 429, 500, 502, 503, 504) or (status == 403 and wait is not None):
        raise RemoteUnreachableError(f"{settings.endpoint} is busy: {said}", retry_after=wait)
    if status == 401:
        raise RemoteRefusedError(
            f"{settings.endpoint} refuses the key of the policy {settings.key_name!r} for the hub {settings.hub!r}: {said}."
            " Take the connection string of a policy with the right Manage of this hub or namespace"
        )
    if status == 403:
        raise RemoteRefusedError(
            f"the policy {settings.key_name!r} may not do this: {said}. To list registrations takes the right Manage"
        )
    if status == 404:
        raise RemoteRefusedError(f"there is no hub {settings.hub!r} at {settings.endpoint}: {said}")
    raise RemoteError(f"{settings.endpoint} answers {said}")


def descriptions(feed: bytes) -> list[str]:
    """The descriptions in a feed. Raises: RemoteError: it is none, or an entry has no description."""
    root = _root(feed, "the list of registrations is no Atom feed")
    if etree.QName(root).localname != "feed":
        raise RemoteError(f"the list of registrations is no Atom feed, its root is {etree.QName(root).localname!r}")
    return [_description(entry) for entry in root.iterchildren("{*}entry")]


def description_in(entry: bytes) -> str:
    """The description in the entry of one registration. Raises: RemoteError."""
    return _description(_root(entry, "the registration is no Atom entry"))


def _description(entry: etree._Element) -> str:
    content = entry.find("{*}content")
    found = None if content is None else next(content.iterchildren("*"), None)
    if found is None:
        raise RemoteError("an entry of the other hub has no description of a registration")
    return etree.tostring(found, encoding="unicode", with_tail=False)


def _root(text: bytes, refusal: str) -> etree._Element:
    """Raises: RemoteError."""
    try:
        return etree.fromstring(text, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    except etree.XMLSyntaxError as error:
        raise RemoteError(f"{refusal}: {error}") from error
