"""The embedded store: one SQLite file in WAL mode, one writer thread, one reader thread, full durability."""

import asyncio
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

from pyroaring import BitMap

from hub.acceptance import DeadLetter, Ingest
from hub.errors import StoreError, StoreLockedError
from hub.installation import Installation, Registration
from hub.notification import Audience as AudienceExpression
from hub.notification import Notification, Platform
from hub.outcome import NotificationDetails, State
from hub.registry.documents import registrations_of
from hub.store import (
    accepting,
    auditing,
    browsing,
    finding,
    first_registry,
    housekeeping,
    leasing,
    letters,
    recording,
    waiting,
)
from hub.store.base import (
    AcceptanceResult,
    Audience,
    Device,
    KeptAudit,
    KeptLetter,
    KeptNotification,
    ListPage,
    PageResult,
    QueueState,
    Recorded,
    Work,
)
from hub.store.files import create_private, make_private
from hub.store.schema import migrate, rewrite_version
from hub.store.seen import SeenWindow
from hub.store.writer import GroupWriter
from hub.target import StoredTemplate, Target
from hub.work import Lane

_MINIMUM_VERSION = (3, 37, 0)  # STRICT tables; RETURNING came with 3.35
BUSY = 10.0
"""Seconds that a statement waits for another program, a backup for instance, to let go of the file."""

_log = logging.getLogger("pushbridge.store")

_DEAD_REGISTRATIONS_KEPT = 30 * 24 * 3600.0
_AUDIT_KEPT = 400 * 24 * 3600.0
"""Seconds: what operators did stays for more than a year."""

T = TypeVar("T")


