"""Connections that belong to one provider token: Apple lets one have another no sooner than 20 minutes later."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hub.transport.client import Transport


@dataclass(slots=True, eq=False)
class _Held:
    """A transport, the token that its requests carry, and how many pages are under way on it."""

    token: str
    transport: Transport
    pages: int = 0


class TokenConnections:
    """The connections of the token in use, and of those before it until their last page has its answers.

    One transport for all would not do: a page that waits for a stream as the token turns would take the old token to a
    connection that was opened for the new one, and Apple would refuse what follows there.
    """

    def __init__(self, open_transport: Callable[[], Transport]) -> None:
        self._open = open_transport
        self._newest: _Held | None = None
        self._before: set[_Held] = set()
        self._closed = False

    @asynccontextmanager
    async def of(self, token: str) -> AsyncIterator[Transport]:
        """What the requests of one page go over that carry `token`."""
        held = await self._turn_to(token)
        held.pages += 1
        try:
            yield held.transport
        finally:
            held.pages -= 1
            if not held.pages and held in self._before:
                self._before.remove(held)
                await held.transport.close()

    async def close(self) -> None:
        """Close all connections; requests under way end with a failure. May be called twice."""
        self._closed = True
        for held in [*self._before, *([self._newest] if self._newest else [])]:
            await held.transport.close()

    async def _turn_to(self, token: str) -> _Held:
        before = self._newest
        if before is not None and (self._closed or before.token == token):
            return before
        self._newest = newest = _Held(token, self._open())
        if before is not None and before.pages:
            self._before.add(before)
        elif before is not None:
            await before.transport.close()
        return newest
