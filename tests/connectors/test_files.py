"""Files as a source: what all sources promise, and that each record comes once whatever is killed or half-written."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from connectors.base import ACK, LogPartition, Message
from connectors.errors import TopologyError
from connectors.files import FilesSettings, FilesSource
from connectors.files.timing import Timing
from tests.connectors.behaviour import PATIENCE, SourceBehaviour, bodies, bodies_of, take

QUICK = Timing(idle_wait=0.05)
WORK = ".pushbridge"


class Offsets:
    """A store's offsets in memory."""

    def __init__(self) -> None:
        self.kept: dict[LogPartition, int] = {}

    async def next_offsets(self, partitions: Sequence[LogPartition]) -> Mapping[LogPartition, int]:
        return {partition: self.kept[partition] for partition in partitions if partition in self.kept}

    async def advance(self, following: Mapping[LogPartition, int]) -> None:
        raise AssertionError("a record has an offset of its own")

    async def forget(self, partitions: Sequence[LogPartition]) -> None:
        for partition in partitions:
            self.kept.pop(partition, None)

    def accept(self, messages: Sequence[Message]) -> list[Message]:
        """As the store does: what is before the next offset was accepted before."""
        fresh = []
        for message in messages:
            assert message.offset is not None
            partition, offset = message.offset
            if offset >= self.kept.get(partition, 0):
                self.kept[partition] = offset + 1
                fresh.append(message)
        return fresh


def made(directory: Path, offsets: Offsets | None = None, max_body: int = 1000, **changes: Any) -> FilesSource:
    given = {"path": directory, "settle": 0, "poll": 0.05, "records": "lines"}
    settings = FilesSettings.model_validate(given | changes)
    return FilesSource("nightly", settings, offsets=offsets, max_body=max_body, timing=QUICK)


@asynccontextmanager
async def connected(directory: Path, offsets: Offsets | None = None, **changes: Any) -> AsyncIterator[FilesSource]:
    source = made(directory, offsets, **changes)
    try:
        await source.connect()
        yield source
    finally:
        await source.close()


class FilesHarness:
    """A directory into which files are renamed, each with a record."""

    def __init__(self, directory: Path, *, records: str) -> None:
        directory.mkdir()
        self._directory, self._records, self._names = directory, records, count()
        self.source = made(directory, records=records)

    async def publish(self, wanted: Sequence[bytes]) -> None:
        for body in wanted:
            self._write(body + (b"\n" if self._records == "lines" else b""))

    def _write(self, content: bytes) -> None:
        temporary = self._directory / "writing.tmp"
        temporary.write_bytes(content)
        temporary.rename(self._directory / f"{next(self._names):06}.txt")

    async def lose_connection(self) -> None:
        """What a mount that comes again does: the directory is another one, with the same files."""
        away = self._directory.with_name("away")
        self._directory.rename(away)
        self._directory.mkdir()
        for name in os.listdir(away):
            (away / name).rename(self._directory / name)
        away.rmdir()


@pytest.mark.parametrize("records", ["lines", "file"])
class TestFilesSource(SourceBehaviour):
    @pytest.fixture
    async def harness(self, tmp_path: Path, records: str) -> AsyncIterator[FilesHarness]:
        harness = FilesHarness(tmp_path / "in", records=records)
        yield harness
        await harness.source.close()


async def until_gone(source: FilesSource) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await source.backlog()).messages:
            await source.receive(1)


async def test_lines_are_records_with_their_file_and_number_and_the_file_goes_when_all_are_settled(
    tmp_path: Path,
) -> None:
    (tmp_path / "night.csv").write_bytes(b"account;amount\n1;2\r\n\n3;4")
    (tmp_path / "other.txt").write_bytes(b"x")
    async with connected(tmp_path, skip=1, pattern="*.csv") as source:
        first, second = await take(source, 2)
        assert (first.body, second.body) == (b"1;2", b"3;4")
        assert [first.properties[name] for name in ("file_name", "number", "size")] == ["night.csv", 2, 24]
        await source.settle([(first, ACK)])
        assert [path.name.partition(".")[2] for path in (tmp_path / WORK).glob("*.*")] == ["night.csv"]
        await source.settle([(second, ACK)])
        assert (await source.backlog()).messages == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [WORK, "other.txt"]
    assert [path.name for path in (tmp_path / WORK).iterdir()] == ["failed"]


@pytest.mark.parametrize("killed_at", range(8))
async def test_each_record_is_accepted_once_wherever_the_process_ends(tmp_path: Path, killed_at: int) -> None:
    """A kill before or after the store has a batch, or before the file is deleted or its offset forgotten."""
    offsets, accepted = Offsets(), []
    (tmp_path / "night.txt").write_bytes(b"".join(body + b"\n" for body in bodies(6)))
    steps = 0

    def may_go_on() -> bool:
        nonlocal steps
        steps += 1
        return steps <= killed_at

    async with connected(tmp_path, offsets) as source:
        while may_go_on() and (messages := await source.receive(2)) and may_go_on():
            accepted += offsets.accept(messages)
            if not may_go_on():
                break
            await source.settle([(message, ACK) for message in messages])
    async with connected(tmp_path, offsets) as source:  # another process: nothing is known but files and offsets
        async with asyncio.timeout(PATIENCE):
            while (await source.backlog()).messages:
                messages = await source.receive(10)
                accepted += offsets.accept(messages)
                await source.settle([(message, ACK) for message in messages])
    assert [message.body for message in accepted] == bodies(6)
    assert offsets.kept == {}


