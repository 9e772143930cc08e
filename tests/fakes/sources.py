"""A broker that does what a script says, step by step."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from connectors.base import Backlog, Disposition, Message

Step = Sequence[Message] | Exception | Callable[[], Awaitable[Sequence[Message]]]


async def silence() -> Sequence[Message]:
    """A broker from which nothing comes any more, not even an end."""
    await asyncio.Event().wait()
    return ()


class ScriptedSource:
    """Each `connect`, `receive` and `settle` takes the next entry of its list: an exception is raised.

    For `receive` an entry may also be messages or a coroutine function to wait for. With nothing left, connecting and
    settling succeed, and a receive is a heartbeat after a second. `messages_waiting` may be an exception, or None
    for a broker that never answers.
    """

    def __init__(
        self,
        name: str = "orders",
        *,
        connects: Sequence[Exception | None] = (),
        receives: Sequence[Step] = (),
        settles: Sequence[Exception | None] = (),
        backlog: int | Exception | None = 0,
    ) -> None:
        self.name = name
        self.warnings: Sequence[str] = ()
        self.messages_waiting = backlog
        self.rebalances = 0
        self.connects: list[float] = []
        """When it was connected, or should have been."""
        self.limits: list[int] = []
        self.settled: list[Sequence[tuple[Message, Disposition]]] = []
        self.closes = 0
        self.black_hole = False
        """Whether connecting never comes to an end."""
        self._connects = deque(connects)
        self._receives = deque(receives)
        self._settles = deque(settles)

    async def connect(self) -> None:
        self.connects.append(asyncio.get_running_loop().time())
        if self.black_hole:
            await asyncio.Event().wait()
        _raise(self._connects)

    async def receive(self, limit: int) -> Sequence[Message]:
        self.limits.append(limit)
        if not self._receives:
            await asyncio.sleep(1)
            return ()
        step = self._receives.popleft()
        if isinstance(step, Exception):
            raise step
        return await step() if callable(step) else step

    async def settle(self, settled: Sequence[tuple[Message, Disposition]]) -> None:
        _raise(self._settles)
        self.settled.append(settled)

    async def backlog(self) -> Backlog:
        if self.messages_waiting is None:
            await asyncio.Event().wait()
        if isinstance(self.messages_waiting, Exception):
            raise self.messages_waiting
        return Backlog(messages=self.messages_waiting, rebalances=self.rebalances)

    async def close(self) -> None:
        self.closes += 1


def _raise(errors: deque[Exception | None]) -> None:
    error = errors.popleft() if errors else None
    if error is not None:
        raise error
