"""One membership of a consumer group: records come in, positions go back, partitions come and go."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from connectors.base import Disposition, LogPartition, Message, StoredOffsets
from connectors.errors import NotConnectedError, SourceError, TopologyError
from connectors.kafka.beginning import beginning_of
from connectors.kafka.client import cause_of_no_connection, client_options, translated
from connectors.kafka.commits import Commits
from connectors.kafka.lenient import read_leniently
from connectors.kafka.message import message_from
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.timing import Timing
from connectors.lease import Lease, in_runs, settle_each

T = TypeVar("T")

_log = logging.getLogger("pushbridge")

_NOT_OURS = TopicPartition("", -1)
"""Records of this are asked for while there is no room: errors are seen, the group knows us alive, none is taken."""

_FETCH_BYTES = 8 * 1024 * 1024
"""Of one answer of a broker, at most: what was fetched and not read is held in memory."""

Ahead = dict[LogPartition, set[int]]
"""Offsets that were settled before earlier ones, kept from one connection to the next."""

PartitionCounts = dict[str, int]
"""How many partitions each topic had when this process was first given some, kept in the same way."""


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """A member of the group from `open` to `close`.

    A task of its own asks for records all the time, as a member that does not ask is taken for dead; what it reads waits
    here, as many messages as may be in flight. A rebalance takes every partition away: what is under way has
    `drain_on_revoke` to be settled, and what is not is lost. Where a partition begins, the store says; what is committed
    to the broker is for tools that show a lag, and for a group of which the store knows nothing.
    """

    def __init__(
        self,
        name: str,
        settings: KafkaSettings,
        *,
        offsets: StoredOffsets | None,
        ahead: Ahead,
        counts: PartitionCounts,
        timing: Timing,
        on_warning: Callable[[str], None],
    ) -> None:
        self._name = name
        self._settings = settings
        self._offsets = offsets
        self._ahead = ahead
        self._counts = counts
        self._timing = timing
        self._on_warning = on_warning
        self._options = client_options(name, settings, timing)
        self._client = self._make_client()
        self._commits = Commits(self._client, within=timing.close)
        self._leases: dict[TopicPartition, Lease] = {}
        self._waiting: deque[tuple[Lease, Any, int]] = deque()  # the lease, the record, how often it was handed out
        self._failure: SourceError | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._arrived, self._room_made, self._settled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._under_way = 0
        self._joining_since: float | None = asyncio.get_running_loop().time()
        self.rebalances = 0
        """How often the group dealt out its partitions anew; to join is none."""

    def _make_client(self) -> Any:
        receive = self._settings.receive
        session = int(receive.session_timeout * 1000)
        return AIOKafkaConsumer(
            **self._options,
            group_id=self._settings.group,
            group_instance_id=self._settings.group_instance_id,
            enable_auto_commit=False,
            auto_offset_reset="none",  # it would pass over messages in silence: `_positions` says where to begin
            isolation_level=receive.isolation,
            session_timeout_ms=session,
            max_poll_interval_ms=int(self._timing.max_poll * 1000),
            heartbeat_interval_ms=max(100, min(3000, session // 3)),
            rebalance_timeout_ms=int(self._rebalance_timeout * 1000),
            partition_assignment_strategy=[StickyPartitionAssignor],
            fetch_max_bytes=_FETCH_BYTES,
        )

    @property
    def _rebalance_timeout(self) -> float:
        """Seconds that the group waits for its members: a drain has to fit in."""
        return max(self._settings.receive.session_timeout, self._settings.receive.drain_on_revoke + 10)

    async def open(self) -> None:
        """Connect, and ask to join the group. Raises: NotConnectedError, AuthenticationError, TopologyError."""
        await self.look()
        self._client.subscribe(topics=self._settings.topics, listener=self)
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._note_progress())]

    async def look(self, *, at_group: bool = False) -> None:
        """Connect, and see that the topics are there; `at_group` also that the group may be asked how far it has read.

        Raises: as `open`; then this is closed.
        """
        try:
            try:
                await self._client.start()
            except KafkaConnectionError as error:
                raise await cause_of_no_connection(self._name, self._options) from error
            known = await self._ask(self._client.topics())
            missing = [topic for topic in self._settings.topics if topic not in known]
            if missing:
                listed = ", ".join(repr(topic) for topic in missing)
                raise TopologyError(
                    f"{self._name}: no topic {listed}, or it may not be read; create it, or allow Describe"
                )
            if at_group:
                await self._ask(self._client.committed(TopicPartition(self._settings.topics[0], 0)))
        except BaseException as error:
            await self.close()
            if isinstance(error, KafkaError | OSError):
                raise translated(error, self._name) from error
            raise

    async def close(self) -> None:
        """Say how far we are, leave the group, and close; never raises."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._commits.commit(self._leases)
        self._end(list(self._leases.values()))
        self._leases.clear()
        self._waiting.clear()
        stopping = asyncio.ensure_future(self._client.stop())
        done, _ = await asyncio.wait([stopping], timeout=2 * self._timing.close)
        if not done:
            stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        await self._commits.close()
        self._fail(NotConnectedError(f"{self._name}: not connected"))

    # Messages

    async def receive(self, limit: int) -> list[Message]:
        self.check()
        if not self._waiting:
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.idle_wait):
                    await self._arrived.wait()
            self.check()
        # no await from here on: a message taken from what waits is returned
        return [self._hand_out(*self._waiting.popleft()) for _ in range(min(limit, len(self._waiting)))]

    def settle(self, settled: Sequence[tuple[Message, Disposition]]) -> None:
        """A receipt of an earlier connection, or of a partition that was taken away, is passed over."""
        for is_given_back, receipts in in_runs(settled):
            if not is_given_back:
                self._under_way -= settle_each((lease, record.offset) for lease, record, _ in receipts)
                continue
            for lease, record, count in receipts:  # only ever on a shutdown
                if lease.give_back(record.offset):
                    self._waiting.appendleft((lease, record, count))
                    self._arrived.set()
        self._room_made.set()
        self._settled.set()

    async def backlog(self) -> int | None:
        """Messages of our partitions that are not settled; None where the broker does not let us know.

        Raises: NotConnectedError: no answer, or the group does not come to an end with a rebalance.
        """
        self.check()
        now = asyncio.get_running_loop().time()
        since, patience = self._joining_since, self._rebalance_timeout + self._timing.join
        if since is not None and now - since > patience:
            self._fail(NotConnectedError(f"{self._name}: no partitions from the group within {patience:g} s"))
            self.check()
        try:
            if since is not None:  # which partitions are ours is not known yet
                await self._hear_brokers()
                return None
            return await self._count_waiting(dict(self._leases))
        except (KafkaError, NotConnectedError) as error:
            self._fail(translated(error, self._name))
            self.check()
            raise

    async def _hear_brokers(self) -> None:
        """While the group is joined, aiokafka looks for a coordinator without end, also where no broker answers.

        Raises: NotConnectedError, KafkaError: none answers.
        """
        with suppress(TopicAuthorizationFailedError):
            await self._ask(self._client.end_offsets([TopicPartition(self._settings.topics[0], 0)]))

    async def _count_waiting(self, leases: Mapping[TopicPartition, Lease]) -> int | None:
        if not leases:
            return 0
        try:
            ends = await self._ask(self._client.end_offsets(list(leases)))
        except TopicAuthorizationFailedError:
            return None
        waiting = 0
        for partition, lease in leases.items():
            position = await self._position(partition, lease)
            waiting += 0 if lease.is_lost else lease.backlog(ends[partition], position)
        return waiting

    def check(self) -> None:
        """Raises: SourceError: the connection has come to its end."""
        if self._failure is not None:
            raise type(self._failure)(str(self._failure)) from self._failure

    def _hand_out(self, lease: Lease, record: Any, count: int) -> Message:
        lease.hand_out(record.offset)
        return message_from(
            record,
            source=self._name,
            partition=lease.partition,
            receipt=(lease, record, count + 1),
            is_lost=lease.is_taken_away,
            delivery_count=count + 1,
        )

    # Reading

    async def _poll(self) -> None:
        try:
            while True:
                room = self._settings.receive.max_in_flight - self._under_way
                if room > 0 and self._joining_since is None:
                    self._take(await self._read(room))
                else:
                    self._room_made.clear()
                    await self._client.getmany(_NOT_OURS)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._timing.poll):
                            await self._room_made.wait()
        except Exception as error:
            self._fail(translated(error, self._name))

    async def _read(self, room: int) -> Mapping[TopicPartition, Sequence[Any]]:
        """Records, at most as many as there is room for. Raises: NotConnectedError: the log has changed below us."""
        try:
            read: Mapping[TopicPartition, Sequence[Any]] = await self._client.getmany(
                timeout_ms=int(self._timing.poll * 1000), max_records=room
            )
        except UnicodeDecodeError:  # the name of a header
            if self._joining_since is not None:
                return {}
            is_committed = self._settings.receive.isolation == "read_committed"
            leases = dict(self._leases)
            read = await read_leniently(self._client, leases, room, is_committed=is_committed, ask=self._ask)
        except (NoOffsetForPartitionError, OffsetOutOfRangeError) as error:
            if self._joining_since is not None:  # aiokafka has begun before we have said where
                return {}
            await self._until(lambda lease: not lease.has_unsettled, list(self._leases.values()))  # kept here alone
            changed = ", ".join(f"{_named(partition)} at {offset}" for partition, offset in error.args[0].items())
            raise NotConnectedError(f"{self._name}: nothing is kept of {changed}: connecting again") from error
        return read

    def _take(self, read: Mapping[TopicPartition, Sequence[Any]]) -> None:
        skips = self._settings.tombstones == "skip"
        for partition, records in read.items():
            lease = self._leases.get(partition)
            if lease is None:  # read before we knew where it is to begin: it is read again from there
                continue
            for record in records:
                if not lease.read(record.offset):
                    continue
                self._under_way += 1
                if skips and record.value is None:
                    lease.hand_out(record.offset)
                    self._under_way -= lease.settle([record.offset])
                else:
                    self._waiting.append((lease, record, 0))
        if self._waiting:
            self._arrived.set()

    async def _note_progress(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._timing.commit_every)
                await self._commits.commit(self._leases)
        except Exception as error:  # the task would end in silence
            self._fail(translated(error, self._name))

    # Partitions come and go

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Read no more, let what is under way be settled, and take what is not for lost. aiokafka waits for this."""
        if self._leases:
            self.rebalances += 1
        self._joining_since = asyncio.get_running_loop().time()
        leases, self._leases = self._leases, {}
        draining = list(leases.values())
        try:
            self._drop_waiting()
            await self._until(lambda lease: lease.is_idle, draining)
            await self._commits.commit(leases)
        except Exception as error:  # aiokafka would only log it
            self._fail(translated(error, self._name))
        finally:
            self._end(draining)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin where the store says. aiokafka waits for this, but may have read on from what is committed by then."""
        partitions = list(assigned)
        try:
            positions = await self._positions(partitions)
            for partition, position in positions.items():
                of_log = self._log_partition(partition)
                self._client.seek(partition, position)
                self._leases[partition] = Lease(of_log, position, ahead=self._ahead.get(of_log, ()))
            self._commits.forget()
            await self._commits.commit(self._leases)  # so that a group which begins at the end finds this place again
            self._joining_since = None
            self._room_made.set()
        except Exception as error:  # aiokafka would only log it
            self._fail(translated(error, self._name))

    async def _until(self, is_over: Callable[[Lease], bool], leases: Sequence[Lease]) -> None:
        """Return when all of these have come so far, or when `drain_on_revoke` is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.receive.drain_on_revoke):
                while not all(map(is_over, leases)):
                    self._settled.clear()
                    await self._settled.wait()

    def _drop_waiting(self) -> None:
        self._under_way -= len(self._waiting)
        self._waiting.clear()

    def _end(self, leases: Sequence[Lease]) -> None:
        """What is still handed out of these is no longer ours."""
        for lease in leases:
            self._ahead[lease.partition] = lease.ahead
            lease.is_lost = True
        self._under_way = len(self._waiting)
        self._room_made.set()

    async def _positions(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Where each partition is to begin. Raises: SourceError, KafkaError."""
        if not partitions:
            return {}
        for topic in {partition.topic for partition in partitions}:
            self._counts.setdefault(topic, len(self._client.partitions_for_topic(topic) or ()))
        by_log = {self._log_partition(partition): partition for partition in partitions}
        stored = {} if self._offsets is None else await self._offsets.next_offsets(list(by_log))
        firsts = await self._ask(self._client.beginning_offsets(partitions))
        ends = await self._ask(self._client.end_offsets(partitions))
        positions, made_again = {}, []
        for of_log, partition in by_log.items():
            known = stored.get(of_log)
            if known is None:
                known = await self._ask(self._client.committed(partition))
            beginning = beginning_of(
                _named(partition),
                first=firsts[partition],
                end=ends[partition],
                known=known,
                begins_at_end=self._begins_at_end(partition),
            )
            positions[partition] = beginning.position
            if beginning.warning:
                self._warn(beginning.warning)
            if beginning.is_made_again:
                made_again.append(of_log)
        for of_log in made_again:
            self._ahead.pop(of_log, None)
        if made_again and self._offsets is not None:
            await self._offsets.forget(made_again)
        return positions

    def _begins_at_end(self, partition: TopicPartition) -> bool:
        """Not one that was added while we ran: all in it came after the group had begun."""
        return self._settings.start == "latest" and partition.partition < self._counts[partition.topic]

    def _log_partition(self, partition: TopicPartition) -> LogPartition:
        return LogPartition(f"{self._name}/{self._settings.group}", partition.topic, partition.partition)

    def _warn(self, text: str) -> None:
        _log.warning("source %s: %s", self._name, text)
        self._on_warning(text)

    async def _position(self, partition: TopicPartition, lease: Lease) -> int:
        """The client's own position, which passes what is no message; a partition that is gone has none."""
        try:
            return int(await self._ask(self._client.position(partition)))
        except (KafkaError, ValueError):
            return lease.position

    async def _ask(self, request: Any) -> Any:
        """An answer of the broker, in time. Raises: NotConnectedError, KafkaError."""
        try:
            async with asyncio.timeout(self._timing.request):
                return await request
        except TimeoutError:
            raise NotConnectedError(f"{self._name}: no answer within {self._timing.request:g} s") from None

    def _fail(self, error: SourceError) -> None:
        """The first that fails is what `receive` raises."""
        if self._failure is None:
            self._failure = error
        self._arrived.set()


def _named(partition: TopicPartition) -> str:
    return f"partition {partition.partition} of topic {partition.topic!r}"
