"""Peek-locks: how long they last, what renews them, when one counts as lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

from azure.servicebus.exceptions import MessageAlreadySettled, MessageLockLostError, SessionLockLostError

GONE = (MessageLockLostError, SessionLockLostError, MessageAlreadySettled)
"""What the SDK raises when the broker knows nothing of a lock any more: what became of the message is unknown."""

_AT_ONCE = 50
"""Renewals under way at a time."""


class Lock:
    """One lock at the broker, of a message or of a session, for as long as this process relies on it.

    Its end is given in the broker's time, which is taken to be ours. `renew` extends it and returns the new end; that
    is done for `max_age` seconds after `touch` was last called. `tick` is the time between two looks of the `Renewal`.
    """

    def __init__(
        self,
        until: datetime,
        renew: Callable[[], Awaitable[datetime]],
        *,
        max_age: float,
        tick: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._until = until.timestamp()
        self._renew = renew
        self._max_age = max_age
        self._tick = tick
        self._clock = clock
        self._touched = clock()
        self._period = max(self._until - self._touched, 0.0)
        self._is_lost = False

    def is_lost(self) -> bool:
        """Whether the broker has given the message to another receiver, or is about to.

        What has less than a tenth of its time left (five seconds at most) is not begun any more.
        """
        return self._is_lost or self._clock() > self._until - min(5.0, self._period / 10)

    def lose(self) -> None:
        """The broker, or the connection, says that it is over."""
        self._is_lost = True

    def touch(self) -> None:
        """A user begins to rely on it again."""
        self._touched = self._clock()

    def is_due(self) -> bool:
        """Whether it is time to renew it: two thirds of it are over, and its last use is less than `max_age` ago."""
        now, left = self._clock(), max(self._period / 3, 2 * self._tick)
        return not self._is_lost and self._until - now < left and now < self._touched + self._max_age

    async def renew(self) -> None:
        """Extend it; a lock that the broker does not know any more is lost.

        Any other failure is tried again with the next tick, for as long as the lock lasts.
        """
        with suppress(Exception):  # of the SDK's many ways to fail, all others leave the lock as it is
            try:
                self._until = (await self._renew()).timestamp()
            except GONE:
                self.lose()


class Renewal:
    """Renews the locks it holds while `run` runs, and looks for those that are due every `tick` seconds.

    The SDK has a renewer too: it takes a task for each message, gives up after 300 seconds by default, and does not
    call back when a link is lost. This one is one task, and a lock is asked for its state where that matters.
    """

    def __init__(self, *, tick: float = 1.0) -> None:
        self._tick = tick
        self._locks: dict[Lock, None] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)

    def hold(self, lock: Lock) -> None:
        """Renew it from now on."""
        self._locks[lock] = None

    def release(self, lock: Lock) -> None:
        """Do not renew it any more."""
        self._locks.pop(lock, None)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._tick)
            await self.renew_due()

    async def renew_due(self) -> None:
        """Renew the locks that it is time for."""
        await asyncio.gather(*(self._renew_one(lock) for lock in self._locks if lock.is_due()))

    async def _renew_one(self, lock: Lock) -> None:
        async with self._gate:
            if lock in self._locks:
                await lock.renew()
