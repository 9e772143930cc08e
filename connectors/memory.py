"""A source made from a list, for examples and tests; as strict about settling as a broker."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from connectors.base import Backlog, Disposition, Message, Settlement
from connectors.errors import NotConnectedError, SourceClosedError


class MemorySource:
    """Hands out `messages`, and again those that were not settled when the connection ended.

    It ends (SourceClosedError) when all are settled, unless `open_ended`: then more may be added at any time.
    `acknowledged` and `rejected` hold what became of them, in order. `receive` waits `idle_wait` seconds for a first
    message.
    """

    def __init__(
        self,
        name: str,
        messages: Iterable[Message] = (),
        *,
        credit: int = 1000,
        open_ended: bool = False,
        idle_wait: float = 1.0,
    ) -> None:
        self.name = name
        self.warnings: Sequence[str] = ()
        self.acknowledged: list[Message] = []
        self.rejected: list[tuple[Message, Disposition]] = []
        self._waiting = deque(enumerate(messages))
        self._added = len(self._waiting)
        self._out: dict[int, Message] = {}  # handed out and not settled, by number
        self._deliveries: Counter[int] = Counter()
        self._credit = credit
        self._open_ended = open_ended
        self._idle_wait = idle_wait
        self._epoch = 0
        self._connected = False
        self._changed = asyncio.Event()

    def add(self, *messages: Message) -> None:
        """More messages, behind those that wait."""
        for message in messages:
            self._waiting.append((self._added, message))
            self._added += 1
        self._changed.set()

    def lose_connection(self) -> None:
        """What a network does: `receive` fails from now on, and what was not settled goes back."""
        self._connected = False
        self._requeue()
        self._changed.set()

    async def connect(self) -> None:
        self._connected = True

    async def receive(self, limit: int) -> Sequence[Message]:
        if not self._ready(limit):
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), self._idle_wait)
            except TimeoutError:
                return []
        return [self._hand_out() for _ in range(self._ready(limit))]

    async def settle(self, settled: Sequence[tuple[Message, Disposition]]) -> None:
        for message, answer in settled:
            epoch, number = message.receipt
            if epoch != self._epoch or number not in self._out:
                continue
            original = self._out.pop(number)
            if answer.settlement is Settlement.ACK:
                self.acknowledged.append(message)
            elif answer.settlement is Settlement.REJECT:
                self.rejected.append((message, answer))
            else:
                self._waiting.appendleft((number, original))
        self._changed.set()

    async def backlog(self) -> Backlog:
        return Backlog(messages=len(self._waiting) + len(self._out))

    async def close(self) -> None:
        self.lose_connection()

    def _ready(self, limit: int) -> int:
        """How many messages can be handed out now. Raises: as `receive`."""
        if not self._connected:
            raise NotConnectedError(f"{self.name}: not connected")
        if not (self._open_ended or self._waiting or self._out):
            raise SourceClosedError(f"{self.name}: every message is settled")
        return min(limit, len(self._waiting), self._credit - len(self._out))

    def _hand_out(self) -> Message:
        number, original = self._waiting.popleft()
        self._out[number] = original
        self._deliveries[number] += 1
        return replace(
            original, source=self.name, delivery_count=self._deliveries[number], receipt=(self._epoch, number)
        )

    def _requeue(self) -> None:
        """Receipts end with their epoch; what they stood for waits again, in its old order."""
        self._epoch += 1
        self._waiting.extendleft(reversed(self._out.items()))
        self._out.clear()
