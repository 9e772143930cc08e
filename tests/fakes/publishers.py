"""A broker to publish to, which confirms or refuses as it is told."""

from collections import deque
from collections.abc import Sequence

from connectors.base import OutMessage


class FakePublisher:
    """`published` are batches as they were tried, confirmed or not. Each error waiting in a list is raised once;
    `connect_errors` may be changed."""

    def __init__(self, *, connect_errors: Sequence[Exception] = (), publish_errors: Sequence[Exception] = ()) -> None:
        self.connects = 0
        self.closes = 0
        self.published: list[Sequence[OutMessage]] = []
        self.connect_errors = deque(connect_errors)
        self._publish_errors = deque(publish_errors)

    async def connect(self) -> None:
        self.connects += 1
        if self.connect_errors:
            raise self.connect_errors.popleft()

    async def publish(self, messages: Sequence[OutMessage]) -> None:
        self.published.append(messages)
        if self._publish_errors:
            raise self._publish_errors.popleft()

    async def close(self) -> None:
        self.closes += 1
