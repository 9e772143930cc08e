"""A process that erases person after person until it is killed: `python -m ... DATABASE`."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import hub.platforms.table  # noqa: F401 - declares the platforms
from hub.acceptance import Ingest
from hub.store.people import erasing
from hub.store.sqlite.store import SqliteStore
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.letters import letter

PEOPLE = 40
ROWS = 25


async def main(database: Path) -> None:
    erasing.SLICE = 4  # an erasure takes many transactions
    store = SqliteStore(database, allow_ephemeral=True)
    await store.open()
    for number in range(PEOPLE):
        person = f"p{number}"
        mine = [notification("x", person=person) for _ in range(ROWS)]
        letters = [letter(each, person=person, body=b"of %d" % number) for each in range(ROWS)]
        await store.accept([Ingest(source="s", event_id=person, notifications=mine, dead_letters=letters)], start=0)
        await store.put_installations(HUB, [replace(installation(f"phone of {person}"), user_id=person)])
    print("ready", flush=True)
    for number in range(PEOPLE):
        await store.erase_person(f"p{number}", actor="eve")
        print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
