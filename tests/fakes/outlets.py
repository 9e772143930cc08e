"""A hub elsewhere, in memory: it answers as its script says."""

from collections import deque
from collections.abc import Sequence

from hub.notification import Notification
from hub.push import PageVerdict, SendResult
from tests.fakes.senders import DELIVERED


class ScriptedOutlet:
    """Answers each notification with the next of `script`; when that has come to its end, it takes everything.

    `tries` are the notifications it was given, as they came.
    """

    def __init__(self, *script: SendResult) -> None:
        self.script = deque(script)
        self.tries: list[Notification] = []
        self.closed = False

    async def send(self, batch: Sequence[Notification], /) -> PageVerdict:
        self.tries += batch
        return PageVerdict.of([self.script.popleft() if self.script else DELIVERED for _ in batch])

    async def close(self) -> None:
        self.closed = True
