"""A hub elsewhere, in memory: it answers as its script says."""

from collections import deque
from collections.abc import Sequence

from hub.notification import Notification
from hub.platforms.base import SendResult
from tests.fakes.senders import DELIVERED


class ScriptedOutlet:
    """Answers each notification with the next of `script`; when that has come to its end, it takes everything.

    `tries` are the notifications it was given, as they came.
    """

    def __init__(self, *script: SendResult) -> None:
        self.script = deque(script)
        self.tries: list[Notification] = []
        self.closed = False

    async def send(self, items: Sequence[Notification], /) -> Sequence[SendResult]:
        self.tries += items
        return [self.script.popleft() if self.script else DELIVERED for _ in items]

    async def close(self) -> None:
        self.closed = True
