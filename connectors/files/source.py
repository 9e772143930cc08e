"""Files of a directory as a source of messages."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from connectors.base import Backlog, Disposition, LogPartition, Message, StoredOffsets
from connectors.connector import MAX_BODY
from connectors.errors import NotConnectedError
from connectors.files.claim import ClaimedFile, Directory, Record
from connectors.files.settings import FilesSettings
from connectors.files.timing import Timing
from connectors.lease import Lease, in_runs, settle_each
from connectors.worker import Worker

T = TypeVar("T")

_MAX_OPEN = 100
"""Files that are ours at a time; each is open for as long."""


class _OpenFile:
    """A file that is being read, and which of its records are under way."""

    def __init__(self, file: ClaimedFile, lease: Lease) -> None:
        self.file = file
        self.lease = lease

    @property
    def is_done(self) -> bool:
        return self.file.at_end and not self.lease.has_unsettled


class FilesSource:
    """Reads files one after the other, in a thread of its own.

    A file is a partition of a log: the number of a record is its offset, which the store keeps with what the record
    causes. A receipt is the lease of a file with the number of the record; a lease ends with the connection.
    """

    def __init__(
        self,
        name: str,
        settings: FilesSettings,
        *,
        offsets: StoredOffsets | None = None,
        max_body: int = MAX_BODY,
        timing: Timing = Timing(),
    ) -> None:
        self.name = name
        self.warnings: Sequence[str] = ()
        self._settings = settings
        self._offsets = offsets
        self._max_body = max_body
        self._timing = timing
        self._worker: Worker | None = None
        self._directory: Directory | None = None
        self._files: list[_OpenFile] = []
        self._known: dict[str, tuple[int, set[int]]] = {}  # by id of a file: the watermark, and what is settled beyond
        self._waiting: deque[tuple[_OpenFile, Record, int]] = deque()  # with how often it was handed out
        self._under_way = 0
        self._looking: asyncio.Task[None] | None = None
        self._look_again_at = 0.0
        self._changed = asyncio.Event()

    async def connect(self) -> None:
        """As the contract says; the directory has to exist."""
        await self.close()
        self._worker = Worker(f"files-{self.name}")
        directory = Directory(self.name, self._settings, max_body=self._max_body)
        try:
            await self._call(directory.open)
        except BaseException:
            await self.close()
            raise
        self._directory = directory

    async def receive(self, limit: int) -> Sequence[Message]:
        self._open()
        if not self._waiting:
            await self._wait_for_records()
            self._open()
        # no await from here on: a record taken off the queue is returned
        return [self._hand_out(*self._waiting.popleft()) for _ in range(min(limit, len(self._waiting)))]

    async def settle(self, settled: Sequence[tuple[Message, Disposition]]) -> None:
        """As the contract says. A rejected record is done: a directory has no place of its own for it."""
        for is_given_back, receipts in in_runs(settled):
            if not is_given_back:
                self._under_way -= settle_each((opened.lease, record.number) for opened, record, _ in receipts)
                continue
            for opened, record, count in receipts:
                if opened.lease.give_back(record.number):
                    self._under_way -= 1
                    self._waiting.appendleft((opened, record, count))
        self._changed.set()
        await self._finish()

    async def backlog(self) -> Backlog:
        """Files that wait, and records that were read."""
        directory = self._open()
        await self._finish()
        files = await self._call(partial(directory.count, self._ours))
        reading = sum(not opened.file.at_end for opened in self._files)
        return Backlog(messages=files + reading + len(self._waiting) + self._under_way)

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        looking, self._looking = self._looking, None
        self._directory = None
        if looking is not None:  # what it claims is ours to close
            await asyncio.wait([looking], timeout=self._timing.close)
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        for opened in self._files:
            self._known[opened.file.id] = (opened.lease.watermark, opened.lease.ahead)
            opened.lease.is_lost = True
        files, self._files = self._files, []
        self._waiting.clear()
        self._under_way = 0
        self._look_again_at = 0.0
        if worker is not None:
            ending = [worker.begin(opened.file.close) for opened in files]
            if ending:
                await asyncio.wait(ending, timeout=self._timing.close)
            worker.end()

    async def _wait_for_records(self) -> None:
        """Until records have come, or for `idle_wait` at most."""
        clock = asyncio.get_running_loop().time
        if self._looking is None:
            room = self._settings.receive.max_in_flight - self._under_way
            pause = self._look_again_at - clock()
            if room <= 0 or pause > 0:
                self._changed.clear()
                longest = self._timing.idle_wait
                await _for_at_most(min(pause, longest) if room > 0 else longest, self._changed)
                return
            self._looking = asyncio.create_task(self._look(room))
        looking = self._looking
        await asyncio.wait([looking], timeout=self._timing.idle_wait)
        if looking.done():
            if self._looking is looking:
                self._looking = None
            looking.result()

    async def _look(self, room: int) -> None:
        """Read from the files that are ours, and claim others when those have come to their end."""
        directory = self._open()
        for opened in self._files:
            room -= await self._read(opened, room)
        if room > 0 and all(opened.file.at_end for opened in self._files):
            wanted = min(room, _MAX_OPEN - len(self._files)) if self._settings.records == "file" else 1
            claimed = await self._claim(directory, wanted) if wanted > 0 else []
            await self._ask_store(claimed)
            for opened in claimed:
                room -= await self._read(opened, room)
            if not claimed:
                self._look_again_at = asyncio.get_running_loop().time() + self._settings.poll
        await self._finish()

    async def _claim(self, directory: Directory, wanted: int) -> list[_OpenFile]:
        """Files that are ours from now on."""
        found = []
        for file in await self._call(partial(directory.claim, wanted, self._ours)):
            position, ahead = self._known.pop(file.id, (0, set()))
            lease = Lease(LogPartition(self.name, file.path.name, 0), position, ahead=ahead)
            found.append(_OpenFile(file, lease))
        self._files += found
        return found

    async def _ask_store(self, claimed: Sequence[_OpenFile]) -> None:
        """Of a file that an earlier connection has begun, the store says how far its records were accepted."""
        begun = [opened for opened in claimed if opened.file.is_old]
        if self._offsets is None or not begun:
            return
        stored = await self._offsets.next_offsets([opened.lease.partition for opened in begun])
        for opened in begun:
            lease = opened.lease
            opened.lease = Lease(lease.partition, stored.get(lease.partition, lease.position), ahead=lease.ahead)

    async def _read(self, opened: _OpenFile, room: int) -> int:
        """Let up to `room` records of a file wait; how many they are."""
        if room <= 0 or opened.file.at_end:
            return 0
        reading = partial(opened.file.read, room, beginning=opened.lease.position)
        try:
            records = await self._call(reading)
        except OSError as error:
            raise NotConnectedError(f"{self.name}: {opened.file.path}: {error.strerror}") from error
        fresh = [record for record in records if opened.lease.read(record.number)]
        self._waiting.extend((opened, record, 0) for record in fresh)
        return len(fresh)

    async def _finish(self) -> None:
        """Delete or move the files whose records are all settled; then the store need not know of them."""
        directory, done = self._directory, [opened for opened in self._files if opened.is_done]
        if directory is None or not done:
            return
        grown = await self._call(lambda: [opened.file.has_grown() for opened in done])
        ended = [opened for opened, has_grown in zip(done, grown, strict=True) if not has_grown]
        ended = [opened for opened in ended if opened in self._files]
        for opened in ended:
            self._files.remove(opened)
        try:
            await self._call(partial(directory.finish, [opened.file for opened in ended]))
        except BaseException:
            self._files.extend(opened for opened in ended)
            raise
        if self._offsets is not None and ended:
            await self._offsets.forget([opened.lease.partition for opened in ended])

    def _hand_out(self, opened: _OpenFile, record: Record, count: int) -> Message:
        opened.lease.hand_out(record.number)
        self._under_way += 1
        file = opened.file
        return Message(
            source=self.name,
            body=record.body,
            position=f"{file.name}/{file.id}/{record.number}",
            properties={
                "file_name": file.name,
                "number": record.number + 1,
                "size": file.size,
                "modified": file.modified.isoformat(),
            },
            enqueued_at=file.modified,
            delivery_count=count + 1,
            unreadable=record.unreadable,
            receipt=(opened, record, count + 1),
            is_lost=opened.lease.is_taken_away,
            offset=(opened.lease.partition, record.number),
        )

    @property
    def _ours(self) -> list[str]:
        return [opened.file.path.name for opened in self._files]

    def _open(self) -> Directory:
        if self._directory is None:
            raise NotConnectedError(f"{self.name}: not connected")
        return self._directory

    async def _call(self, work: Callable[[], T]) -> T:
        """The answer of a call in the thread. Raises: NotConnectedError: there is none in time; and what it raises."""
        if self._worker is None:
            raise NotConnectedError(f"{self.name}: not connected")
        try:
            async with asyncio.timeout(self._timing.request):
                return await self._worker.call(work)
        except TimeoutError:
            raise NotConnectedError(f"{self.name}: the file system does not answer") from None


async def probe(name: str, settings: FilesSettings) -> None:
    """Whether a source could start: directory and rights; no file is claimed. Raises: SourceError."""
    source = FilesSource(name, settings)
    await source.connect()
    await source.close()


async def _for_at_most(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
