"""Queues shared by processes: this one says that it lives, claims its share, and gives back what is above it.

All of it runs on a session of its own, so that no long statement delays a renewal. A claim waits for no lock: a queue that
a transaction looks at is left for the next turn.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from hub.errors import StoreError
from hub.store.clock import ReferenceClock
from hub.store.connection import Connection, Statement
from hub.store.contracts.fleet import FleetState, Member, OwnershipCounts
from hub.store.decide.ownership import (
    TIMING,
    BeatWatch,
    OwnershipTiming,
    Plan,
    ProcessRow,
    QueueRow,
    decide_ownership,
)
from hub.store.decide.serving import ServedWatch, heard, said
from hub.store.outbox import queues as queue_rows
from hub.store.outbox.erased import RECENT, WATCHED, ErasureWatch
from hub.store.outbox.queues import Claimed, Queues
from hub.store.rows import hub_key, hub_of, is_hub_key

T = TypeVar("T")

TIME = Statement("store.time", "SELECT 0.0")
"""On PostgreSQL the time of its host, in seconds since 1970 UTC."""
PROCESSES = Statement("process.all", "SELECT id, beat, share, serves, version FROM process")
RENEW = Statement(
    "process.renew",
    "INSERT INTO process (id, beat, share, serves, version) VALUES (:id, :beat, :share, :serves, :version)"
    " ON CONFLICT (id) DO UPDATE SET beat = excluded.beat, share = excluded.share, serves = excluded.serves",
)
FORGET = Statement("process.forget", "DELETE FROM process WHERE id = :id AND beat = :beat")
LEAVE = Statement("process.leave", "DELETE FROM process WHERE id = :id")
OWNERS = Statement("queue.owners", "SELECT queue, owner, fence FROM queue ORDER BY queue")
LOCK = Statement(
    "queue.lock", "SELECT queue, owner, fence FROM queue WHERE queue IN (:keys)", columns=(("queue", "bigint"),)
)
"""On PostgreSQL FOR UPDATE of those that no transaction looks at."""
GIVE_BACK = Statement(
    "queue.give_back",
    "UPDATE queue SET owner = '', beat = :now, next_n = CASE WHEN next_n = :reserved THEN :next ELSE next_n END"
    " WHERE queue = :queue AND fence = :fence RETURNING queue",
    columns=(
        ("now", "double precision"),
        ("reserved", "bigint"),
        ("next", "bigint"),
        ("queue", "bigint"),
        ("fence", "bigint"),
    ),
)
_TICK = 0.001
"""By how much a beat grows at least."""


class Session(Protocol):
    """A session with the database for this alone."""

    async def run(self, job: Callable[[Connection], T], /) -> T:
        """The job's answer, once it is durable. Raises: StoreError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What it takes to share a store: `reference` is the database's clock, `version` that of this program."""

    session: Session
    reference: ReferenceClock | None = None
    timing: OwnershipTiming = TIMING
    version: str = ""


class _Seen(NamedTuple):
    """What a turn read."""

    queues: Sequence[QueueRow]
    processes: Sequence[ProcessRow]
    erasures: Sequence[tuple[int, str, str]]


class Ownership:
    """Belongs to the event loop; `may_start` may be asked at any time. `monotonic` is in seconds, and runs on while the
    process is stopped; `now` gives the store's time."""

    def __init__(
        self,
        sharing: Sharing,
        queues: Queues,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = sharing.session
        self._queues = queues
        self._version = sharing.version
        self._now = now
        self._reference = sharing.reference
        self._timing = sharing.timing
        self._monotonic = monotonic
        self._watch = BeatWatch(sharing.timing)
        self._confirmed = -math.inf
        self._beat = 0.0
        self._share = 0
        self._said = ""
        self._seen = _Seen((), (), ())
        self._served = ServedWatch()
        self._others: Sequence[ProcessRow] = ()
        self.counts = OwnershipCounts()
        self.erasures = ErasureWatch()
        self.serves: Callable[[], Collection[str]] = lambda: ()
        """Keys of the push services that this process has senders for, and of the hubs that it knows."""
        self.waiting: Callable[[], Mapping[str, int]] = dict
        """How much waits in this process's queues, by key of the push service."""

    @property
    def next_in(self) -> float:
        """Seconds until the next renewal: sooner where a process that is silent counts as dead before."""
        return self._watch.next_read(self._monotonic())

    def may_start(self) -> bool:
        """Whether this process is sure enough to own its queues to begin what others would repeat."""
        return self._monotonic() - self._confirmed < self._timing.unrenewed

    async def renew(self) -> Plan:
        """Say that this process lives, and see what the others do. Raises: StoreError."""
        self._said = said(self.serves(), self.waiting())
        asked = self._monotonic()  # before it is sent: what is confirmed late was given for that time
        try:
            seen = await self._session.run(self._renew)
        except StoreError:
            self.counts.renewals_failed += 1
            self._watch.fail()
            raise
        self._confirmed, self._seen = asked, seen
        self.erasures.read(seen.erasures)
        return self._decide(seen)

    def _renew(self, connection: Connection) -> _Seen:
        before = self._monotonic()
        ((at,),) = connection.read(TIME)
        after = self._monotonic()
        if self._reference is not None:
            self._reference.set(at - (before + after) / 2, after - before)
        now = self._now()
        self._beat, recent = max(self._beat + _TICK, now), now - WATCHED
        connection.write(
            RENEW,
            id=self._queues.owner,
            beat=self._beat,
            share=self._share,
            serves=self._said,
            version=self._version,
        )
        processes = [
            ProcessRow(id_, beat, share, *heard(text), version)
            for id_, beat, share, text, version in connection.read(PROCESSES)
        ]
        rows = [QueueRow(*row) for row in connection.read(OWNERS)]
        first = self._queues.all[0]
        erasures = [(n, action, target) for n, action, target in connection.read(RECENT, queue=first, since=recent)]
        return _Seen(rows, processes, erasures)

    def _decide(self, seen: _Seen) -> Plan:
        now = self._monotonic()
        me = self._queues.owner
        # An owner without a row was forgotten, or has yet to write one: it gets as long as the others.
        beats = dict.fromkeys((row.owner for row in seen.queues if row.owner), -1.0)
        beats |= {process.id: process.beat for process in seen.processes}
        beats.pop(me, None)
        self._watch.read(beats, now)
        dead = {process for process in beats if self._watch.is_dead(process, now)}
        live = {process.id for process in seen.processes} - dead - {me}
        self._others = [process for process in seen.processes if process.id in live]
        self._served.read(self.serves(), now)
        for process in self._others:
            self._served.read(process.serves, now)
        plan = decide_ownership(me, self._queues.fences, seen.queues, live, dead)
        self._share = plan.share
        self.counts.lost += len(plan.lost)
        return plan

    async def claim(self, free: Sequence[QueueRow]) -> list[Claimed]:
        """Make free queues ours; those of which no other process was first. Raises: StoreError."""
        beats = {process.id: process.beat for process in self._seen.processes}

        def job(connection: Connection) -> list[Claimed]:
            unlocked = {QueueRow(*row) for row in connection.read_by_keys(LOCK, [row.queue for row in free])}
            alive = {id_ for id_, beat, *_ in connection.read(PROCESSES) if beats.get(id_) != beat}
            still = [(row.queue, row.fence) for row in free if row in unlocked and row.owner not in alive]
            me, numbering = self._queues.owner, self._queues.numbering
            return queue_rows.claim(connection, still, owner=me, numbering=numbering, now=self._now())

        claimed = await self._session.run(job)
        owners = {row.queue: row.owner for row in free}
        self.counts.taken_over += sum(owners[one.queue] not in ("", self._queues.owner) for one in claimed)
        return claimed

    async def give_back(self, queues: Collection[int]) -> set[int]:
        """Those that are free from now on; the rest is being looked at, or is lost. Raises: StoreError."""
        rows = self._queues.given_back(queues)

        def job(connection: Connection) -> set[int]:
            unlocked = {queue for queue, _, _ in connection.read_by_keys(LOCK, sorted(queues))}
            now = self._now()
            mine = [(now, *row) for row in rows if row[2] in unlocked]
            return {queue for (queue,) in connection.update_many(GIVE_BACK, mine)}

        return await self._session.run(job)

    async def leave(self) -> None:
        """Give everything back, and be forgotten. Raises: StoreError."""
        left = set(self._queues.fences)
        if left:
            await self.give_back(left)
        await self._session.run(lambda connection: connection.write(LEAVE, id=self._queues.owner))

    async def forget_dead(self) -> None:
        """Delete the rows of processes that are dead for long. Raises: StoreError."""
        now = self._monotonic()
        dead = [one for one in self._seen.processes if self._watch.still(one.id, now) > self._timing.forgotten]
        if dead:
            await self._session.run(
                lambda connection: [connection.write(FORGET, id=one.id, beat=one.beat) for one in dead]
            )

    # Who serves what, as of the last renewal

    def strange(self, waiting: Collection[str]) -> set[str]:
        """Keys of push services that others serve and this process does not; of services that nobody has a sender for,
        those of `waiting` whose hub others know."""
        mine = set(self.serves())
        others = {key for process in self._others for key in process.serves}
        unsent = {key for key in waiting if key and hub_key(hub_of(key)) in others - mine}
        return {key for key in others | unsent if not is_hub_key(key)} - mine

    def serves_better(self, service: str) -> bool:
        """Whether another process has a sender for a push service that this one has none for."""
        return service not in self.serves() and any(service in process.serves for process in self._others)

    def places_for(self, service: str, hub: str) -> Sequence[tuple[int, str]]:
        """Queues of other processes that serve the work, with their owners: of those that have a sender if there are any,
        else of those that know the hub. `service` is empty where it is not known yet."""
        for key in filter(None, (service, hub_key(hub))):
            able = {process.id for process in self._others if key in process.serves}
            if places := [(row.queue, row.owner) for row in self._seen.queues if row.owner in able]:
                return places
        return ()

    def is_served(self, service: str, hub: str) -> bool:
        """Whether another process serves the work, be it one that owns no queue yet."""
        keys = {service, hub_key(hub)} - {""}
        return any(keys & process.serves for process in self._others)

    def unserved_for(self, service: str, hub: str) -> float:
        """Seconds since a live process served the work last; infinite where none did since this one began."""
        return self._served.unserved_for({service, hub_key(hub)} - {""}, self._monotonic())

    def waiting_elsewhere(self) -> Mapping[str, int]:
        """How much waits in the queues of other live processes, by key of the push service."""
        counts: Counter[str] = Counter()
        for process in self._others:
            counts.update(process.waiting)
        return counts

    def fleet(self) -> FleetState:
        now = self._monotonic()
        me = self._queues.owner
        owned: dict[str, int] = {}
        for row in self._seen.queues:
            owned[row.owner] = owned.get(row.owner, 0) + 1
        owned[me] = len(self._queues.fences)
        members = [
            Member(
                id=process.id,
                version=process.version,
                queues=owned.get(process.id, 0),
                share=process.share,
                silent_for=self._silent_for(process.id, now),
                is_this=process.id == me,
                is_dead=self._watch.is_dead(process.id, now),
            )
            for process in sorted(self._seen.processes)
        ]
        live = sum(member.queues for member in members if not member.is_dead)
        return FleetState(queues=len(self._seen.queues), unowned=max(0, len(self._seen.queues) - live), members=members)

    def _silent_for(self, process: str, now: float) -> float:
        """0 for one that is heard as often as it should be: what changes each second would be news for each browser."""
        still = self._watch.still(process, now)
        return float(round(still)) if still > self._timing.unbroken else 0.0
