"""A push service in memory: it answers as it is told, when it is told."""

import asyncio
from collections.abc import Callable

from hub.notification import Platform
from hub.outcome import OutcomeName, Reaction
from hub.push import DELIVERED, PageVerdict, PushPage, SendResult
from tests.fakes.pushes import Push, pushes_of

__all__ = ["DELIVERED", "DROPPED", "GONE", "UNAVAILABLE", "WRONG_KEY", "FakeSender"]

UNAVAILABLE = SendResult(reaction=Reaction.RETRY, outcome=OutcomeName.PNS_UNAVAILABLE, reason="ServiceUnavailable")
GONE = SendResult(reaction=Reaction.GONE, outcome=OutcomeName.EXPIRED_CHANNEL, reason="Unregistered")
DROPPED = SendResult(reaction=Reaction.DROP, outcome=OutcomeName.INVALID_NOTIFICATION_FORMAT, reason="BadCollapseId")
WRONG_KEY = SendResult(
    reaction=Reaction.CONFIG, outcome=OutcomeName.INVALID_CREDENTIALS, reason="InvalidProviderToken", lane_wide=True
)


class FakeSender:
    """Answers each push with `answer`, which may be exchanged at any time; while `held`, with nothing at all.

    `batches` are the pushes it was given, as they came. What `answer` raises, `send` raises.
    """

    def __init__(self, platform: Platform, answer: Callable[[Push], SendResult] | SendResult = DELIVERED) -> None:
        self.platform = platform
        self.answer = answer
        self.batches: list[list[Push]] = []
        self.closed = False
        self._open = asyncio.Event()
        self._open.set()
        self._news = asyncio.Condition()

    @property
    def pushes(self) -> list[Push]:
        return [push for batch in self.batches for push in batch]

    @property
    def push_channels(self) -> list[str]:
        return [push.push_channel for push in self.pushes]

    def hold(self) -> None:
        """Keep whoever sends from now on waiting: a black hole."""
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()

    async def received(self, count: int) -> list[Push]:
        """All pushes, once there are `count` of them, answered or not."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.pushes) >= count)
        return self.pushes

    async def send(self, page: PushPage, *, deadline: float = 10.0) -> PageVerdict:
        pushes = pushes_of(page)
        async with self._news:
            self.batches.append(pushes)
            self._news.notify_all()
        await self._open.wait()
        return PageVerdict.of(
            self.answer if isinstance(self.answer, SendResult) else self.answer(push) for push in pushes
        )

    async def close(self) -> None:
        self.closed = True
