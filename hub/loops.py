"""Loops that run as long as the process: each survives a defect, and proves on demand that it turns."""

import asyncio
from collections.abc import Awaitable, Callable

from hub.facts import Crashed
from hub.observer import Observer

_REPORTED_EVERY = 60.0
"""Seconds in which a loop that meets a defect each time reports it once."""


class Pulse:
    """A loop's proof that it turns: the loop says when it does, and who asks is answered at its next turn.

    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []

    async def felt(self) -> None:
        """Return at the next turn."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._asked.set()
        await answer

    def beat(self) -> None:
        """The loop turns: what it last began has come to its end."""
        self._asked.clear()
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            if not answer.done():  # who asked may be gone
                answer.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """As `asyncio.sleep`, for a loop that sleeps for longer than who asks would wait: it answers in its sleep."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            self.beat()
            try:
                async with asyncio.timeout(left):
                    await self._asked.wait()
            except TimeoutError:
                pass


async def endure(work: str, run: Callable[[], Awaitable[None]], *, observer: Observer, pause: float) -> None:
    """Run a loop until cancelled; one that ends by a defect is named and begun again, after `pause` seconds.

    Other loops go on meanwhile: half a process that delivers is worth more than none.
    """
    loop = asyncio.get_running_loop()
    reported_at = -_REPORTED_EVERY
    while True:
        try:
            await run()
        except Exception as error:
            if loop.time() - reported_at >= _REPORTED_EVERY:
                reported_at = loop.time()
                observer.observe(Crashed(work=work, error=error))
        await asyncio.sleep(pause)
