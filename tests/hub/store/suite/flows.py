"""How databases run jobs of several flows."""

import asyncio
import threading
from functools import partial

from hub.store.connection import Connection, Database


async def written_behind_a_flood(database: Database) -> list[str]:
    """The order in which twenty jobs of a flood, and one of another flow that comes last, have their answers."""
    may_begin, answered = threading.Event(), list[str]()

    def holds(_: Connection) -> None:
        may_begin.wait(30)

    async def write(name: str, *, rows: int) -> None:
        await database.write(lambda _: None, flow=name, rows=rows)
        answered.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(database.write(holds))
        for _ in range(20):
            group.create_task(write("flood", rows=100))
        group.create_task(write("calls", rows=1))
        asyncio.get_running_loop().call_later(0.01, partial(may_begin.set))
    return answered
