"""What processes that share a store say of themselves: which push services they serve, and how much waits with them.

Where configurations differ, as while a new one is rolled out, work goes to a process that serves it.
"""

import math
from collections.abc import Iterable, Mapping

_WAITING = "="
"""Begins a line that says how much waits; no key begins so, and a program that knows no such line takes it for a key that
no work has."""


def said(serves: Iterable[str], waiting: Mapping[str, int]) -> str:
    """What a process says of itself, a line each."""
    counts = (f"{_WAITING}{key} {count}" for key, count in waiting.items() if count > 0)
    return "\n".join(sorted([*serves, *counts]))


def heard(text: str) -> tuple[frozenset[str], Mapping[str, int]]:
    """What it serves, and how much waits in its queues."""
    serves, waiting = set(), {}
    for line in text.split("\n"):
        if line.startswith(_WAITING):
            key, _, count = line[len(_WAITING) :].rpartition(" ")
            waiting[key] = int(count)
        else:
            serves.add(line)
    return frozenset(serves), waiting


class ServedWatch:
    """For how long no live process has served a push service or known a hub, as far as this process has seen."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def read(self, served: Iterable[str], now: float) -> None:
        """All that live processes serve at `now`."""
        self._at.update(dict.fromkeys(served, now))

    def unserved_for(self, keys: Iterable[str], now: float) -> float:
        """Seconds since one of the keys was served last; infinite where none ever was."""
        return now - max((self._at.get(key, -math.inf) for key in keys), default=-math.inf)
