"""Telling the broker how far a group is, for tools that show a lag and for groups of which the store knows nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from connectors.lease import Lease


class Commits:
    """Commits of one member of the group; `within` bounds each, in seconds."""

    def __init__(self, client: Any, *, within: float) -> None:
        self._client = client
        self._within = within
        self._committed: dict[TopicPartition, int] = {}
        self._running: set[asyncio.Future[None]] = set()

    def forget(self) -> None:
        """The partitions were dealt out again: others may have committed in between."""
        self._committed = {}  # not cleared: what is still under way was said before

    async def commit(self, leases: Mapping[TopicPartition, Lease]) -> None:
        """What is new in these. The broker may refuse: the store knows it, and a rebalance is what it refuses for."""
        due = {
            partition: lease.watermark
            for partition, lease in leases.items()
            if not lease.is_lost and self._committed.get(partition) != lease.watermark
        }
        if not due:
            return
        # Not cut off: aiokafka's own task goes on without who asked, and its failure would be an error line of asyncio's.
        committed = self._committed
        committing = asyncio.ensure_future(self._client.commit(due))
        self._running.add(committing)
        committing.add_done_callback(self._end)
        done, _ = await asyncio.wait([committing], timeout=self._within)
        if done and not committing.cancelled():
            error = committing.exception()
            if error is None:
                committed |= due
            elif not isinstance(error, (KafkaError, TimeoutError)):
                raise error

    async def close(self) -> None:
        """Give up what is still under way."""
        await asyncio.gather(*(each for each in self._running if each.cancel()), return_exceptions=True)

    def _end(self, committing: asyncio.Future[None]) -> None:
        self._running.discard(committing)
        if not committing.cancelled():
            committing.exception()  # heard, also where its time was over
