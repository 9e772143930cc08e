"""The contract `Outbox` over a database, but for what it asks of the registry: the way of work, method by method."""

import asyncio
import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from hub.acceptance import AuditEntry, Ingest, Partition
from hub.errors import ConflictError, StoreError
from hub.notification import Notification
from hub.outcome import State
from hub.report import Reporter
from hub.silence import Silenced
from hub.store.clock import StoreClock
from hub.store.connection import Connection, Database
from hub.store.contracts.fleet import FleetState, Member, OwnershipCounts
from hub.store.contracts.outbox import (
    PACED,
    AcceptanceResult,
    Audience,
    PageResult,
    QuietUsage,
    Recorded,
    Service,
    Work,
)
from hub.store.contracts.outbox import (
    QueueState as WaitingState,
)
from hub.store.decide.acceptance import Admission
from hub.store.decide.ownership import Plan
from hub.store.decide.recording import Key, Recording
from hub.store.outbox import (
    accepting,
    flow_sweep,
    holding,
    moving,
    ordering,
    passing,
    queues,
    quieting,
    recording,
    silencing,
    stopping,
    summing,
    taking,
)
from hub.store.outbox.accepting import Arrivals
from hub.store.outbox.in_hand import Candidate, InHand, Look, Place
from hub.store.outbox.ownership import Ownership, Sharing
from hub.store.outbox.queues import RESERVE, Claimed, Queues, QueueState
from hub.store.outbox.recording import MarkDead
from hub.store.outbox.remembering import SeenSweep, SeenWindow
from hub.store.outbox.tally import Tally
from hub.store.outbox.texts import KeptTexts, forget_texts, has_unused, keep_texts, read_texts
from hub.store.rows import (
    HELD,
    LANE_OF,
    LANES,
    ORDERED,
    SCHEDULED,
    SINGLE,
    hub_key,
    hub_of,
    moment,
    service_key,
    service_of,
)
from hub.store.sinks.writing import numbers_needed
from hub.store.telemetry.auditing import audit_write
from hub.store.turns import RESULTS
from hub.work import Lane

T = TypeVar("T")

_BEAT = 10.0
"""Seconds between two beats of a store that is written to; an idle one is left alone."""
_COUNT = 60.0
"""Seconds between two counts of what waits."""
_LOOK_AT_ALL = 60.0
"""Seconds between two looks at all notifications with pages, besides those whose pages were recorded here."""
_SHARED_COUNT, _SHARED_LOOK, _SHARED_RELEASE = 10.0, 1.0, 1.0
"""The same where other processes add work to our queues, and between two looks for what they scheduled there."""
_MOMENT = 0.1
"""Seconds for which a look that found nothing due is true: less than the time between two looks."""
_LOOKED = 50
"""A look at all is followed by a pause of so many times as long as it took, at least."""
_OVERTAKEN = 5
"""How often a batch is accepted again that another process accepted a part of at the same time."""
_SET_BACK = 0.5
"""Seconds by which the last beat of a shared store may lie ahead of the clock before that counts as set back."""
_PASSED_AT_ONCE = 500
"""Rows of work that move to other processes in one transaction."""
_LONGEST_PAUSE = 32.0
"""Seconds between two looks at work of a hub that no live process knows."""
_RANGES_BEHIND = 16
"""Ranges of marks that are swept in a second when there are more than the bound."""


