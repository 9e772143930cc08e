"""What a process of a fleet asks of the database while nothing happens."""

from typing import Any

import pytest

from hub.store.postgres.connection import PostgresConnection
from hub.work import Lane
from tests.hub.store.postgres.fleet import Fleet, Process
from tests.hub.store.suite.harness import everything

MOST = 16
"""Statements of a second: five of them renew, one asks what is due, the others look for what other processes did."""


async def second_of(process: Process) -> None:
    """What it does in a second; the sums by the hour come every half minute."""
    process.clock.advance(1)
    await process.store.own()
    await process.store.tick()
    for lane in Lane:
        assert not await process.store.take(lane, everything())
    await process.store.sum_up()
    assert not await process.store.tally({})


async def test_an_idle_process_makes_few_statements_a_second_whatever_queues_it_owns(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = await fleet.two()
    await second_of(first)  # with what is done each minute
    made: list[bytes] = []
    run = PostgresConnection._run

    def counted(self: PostgresConnection, text: bytes, values: dict[str, Any]) -> list[Any]:
        made.append(text)
        return run(self, text, values)

    monkeypatch.setattr(PostgresConnection, "_run", counted)
    await second_of(first)
    assert 0 < len(made) <= MOST, made
