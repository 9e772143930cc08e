"""Writes that come together are committed together, and a failure costs only itself."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from hub.errors import NotFoundError, StoreError
from hub.store.writer import GroupWriter


class Writing:
    """A writer on a table of numbers, that can be kept busy until its next jobs have come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.transactions: list[float] = []
        self.statements: list[str] = []
        self.writer = GroupWriter(self._connect, observe=self.transactions.append)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=0.1)
        connection.set_trace_callback(self.statements.append)
        connection.execute("CREATE TABLE IF NOT EXISTS number (value INTEGER UNIQUE)")
        return connection

    def numbers(self) -> list[int]:
        connection = sqlite3.connect(self.path)
        rows = connection.execute("SELECT value FROM number ORDER BY rowid").fetchall()
        connection.close()
        return [value for (value,) in rows]

    async def together(self, *jobs: Callable[[sqlite3.Connection], object]) -> list[object]:
        """What each job gives or raises, when all come while the writer is busy."""
        busy, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def block(connection: sqlite3.Connection) -> None:
            loop.call_soon_threadsafe(busy.set)
            go_on.wait()

        blocking = asyncio.ensure_future(self.writer.run(block))
        await busy.wait()
        tasks = [asyncio.ensure_future(self.writer.run(job)) for job in jobs]
        await asyncio.sleep(0)  # each task hands its job in
        go_on.set()
        await blocking
        self.transactions.clear()
        answers: list[object] = await asyncio.gather(*tasks, return_exceptions=True)
        return answers


@pytest.fixture
async def writing(tmp_path: Path) -> AsyncIterator[Writing]:
    writing = Writing(tmp_path / "numbers.db")
    writing.writer.start()
    yield writing
    await writing.writer.stop()


def insert(value: int) -> Callable[[sqlite3.Connection], int]:
    def job(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO number VALUES (?)", (value,))
        return value

    return job


def failing(error: Exception) -> Callable[[sqlite3.Connection], None]:
    def job(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO number VALUES (-1)")
        raise error

    return job


async def test_jobs_that_wait_are_one_transaction_in_the_order_they_came(writing: Writing) -> None:
    assert await writing.together(*(insert(value) for value in range(20))) == list(range(20))
    assert writing.numbers() == list(range(20))
    assert len(writing.transactions) == 1


async def test_a_job_that_fails_costs_only_itself(writing: Writing) -> None:
    error = NotFoundError("no such thing")
    answers = await writing.together(insert(1), failing(error), insert(2), insert(1), insert(3))
    assert answers[0::2] == [1, 2, 3]
    assert answers[1] is error
    assert isinstance(answers[3], StoreError)
    assert isinstance(answers[3].__cause__, sqlite3.IntegrityError)
    assert writing.numbers() == [1, 2, 3]


async def test_a_database_that_another_program_holds_is_waited_for_once_by_all(writing: Writing) -> None:
    with closing(sqlite3.connect(writing.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        jobs = [writing.writer.run(insert(value)) for value in range(20)]
        answers = await asyncio.gather(*jobs, return_exceptions=True)
        other.execute("ROLLBACK")
    assert [type(answer) for answer in answers] == [StoreError] * 20
    assert writing.statements.count("BEGIN IMMEDIATE") < 10
    assert await writing.writer.run(insert(7)) == 7
    assert writing.numbers() == [7]


async def test_a_defect_comes_as_it_is_for_trying_again_would_not_mend_it(writing: Writing) -> None:
    with pytest.raises(ZeroDivisionError):
        await writing.writer.run(failing(ZeroDivisionError("ours")))
    assert writing.numbers() == []


async def test_a_caller_that_went_away_does_not_hold_up_the_others(writing: Writing) -> None:
    async def give_up(job: Callable[[sqlite3.Connection], object]) -> None:
        task = asyncio.ensure_future(writing.writer.run(job))
        await asyncio.sleep(0)
        task.cancel()

    await give_up(insert(1))
    assert await writing.writer.run(insert(2)) == 2
    assert writing.numbers() == [1, 2]


async def test_stopping_finishes_what_waits_and_refuses_what_comes_after(tmp_path: Path) -> None:
    writing = Writing(tmp_path / "numbers.db")
    writing.writer.start()
    waiting = [asyncio.ensure_future(writing.writer.run(insert(value))) for value in range(5)]
    await asyncio.sleep(0)
    stopping = asyncio.ensure_future(writing.writer.stop())
    await asyncio.sleep(0)
    with pytest.raises(StoreError, match="closed"):
        await writing.writer.run(insert(99))
    assert await asyncio.gather(*waiting) == list(range(5))
    await stopping
    assert writing.numbers() == list(range(5))
    with pytest.raises(StoreError, match="closed"):
        await writing.writer.run(insert(99))


def test_a_database_that_cannot_be_reached_is_told_at_the_start(tmp_path: Path) -> None:
    writing = Writing(tmp_path / "nowhere" / "numbers.db")
    with pytest.raises(sqlite3.OperationalError):
        writing.writer.start()
