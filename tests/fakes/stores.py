"""A store that fails when it is told to, and says what was asked of it."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from pyroaring import BitMap

from hub.acceptance import Ingest
from hub.errors import StoreError
from hub.notification import Notification, Platform
from hub.store.base import AcceptanceResult, Audience, PageResult, Recorded, Work
from hub.store.first_sqlite import SqliteStore
from hub.target import Target


class FlakyStore(SqliteStore):
    """The embedded store, but the next `failures[operation]` calls of an operation fail and change nothing."""

    failures: Counter[str]
    calls: Counter[str]
    renewed: list[Work]
    _news: asyncio.Event

    async def open(self) -> int:
        self.failures, self.calls, self.renewed, self._news = Counter(), Counter(), [], asyncio.Event()
        return await super().open()

    async def called(self, operation: str, times: int = 1) -> None:
        """Return when the operation was called so many times from now on."""
        wanted = self.calls[operation] + times
        while self.calls[operation] < wanted:
            self._news.clear()
            await self._news.wait()

    async def looked(self) -> None:
        """Return when somebody who now looks for work of either lane has found none, or has taken it."""
        for operation in ("lease", "lease_pages"):
            await self.called(operation, 2)

    def _call(self, operation: str) -> None:
        self.calls[operation] += 1
        self._news.set()
        if self.failures[operation] > 0:
            self.failures[operation] -= 1
            raise StoreError(f"{operation} fails in a test")

    async def accept(self, arrivals: Sequence[Ingest], *, lease: int, until: float) -> AcceptanceResult:
        self._call("accept")
        return await super().accept(arrivals, lease=lease, until=until)

    async def lease(self, limit: int, *, until: float) -> Sequence[Work]:
        self._call("lease")
        return await super().lease(limit, until=until)

    async def lease_pages(self, wanted: Mapping[tuple[str, Platform], int], *, until: float) -> Sequence[Work]:
        self._call("lease_pages")
        return await super().lease_pages(wanted, until=until)

    async def lease_orphans(
        self, served: Collection[tuple[str, Platform]], limit: int, *, begun_before: float, until: float
    ) -> Sequence[Work]:
        self._call("lease_orphans")
        return await super().lease_orphans(served, limit, begun_before=begun_before, until=until)

    async def renew(self, pieces: Sequence[Work], *, until: float) -> None:
        self._call("renew")
        self.renewed += pieces
        await super().renew(pieces, until=until)

    async def release(self, pieces: Sequence[Work], *, due_at: float | None = None) -> None:
        self._call("release")
        await super().release(pieces, due_at=due_at)

    async def set_back(self, seconds: float) -> None:
        self._call("set_back")
        await super().set_back(seconds)

    async def expand(self, piece: Work, audience: Audience, *, started_at: float) -> None:
        self._call("expand")
        await super().expand(piece, audience, started_at=started_at)

    async def record(self, results: Sequence[PageResult]) -> Recorded:
        self._call("record")
        return await super().record(results)

    async def audiences(self, notifications: Sequence[Notification]) -> Sequence[Audience]:
        self._call("audiences")
        return await super().audiences(notifications)

    async def targets(self, hub: str, ordinals: BitMap) -> Sequence[Target]:
        self._call("targets")
        return await super().targets(hub, ordinals)

    async def pending(self) -> int:
        self._call("pending")
        return await super().pending()