async def test_a_file_of_the_same_name_is_another_file(tmp_path: Path) -> None:
    offsets = Offsets()
    for _ in range(2):
        (tmp_path / "daily.txt").write_bytes(b"same\n")
        async with connected(tmp_path, offsets) as source:
            messages = await take(source, 1)
            assert offsets.accept(messages) == messages
            await source.settle([(message, ACK) for message in messages])


async def test_a_file_that_is_written_to_is_left_until_it_is_complete(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "night.txt.part").write_bytes(b"x")
    async with connected(tmp_path) as source:
        with (tmp_path / "night.txt").open("wb") as writing:
            writing.write(b"one\ntw")
            writing.flush()
            for _ in range(5):
                assert await source.receive(10) == []
            writing.write(b"o\n")
        assert bodies_of(await take(source, 2)) == [b"one", b"two"]


async def test_a_file_has_to_stay_the_same_for_so_long(tmp_path: Path) -> None:
    path = tmp_path / "night.txt"
    async with connected(tmp_path, settle=0.4) as source:
        for number in range(6):
            with path.open("ab") as writing:
                writing.write(b"%d\n" % number)
            assert await source.receive(10) == []
        assert len(await take(source, 6)) == 6


async def test_what_is_written_to_a_file_after_it_was_taken_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "night.txt"
    path.write_bytes(b"one\n")
    async with connected(tmp_path) as source:
        first = await take(source, 1)
        (taken,) = (tmp_path / WORK).glob("*.night.txt")
        with taken.open("ab") as late:
            late.write(b"two\n")
        await source.settle([(message, ACK) for message in first])
        assert bodies_of(await take(source, 1)) == [b"two"]


async def test_a_file_is_one_process_s_and_another_s_after_its_end(tmp_path: Path) -> None:
    (tmp_path / "night.txt").write_bytes(b"one\ntwo\n")
    async with connected(tmp_path) as second:
        async with connected(tmp_path) as first:
            assert len(await take(first, 2)) == 2
            assert await second.receive(10) == []
        assert bodies_of(await take(second, 2)) == [b"one", b"two"]


async def test_files_are_moved_and_none_replaces_another(tmp_path: Path) -> None:
    incoming, done = tmp_path / "in", tmp_path / "done"
    incoming.mkdir()
    done.mkdir()
    for content in (b"one", b"two"):
        (incoming / "a.txt").write_bytes(content)
        async with connected(incoming, done="move", move_to=done, records="file") as source:
            await source.settle([(message, ACK) for message in await take(source, 1)])
    assert sorted(path.read_bytes() for path in done.iterdir()) == [b"one", b"two"]


@pytest.mark.parametrize("records", ["lines", "file"])
async def test_a_record_that_is_too_large_is_named_and_its_file_is_kept(tmp_path: Path, records: str) -> None:
    (tmp_path / "large.txt").write_bytes(b"x" * 70_000 + b"\nafter")
    async with connected(tmp_path, max_body=100, records=records) as source:
        messages = await take(source, 2 if records == "lines" else 1)
        assert messages[0].body == b"x" * 100
        assert "more than the 100 bytes of decode.max_body" in messages[0].unreadable
        assert all(message.body == b"after" for message in messages[1:])
        await source.settle([(message, ACK) for message in messages])
        await until_gone(source)
    (kept,) = (tmp_path / WORK / "failed").iterdir()
    assert kept.stat().st_size == 70_006


async def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_bytes(b"".join(b"%d\n" % number for number in range(5000)))
    async with connected(tmp_path, receive={"max_in_flight": 700}) as source:
        read: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            while len(read) < 5000:
                messages = await source.receive(1000)
                assert len(messages) <= 700
                read += [message.body for message in messages]
                await source.settle([(message, ACK) for message in messages])
    assert read == [b"%d" % number for number in range(5000)]


async def test_a_directory_that_is_missing_or_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for path in ("nowhere", "file"):
        with pytest.raises(TopologyError, match=path):
            await made(tmp_path / path).connect()


async def test_a_name_that_is_not_utf_8_holds_up_no_file_also_when_an_earlier_process_claimed_it(
    tmp_path: Path,
) -> None:
    (tmp_path / WORK).mkdir()
    (tmp_path / WORK / os.fsdecode(b"0123456789abcdef.M\xfcller.txt")).write_bytes(b"first\n")
    (tmp_path / os.fsdecode(b"K\xf6ln.txt")).write_bytes(b"second\n")
    async with connected(tmp_path) as source:
        messages = await take(source, 2)
        assert bodies_of(messages) == [b"first", b"second"]
        assert [message.properties["file_name"] for message in messages] == ["M?ller.txt", "K?ln.txt"]
        for message in messages:
            assert message.offset is not None
            f"{message.position} {message.offset[0]}".encode()  # as a store has to hold them
        await source.settle([(message, ACK) for message in messages])
    assert [path.name for path in (tmp_path / WORK).iterdir()] == ["failed"]


async def test_links_and_directories_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to("/etc/passwd")
    (tmp_path / "folder.txt").mkdir()
    os.mkfifo(tmp_path / "pipe.txt")
    async with connected(tmp_path) as source:
        assert await source.receive(10) == []
        assert (await source.backlog()).messages == 0
