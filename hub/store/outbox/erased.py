"""Erasures of persons by any process, as the others learn of them: what one has in hand of an erased person it drops."""

from collections.abc import Iterable

from hub.store.connection import Statement

BEGUN, DONE = "user.erase", "user.erased"
"""Actions of audit rows: written with the first rows that an erasure deletes, and behind the last."""

WATCHED = 60.0
"""Seconds for which an erasure is looked at after it has begun, and after it was done."""

RECENT = Statement(
    "audit.erasures",
    "SELECT n, action, target FROM audit WHERE queue = :queue AND at > :since AND action IN ('user.erase', 'user.erased')",
)


class ErasureWatch:
    """Which erasures this process has seen. A row is known by its number: rows of several processes have no order."""

    def __init__(self) -> None:
        self._seen: set[int] | None = None
        self._is_fresh = False
        self.is_due = False
        """Whether rows may have been deleted since the last look; the one who looks sets it back, before looking."""

    def read(self, rows: Iterable[tuple[int, str, str]]) -> None:
        """All rows of the last `WATCHED` seconds. Until one that has begun is done, each look may find more deleted; and
        one more look finds what was being accepted during the last."""
        rows = list(rows)
        numbers = {n for n, _, _ in rows}
        done = {target for _, action, target in rows if action == DONE}
        under_way = any(action == BEGUN and target not in done for _, action, target in rows)
        was_fresh, self._is_fresh = self._is_fresh, bool(numbers - (numbers if self._seen is None else self._seen))
        self.is_due |= under_way or self._is_fresh or was_fresh
        self._seen = numbers
