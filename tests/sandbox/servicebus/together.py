"""Tests that run at the same time, on one event loop: nearly all of their time is naps of the SDK.

A test marked with `together` has one fixture, a `Stage`. When that is set up it starts all selected tests that want
it, a few at a time; each test then is nothing but the wait for its own end, and fails by its own error.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest

S = TypeVar("S", bound="Stage")
Scenario = Callable[[S], Coroutine[Any, Any, None]]

_SCENARIOS: dict[Any, Callable[[Any], Coroutine[Any, Any, None]]] = {}


class Stage:
    """What tests share that run together, `at_once` of them at a time; `directory` is there for their files."""

    directory: Path

    def __init__(self, *, at_once: int = 8) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._running: dict[Any, asyncio.Task[None]] = {}

    def start(self, items: Iterable[pytest.Item], **parameters: object) -> None:
        """Start those tests that are marked and have these parameters."""
        for item in items:
            test = getattr(item, "function", None)
            found = getattr(getattr(item, "callspec", None), "params", {})
            if test in _SCENARIOS and found == parameters:
                self._running[test] = asyncio.create_task(self._run(_SCENARIOS[test]))

    async def end_of(self, test: object) -> None:
        """Wait for a test, and raise what it has raised."""
        await self._running[test]

    async def stop(self) -> None:
        """Cancel what nobody waits for any more."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _run(self, scenario: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        async with self._places:
            await asyncio.wait_for(scenario(self), 60)


def together(scenario: Scenario[S]) -> Scenario[S]:
    """The test that `scenario` is, run with others."""

    @functools.wraps(scenario)
    async def test(*stages: S, **fixtures: S) -> None:
        (stage,) = (*stages, *fixtures.values())
        await stage.end_of(test)

    _SCENARIOS[test] = scenario
    return test
