"""A load for the whole store: notifications accepted and recorded, and devices registered, on the schema that ships."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hub.errors import NotFoundError, StoreError
from hub.notification import Platform
from hub.outcome import OutcomeName, State
from hub.store.contracts.outbox import PageResult
from hub.store.sqlite.database import SqliteTuning
from hub.store.sqlite.store import SqliteStore
from tests.hub.examples import HUB, arrival, installation, notification

ROUNDS = 30


class Deliveries:
    """`power_loss.Load`. What was acknowledged is there in the state that was acknowledged, or in the one under way."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._store: SqliteStore | None = None
        self._accepted: list[str] = []
        self._ended: list[str] = []
        self._devices: list[str] = []
        self._erased: list[str] = []

    async def open(self, path: Path, *, vfs: str = "", synchronous: str = "FULL") -> None:
        tuning = SqliteTuning(vfs=vfs, synchronous=synchronous, checkpoint=self._rng.choice([10, 50, 1000]), grace=1.0)
        self._store = SqliteStore(path, allow_ephemeral=True, tuning=tuning)
        await self._store.open()

    async def work(self) -> None:
        assert self._store is not None
        for number in range(ROUNDS):
            phone = replace(installation(f"d{number}", "news"), user_id=f"u{number}")
            await self._store.put_installations(HUB, [phone])
            self._devices.append(f"d{number}")
            sent = notification("news", id=f"{self._rng.getrandbits(128):032x}")
            taken = await self._store.accept([arrival(sent, event_id=f"e{number}")], start=1)
            self._accepted.append(sent.id)
            counts = {Platform.FCM: {OutcomeName.SUCCESS: 1}}
            await self._store.record([PageResult(work=work, counts=counts) for work in taken.work])
            self._ended.append(sent.id)
            if number % 6 == 5:
                await self._erase(number - 2)

    async def _erase(self, number: int) -> None:
        """A user with a phone and a notification to it."""
        assert self._store is not None
        self._devices.remove(f"d{number}")  # it may be there or not until the erasure is acknowledged
        await self._store.accept([arrival(notification("x", person=f"u{number}"))], start=0)
        await self._store.erase_person(f"u{number}", actor="eve")
        self._erased.append(f"u{number}")

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()

    async def missing(self) -> Sequence[str]:
        assert self._store is not None
        wrong = []
        for id in self._accepted:
            try:
                kept = await self._store.notification(id)
            except NotFoundError:
                wrong.append(f"notification {id} is gone")
                continue
            if id in self._ended and kept.state is not State.COMPLETED:
                wrong.append(f"notification {id} has ended and is {kept.state.value}")
        counted = {person: await self._store.count_person(person) for person in self._erased}
        wrong += [f"{person} was erased and is there" for person, counts in counted.items() if any(counts.values())]
        for device in self._devices:
            try:
                await self._store.get_installation(HUB, device)
            except (NotFoundError, StoreError):
                wrong.append(f"device {device} is gone")
        return wrong
