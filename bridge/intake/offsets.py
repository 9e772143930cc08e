"""How far logs were accepted, for connectors that read one: the store's answer in their words."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from connectors.base import LogPartition
from connectors.errors import NotConnectedError
from hub.acceptance import Partition
from hub.errors import StoreError


class OffsetStore(Protocol):
    """What is asked of the store."""

    async def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Raises: StoreError."""

    async def advance_offsets(self, following: Mapping[Partition, int]) -> None:
        """Raises: StoreError."""

    async def forget_offsets(self, partitions: Sequence[Partition]) -> None:
        """Raises: StoreError."""


class AcceptedOffsets:
    """`connectors.base.StoredOffsets` of a store."""

    def __init__(self, store: OffsetStore) -> None:
        self._store = store

    async def next_offsets(self, partitions: Sequence[LogPartition]) -> Mapping[LogPartition, int]:
        by_partition = {Partition(*partition): partition for partition in partitions}
        try:
            found = await self._store.offsets(list(by_partition))
        except StoreError as error:
            raise NotConnectedError(f"the store does not say how far the topics were read: {error}") from error
        return {by_partition[partition]: offset for partition, offset in found.items()}

    async def advance(self, following: Mapping[LogPartition, int]) -> None:
        try:
            await self._store.advance_offsets({Partition(*each): offset for each, offset in following.items()})
        except StoreError as error:
            raise NotConnectedError(f"the store does not keep how far a source was read: {error}") from error

    async def forget(self, partitions: Sequence[LogPartition]) -> None:
        try:
            await self._store.forget_offsets([Partition(*partition) for partition in partitions])
        except StoreError as error:
            raise NotConnectedError(f"the store does not forget how far a topic was read: {error}") from error
