"""Tag expressions reach whom brute force says: 10,000 of them over registries that change, expire and are opened again.

A failure names its seed and the last changes.
"""

import os
import random
import secrets
from collections.abc import Callable
from typing import Protocol

from hub.store.registry import audience
from hub.store.registry.registry import SqlRegistry
from hub.store.registry.tags import IndexShape
from hub.store.store import StoreDatabase
from tests.fakes.host_clock import HostClock
from tests.hub.store.oracle.playing import Played, found

EXPRESSIONS = 10_000
SENDS = 50
"""Between two rounds of changes."""

ROUNDS = 20
"""With one registry, then comes another."""

FOLDED_SOON = IndexShape(fold_at=4, folded=3, log_rows=6, log_entries=40)
"""So that a registry of 40 phones has all forms of the index: log, changes and blocks."""


class Databases(Protocol):
    def __call__(self) -> StoreDatabase:
        """The same database, not open."""


async def reaches_whom_brute_force_says(make: Databases, patch: Callable[[dict[str, object]], None]) -> None:
    """PUSHBRIDGE_ORACLE_SEED repeats a failure, PUSHBRIDGE_ORACLE_EXPRESSIONS asks for more."""
    seed = int(os.environ.get("PUSHBRIDGE_ORACLE_SEED") or secrets.randbits(32))
    left = int(os.environ.get("PUSHBRIDGE_ORACLE_EXPRESSIONS") or EXPRESSIONS)
    chance, clock = random.Random(seed), HostClock()
    database = make()
    await database.open()
    registry = SqlRegistry(database, now=clock, shape=FOLDED_SOON)
    played = Played(hub="", chance=chance)
    round_ = 0
    try:
        while left > 0:
            if round_ % ROUNDS == 0:
                played = Played(hub=f"hub-{round_}", chance=chance)
            for _ in range(40 if round_ % ROUNDS == 0 else chance.randint(1, 8)):
                await played.change(registry, clock())
            clock.advance(chance.choice([0.0, 1.0, 60.0]))
            if chance.random() < 0.1:
                played.history.append("open again")
                await database.close()
                database = make()
                await database.open()
                registry = SqlRegistry(database, now=clock, shape=FOLDED_SOON)
            if chance.random() < 0.2:
                played.history.append("fold")
                await registry.fold()
            patch({"max_candidates": chance.choice([0, 2, audience.MAX_CANDIDATES])})
            await _compare(registry, played, clock())
            round_, left = round_ + 1, left - SENDS
    except Exception as error:
        told = "\n".join(played.history[-60:])
        raise AssertionError(f"seed {seed}, round {round_} of hub {played.hub}: {error}\n{told}") from error
    finally:
        await database.close()


async def _compare(registry: SqlRegistry, played: Played, now: float) -> None:
    sends = played.sends(SENDS, now)
    answers = await registry.audiences([notification for notification, _ in sends])
    for (notification, said), answer in zip(sends, answers, strict=True):
        expected, got = played.expected(notification, said, now), await found(registry, answer)
        assert got == expected, (
            f"{'everyone' if said is None else said.hub!r}, {notification.content}, {notification.platforms}:"
            f" {got} is not {expected}"
        )
        assert (answer.unreached is None) is bool(expected[0])