class SqlOutbox:
    """Work of one database. Everything belongs to one event loop; jobs run in the database's threads.

    `owner` names this process among all owners. With `sharing` several processes share the queues, and this one owns as
    many as `Ownership` says; else all are its own from `open` on. `monotonic` is in seconds.
    """

    def __init__(
        self,
        database: Database,
        clock: StoreClock,
        *,
        owner: str,
        mark_dead: MarkDead,
        window: SeenWindow = SeenWindow(),
        monotonic: Callable[[], float] = time.monotonic,
        sharing: Sharing | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._mark_dead = mark_dead
        self._monotonic = monotonic
        self._queues = Queues(owner, now=clock.now)
        self.ownership: Ownership | None = None
        if sharing is not None:
            self.ownership = Ownership(sharing, self._queues, now=clock.now, monotonic=monotonic)
            self.ownership.waiting = self._waiting_here
        self._hand = InHand(monotonic=monotonic)
        self._texts = KeptTexts()
        self._work: dict[Key, Work] = {}
        self._tally = Tally()
        self._sweep = SeenSweep(window)
        self._taking = asyncio.Lock()
        self._summing = asyncio.Lock()
        self._none_due: set[Lane] = set()
        self._to_sum: set[Key] = set()
        self._shift = 0.0
        self._looks_for_followers = False
        self._next_release: dict[int, float] = {}
        self.released = Counter[str]()
        """Pushes that quiet hours held and let go on, by hub, since the process began."""
        self.released_whole = Counter[str]()
        """The same of notifications that they held whole."""
        self._has_written = False
        self._reporter: Reporter | None = None
        self._times: dict[str, float] = defaultdict(lambda: -math.inf)

    def now(self) -> float:
        return self._clock.now()

    def report_to(self, reporter: Reporter | None) -> None:
        self._reporter = reporter

    @property
    def reporter(self) -> Reporter | None:
        return self._reporter

    def owned(self, connection: Connection, queues: Sequence[int]) -> frozenset[int]:
        """Those of `queues` that are this process's still, under their fences."""
        return frozenset(self._queues.still_ours(connection, queues))

    def next_queue(self) -> int:
        """A queue for what this process writes next. Raises: StoreError."""
        return self._queues.next()

    def is_in_hand(self, queue: int, n: int) -> bool:
        return (queue, n) in self._hand

    # Ownership

    @property
    def all_queues(self) -> Sequence[int]:
        return self._queues.all

    @property
    def own_queues(self) -> Sequence[int]:
        """Those whose later deeds are this process's."""
        return list(self._queues.fences)

    @property
    def leads(self) -> bool:
        """Whether this process does what one of all does."""
        return self._queues.leads()

    def queue_of(self, number: int) -> int:
        """Of a dead letter, an event or an audit row."""
        return self._queues.numbering.queue_of(number)

    def may_start(self) -> bool:
        return self.ownership is None or self.ownership.may_start()

    def fleet(self) -> FleetState:
        if self.ownership is not None:
            return self.ownership.fleet()
        mine = len(self._queues.fences)
        this = Member(id=self._queues.owner, version="", queues=mine, share=mine, is_this=True)
        return FleetState(queues=len(self._queues.all), unowned=0, members=[this])

    def counts(self) -> OwnershipCounts:
        return OwnershipCounts(owned=len(self._queues.fences)) if self.ownership is None else self.ownership.counts

    def serve(self, services: Callable[[], Collection[Service]], hubs: Callable[[], Collection[str]]) -> None:
        """Asked at each renewal."""
        if self.ownership is not None:
            self.ownership.serves = lambda: [*map(service_key, services()), *map(hub_key, hubs())]

    def serves_better(self, service: Service) -> bool:
        return self.ownership is not None and self.ownership.serves_better(service_key(service))

    async def open(self) -> int:
        """Claim queues, and see what waits in them; how much of it is due. Raises: StoreError."""
        if self.ownership is None:
            await self._claim_all()
        else:
            await self._join(self.ownership)
        await self.follow_clock()
        ready = await self._count()
        return sum(ready.values())

    async def look(self) -> Sequence[QueueState]:
        """See which queues there are, and claim none. Raises: StoreError."""
        states = await self._database.read(queues.states)
        self._queues.opened([state.queue for state in states])
        ((self._shift, _),) = Counter(state.shift for state in states).most_common(1)
        return states

    async def _claim_all(self) -> None:
        states = await self.look()
        self._clock.resume(max(state.beat for state in states))
        free = [(state.queue, state.fence) for state in states]
        owner, numbering = self._queues.owner, self._queues.numbering
        claimed = await self._database.write(
            lambda connection: queues.claim(connection, free, owner=owner, numbering=numbering, now=self.now())
        )
        if len(claimed) != len(states):
            raise StoreError("another process took over the store")
        await self._begin_queues(claimed)

    async def _join(self, ownership: Ownership) -> None:
        states = await self.look()
        plan = await ownership.renew()
        self._clock.restart()
        behind = max(state.beat for state in states) - self._clock.wall()
        if behind > _SET_BACK:
            self._clock.resume(behind + self._clock.wall())
        await self._follow(ownership, plan)

    async def own(self) -> None:
        """Renew what this process owns, claim its share, give back what is above it. Raises: StoreError."""
        if self.ownership is not None:
            await self._follow(self.ownership, await self.ownership.renew())

    async def _follow(self, ownership: Ownership, plan: Plan) -> None:
        for queue in plan.lost:
            self._lose(queue)
        if plan.claim:
            await self._begin_queues(await ownership.claim(plan.claim))
        if not plan.excess:
            self._queues.stay()
        else:
            await self._give_back(ownership, plan.excess)
        ownership.counts.owned = len(self._queues.fences)
        if ownership.erasures.is_due:
            await self._drop_erased(ownership)
        if self.leads:
            await ownership.forget_dead()

    async def _begin_queues(self, claimed: Sequence[Claimed]) -> None:
        """Own queues that were claimed: their work is of this process's time."""
        moved = [(self._shift - one.shift, one.queue) for one in claimed if one.shift != self._shift]
        for one in claimed:
            self._queues.add(one)
        if moved:
            await self.write(lambda connection: moving.move(connection, moved))
        mine = [one.queue for one in claimed]
        self._next_release |= await self._database.read(lambda connection: moving.next_releases(connection, mine))
        self._times.pop("count", None)

    async def _give_back(self, ownership: Ownership, excess: int) -> None:
        """A few of the queues, once nothing of them is in hand; until then nothing more is taken from these."""
        for queue in self._queues.taken_from[: max(0, excess - len(self._queues.leaving))]:
            self._queues.leave(queue)
        idle = [queue for queue in self._queues.leaving if not self._hand.has(queue)]
        if idle:
            for queue in await ownership.give_back(idle):
                self._lose(queue)

    def _lose(self, queue: int) -> None:
        """Another process may own the queue: what is in hand of it is not to be begun here."""
        self._queues.lose(queue)
        self._hand.lose(queue)
        self._next_release.pop(queue, None)
        for key in [key for key in self._work if key[0] == queue]:
            self._work.pop(key).is_withdrawn = True
        self._times.pop("count", None)

    async def close(self) -> None:
        """Leave a last beat, so that a clock that is set back until the next opening is noticed. Raises: StoreError."""
        if self.ownership is not None:
            await self.ownership.leave()
            for queue in self.own_queues:
                self._lose(queue)
        elif self._queues.fences and self._has_written:
            await self._beat()

    async def tend(self) -> None:
        """What is to be done each second. Raises: StoreError."""
        await self.follow_clock()
        if self.ownership is None and self._has_written and self._is_time("beat", _BEAT):
            await self._beat()
        if low := self._queues.are_low():
            await self._refill([(queue, 0) for queue in low])
        if self._is_time("count", _COUNT if self.ownership is None else _SHARED_COUNT):
            await self._count()
        if self.ownership is not None and self._is_time("release", _SHARED_RELEASE):
            await self._look_for_scheduled()
            self._looks_for_followers = True
            await self._pass_on_strange(self.ownership)
        if self._is_time("flow", flow_sweep.EVERY):
            await self._forget_flow()
        if self.leads:
            for _ in range(_RANGES_BEHIND if self._sweep.is_behind else 1):
                await self.sweep()

    async def _look_for_scheduled(self) -> None:
        mine = self.own_queues
        found = await self._database.read(lambda connection: moving.next_releases(connection, mine))
        for queue in mine:
            if queue in self._queues.fences:
                self._next_release[queue] = min(found.get(queue, math.inf), self._next_release.get(queue, math.inf))

    async def follow_clock(self) -> None:
        """Take open work along with a clock that was set, before its step counts."""
        step = self._clock.step
        if not step:
            return

        def adopt() -> None:
            self._clock.adopt(step)
            self._shift += step

        await self.write(
            lambda connection: moving.move_in_time(connection, self._queues, step),
            then=adopt,
        )
        for work in self._work.values():
            work.accepted_at += step
            work.due_at += step
        self._hand.read_again()

    async def sweep(self) -> None:
        """Forget old marks of one range of keys."""
        ages = await self._database.look(self._sweep.ages)
        if self._sweep.has_old(ages, self.now() - self._shift):
            await self.write(lambda connection: self._sweep.forget(connection, self.now() - self._shift))
        self._sweep.passed(ages)

    async def _forget_flow(self) -> None:
        """Forget states of flow control that say nothing any more, and those beyond the bound."""
        now, mine = self.now() - self._shift, self.own_queues
        past = dict.fromkeys(
            await self._database.look(lambda connection: flow_sweep.past(connection, mine, before=now)), now
        )
        if self._is_time("flow bound", flow_sweep.BOUND_EVERY):
            for queue in mine:
                beyond = await self._database.read(partial(flow_sweep.bound, queue=queue, queues=len(self.all_queues)))
                if beyond is not None:
                    past[queue] = max(beyond, now)
        for queue, before in past.items():
            for _ in range(flow_sweep.SLICES):
                if await self.write(partial(flow_sweep.forget, queue=queue, before=before)) < flow_sweep.SLICE:
                    break

    async def _beat(self) -> None:
        mine = await self._database.write(lambda connection: self._queues.beat(connection, now=self.now()))
        self._has_written = False
        for queue in self._queues.fences.keys() - mine:
            self._lose(queue)

    # Acceptance

    async def accept(self, batch: Sequence[Ingest], *, start: int) -> AcceptanceResult:
        result = await self.accept_if(lambda connection: True, batch, start=start)
        assert result is not None
        return result

    async def held_texts(self, ids: Sequence[int]) -> Mapping[int, bytes]:
        return await self._database.read(lambda connection: read_texts(connection, ids))

    async def forget_texts(self, *, kept: float) -> bool:
        steady = self._clock.now() - self._shift
        before = steady - kept
        if not await self._database.read(lambda connection: has_unused(connection, before=before)):
            return False
        return await self.write(lambda connection: forget_texts(connection, before=before, now=steady))

    async def duplicates(self, batch: Sequence[Ingest]) -> frozenset[int]:
        oldest = self._sweep.oldest(self._clock.now() - self._shift)
        return await self._database.read(lambda connection: accepting.duplicates(connection, batch, oldest=oldest))

    async def accept_if(
        self, claim: Callable[[Connection], bool], batch: Sequence[Ingest], *, start: int
    ) -> AcceptanceResult | None:
        """As `accept`, in a transaction that begins with `claim`; None, and nothing is accepted, where that says False."""
        for tries_left in reversed(range(_OVERTAKEN)):
            try:
                return await self._accept(claim, batch, start=start)
            except ConflictError:  # the same events came to another process: see which of them are left
                if not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _accept(
        self, claim: Callable[[Connection], bool], batch: Sequence[Ingest], *, start: int
    ) -> AcceptanceResult | None:
        steady = self._clock.now() - self._shift
        if texts := self._texts.missing(batch, now=steady):
            await self.write(
                lambda connection: keep_texts(connection, texts, now=steady), flow=accepting.flow_of(batch)
            )
            self._texts.add(texts, now=steady)
        queue = self._queues.next()
        fence = self._queues.fences.get(queue)
        if fence is None or not self.may_start():
            start = 0
        numbers = await self.numbers(queue, accepting.numbers_needed(batch))
        arrivals = Arrivals.of(batch, queue=queue, numbers=numbers, start=start, queues=self._queues.all)

        def job(connection: Connection) -> tuple[Admission, float] | None:
            if not claim(connection):
                return None
            now = self._clock.now()
            admission = accepting.accept(
                connection,
                arrivals,
                self._queues,
                now=now,
                time_of_day=self._clock.wall(),
                marked_at=now - self._shift,
                oldest=self._sweep.oldest(now - self._shift),
                reporter=self._reporter,
            )
            return admission, now

        reserved = numbers[: len(arrivals.ids)]
        self._hand.reserve(queue, reserved)
        try:
            accepted = await self.write(job, flow=accepting.flow_of(batch), rows=len(batch))
        finally:
            self._hand.release(queue, reserved)
        if accepted is None:
            return None
        admission, now = accepted
        is_ours = fence is not None and self._queues.fences.get(queue) == fence
        return AcceptanceResult(
            duplicates=admission.duplicates,
            work=self._begin(admission, arrivals, now) if is_ours else self._pass_on(admission),
            repeated=admission.repeated,
            suppressed=admission.suppressed,
            withdrawn=admission.withdrawn,
            failed=admission.failed,
            not_sent=admission.not_sent,
            silenced=[(one.notification, one.silence) for one in admission.notifications if one.silence is not None],
        )

    def _begin(self, admission: Admission, arrivals: Arrivals, now: float) -> list[Work]:
        """Hold what starts at once, and know of what waits."""
        work: list[Work] = []
        place = Place(arrivals.queue, SINGLE, "")
        waiting = scheduled = ordered = held = 0
        for number, notification, _, state, due, _, follows, _ in admission.notifications:
            if state is State.PROCESSING:
                n = arrivals.numbers[number]
                piece = Work(queue=arrivals.queue, n=n, notification=notification, accepted_at=now, due_at=due)
                self._hand.hold((arrivals.queue, n), place)
                self._work[arrivals.queue, n] = piece
                work.append(piece)
            elif state is State.HELD:
                held += 1
            elif state is State.SCHEDULED:
                scheduled += 1
                self._releases_at(place.queue, due)
            elif follows is not None:
                ordered += 1
            else:
                waiting += 1
        if waiting:
            self._hand.waits(place, now)
        self._tally.add(SINGLE, "", len(work) + waiting)
        self._tally.add(SCHEDULED, "", scheduled)
        self._tally.add(ORDERED, "", ordered)
        if self.ownership is None:  # else they may be of other processes' queues, and a count comes soon
            self._tally.add(SCHEDULED, "", -sum(map(len, admission.withdrawn.values())))
        self._tally.add(HELD, "", held)
        return work

    async def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return await self._database.read(lambda connection: accepting.next_offsets(connection, partitions))

    async def advance_offsets(self, following: Mapping[Partition, int]) -> None:
        await self.write(lambda connection: accepting.advance(connection, following, self.now()))

    async def forget_offsets(self, partitions: Sequence[Partition]) -> None:
        await self.write(lambda connection: connection.update_many(accepting.FORGET_OFFSET, partitions))

    def _pass_on(self, admission: Admission) -> list[Work]:
        """Of what another process starts, count what keeps this one from accepting without end while it owns nothing."""
        if not self._queues.fences:
            self._tally.add(SINGLE, "", len(admission.notifications))
        return []

    # Taking

    async def take(self, lane: Lane, wanted: Mapping[Service | None, int]) -> Sequence[Work]:
        async with self._taking:
            if lane is Lane.SINGLE:
                await self._release()
                await self._let_follow()
            by_key = {service_key(service): count for service, count in wanted.items() if count > 0}
            if not (by_key and self._queues.taken_from and self.may_start()) or await self._has_none_due(lane):
                return []
            places = [Place(queue, LANES[lane], key) for queue in self._queues.taken_from for key in by_key]
            look = self._hand.look(places, by_key)
            return await self._take(look, lambda connection: taking.take(connection, look, now=self.now()))

    async def _has_none_due(self, lane: Lane) -> bool:
        """Whether nothing is due in any lane, where nothing waits that this process knows of: then only other processes may
        have put something into its queues. What one lane has found just now is true for the other, once."""
        if self.ownership is None or any(self._tally.waits_at_all(lane) for lane in LANES.values()):
            return False
        began = self._monotonic()
        if lane in self._none_due and began - self._times["none due"] < _MOMENT:
            self._none_due.remove(lane)
            return True
        self._none_due.clear()
        mine = self._queues.taken_from
        if await self._database.look(lambda connection: taking.is_any_due(connection, mine, now=self.now())):
            return False
        self._times["none due"], self._none_due = began, set(Lane) - {lane}
        return True

    async def begin_late(self, work: Sequence[Work]) -> None:
        now = self._clock.wall()
        await self.write(lambda connection: moving.begin_late(connection, work, self._queues, time_of_day=now))
        for piece in work:
            piece.notification = replace(piece.notification, schedule_at=moment(now))

    def paced(self) -> Mapping[Service, int]:
        return {
            service: count
            for key, count in self._tally.of_lane(SINGLE)
            if key.startswith(PACED) and (service := service_of(key)) is not None
        }

    async def take_orphans(self, served: Collection[Service], limit: int, *, waited: float) -> Sequence[Work]:
        async with self._taking:
            strangers = {key for key in self._tally.services() if not key.startswith(PACED)}
            strangers -= {service_key(service) for service in served}
            if self.ownership is not None:
                mine = set(self.ownership.serves())  # and closed: nobody else takes what waits for it in our queues
                strangers = {key for key in strangers if key in mine or self._is_orphaned(key, hub_of(key), waited)}
            places = [
                Place(queue, lane, key)
                for queue in self._queues.taken_from
                for lane in LANES.values()
                for key in sorted(strangers)
            ]
            if not places:
                return []
            look = self._hand.look([], {})

            def read(connection: Connection) -> taking.Taken:
                now = self.now()
                return taking.take_old(connection, places, self._hand, limit, now=now, begun=now - waited)

            return await self._take(look, read)

    # What others serve

    async def pass_on(self, work: Sequence[Work], *, waited: float) -> Sequence[Work]:
        if self.ownership is None:
            return work
        moves: list[tuple[Work, passing.Move]] = []
        ended: list[Work] = []
        waiting: dict[float, list[Work]] = defaultdict(list)
        now = self.now()
        for piece in work:
            if piece.is_withdrawn:
                continue
            key, hub = service_key(piece.service), piece.notification.hub
            if places := self.ownership.places_for(key, hub):
                to, owner = random.choice(places)
                moves.append((piece, passing.Move(piece.queue, piece.n, bool(piece.number), to, owner)))
            elif _is_old(piece, now, waited) and self._is_orphaned(key, hub, waited):
                ended.append(piece)
            else:
                waiting[_pause(now - piece.accepted_at)].append(piece)
        if moves:
            passed = await self._move([move for _, move in moves])
            await self.give_back([piece for piece, move in moves if (move.queue, move.n) not in passed])
            for piece, _ in moves:
                self._leave(piece)
                if (piece.queue, piece.n) in passed:
                    self._tally.add(LANES[piece.lane], service_key(piece.service), -1)
        for delay, pieces in waiting.items():
            await self.postpone(pieces, delay=delay)
        return ended

    def _is_orphaned(self, service: str, hub: str, waited: float) -> bool:
        """Whether no live process has served it for so many seconds."""
        ownership = self.ownership
        return ownership is None or (
            not ownership.is_served(service, hub) and ownership.unserved_for(service, hub) >= waited
        )

    async def _move(self, moves: Sequence[passing.Move]) -> set[Key]:
        return await self.write(lambda connection: passing.pass_on(connection, moves, self._queues, now=self.now()))

    async def _pass_on_strange(self, ownership: Ownership) -> None:
        """Work that waits in our queues for push services that others serve and this process does not."""
        strange = ownership.strange({key for key in self._tally.services() if not key.startswith(PACED)})
        is_full = bool(strange)
        while is_full:
            async with self._taking:
                places = [
                    Place(queue, lane, key)
                    for queue in self._queues.taken_from
                    for lane in LANES.values()
                    for key in sorted(strange)
                ]

                def read(connection: Connection, places: Sequence[Place] = places) -> list[Candidate]:
                    now = self.now()
                    return taking.find_old(connection, places, self._hand, _PASSED_AT_ONCE, now=now, begun=now)

                found = await self._database.read(read)
                is_full = len(found) == _PASSED_AT_ONCE
                moves = [
                    passing.Move(one.place.queue, one.n, one.is_page, *random.choice(targets))
                    for one in found
                    if (targets := ownership.places_for(one.place.service, hub_of(one.place.service)))
                ]
                passed = await self._move(moves) if moves else set()
                is_full = is_full and bool(passed)
                for one in found:
                    if (one.place.queue, one.n) in passed:
                        self._tally.add(one.place.lane, one.place.service, -1)

    async def _take(self, look: Look, read: Callable[[Connection], taking.Taken]) -> list[Work]:
        """Read, and hold what is free still."""
        fences = dict(self._queues.fences)
        try:
            chosen, pieces = await self._database.read(read)
        except BaseException:
            self._hand.fail()
            raise
        free = {(candidate.place.queue, candidate.n) for candidate in self._hand.end(look, chosen)}
        for key in [key for key in free if self._queues.fences.get(key[0]) != fences.get(key[0])]:
            self._hand.leave(key)  # its queue was lost while it was read
            free.discard(key)
        work = [piece for piece in pieces if (piece.queue, piece.n) in free]
        for piece in work:
            self._work[piece.queue, piece.n] = piece
        return work

    async def _release(self) -> None:
        """Let scheduled notifications go on whose time has come."""
        wall = self._clock.wall()
        for queue in [queue for queue, at in self._next_release.items() if at <= wall]:
            at = self._next_release.pop(queue, math.inf)
            try:
                next_due = await self._release_of(queue)
            except BaseException:
                if self._queues.owns(queue):
                    self._releases_at(queue, at)
                raise
            if self._queues.owns(queue):  # what was scheduled in the meantime may come before
                self._releases_at(queue, next_due)

    async def _release_of(self, queue: int) -> float:
        """A slice of what is due in a queue, whole notifications and parts; when something else of the queue is."""

        def job(connection: Connection) -> tuple[list[tuple[float, str]], float]:
            return moving.release(connection, queue, self._queues, now=self.now(), time_of_day=self._clock.wall())

        released, next_due = await self.write(job)
        self.released_whole.update(hub for _, hub in released if hub)
        if not self._queues.owns(queue):
            return math.inf
        self._tally.add(SCHEDULED, "", -len(released))
        self._tally.add(SINGLE, "", len(released))
        if released:
            self._hand.waits(Place(queue, SINGLE, ""), min(due for due, _ in released))
        return await self._release_held(queue, next_due)

    async def _release_held(self, queue: int, next_due: float) -> float:
        """Let parts go on whose quiet hours have ended; `next_due` is when something else of the queue does."""
        parts = await self._database.read(
            lambda connection: quieting.due(connection, queue, time_of_day=self._clock.wall())
        )
        if not parts:
            return next_due
        numbers = await self.numbers(queue, sum(part.page_count for part in parts))

        def job(connection: Connection) -> tuple[quieting.Released, float, float]:
            now = self.now()
            released = quieting.release(connection, queue, parts, self._queues, numbers, self._deal, now=now)
            return released, now, moving.next_releases(connection, [queue]).get(queue, math.inf)

        released, now, next_due = await self.write(job)
        self._tally.add(SCHEDULED, "", -released.parts)
        for into, lane, service in released.pages:
            self._add_page(into, LANE_OF[lane], service, now)
        self.released.update(released.pushes)
        return next_due

    async def _let_follow(self) -> None:
        """Let notifications go on that waited for another of their key which has ended."""
        began = self._monotonic()
        if began < self._times["follow"] or not (self._tally.waits_in(ORDERED) or self._looks_for_followers):
            return
        self._looks_for_followers = False
        mine = self._queues.taken_from
        found = await self._database.look(lambda connection: ordering.ready(connection, mine))
        self._times["follow"] = began + _LOOKED * (self._monotonic() - began)
        if not found:
            return

        def job(connection: Connection) -> tuple[float, dict[int, int]]:
            now = self.now()
            released = ordering.go_on(connection, found, self._queues, now=now, time_of_day=self._clock.wall())
            return now, released

        now, released = await self.write(job)
        for queue, count in released.items():
            if self._queues.owns(queue):
                self._tally.move_lane(ORDERED, SINGLE, count)
                self._hand.waits(Place(queue, SINGLE, ""), now)

    async def cancel(self, hub: str, notification_id: str, *, actor: str = "") -> bool:
        told = self._queues.all[0]
        cancelled = await self._cancelled(notification_id, actor)
        numbers = await self.numbers(told, cancelled.numbers)

        def job(connection: Connection) -> int | None:
            now = self.now()
            queue = moving.cancel(connection, hub, notification_id, now=now)
            if queue is not None:
                connection.write_all(cancelled.writes({}, numbers, queue=told, now=now))
            return queue

        queue = await self.write(job)
        if queue is not None and self._queues.owns(queue):
            self._tally.add(SCHEDULED, "", -1)
        return queue is not None

    async def stop(self, notification_id: str, *, actor: str) -> str | None:
        queue = self._queues.all[0]
        cancelled = await self._cancelled(notification_id, actor)
        numbers = await self.numbers(queue, 1 + cancelled.numbers)
        entry = AuditEntry(actor=actor, action="notification.cancel", target=notification_id)

        def job(connection: Connection) -> str | None:
            now = self.now()
            stopped = stopping.stop(connection, notification_id, now=now)
            if stopped is None:
                return None
            audit = audit_write([entry], iter(numbers[:1]), queue=queue, now=now)
            connection.write_all([audit, *cancelled.writes(stopped.counts, numbers[1:], queue=queue, now=now)])
            return stopped.hub

        return await self.withdraw(job, lambda hub: [] if hub is None else [notification_id])

    async def _cancelled(self, notification_id: str, actor: str) -> stopping.Cancelled:
        """Who is told of a cancellation. Raises: StoreError."""
        reporter = self._reporter
        if reporter is None:
            return stopping.Cancelled(None, None, actor)
        found = await self._database.read(lambda connection: stopping.find(connection, notification_id))
        return stopping.Cancelled(found, reporter, actor)

    # What becomes of work

    async def write_audit(self, entry: AuditEntry) -> None:
        """Keep an entry by itself, for what many transactions do."""
        queue = self._queues.all[0]
        numbers = await self.numbers(queue, 1)
        await self.write(
            lambda connection: connection.write_all([audit_write([entry], iter(numbers), queue=queue, now=self.now())])
        )

    async def hold(self, counted: Sequence[tuple[Work, int]]) -> Sequence[Work]:
        counted = [(piece, count) for piece, count in counted if not piece.is_withdrawn]
        if not counted:
            return ()
        held = await self.write(
            lambda connection: holding.hold(connection, counted, self._queues, time_of_day=self._clock.wall())
        )
        for piece in held:
            self._leave(piece)
            before = _place_of(piece)
            self._tally.add(before.lane, before.service, -1)
            self._tally.add(HELD, "", 1)
        return held

    async def hold_until(self, work: Sequence[tuple[Work, float]]) -> None:
        work = [(piece, until) for piece, until in work if not piece.is_withdrawn]
        if not work:
            return
        held = await self.write(lambda connection: quieting.hold_until(connection, work, self._queues))
        ours = {id(piece) for piece in held}
        for piece, until in work:
            self._leave(piece)
            if id(piece) in ours:
                before = _place_of(piece)
                self._tally.add(before.lane, before.service, -1)
                self._add_held(piece.queue, until)

    async def quiet(self) -> QuietUsage:
        return await self._database.read(lambda connection: quieting.usage(connection, self._queues.owner))

    async def approve(self, notification_id: str, *, actor: str) -> str | None:
        audited = self._queues.all[0]
        numbers = await self.numbers(audited, 1)
        entry = AuditEntry(actor=actor, action="notification.approve", target=notification_id)

        def job(connection: Connection) -> tuple[tuple[int, str] | None, float]:
            now = self.now()
            approved = holding.approve(
                connection, notification_id, actor=actor, now=now, time_of_day=self._clock.wall()
            )
            if approved is not None:
                connection.write_all([audit_write([entry], iter(numbers), queue=audited, now=now)])
            return approved, now

        approved, now = await self.write(job)
        if approved is None:
            return None
        queue, hub = approved
        if self._queues.owns(queue):
            self._tally.add(HELD, "", -1)
            self._tally.add(SINGLE, "", 1)
            self._hand.waits(Place(queue, SINGLE, ""), now)
        return hub

    async def held(self) -> Mapping[str, int]:
        return await self._database.read(lambda connection: holding.count(connection, self._queues.owner))

    async def end_held(self) -> Recorded:
        mine, time_of_day = self.own_queues, self._clock.wall()
        found = await self._database.read(lambda connection: holding.overdue(connection, mine, time_of_day=time_of_day))
        if not found:
            return Recorded()
        reporter = self._reporter
        numbers = await self._numbers_for(((one.queue, one.notification) for one in found), reporter)
        recorded = await self.write(
            lambda connection: holding.end(connection, found, self._queues, numbers, now=self.now(), reporter=reporter)
        )
        self._tally.add(HELD, "", -sum(recorded.ended.values()))
        return recorded

    # Silences

    @property
    def shift(self) -> float:
        """Seconds by which the store's time was moved with the host's clock."""
        return self._shift

    async def silence(self, work: Sequence[Work]) -> Silenced:
        work = [piece for piece in work if not piece.is_withdrawn]
        if not work:
            return ()
        silenced = await self.write(
            lambda connection: silencing.silence(
                connection, work, self._queues, steady=self.now() - self._shift, time_of_day=self._clock.wall()
            )
        )
        for piece, _ in silenced:
            self._leave(piece)
            before = _place_of(piece)
            self._tally.add(before.lane, before.service, -1)
            self._tally.add(HELD, "", 1)
        return [(piece.notification, silence) for piece, silence in silenced]

    async def release_silenced(self, ended: Sequence[str]) -> int:
        """Release a slice of what these silences hold in queues of this process; how many."""
        if not (ended and self._queues.fences) or self._tally.count(SINGLE, "") >= silencing.ENOUGH_WAITS:
            return 0

        def job(connection: Connection) -> tuple[list[int], float]:
            now = self.now()
            time_of_day = self._clock.wall()
            return silencing.release(connection, ended, self._queues, now=now, time_of_day=time_of_day), now

        released, now = await self.write(job)
        self._tally.add(HELD, "", -len(released))
        self._tally.add(SINGLE, "", len(released))
        for queue in {queue for queue in released if self._queues.owns(queue)}:
            self._hand.waits(Place(queue, SINGLE, ""), now)
        return len(released)

    async def give_back(self, work: Sequence[Work]) -> None:
        for piece in work:
            if not piece.is_withdrawn:
                self._leave(piece)
                self._hand.waits(_place_of(piece), piece.due_at)

    async def postpone(self, work: Sequence[Work], *, delay: float, service: Service | None = None) -> None:
        def job(connection: Connection) -> float | None:
            due = self.now() + delay if delay else None
            moving.postpone(connection, work, self._queues, due=due, service=service)
            return due

        work = [piece for piece in work if not piece.is_withdrawn]
        if not work:
            return
        due = await self.write(job)
        for piece in work:
            self._leave(piece)
            before = _place_of(piece)
            after = before if service is None else before._replace(service=service_key(service))
            self._tally.move(before.lane, before.service, after.service)
            self._hand.waits(after, piece.due_at if due is None else due)

    async def expand(self, work: Work, audience: Audience) -> None:
        if work.is_withdrawn:
            return
        rows = len(audience.pages) + len(audience.held) + len(audience.dropped)
        numbers = await self.numbers(work.queue, rows)
        dealt = self._deal(len(audience.pages))

        def job(connection: Connection) -> tuple[bool, float]:
            now = self.now()
            is_expanded = moving.expand(
                connection, work, audience, self._queues, numbers, dealt, now=now, reporter=self._reporter
            )
            return is_expanded, now

        is_expanded, now = await self.write(job)
        self._leave(work)
        if is_expanded:
            before = _place_of(work)
            self._tally.add(before.lane, before.service, -1)
            for queue, (platform, _) in zip(dealt, audience.pages, strict=True):
                self._add_page(queue, Lane.BROADCAST, (work.notification.hub, platform), now)
            for part in audience.held:
                self._add_held(work.queue, part.until)
            if not audience.pages:
                self._to_sum.add((work.queue, work.n))

    def _deal(self, pages: int) -> list[int]:
        """A queue for each page of a broadcast, so that all processes work on it; a few pages begin at any queue."""
        all_queues = self._queues.all
        first = random.randrange(len(all_queues)) if len(all_queues) > 1 else 0
        dealt = [all_queues[(first + number) % len(all_queues)] for number in range(min(pages, len(all_queues)))]
        dealt.sort()  # so that their order is that of their numbers
        return [dealt[number % len(dealt)] for number in range(pages)]

    async def record(self, results: Sequence[PageResult]) -> Recorded:
        results = [result for result in results if not result.work.is_withdrawn]
        if not results:
            return Recorded()
        queue = results[0].work.queue
        reporter = self._reporter  # one for the numbers and for the rows, though a reload comes between
        numbers = await self.numbers(queue, recording.numbers_needed(results, reporter))

        def job(connection: Connection, *, trust: bool = False) -> tuple[Recording, int, set[Key]]:
            return recording.record(
                connection,
                results,
                self._queues,
                numbers,
                queue=queue,
                now=self.now(),
                mark_dead=self._mark_dead,
                reporter=reporter,
                trust=trust,
            )

        try:
            try:
                done, gone, closed = await self.write(partial(job, trust=True), flow=RESULTS, rows=len(results))
            except ConflictError:  # something is late: see what
                done, gone, closed = await self.write(job, flow=RESULTS, rows=len(results))
        except StoreError:
            raise
        except Exception:  # a defect: the rows are as they were, and the next look from the start finds them
            for result in results:
                self._leave(result.work)
            raise
        for result in results:
            if result.is_last:
                self._leave(result.work)
            elif (result.work.queue, result.work.n) in closed:  # cancelled, or another's: the rest is not to be sent
                result.work.is_withdrawn = True
                self._leave(result.work)
        if done.ended:
            self._times.pop("follow", None)
        for change in done.written:
            if change.is_last:
                self._tally.add(LANES[change.work.lane], service_key(change.work.service), -1)
        for work, _, page, due in done.retries:
            if page.quiet is not None:
                self._add_held(work.queue, due)
                continue
            self._add_page(work.queue, work.lane, (work.notification.hub, page.platform), due)
        self._to_sum |= {home for home in done.homes if self._queues.owns(home[0])}
        return Recorded(
            ended=done.ended,
            late=done.late,
            gone=gone,
            unreached=done.unreached,
            dead_letters=done.dead_letters,
        )

    async def sum_up(self) -> Recorded:
        async with self._summing:
            await self._look_for_ended()
            self._to_sum = {key for key in self._to_sum if self._queues.owns(key[0])}
            keys = list(self._to_sum)[: summing.SLICE]
            if not keys:
                return Recorded()
            self._to_sum.difference_update(keys)  # first: a page that ends from now on adds its notification again
            try:
                ready = await self._database.read(lambda connection: summing.sums(connection, keys))
                if not ready:
                    return Recorded()
                reporter = self._reporter
                numbers = await self._numbers_for(((one.key[0], one.notification) for one in ready), reporter)
                ended, unreached = await self.write(
                    lambda connection: summing.end(
                        connection, ready, self._queues, numbers, now=self.now(), reporter=reporter
                    )
                )
            except BaseException:
                self._to_sum.update(keys)
                raise
            return Recorded(ended=ended, unreached=unreached)

    async def _look_for_ended(self) -> None:
        """Other processes record the last pages of notifications of ours."""
        began = self._monotonic()
        if began < self._times["sum"]:
            return
        self._to_sum |= await self._database.look(lambda connection: summing.all_ended(connection, self._queues.owner))
        took = self._monotonic() - began
        self._times["sum"] = began + (_LOOK_AT_ALL if self.ownership is None else max(_SHARED_LOOK, _LOOKED * took))

    async def withdraw(self, job: Callable[[Connection], T], ids: Callable[[T], Collection[str]]) -> T:
        """Run a job that deletes notifications, whose `ids` are in its answer: what of them is in hand is withdrawn."""
        async with self._taking:  # what was read before is in hand by now
            answer = await self.write(job)
            self._withdraw(set(ids(answer)))
            return answer

    async def _drop_erased(self, ownership: Ownership) -> None:
        """Withdraw what is in hand of notifications that another process has deleted."""
        async with self._taking:  # what was read before is in hand by now
            ownership.erasures.is_due = False
            ids = {work.notification.id for work in self._work.values()}
            keys = [bytes.fromhex(id_) for id_ in ids]
            try:
                known = await self._database.read(lambda connection: connection.read_by_keys(accepting.KNOWN, keys))
            except BaseException:
                ownership.erasures.is_due = True
                raise
            self._withdraw(ids - {key.hex() for (key,) in known})

    def _withdraw(self, gone: Collection[str]) -> None:
        for work in [work for work in self._work.values() if work.notification.id in gone]:
            work.is_withdrawn = True
            self._leave(work)
        if gone:
            self._times.pop("count", None)  # so that the next second counts what waits

    def _leave(self, work: Work) -> None:
        key = (work.queue, work.n)
        self._hand.leave(key)
        self._work.pop(key, None)

    def _add_page(self, queue: int, lane: Lane, service: Service, due: float) -> None:
        if not self._queues.owns(queue):
            return  # its owner finds it
        place = Place(queue, LANES[lane], service_key(service))
        self._tally.add(place.lane, place.service)
        self._hand.waits(place, due)

    def _add_held(self, queue: int, until: float) -> None:
        if self._queues.owns(queue):
            self._tally.add(SCHEDULED, "")
            self._releases_at(queue, until)

    def _releases_at(self, queue: int, at: float) -> None:
        """Something of a queue waits until this time of day: look again by then."""
        self._next_release[queue] = min(self._next_release.get(queue, math.inf), at)

    # How much waits

    async def backlog(self) -> Mapping[Service | None, int]:
        counts = Counter(self._waiting_here())
        if self.ownership is not None:
            counts.update(self.ownership.waiting_elsewhere())
        return {service_of(key): count for key, count in counts.items()}

    def _waiting_here(self) -> Mapping[str, int]:
        return self._tally.by_service()

    async def queue_states(self) -> Mapping[Lane, WaitingState]:
        now = self.now()
        before = self._tally.snapshot()

        def read(connection: Connection) -> tuple[taking.Counted, Mapping[int, float]]:
            counted = taking.count(connection, self._queues.owner, now=now)
            limits = {
                place: self._hand.count(place) + 1
                for queue in self._queues.taken_from
                for lane, service in counted
                if lane in LANES.values()
                for place in [Place(queue, lane, service)]
            }
            return counted, taking.oldest(connection, limits, self._hand, now=now)

        counted, oldest = await self._database.read(read)
        self._tally.correct({place: rows for place, (rows, _) in counted.items()}, before)
        return {lane: _queue_state(number, counted, oldest, self._hand) for lane, number in LANES.items()}

    async def _count(self) -> Mapping[tuple[int, str], int]:
        """Correct the tally; what is due, by lane and service."""
        before = self._tally.snapshot()
        if not self._queues.fences:  # what this process accepted, its owners have counted by now
            self._tally.correct({}, before)
            return {}
        counted = await self._database.look(
            lambda connection: taking.count(connection, self._queues.owner, now=self.now())
        )
        self._tally.correct({place: rows for place, (rows, _) in counted.items()}, before)
        return {place: ready for place, (_, ready) in counted.items()}

    # Numbers and times

    async def write(
        self,
        job: Callable[[Connection], T],
        then: Callable[[], None] | None = None,
        *,
        flow: str = "",
        rows: int = 1,
    ) -> T:
        answer = await self._database.write(job, then=then, flow=flow, rows=rows)
        self._has_written = True
        return answer

    async def add_audit(self, entry: AuditEntry) -> None:
        queue = self._queues.all[0]
        numbers, now = await self.numbers(queue, 1), self.now()
        await self.write(
            lambda connection: connection.write_all([audit_write([entry], iter(numbers), queue=queue, now=now)])
        )

    async def numbers(self, queue: int, count: int) -> range:
        """Numbers for rows of a queue, which no other row has. Raises: StoreError."""
        if not self._queues.owns(queue):
            numbering, now = self._queues.numbering, self.now()
            return await self._database.write(
                lambda connection: queues.reserve(connection, queue, count, numbering=numbering, now=now)
            )
        if self._queues.lacks(queue, count):
            await self._refill([(queue, count)])
        return self._queues.number(queue, count)

    async def _numbers_for(
        self, ending: Iterable[tuple[int, Notification]], reporter: Reporter | None
    ) -> Mapping[int, range]:
        """Numbers for the reports of notifications that end, by queue. Raises: StoreError."""
        needed = numbers_needed(ending, reporter)
        return {queue: await self.numbers(queue, count) for queue, count in needed.items()}

    async def _refill(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Reserve numbers of queues, so many of each at least."""
        rows = self._queues.refills(wanted)
        blocks = {queue: block for _, block, queue in rows}
        for queue, next_n in await self._database.write(lambda connection: connection.update_many(RESERVE, rows)):
            self._queues.refill(queue, next_n, blocks[queue])

    def _is_time(self, what: str, every: float) -> bool:
        now = self._monotonic()
        if now - self._times[what] < every:
            return False
        self._times[what] = now
        return True


def _is_old(work: Work, now: float, waited: float) -> bool:
    """Whether the work could have been sent so many seconds ago, or has expired."""
    notification = work.notification
    if notification.expires_at is not None and notification.expires_at.timestamp() <= now:
        return True
    schedule_at = 0.0 if notification.schedule_at is None else notification.schedule_at.timestamp()
    return now - max(work.accepted_at, schedule_at, work.quiet_until) >= waited


def _pause(age: float) -> float:
    """Seconds until work that no process serves is looked at again: a power of two, so that what waits is postponed in few
    transactions, and each row a few times."""
    return 2.0 ** math.floor(math.log2(min(max(age / 2, 1.0), _LONGEST_PAUSE)))


def _place_of(work: Work) -> Place:
    return Place(work.queue, LANES[work.lane], service_key(work.service))


def _queue_state(lane: int, counted: taking.Counted, oldest: Mapping[int, float], hand: InHand) -> WaitingState:
    """Scheduled and held notifications, and those that wait for others, wait in the lane of the singles."""
    lanes: Iterable[int] = (lane, SCHEDULED, HELD, ORDERED) if lane == SINGLE else (lane,)
    mine = [counts for (of, _), counts in counted.items() if of in lanes]
    in_hand = hand.count_of_lane(lane)
    ready = sum(ready for _, ready in mine)
    return WaitingState(
        ready=max(0, ready - in_hand),
        in_hand=in_hand,
        delayed=sum(rows for rows, _ in mine) - ready,
        oldest_ready=oldest.get(lane, 0.0),
    )
