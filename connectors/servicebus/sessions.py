"""Sessions: several at a time, each in order, taking turns."""

import asyncio
from collections.abc import Callable

from azure.servicebus.exceptions import OperationTimeoutError, SessionLockLostError

from connectors.base import Message
from connectors.errors import SourceError
from connectors.servicebus.client import translated
from connectors.servicebus.receiver import PEEKED, Receiver
from connectors.servicebus.settings import Sessions
from connectors.servicebus.timing import Timing


class SessionWorkers:
    """Receives from as many sessions at a time as is configured, one worker each.

    A worker takes the next available session, hands out what it brings, and asks for more of it only when all of that
    is settled: so messages of a session are taken to the store in order even where some are given back. It leaves the
    session when that has been idle for a while, or after its turn, and takes the next one. Deferred messages
    stay where they are.

    A session lock that is lost ends with its session only. Anything else that goes wrong ends all, and the next call
    raises the error.
    """

    def __init__(
        self,
        new_receiver: Callable[[float], Receiver],
        settings: Sessions,
        *,
        what: str,
        credit: int,
        max_wait: float,
        timing: Timing,
    ) -> None:
        self._new_receiver = new_receiver
        self._settings = settings
        self._what = what
        self._share = max(1, credit // settings.max_in_flight)
        self._max_wait = max_wait
        self._timing = timing
        self._tasks: list[asyncio.Task[None]] = []
        self._serving: set[Receiver] = set()
        self._arrived: list[Message] = []
        self._arrival = asyncio.Event()
        self._settled = asyncio.Event()
        self._answered = asyncio.Event()
        self._failure: Exception | None = None

    async def start(self) -> None:
        """Return when the broker has answered one of the workers, be it that no session is waiting.

        Raises: SourceError, as connecting does.
        """
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._settings.max_in_flight)]
        await self._answered.wait()
        self._check()

    async def take(self, limit: int, wait: float) -> list[Message]:
        """Up to `limit` messages, those of a session in order; waits `wait` seconds for a first one.

        Raises: SourceError.
        """
        if not self._arrived:
            self._check()
            self._arrival.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._arrival.wait()
            except TimeoutError:
                return []
        if not self._arrived:
            self._check()
        taken, self._arrived = self._arrived[:limit], self._arrived[limit:]
        return taken

    async def waiting(self) -> int:
        """How many messages wait in the sessions that are held; no further than it takes to see `PEEKED` of them.

        What waits in others the broker offers: a worker without a session asks for one, and soon has it or an answer.

        Raises: SourceError.
        """
        count = 0
        for receiver in list(self._serving):
            if count < PEEKED:
                count += await self._waiting_in(receiver)
        return count

    async def _waiting_in(self, receiver: Receiver) -> int:
        try:
            with translated(self._what):
                return await receiver.waiting()
        except SourceError as error:
            if receiver in self._serving and not isinstance(error.__cause__, SessionLockLostError):
                raise
            return 0  # it has just been left, or lost

    def settled(self) -> None:
        """Some messages have been settled; workers may go on."""
        self._settled.set()
        self._settled = asyncio.Event()

    async def stop(self) -> None:
        """Leave all sessions; what is not settled is given back. Never raises."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks, self._arrived = [], []

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _work(self) -> None:
        wait = self._timing.first_wait
        try:
            while True:
                receiver = self._new_receiver(wait)
                try:
                    if await self._accept(receiver, wait):
                        self._serving.add(receiver)
                        await self._serve(receiver)
                finally:
                    self._serving.discard(receiver)
                    await receiver.close()
                wait = self._max_wait
        except Exception as error:
            self._failure = self._failure or error
            self._answered.set()
            self._arrival.set()

    async def _accept(self, receiver: Receiver, wait: float) -> bool:
        """Whether there is a session to be served. Raises: SourceError."""
        try:
            with translated(self._what):
                async with asyncio.timeout(wait + self._timing.session_answer):
                    await receiver.open()
        except SourceError as error:
            if not isinstance(error.__cause__, OperationTimeoutError | SessionLockLostError):
                raise
            return False  # no session has messages: as good an answer as any
        finally:
            self._answered.set()
        return True

    async def _serve(self, receiver: Receiver) -> None:
        """Hand out messages of one session until it is idle, lost, or has had its turn. Raises: SourceError."""
        loop = asyncio.get_running_loop()
        end_of_turn = loop.time() + self._timing.session_turn
        while loop.time() < end_of_turn:
            try:
                with translated(self._what):
                    messages = await receiver.pull(self._share, self._settings.idle)
            except SourceError as error:
                if not isinstance(error.__cause__, SessionLockLostError):
                    raise
                return
            if not messages:
                return
            self._arrived += messages
            self._arrival.set()
            while receiver.unsettled:
                await self._settled.wait()
            if receiver.is_lost:
                return
