"""Topics of Kafka as a source of messages."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from connectors.base import Backlog, Disposition, Message, StoredOffsets
from connectors.errors import NotConnectedError
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.timing import Timing

if TYPE_CHECKING:
    from connectors.kafka.consumer import Ahead, Consumer, PartitionCounts


class KafkaSource:
    """Reads topics as a member of a consumer group; a connection is one membership.

    A receipt is the lease of a partition with the record. A lease ends with each rebalance, and receipts of an ended one
    are passed over. With `offsets` a partition begins where the store ends; without, where the group last committed.
    """

    def __init__(
        self,
        name: str,
        settings: KafkaSettings,
        *,
        offsets: StoredOffsets | None = None,
        timing: Timing = Timing(),
    ) -> None:
        self.name = name
        self.warnings: Sequence[str] = ()
        self._settings = settings
        self._offsets = offsets
        self._timing = timing
        self._ahead: Ahead = {}
        self._counts: PartitionCounts = {}
        self._consumer: Consumer | None = None
        self._messages: int | None = None
        self._rebalances = 0  # those of earlier connections
        self._counted_at = float("-inf")

    async def connect(self) -> None:
        """As the contract says; the group gives out partitions later, in its own time."""
        from connectors.kafka.consumer import Consumer  # aiokafka costs time and memory: only where it is used

        warnings: list[str] = []
        self.warnings = warnings
        consumer = Consumer(
            self.name,
            self._settings,
            offsets=self._offsets,
            ahead=self._ahead,
            counts=self._counts,
            timing=self._timing,
            on_warning=warnings.append,
        )
        await consumer.open()
        self._consumer = consumer

    async def receive(self, limit: int) -> Sequence[Message]:
        return await self._open().receive(limit)

    async def settle(self, settled: Sequence[tuple[Message, Disposition]]) -> None:
        """As the contract says. A rejected message is done: Kafka has no place of its own for it."""
        if self._consumer is not None:
            self._consumer.settle(settled)

    async def backlog(self) -> Backlog:
        """What waits in the partitions that this process has."""
        now = asyncio.get_running_loop().time()
        consumer = self._open()
        if now - self._counted_at >= self._timing.backlog_age:
            self._messages = await consumer.backlog()
            self._counted_at = now
        return Backlog(messages=self._messages, rebalances=self._rebalances + consumer.rebalances)

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._counted_at = float("-inf")
        if consumer is not None:
            self._rebalances += consumer.rebalances
            await consumer.close()

    def _open(self) -> "Consumer":
        if self._consumer is None:
            raise NotConnectedError(f"{self.name}: not connected")
        return self._consumer


async def probe(name: str, settings: KafkaSettings) -> None:
    """Whether a source could start: brokers, credentials, topics and group, which is not joined. Raises: SourceError."""
    from connectors.kafka.consumer import Consumer

    consumer = Consumer(name, settings, offsets=None, ahead={}, counts={}, timing=Timing(), on_warning=lambda _: None)
    await consumer.look(at_group=True)
    await consumer.close()
