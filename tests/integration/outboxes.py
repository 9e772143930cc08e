"""Writers that commit late or roll back, a table, and a daemon that is killed while it reads: ids seen are ids committed.

`make chaos` runs it for long on PostgreSQL and MariaDB; `test_sql_daemon.py` runs a short one. The witnesses stand
outside: the writers for what was committed, the daemon's database for what was accepted.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.brokers import mariadb, postgres
from tests.integration.daemon import HUB, Daemon
from tests.integration.sql_databases import SqlDatabase

WRITERS = 8
LONGEST_COMMIT = 0.1
"""Seconds that a writer waits at most between its last insert and its commit."""
ROLLED_BACK = 0.2
PROGRESS = 120.0
"""Seconds without a new event after which the daemon counts as stuck."""

CREATE = "CREATE TABLE push_outbox (id {key}, ref VARCHAR(40), customer VARCHAR(20))"
INSERT = "INSERT INTO push_outbox (ref, customer) VALUES (%s, %s)"


@dataclass(slots=True, kw_only=True)
class Written:
    """What became of the rows."""

    committed: set[str] = field(default_factory=set)
    rolled_back: int = 0


def write(database: SqlDatabase, name: str, rows: int, seed: int) -> Written:
    """Commit `rows` rows in transactions of random lengths, some of which are rolled back, each a moment late."""
    chance = random.Random(seed)
    written = Written()
    number = 0
    with closing(database.connect()) as connection:
        while len(written.committed) < rows:
            count = min(chance.randint(1, 40), rows - len(written.committed))
            refs = [f"{name}-{number + each}" for each in range(count)]
            number += count
            with connection.cursor() as cursor:
                cursor.executemany(INSERT, [(ref, f"c{chance.randint(1, 99)}") for ref in refs])
            time.sleep(chance.uniform(0, LONGEST_COMMIT) * chance.random())
            if chance.random() < ROLLED_BACK:
                connection.rollback()
                written.rolled_back += count
            else:
                connection.commit()
                written.committed.update(refs)
    return written


def configuration(database: SqlDatabase, **section: Any) -> dict[str, Any]:
    how = section or {"outbox": {"table": "push_outbox", "id": "id"}}
    sql = {"url": database.url, "poll": "100ms", **how}
    rule = {"name": "posted", "push": {"to": "customer:{{ data.customer }}", "with": {"title": "{{ data.ref }}"}}}
    return {
        "version": 1,
        "bridge": {"shutdown": {"delay": 0.0}, "log": {"level": "warning"}},
        "hubs": {HUB: {}},
        "sources": {"postings": {"sql": sql, "map": {"type": "posting", "id": "{{ data.ref }}"}}},
        "rules": [rule],
    }


def seen(daemon: Daemon) -> list[str]:
    """The id of each event whose notification is in the store."""
    with daemon.database() as database:
        found = database.execute("SELECT event_id FROM notification").fetchall()
    return [id for (id,) in found]


async def run(
    directory: Path, database: SqlDatabase, *, rows: int, kills: int, seed: int = 1, **section: Any
) -> tuple[Written, Counter[str]]:
    """Write and read while the daemon is killed; what was committed, and how often each id was seen."""
    chance = random.Random(seed)
    database.run(CREATE.format(key=database.key))
    async with Daemon(directory, configuration(database, **section), preloaded=True) as daemon:
        await daemon.start()
        each = rows // WRITERS
        writing = [
            asyncio.create_task(asyncio.to_thread(write, database, f"w{number}", each, seed * 100 + number))
            for number in range(WRITERS)
        ]
        for kill in range(1, kills + 1):
            await _until(lambda share=kill * rows // (kills + 1): len(seen(daemon)) >= share)
            await asyncio.sleep(chance.uniform(0, 0.3))
            await daemon.kill()
            await daemon.start()
        total = Written()
        for written in await asyncio.gather(*writing):
            total.committed |= written.committed
            total.rolled_back += written.rolled_back
        await _until(lambda: len(set(seen(daemon))) >= len(total.committed))
        if not section:
            await _until(lambda: database.run("SELECT count(*) FROM push_outbox") == [(0,)])
        return total, Counter(seen(daemon))


async def _until(holds: Any) -> None:
    since = time.monotonic()
    while not await asyncio.to_thread(holds):
        assert time.monotonic() - since < PROGRESS, "stuck"
        await asyncio.sleep(0.05)


@contextmanager
def servers() -> Iterator[Sequence[SqlDatabase]]:
    with postgres.native() as first, mariadb.native() as second:
        names = first.create(), second.create()
        yield (
            SqlDatabase(url=first.url(names[0]), cut=lambda: first.cut(names[0])),
            SqlDatabase(url=second.url(names[1]), cut=lambda: second.cut(names[1])),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--engine", choices=["postgresql", "mysql"], help="one of the two alone")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with servers() as databases:
        for database in databases:
            if asked.engine not in (None, database.url.partition(":")[0]):
                continue
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as directory:
                written, counted = asyncio.run(
                    run(Path(directory), database, rows=asked.rows, kills=asked.kills, seed=asked.seed)
                )
            assert set(counted) == written.committed, "ids seen are not ids committed"
            assert set(counted.values()) == {1}, "an id was seen twice"
            kind = database.url.partition(":")[0]
            print(
                f"{kind}: {len(written.committed)} rows committed, {written.rolled_back} rolled back, {asked.kills} kills:"
                f" each committed row accepted once, {time.monotonic() - began:.0f} s (seed {asked.seed})"
            )


if __name__ == "__main__":
    main()
