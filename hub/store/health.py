"""Whether the store does what it is asked, operation by operation: readiness and the page say so."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from hub.errors import StoreError
from hub.store.base import Store

_FORGOTTEN_AFTER = 6.0
"""Seconds after which a failure is over that did not repeat, once the store writes again: longer than any retry waits."""


@dataclass(frozen=True, slots=True)
class StoreTrouble:
    """An operation that fails; times are seconds since 1970 UTC."""

    operation: str
    cause: str
    since: float
    last: float


class StoreHealth:
    """Remembers which operations fail. One that succeeds mends itself, and says nothing of the others."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._troubles: dict[str, StoreTrouble] = {}

    @property
    def trouble(self) -> StoreTrouble | None:
        """The failure that lasts longest, None while all is well."""
        return min(self._troubles.values(), key=lambda trouble: trouble.since) if self._troubles else None

    def failed(self, operation: str, error: StoreError) -> None:
        """An operation could not be done."""
        now = self._clock()
        before = self._troubles.get(operation)
        since = now if before is None else before.since
        self._troubles[operation] = StoreTrouble(operation, str(error), since, now)

    def succeeded(self, operation: str) -> None:
        """An operation was done."""
        if self._troubles:
            self._troubles.pop(operation, None)

    def writes_again(self) -> None:
        """The store took a write that was made to try it: failures that do not repeat are over."""
        now = self._clock()
        for operation, trouble in list(self._troubles.items()):
            if abs(now - trouble.last) > _FORGOTTEN_AFTER:
                del self._troubles[operation]


def watched(store: Store, health: StoreHealth) -> Store:
    """The same store; what becomes of each of its operations is told to `health`."""
    return cast(Store, _Watched(store, health))


class _Watched:
    """Passes every call on. The contract has thirty methods, and here all of them mean the same."""

    def __init__(self, store: Store, health: StoreHealth) -> None:
        self._store = store
        self._health = health

    def __getattr__(self, name: str) -> Any:
        if name in _NO_OPERATIONS:
            return getattr(self._store, name)
        operation = _watched(self._store, name, self._health)
        setattr(self, name, operation)
        return operation


_NO_OPERATIONS = frozenset(("open", "close"))


def _watched(store: Store, name: str, health: StoreHealth) -> Callable[..., Awaitable[Any]]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            result = await getattr(store, name)(*args, **kwargs)
        except StoreError as error:
            health.failed(name, error)
            raise
        health.succeeded(name)
        return result

    return call
