"""Reading records with headers whose names are no text: brokers keep them, and aiokafka raises for the whole batch."""

from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

from connectors.lease import Lease

_BYTES = 1024 * 1024
"""Of one answer, unless its first batch is larger: as aiokafka asks."""
_MAGIC_AT, _MAGIC = 16, 2
"""Where a batch has the version of its format, and the one that has headers."""


async def read_leniently(
    client: Any,
    leases: Mapping[TopicPartition, Lease],
    room: int,
    *,
    is_committed: bool,
    ask: Callable[[Awaitable[Any]], Awaitable[Any]],
) -> dict[TopicPartition, list[Any]]:
    """At most `room` records from where each lease is, and the consumer `client` goes on behind them.

    All partitions are read again, as aiokafka loses what it had read of others when it raises. Bytes of a name that are no
    text are written as escapes. `ask` bounds a request in time. Raises: KafkaError, and as `ask`.
    """
    isolation = READ_COMMITTED if is_committed else READ_UNCOMMITTED
    read: dict[TopicPartition, list[Any]] = {}
    for partition, lease in leases.items():
        following = lease.position
        if room > 0:
            records = await ask(_records(client._client, partition, following, isolation))
            read[partition] = list(islice(records, room))
            room -= len(read[partition])
            following = records.next_fetch_offset
        if not lease.is_lost and partition in client.assignment():
            client.seek(partition, following)
    return read


async def _records(client: Any, partition: TopicPartition, offset: int, isolation: int) -> Any:
    """Records from this offset on, of one answer of the partition's leader."""
    wanted = [(partition.topic, [(partition.partition, offset, _BYTES)])]
    leader = client.cluster.leader_for_partition(partition)
    answer = await client.send(leader, FetchRequest(0, 1, _BYTES, isolation, wanted))
    ((_, ((_, error, _, *rest),)),) = answer.topics
    if error:
        raise for_code(error)(f"{partition.topic}/{partition.partition} at {offset}")
    aborted = rest[2] if answer.API_VERSION >= 11 else rest[-2] if answer.API_VERSION >= 4 else None
    return PartitionRecords(partition, _Batches(rest[-1]), aborted, offset, None, None, True, isolation)


class _Batches(_MemoryRecordsPy):  # type: ignore[misc]  # aiokafka has no types
    """The client's own reading in Python, which is slow and takes no part in what can be read without it."""

    def next_batch(self) -> Any:
        found = self._next_slice
        if found is None or found[_MAGIC_AT] < _MAGIC:
            return super().next_batch()
        self._cache_next()
        return _Batch(found)


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, _Bytes):
            self._buffer = _Bytes(self._buffer)


class _Bytes(bytearray):
    """Bytes whose parts are text in any case."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _Bytes(part) if isinstance(index, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
