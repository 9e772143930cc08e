"""Nights of the store: rows that were changed by hand, and a reader that keeps an old state open."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path

from sandbox.services import PushServices
from tests.integration.daemon import Daemon
from tests.integration.nights import Fault, Night, Scene
from tests.integration.test_operator import configuration, post, register


@asynccontextmanager
async def tampered(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """A daemon whose books are looked through each second, and another program with its database open."""
    async with Daemon(directory, configuration(services), module="tests.integration.settable_clock") as daemon:
        await daemon.start()
        await register(daemon, services)
        await post(daemon, "pushed")
        await services.journal.wait_for(lambda entry: entry.accepted)
        with closing(sqlite3.connect(daemon.database_file)) as reader:
            night = TamperedNight(daemon, services, directory)
            night.reader = reader
            yield night


class TamperedNight(Night):
    reader: sqlite3.Connection


async def by_hand(night: Night) -> None:
    """An ended notification is called one that waits, and none of its work is there."""
    changed = 0
    while not changed:  # its end is recorded soon behind the push
        await asyncio.sleep(0.2)
        with closing(sqlite3.connect(night.daemon.database_file)) as hand:
            query = "UPDATE notification SET ended_at = NULL, state = 'Enqueued' WHERE ended_at IS NOT NULL"
            changed = hand.execute(query).rowcount
            hand.commit()


async def old_state(night: Night) -> None:
    assert isinstance(night, TamperedNight)
    night.reader.execute("BEGIN")
    night.reader.execute("SELECT count(*) FROM notification").fetchall()
    for number in range(200):
        await post(night.daemon, f"more-{number}", text="x" * 50_000)


SCENES: Mapping[str, Scene] = {"tampered": tampered}

FAULTS: Mapping[str, Fault] = {
    "PushbridgeBooksDiffer": Fault(
        scene="tampered", prints=r"books +1 row unaccounted for .*no_work: \w+", make=by_hand
    ),
    "PushbridgeStoreLogGrows": Fault(
        scene="tampered", prints=r'store_file_bytes{engine="sqlite",file="log"} \d\.?\d*e\+07', make=old_state
    ),
}
