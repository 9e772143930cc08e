"""The memory of configurations that are read and given up while events flow.

Ten thousand rules are a million objects. Python frees such a tree in one go, and looks through all of it for garbage;
either holds the event loop for tenths of a second, whichever thread does it. Here both are done in small steps.
"""

import gc
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import BuiltinMethodType, CellType, FunctionType, MethodType
from typing import Any

_YOUNG = 20_000
"""Objects made and kept before the young ones are looked through, which takes a millisecond."""

_LARGE = 5
"""Looks at young objects within one reading after which all that was made is too much for one look."""

_NEVER = 1_000_000_000

_MOST = 100_000
"""Parts that are given up one by one; below them no part is large any more."""

_OWN = ("rules.",)
"""The packages whose objects are parts of a configuration; what else one refers to may be anything."""


@contextmanager
def young_garbage_only() -> Iterator[None]:
    """While a configuration is read, of which all stays, look for garbage among the latest objects alone.

    To look through everything made so far, as often as Python does, took three quarters of the time (measured).
    """
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, _NEVER, _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def kept() -> Iterator[None]:
    """Read a configuration that stays: after a large one, what exists at the end is never looked through for garbage.

    What is no garbage then is freed as ever when its last user goes, unless it refers to itself: a rule set does not.
    """
    with young_garbage_only():
        before = gc.get_count()[1]  # looks since the last longer one, which is none of this reading's
        try:
            yield
        finally:
            if gc.get_count()[1] - before >= _LARGE:
                gc.freeze()


def give_up(held: list[Any]) -> None:
    """Empty a list, and free in small steps what hangs on its items alone; for a thread.

    The largest parts are taken hold of first and let go from the outside in, so that no step frees more than one of
    them. Nothing is changed in any part: who still uses one goes on.
    """
    parts: list[Any] = []
    seen: set[int] = set()
    ahead = deque(held)
    held.clear()
    while ahead and len(parts) < _MOST:
        part = ahead.popleft()
        if id(part) in seen or not gc.is_tracked(part):
            continue
        seen.add(id(part))
        if (inner := _inner(part)) is not None:
            parts.append(part)
            ahead.extend(inner)
    del ahead, seen
    part = inner = None
    parts.reverse()
    while parts:
        parts.pop()


def _inner(part: Any) -> Sequence[Any] | None:
    """What a part of a configuration refers to; None for what is none."""
    if isinstance(part, FunctionType):
        return part.__closure__ or ()
    if isinstance(part, type):
        return None
    plain = (tuple, list, dict, set, frozenset, CellType, MethodType, BuiltinMethodType)
    if type(part) in plain or type(part).__module__.startswith(_OWN):
        return gc.get_referents(part)
    return None
