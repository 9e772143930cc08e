"""A schema of one table of numbers, for tests of the database alone."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from hub.store.connection import Connection, Row, Statement
from hub.store.sqlite.database import SqliteDatabase
from hub.store.versions import SchemaVersion

NUMBERS = [
    SchemaVersion(
        number=1,
        sql="CREATE TABLE number (value INTEGER PRIMARY KEY, name TEXT, content BLOB) STRICT;",
        readable_from=1,
    )
]
INSERT = Statement("test.insert", "INSERT INTO number (value) VALUES (:value)")
ALL = Statement("test.all", "SELECT value FROM number ORDER BY value")
ENDLESS = Statement(
    "test.endless",
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :last) SELECT max(i) FROM n",
)


def insert(value: int) -> Callable[[Connection], int]:
    def job(connection: Connection) -> int:
        connection.write(INSERT, value=value)
        return value

    return job


def failing(error: Exception) -> Callable[[Connection], None]:
    def job(connection: Connection) -> None:
        connection.write(INSERT, value=-1)
        raise error

    return job


def endless(connection: Connection) -> list[Row]:
    return connection.read(ENDLESS, last=10**15)


async def numbers(database: SqliteDatabase) -> list[int]:
    rows = await database.read(lambda connection: connection.read(ALL))
    return [value for (value,) in rows]


async def together(database: SqliteDatabase, *calls: Coroutine[Any, Any, object]) -> list[object]:
    """What each call gives or raises, when all come while the writer is busy."""
    busy, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def block(connection: Connection) -> None:
        loop.call_soon_threadsafe(busy.set)
        go_on.wait()

    blocking = asyncio.ensure_future(database.write(block))
    await busy.wait()
    tasks = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(0)  # each task hands its job in
    go_on.set()
    await blocking
    answers: list[object] = await asyncio.gather(*tasks, return_exceptions=True)
    return answers