class SqliteStore:
    """`Store` on a SQLite file that this process has to itself (a lock file beside it says so).

    `clock` gives seconds since 1970 UTC. `observe` is called with (operation, seconds) of each transaction, from the
    store's threads; `expired` with the number of leases that ran out under a living process. `busy` is in seconds: how
    long a statement waits for another program to let go of the file. `failures_a_turn` bounds the failures that one
    transaction of the housekeeping drops.
    """

    def __init__(
        self,
        path: Path,
        *,
        window: SeenWindow = SeenWindow(),
        clock: Callable[[], float] = time.time,
        observe: Callable[[str, float], None] = lambda operation, seconds: None,
        expired: Callable[[Lane, int], None] = lambda lane, count: None,
        busy: float = BUSY,
        failures_a_turn: int = housekeeping.FAILURES,
    ) -> None:
        self._path = path
        self._window = window
        self._clock = clock
        self._expired = expired
        self._busy = busy
        self._failures_a_turn = failures_a_turn
        self._writer = GroupWriter(self._connect, observe=lambda seconds: observe("write", seconds))
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pushbridge-store-reader")
        self._reader: sqlite3.Connection | None = None
        self._lock: IO[bytes] | None = None
        # Fences differ between processes too, so that a late record of a dead one can never fit a new lease.
        self._fence = time.time_ns()

    async def open(self) -> int:
        if sqlite3.sqlite_version_info < _MINIMUM_VERSION:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
        try:
            tightened = make_private(self._path)
            self._lock = _lock_beside(self._path)
            for file in tightened:
                _log.warning("readable by others until now: %s", file)
            await asyncio.to_thread(self._migrate)
            self._reader = await asyncio.to_thread(self._connect)
            await asyncio.to_thread(self._writer.start)
            return await self._write(lambda connection: leasing.take_over(connection, now=self._clock()))
        except StoreLockedError:
            raise
        except (sqlite3.Error, OSError, StoreError) as error:
            await self._let_go()
            raise StoreError(f"cannot open {self._path}: {error}") from error

    async def close(self) -> None:
        await self._let_go()
        await asyncio.to_thread(self._reading.shutdown)

    async def _let_go(self) -> None:
        """Of the file, and of its lock last."""
        await self._writer.stop()
        reader, self._reader = self._reader, None
        if reader is not None:
            await asyncio.get_running_loop().run_in_executor(self._reading, reader.close)  # behind the last read
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # Work

    async def accept(self, arrivals: Sequence[Ingest], *, lease: int, until: float) -> AcceptanceResult:
        fence = self._next_fence()
        return await self._write(
            lambda connection: accepting.accept(
                connection,
                arrivals,
                lease=lease,
                fence=fence,
                until=until,
                window=self._window,
                now=self._clock(),
            )
        )

    async def lease(self, limit: int, *, until: float) -> Sequence[Work]:
        if not await self._read(lambda connection: leasing.is_due(connection, now=self._clock())):
            return ()  # most looks find nothing: the writer is not asked for that
        fence = self._next_fence()
        leased, expired = await self._write(
            lambda connection: leasing.lease(connection, limit, fence=fence, until=until, now=self._clock())
        )
        if expired:
            self._expired(Lane.SINGLE, expired)
        return leased

    async def lease_pages(self, wanted: Mapping[tuple[str, Platform], int], *, until: float) -> Sequence[Work]:
        if not await self._read(lambda connection: leasing.are_pages_due(connection, wanted, now=self._clock())):
            return ()
        fence = self._next_fence()
        leased, expired = await self._write(
            lambda connection: leasing.lease_pages(connection, wanted, fence=fence, until=until, now=self._clock())
        )
        if expired:
            self._expired(Lane.BROADCAST, expired)
        return leased

    async def lease_orphans(
        self, served: Collection[tuple[str, Platform]], limit: int, *, begun_before: float, until: float
    ) -> Sequence[Work]:
        fence = self._next_fence()
        leased, expired = await self._write(
            lambda connection: leasing.lease_orphans(
                connection, served, limit, begun_before=begun_before, fence=fence, until=until, now=self._clock()
            )
        )
        if expired:
            self._expired(Lane.BROADCAST, expired)
        return leased

    async def renew(self, pieces: Sequence[Work], *, until: float) -> None:
        await self._write(lambda connection: leasing.set_due(connection, pieces, due_at=until, free=False))

    async def release(self, pieces: Sequence[Work], *, due_at: float | None = None) -> None:
        when = self._clock() if due_at is None else due_at
        await self._write(lambda connection: leasing.set_due(connection, pieces, due_at=when, free=True))

    async def set_back(self, seconds: float) -> None:
        await self._write(lambda connection: leasing.set_back(connection, seconds))

    async def expand(self, piece: Work, audience: Audience, *, started_at: float) -> None:
        await self._write(lambda connection: leasing.expand(connection, piece, audience, started_at=started_at))

    async def record(self, results: Sequence[PageResult]) -> Recorded:
        return await self._write(lambda connection: recording.record(connection, results, now=self._clock()))

    async def audiences(self, notifications: Sequence[Notification]) -> Sequence[Audience]:
        def read(connection: sqlite3.Connection) -> list[Audience]:
            now = self._clock()
            return [finding.audience_of(connection, notification, now=now) for notification in notifications]

        return await self._read(read)

    async def targets(self, hub: str, ordinals: BitMap) -> Sequence[Target]:
        return await self._read(lambda connection: finding.targets(connection, ordinals, now=self._clock()))

    async def templates(self, ids: Sequence[int]) -> Mapping[int, StoredTemplate]:
        return await self._read(lambda connection: finding.templates(connection, ids))

    # Registry

    async def put_installations(self, hub: str, installations: Sequence[Installation]) -> None:
        derived = [(installation, registrations_of(installation)) for installation in installations]
        await self._write(
            lambda connection: first_registry.put_installations(connection, hub, derived, now=self._clock())
        )

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        return await self._read(
            lambda connection: first_registry.get_installation(connection, hub, installation_id, now=self._clock())
        )

    async def delete_installation(self, hub: str, installation_id: str) -> bool:
        return await self._write(
            lambda connection: first_registry.delete_installation(connection, hub, installation_id, now=self._clock())
        )

    async def put_registration(
        self, hub: str, registration: Registration, *, if_match: int | None = None
    ) -> Registration:
        return await self._write(
            lambda connection: first_registry.put_registration(
                connection, hub, registration, if_match=if_match, now=self._clock()
            )
        )

    async def get_registration(self, hub: str, registration_id: str) -> Registration:
        return await self._read(
            lambda connection: first_registry.get_registration(connection, hub, registration_id, now=self._clock())
        )

    async def delete_registration(self, hub: str, registration_id: str, *, if_match: int | None = None) -> None:
        await self._write(
            lambda connection: first_registry.delete_registration(connection, hub, registration_id, if_match=if_match)
        )

    async def registrations_by_platform(self) -> Mapping[tuple[str, Platform], int]:
        return await self._read(first_registry.registrations_by_platform)

    # What is known

    async def details(self, hub: str, notification_id: str) -> NotificationDetails:
        return await self._read(lambda connection: recording.details(connection, hub, notification_id))

    async def pending(self) -> int:
        return await self._read(waiting.pending)

    async def probe(self) -> None:
        await self._write(rewrite_version)

    async def queue_states(self) -> Mapping[Lane, QueueState]:
        return await self._read(lambda connection: waiting.queue_states(connection, now=self._clock()))

    async def dead_letters(
        self, *, limit: int = 100, relay: str | None = None
    ) -> Sequence[tuple[int, float, DeadLetter]]:
        return await self._read(lambda connection: letters.dead_letters(connection, limit=limit, relay=relay))

    async def published(self, ids: Sequence[int]) -> None:
        await self._write(lambda connection: letters.mark_relayed(connection, ids))

    async def housekeep(
        self, *, notifications_before: float, dead_letters_before: float, max_dead_letters: int
    ) -> None:
        now = self._clock()
        dead_before = now - _DEAD_REGISTRATIONS_KEPT
        for drop in (
            lambda connection: housekeeping.drop_ended(
                connection, before=notifications_before, max_failures=self._failures_a_turn
            ),
            lambda connection: housekeeping.drop_dead_letters(
                connection, before=dead_letters_before, keep=max_dead_letters
            ),
            lambda connection: housekeeping.drop_dead(connection, before=dead_before),
            lambda connection: housekeeping.drop_expired(connection, now=now),
            lambda connection: housekeeping.drop_audit(connection, before=now - _AUDIT_KEPT),
        ):
            dropped = True
            while dropped:  # a slice a transaction: others get their turn in between
                dropped = bool(await self._write(drop))

    # For operators

    async def devices(
        self, hub: str, *, audience: AudienceExpression | None = None, after: str = "", limit: int
    ) -> ListPage[Device]:
        return await self._read(
            lambda connection: browsing.devices(
                connection, hub, audience=audience, after=after, limit=limit, now=self._clock()
            )
        )

    async def device(self, hub: str, installation_id: str) -> Device:
        return await self._read(lambda connection: browsing.device(connection, hub, installation_id, now=self._clock()))

    async def notifications(
        self,
        *,
        hub: str | None = None,
        state: State | None = None,
        event_id: str | None = None,
        after: str = "",
        limit: int,
    ) -> ListPage[KeptNotification]:
        return await self._read(
            lambda connection: browsing.notifications(
                connection, hub=hub, state=state, event_id=event_id, after=after, limit=limit
            )
        )

    async def notification(self, notification_id: str) -> KeptNotification:
        return await self._read(lambda connection: browsing.notification(connection, notification_id))

    async def letters(
        self, *, source: str | None = None, reason: str | None = None, after: str = "", limit: int
    ) -> ListPage[KeptLetter]:
        return await self._read(
            lambda connection: browsing.letters(connection, source=source, reason=reason, after=after, limit=limit)
        )

    async def letter(self, letter_id: int) -> KeptLetter:
        return await self._read(lambda connection: browsing.letter(connection, letter_id))

    async def drop_dead_letters(self, ids: Sequence[int], *, actor: str) -> Sequence[int]:
        return await self._write(
            lambda connection: auditing.drop_dead_letters(connection, ids, actor=actor, now=self._clock())
        )

    async def audit(self, *, after: str = "", limit: int) -> ListPage[KeptAudit]:
        return await self._read(lambda connection: browsing.audit(connection, after=after, limit=limit))

    # Threads

    async def _write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        answer: T = await self._writer.run(job)
        return answer

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        if self._reader is None:
            raise StoreError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reading, _read_now, self._reader, job)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=self._busy
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            # KiB: a larger one only doubles what the system caches anyway
            connection.execute("PRAGMA cache_size = -8192")
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()  # this may be no database at all
            raise
        return connection

    def _migrate(self) -> None:
        connection = self._connect()
        try:
            migrate(connection)
        finally:
            connection.close()

    def _next_fence(self) -> int:
        self._fence += 1
        return self._fence


def _read_now(connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], T]) -> T:
    """One snapshot for all statements of a job."""
    try:
        connection.execute("BEGIN")
        try:
            return job(connection)
        finally:
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"{type(error).__name__}: {error}") from error


def _lock_beside(path: Path) -> IO[bytes]:
    """An exclusive lock that ends with the process, however it ends.

    Raises: StoreLockedError: somebody else has it.
    """
    lock = path.with_name(f"{path.name}.lock")
    create_private(lock)
    file = open(lock, "ab")  # noqa: SIM115 - held for the life of the store
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StoreLockedError(f"another process uses {path}: a SQLite store belongs to one process") from error
    os.set_inheritable(file.fileno(), False)
    return file
