"""A table of a database as a source of messages."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from connectors.base import Backlog, Disposition, LogPartition, Message, Settlement, StoredOffsets
from connectors.errors import NotConnectedError, TopologyError
from connectors.sql.row import Row, message_from
from connectors.sql.settings import SqlSettings
from connectors.sql.timing import Timing
from connectors.worker import Worker

if TYPE_CHECKING:
    from connectors.sql.database import Database
    from connectors.sql.watermark import Progress

T = TypeVar("T")


class Reader(Protocol):
    """Reads a table, in a thread; `finish` takes the keys of rows."""

    def read(self, limit: int) -> list[Row]: ...

    def finish(self, done: Sequence[Any], given_back: Sequence[Any]) -> None: ...

    def count(self) -> int: ...


class SqlSource:
    """Reads a table over one connection, in a thread of its own.

    A receipt is (epoch, key): each connection is an epoch, and receipts of others are passed over. Of a watermark the
    store keeps how far it came, in the column's values; `offsets` is where.
    """

    def __init__(
        self, name: str, settings: SqlSettings, *, offsets: StoredOffsets | None = None, timing: Timing = Timing()
    ) -> None:
        self.name = name
        self.warnings: Sequence[str] = ()
        self._settings = settings
        self._offsets = offsets
        self._timing = timing
        self._epoch = 0
        self._worker: Worker | None = None
        self._database: Database | None = None
        self._reader: Reader | None = None
        self._progress: Progress | None = None
        self._reading: asyncio.Future[list[Row]] | None = None
        self._reading_since = 0.0
        self._kept: tuple[int | None, int | None] = (None, None)
        self._look_again_at = 0.0
        self._arrived: deque[Row] = deque()
        self._out: set[Any] = set()
        self._room_made = asyncio.Event()
        self._backlog = Backlog()
        self._counted_at = float("-inf")

    async def connect(self) -> None:
        """As the contract says; nothing is created, and what we may do is tried without effect."""
        await self.close()
        self._worker = Worker(f"sql-{self.name}")
        try:
            await self._load_progress()
            self.warnings = await self._call(self._open_reader)
            await self._keep_progress()
        except BaseException:
            await self.close()
            raise

    def _open_reader(self) -> Sequence[str]:
        """In the thread. SQLAlchemy costs time and memory: only where a table is read."""
        try:
            from connectors.sql.database import Database
            from connectors.sql.outbox import OutboxReader
            from connectors.sql.watermark import WatermarkReader
        except ModuleNotFoundError as error:
            raise TopologyError(
                f"{self.name}: {error.name} is not installed; pip install 'pushbridge[sql-postgresql]', [sql-mysql],"
                " or what brings the driver of another database"
            ) from None
        settings = self._settings
        database = self._database = Database(self.name, settings.url.get_secret_value(), timing=self._timing)
        database.open()
        if settings.outbox is not None:
            outbox = OutboxReader(database, settings.outbox, body=settings.body)
            outbox.open()
            self._reader = outbox
            return ()
        assert settings.watermark is not None
        assert self._progress is not None
        watermark = WatermarkReader(database, settings.watermark, body=settings.body, progress=self._progress)
        warnings = watermark.open()
        self._reader = watermark
        return warnings

    async def receive(self, limit: int) -> Sequence[Message]:
        self._open()
        if not self._arrived:
            await self._wait_for_rows()
            self._open()
        # no await from here on: a row taken off the queue is returned
        return [self._hand_out(self._arrived.popleft()) for _ in range(min(limit, len(self._arrived)))]

    async def settle(self, settled: Sequence[tuple[Message, Disposition]]) -> None:
        """As the contract says. A rejected row is done: a table has no place of its own for it."""
        done: list[Any] = []
        given_back: list[Any] = []
        for message, disposition in settled:
            epoch, key = message.receipt
            if epoch == self._epoch and key in self._out:
                self._out.discard(key)
                (given_back if disposition.settlement is Settlement.NACK else done).append(key)
        if not (done or given_back):
            return
        await self._call(partial(self._open().finish, done, given_back))
        if given_back:
            self._look_again_at = 0.0
        self._room_made.set()
        await self._keep_progress()

    async def backlog(self) -> Backlog:
        """Rows that wait, those that are under way among them."""
        now = asyncio.get_running_loop().time()
        if now - self._counted_at >= self._timing.backlog_age:
            self._backlog = Backlog(messages=await self._call(self._open().count))
            self._counted_at = now
        return self._backlog

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        database, self._database = self._database, None
        self._reader = None
        self._reading = None
        self._epoch += 1
        self._arrived.clear()
        self._out.clear()
        self._look_again_at = 0.0
        self._counted_at = float("-inf")
        if worker is not None:
            if database is not None:
                closing = worker.begin(database.close)
                await asyncio.wait([closing], timeout=self._timing.close)
                if not closing.done():
                    database.abandon()
            worker.end()

    async def _wait_for_rows(self) -> None:
        """Until rows have come, or for `idle_wait` at most. Raises: NotConnectedError."""
        clock = asyncio.get_running_loop().time
        wait = self._timing.idle_wait
        if self._reading is None:
            room = self._settings.receive.max_in_flight - len(self._out)
            if room <= 0:
                self._room_made.clear()
                await _for_at_most(wait, self._room_made)
                return
            pause = self._look_again_at - clock()
            if pause > 0:
                await asyncio.sleep(min(pause, wait))
                if pause > wait:
                    return
            self._reading = self._begin(partial(self._open().read, room))
            self._reading_since = clock()
            self._reading.add_done_callback(partial(self._read, self._epoch, room))
        reading = self._reading
        await asyncio.wait([reading], timeout=wait)
        if reading.done():
            reading.result()
        elif clock() - self._reading_since > self._timing.request:
            raise NotConnectedError(f"{self.name}: no answer within {self._timing.request:g} s to what waits")

    def _read(self, epoch: int, room: int, reading: "asyncio.Future[list[Row]]") -> None:
        """Keep what was read, whoever waits for it."""
        failed = reading.cancelled() or reading.exception() is not None
        if epoch != self._epoch:
            return
        self._reading = None
        if failed:
            return
        rows = reading.result()
        self._arrived.extend(rows)
        if len(rows) < room:
            self._look_again_at = asyncio.get_running_loop().time() + self._settings.poll

    def _hand_out(self, row: Row) -> Message:
        self._out.add(row.key)
        epoch = self._epoch
        return message_from(
            row,
            source=self.name,
            table=self._settings.table,
            body=self._settings.body,
            receipt=(epoch, row.key),
            is_lost=lambda: epoch != self._epoch,
        )

    def _open(self) -> Reader:
        if self._reader is None:
            raise NotConnectedError(f"{self.name}: not connected")
        return self._reader

    def _begin(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        if self._worker is None:
            raise NotConnectedError(f"{self.name}: not connected")
        return self._worker.begin(work)

    async def _call(self, work: Callable[[], T]) -> T:
        """The answer of a call in the thread. Raises: NotConnectedError: there is none in time; and what it raises."""
        answer = self._begin(work)
        try:
            async with asyncio.timeout(self._timing.request + self._timing.lock):
                return await asyncio.shield(answer)
        except TimeoutError:
            raise NotConnectedError(f"{self.name}: no answer within {self._timing.request:g} s") from None
        finally:
            answer.add_done_callback(_hear)

    # How far a watermark came

    @property
    def _partitions(self) -> tuple[LogPartition, LogPartition]:
        """Where the store keeps the watermark, and the floor."""
        watermark = self._settings.watermark
        assert watermark is not None
        topic = f"{watermark.table}/{watermark.column}"
        return LogPartition(self.name, topic, 0), LogPartition(self.name, topic, 1)

    async def _load_progress(self) -> None:
        if self._settings.watermark is None:
            return
        from connectors.sql.watermark import Progress

        known = self._progress or Progress()
        if self._offsets is not None:
            partitions = self._partitions
            found = await self._offsets.next_offsets(partitions)
            watermark, floor = (found[each] - 1 if each in found else None for each in partitions)
            known.watermark = watermark if known.watermark is None else known.watermark
            known.floor = floor if known.floor is None else known.floor
        self._progress = known
        self._kept = (None, None)

    async def _keep_progress(self) -> None:
        """Once rows are settled: what lies below the watermark has no need of being read again."""
        progress = self._progress
        if progress is None or self._offsets is None:
            return
        reached = (progress.watermark, progress.floor)
        if reached != self._kept:
            following = {
                each: value + 1 for each, value in zip(self._partitions, reached, strict=True) if value is not None
            }
            await self._offsets.advance(following)
            self._kept = reached


async def probe(name: str, settings: SqlSettings) -> None:
    """Whether a source could start: database, credentials, table, columns, rights; no row is read. Raises: SourceError."""
    source = SqlSource(name, settings)
    await source.connect()
    await source.close()


def _hear(future: "asyncio.Future[Any]") -> None:
    """Take an answer that nobody waits for any more: a failure that nobody hears is an error line in the log."""
    if not future.cancelled():
        future.exception()


async def _for_at_most(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
