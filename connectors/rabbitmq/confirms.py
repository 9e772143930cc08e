"""What the broker says of published messages: publisher confirms, an extension of AMQP 0-9-1 by RabbitMQ."""

import asyncio
from itertools import takewhile


class Confirms:
    """The messages of one channel that wait for their confirm.

    The broker counts them from 1 in the order of publishing, may confirm several at once, and returns a message that
    no queue takes before it confirms it. Each future gets what went wrong, None for a message that is safe; a
    result and not an exception, as no caller may be waiting any more.
    """

    def __init__(self) -> None:
        self._published = 0
        self._waiting: dict[int, tuple[str, asyncio.Future[str | None]]] = {}  # by number, in order
        self._returned: dict[str, str] = {}

    def publish(self, message_id: str) -> asyncio.Future[str | None]:
        """A message has been published; call it once for each, in order."""
        self._published += 1
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting[self._published] = message_id, outcome
        return outcome

    def returned(self, message_id: str, reason: str) -> None:
        """The broker sent a message back; its confirm follows."""
        self._returned[message_id] = reason

    def confirmed(self, number: int, *, multiple: bool, taken: bool) -> None:
        """The broker answered for `number`, with `multiple` for all up to it that still wait; not `taken` is a nack."""
        numbers = list(takewhile(number.__ge__, self._waiting)) if multiple else [number]
        for each in numbers:
            message_id, outcome = self._waiting.pop(each)
            problem = self._returned.pop(message_id, None) or (None if taken else "the broker could not take it")
            if not outcome.done():
                outcome.set_result(problem)
