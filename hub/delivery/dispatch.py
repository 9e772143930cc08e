"""Work to audiences, to pushes, to results: everything between acceptance and record.

Work arrives two ways: notifications that are in hand from their acceptance on (`submit`), and what is due in the store,
taken a batch at a time. A batch finds its audiences together, is pushed by all senders it needs side by side, and each
result goes to the recorder as soon as it is there.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass

from pyroaring import BitMap

from hub.clock import SteadyClock
from hub.content.held import Renderer, no_renderer
from hub.content.rendering import Rendering
from hub.delivery.audiences import find_audiences
from hub.delivery.bulkhead import PAGES, Bulkhead
from hub.delivery.forwarding import RemoteDelivery
from hub.delivery.pacing import Pacing, Rates, is_paced
from hub.delivery.pushing import PushDelivery
from hub.delivery.quieting import cut_pages, quiet_fact, ruling_for_all
from hub.delivery.recording import Recorder
from hub.delivery.renaming import ChannelRenaming
from hub.delivery.retry import RetryPolicy
from hub.delivery.store_retry import StoreRetry
from hub.delivery.submitted import SubmittedWork
from hub.errors import StoreError
from hub.facts import (
    AudienceFound,
    Crashed,
    NotificationHeld,
    NotificationsPaced,
    NotificationsSilenced,
    PropertiesMissing,
    PushesDeferred,
    QuietHoursKept,
    TextFellBack,
    WorkTaken,
)
from hub.fallback import Fallback
from hub.guards import Guards, needs_approval
from hub.loops import Pulse
from hub.notification import Notification, Platform
from hub.observer import Observer
from hub.outcome import State, Unreached
from hub.phone_report import ReportPolicies
from hub.precedence import PAGES as PAGES_FLOW
from hub.precedence import Precedence
from hub.push import PushPage
from hub.quiet import Fate, Ruling
from hub.silence import silence_for
from hub.store.contracts.outbox import Audience, PageResult, Service, Work
from hub.store.health import StoreHealth
from hub.work import Lane

_BATCH = 128
"""Pieces of work that find their audiences together: what of it runs on the loop stays within a few milliseconds."""

_AFTER_CRASH = 60.0
"""Seconds until work that met a defect of this program is tried again."""

_REFUSED_EVERY = 2.0
"""Seconds between two looks for work of push services that have no credential."""

_IDLE = 4
"""By how much looks for work are rarer where none waits that this process knows of."""

_ORPHANS = 16
"""Pages that no service takes any more and that end together: a few at a time, because nothing waits for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of real time that a hub waits; of the backoffs, the first wait and the longest."""

    poll: float = 0.25
    """Between two looks for work that has become due: retries, scheduled notifications, work of another process. Four times
    that where nothing waits and no other process works on the store, or none has had work for this one for some seconds."""
    calm_after: float = 5.0
    """Without work, until looks for that of other processes are rarer."""
    count_every: float = 1.0
    """Between two counts of what waits in the store."""
    sum_every: float = 1.0
    """Between two sums of the pages that broadcasts consist of; a broadcast ends with one."""
    books_every: float = 60.0
    """Between two checks of whether what was accepted has ended or is on its way."""
    tally_every: float = 30.0
    """Between two sums by the hour of what ended."""
    accept_backoff: tuple[float, float] = (0.05, 5.0)
    record_backoff: tuple[float, float] = (0.05, 2.0)


class Dispatcher:
    """Works on what is due until it is drained. Run `run` as a task; everything else may be called at any time.

    `bulkheads` are the push services that hubs have credentials for. Pushes `without_credential`, for a platform of a hub
    kept here that has none, end as InvalidCredentials. Both may change while it works, and so may `guards`
    and `reports`.
    """

    def __init__(
        self,
        health: StoreHealth,
        bulkheads: Mapping[Service, Bulkhead[PushPage]],
        *,
        without_credential: AbstractSet[Service] = frozenset(),
        remotes: Mapping[str, Bulkhead[Sequence[Notification]]] | None = None,
        guards: Guards | None = None,
        reports: ReportPolicies | None = None,
        pacing: Pacing | None = None,
        observer: Observer,
        policy: RetryPolicy = RetryPolicy(),
        slots: int = 4000,
        clock: Callable[[], float] | None = None,
        timing: Timing = Timing(),
        precedence: Precedence | None = None,
        renderer: Renderer = no_renderer,
    ) -> None:
        clock = clock or SteadyClock()
        self._store = store = health.store
        self._bulkheads = bulkheads
        self._without_credential = without_credential
        self._observer = observer
        self._timing = timing
        self._precedence = precedence = precedence or Precedence()
        self._rendering = Rendering(
            store,
            on_missing=self._report_missing,
            on_fallback=self._report_fallback,
            policies=reports,
            renderer=renderer,
        )
        self._remotes = {} if remotes is None else remotes  # an empty one is filled by a reload
        self._guards = {} if guards is None else guards
        self._pacing = pacing or Pacing(Rates(), sharers=lambda: 1, clock=time.monotonic)
        self._retry = StoreRetry(health, backoff=timing.record_backoff)
        self._recorder = Recorder(
            store,
            self._retry,
            observer=observer,
            on_recorded=self._drop,
            on_split=self._add_pending,
            precedence=precedence,
        )
        self._renaming = ChannelRenaming(store, observer=observer)
        self._pushing = PushDelivery(
            bulkheads,
            self._rendering,
            without_credential=without_credential,
            policy=policy,
            observer=observer,
            clock=clock,
            store_clock=store.now,
            time_of_day=store.time_of_day,
            may_start=store.may_start,
            serves_better=store.serves_better,
            done=self._answered,
            renamed=self._renaming.add,
            precedence=precedence,
        )
        self.forwarding = RemoteDelivery(
            self._remotes,
            guards=self._guards,
            policy=policy,
            observer=observer,
            clock=clock,
            store_clock=store.now,
        )
        """The way out to remote hubs, also of notifications that are handed over before the store accepts them."""
        self._slots = slots
        self._wake = {lane: asyncio.Event() for lane in Lane}
        self._submitted = SubmittedWork(precedence)
        self._in_hand: dict[int, Work] = {}
        self._unrecorded: set[int] = set()  # of what is in hand, what has all its answers
        self._turns = {lane: Pulse() for lane in Lane}
        self._answers = Pulse()
        self._unplanned: Counter[tuple[Lane, Service | None]] = Counter()
        self._draining = False
        self._has_paced = False
        self._worked_at = time.monotonic()
        self._refused_look_at = dict.fromkeys(Lane, 0.0)  # by the monotonic clock
        self._idle = asyncio.Event()
        self._idle.set()
        self._group: asyncio.TaskGroup | None = None
        self.pending = 0
        """Notifications and pages that the store holds and that are not done."""
        self.has_backlog = False
        """Whether the store holds due work that no slot was free for: what is accepted now queues behind that work."""

    @property
    def free_slots(self) -> int:
        """How many notifications may be started with their acceptance."""
        return 0 if self._draining or self.has_backlog else max(0, self._slots)

    @property
    def in_hand(self) -> int:
        """Pieces of work taken and not yet recorded."""
        return len(self._in_hand)

    def submit(self, work: Sequence[Work], *, accepted: int, silenced: int = 0) -> None:
        """Start what is in hand with its acceptance; `accepted` says how many there were with those left in the store,
        and `silenced` how many of these a silence holds or drops."""
        self.pending += accepted
        if len(work) + silenced < accepted:
            self.has_backlog = True
        if work:
            self._take(work)
            self._observer.observe(WorkTaken(lane=Lane.SINGLE, count=len(work)))
            self._submitted.add(work)
        self._wake[Lane.SINGLE].set()

    def wake(self) -> None:
        """Look for work at once: a service takes more."""
        for wake in self._wake.values():
            wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._feed(Lane.SINGLE, self._start_singles))
            group.create_task(self._feed(Lane.BROADCAST, self._start_pages))
            group.create_task(self._recorder.run())
            group.create_task(self._renaming.run())
            group.create_task(self._recorder.sum_up(self._timing.sum_every))

    async def drain(self, seconds: float) -> None:
        """Take nothing new, finish what is under way, and give back what is not done in time."""
        self._draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            with suppress(StoreError):  # then the next owner of its queue takes it
                await self._store.give_back(list(self._in_hand.values()))

    # Proof that work goes on

    async def claims(self) -> None:
        """Return once each lane has looked for work, and started what it found."""
        for pulse in self._turns.values():
            await pulse.felt()

    async def answers(self) -> None:
        """Return at once where no piece of work waits for an answer, else with the next answer."""
        if len(self._in_hand) > len(self._unrecorded):
            await self._answers.felt()

    async def records(self) -> None:
        """Return once the recording of results has come to its next turn."""
        await self._recorder.records()

    async def sums(self) -> None:
        """Return once the pages of broadcasts have been summed."""
        await self._recorder.sums()

    def _answered(self, results: Sequence[PageResult]) -> None:
        self._recorder.add(results)
        self._unrecorded.update(
            [key for result in results if result.is_last and (key := id(result.work)) in self._in_hand]
        )
        self._answers.beat()

    async def end_orphans(self) -> None:
        """End work that has exceeded its age while its push service was taken out of the configuration, or is closed: of
        what a look of the store sees, so the next call goes on behind.

        Until then the work waits: the hub may come back, by a mistake that is mended or a restart with the right file.
        Only while `run` does. Raises: StoreError.
        """
        assert self._group is not None
        asked = [key for key, bulkhead in self._bulkheads.items() if not bulkhead.is_paused]
        while not (self._draining or self._retry.is_behind):
            work = await self._store.take_orphans(
                [*asked, *self._without_credential], _ORPHANS, waited=self._pushing.too_old
            )
            if not work:
                return
            self._take(work)
            # Tasks of ours: who asks may be cancelled, and what was taken still comes to its end.
            await asyncio.wait([self._begin([page]) for page in work])

    # Getting work

    async def _feed(self, lane: Lane, some: Callable[[bool], Awaitable[bool]]) -> None:
        """Start batches as long as there is room and something is due; wait for either.

        `some` gets whether it is time to look for work that has become due.
        """
        wake = self._wake[lane]
        look_at = 0.0  # by the monotonic clock
        is_time = False
        while True:
            self._turns[lane].beat()
            wake.clear()  # before looking: a wake-up during the look is not missed
            if is_time := is_time or time.monotonic() >= look_at:
                look_at = self._next_look()
            try:
                found, is_time = await some(is_time), False
                if found:
                    continue
            except StoreError:
                is_time = False  # reported, and tried again
            try:
                async with asyncio.timeout(look_at - time.monotonic()):
                    await wake.wait()
            except TimeoutError:
                is_time = True  # though a timer goes off a little before its time
                self._rendering.trim()

    def _next_look(self) -> float:
        """When to look for work that has become due, by the monotonic clock: at the same moments in both lanes, and seldom
        while the store holds nothing and this process is the only one, or has had no work for some time."""
        is_calm = time.monotonic() - self._worked_at >= self._timing.calm_after or self._store.fleet().live == 1
        is_idle = not self.pending and is_calm
        pause = _IDLE * self._timing.poll if is_idle else self._timing.poll
        return (time.monotonic() // pause + 1) * pause

    async def _start_singles(self, is_time: bool) -> bool:
        """Start one batch, of what was submitted before what is due in the store; whether there was any.

        Between two looks the store holds due work only if acceptance or a full batch left some behind.
        """
        if self._submitted:
            if not self._submitted.has_light:
                await self._precedence.give_way()
            self._start(self._submitted.take(_BATCH))
            await asyncio.sleep(0)
            return True
        if self._draining or self._retry.is_behind or self._slots <= 0:
            return False
        wanted = self._wanted_singles(look_for_new=is_time or self.has_backlog)
        if not wanted:
            return False
        work = await self._take_from_store(Lane.SINGLE, wanted)
        taken = Counter(piece.service for piece in work)
        if None in wanted:
            self.has_backlog = taken[None] == wanted[None]
        self._has_paced = any(key is not None and is_paced(key) and taken[key] == wanted[key] for key in wanted)
        for key, bulkhead in self._bulkheads.items():
            if key in wanted:
                bulkhead.has_queue = taken[key] == wanted[key]
        self._take_due(work, Lane.SINGLE)
        if work:
            self._start(work)
        return bool(work)

    def _wanted_singles(self, *, look_for_new: bool) -> dict[Service | None, int]:
        """How much to take of each service that has room, and of the work whose audience is not known."""
        limit = min(self._slots, _BATCH)
        wanted: dict[Service | None, int] = {None: limit} if look_for_new else {}
        for key, bulkhead in self._bulkheads.items():
            if (look_for_new or bulkhead.has_queue) and (
                room := bulkhead.wanted(Lane.SINGLE, self._unplanned[Lane.SINGLE, key])
            ):
                wanted[key] = min(room, limit)
        if (look_for_new or self._has_paced) and (waiting := self._store.paced()):
            wanted |= self._pacing.wanted(waiting, limit)
        return wanted | self._wanted_refused(Lane.SINGLE, dict.fromkeys(self._without_credential, limit))

    def _wanted_refused(self, lane: Lane, wanted: Mapping[Service, int]) -> dict[Service | None, int]:
        """Those of `wanted` to take now: services without credential are many, and few of them have work ever.

        What another process has a credential for is left to that one."""
        now = time.monotonic()
        if now < self._refused_look_at[lane]:
            return {}
        self._refused_look_at[lane] = now + _REFUSED_EVERY
        return {key: count for key, count in wanted.items() if count > 0 and not self._store.serves_better(key)}

    def _look_for_refused(self, lane: Lane, work: Sequence[Work]) -> None:
        """Look at once again for work of services without credential where there was some."""
        if any(piece.service in self._without_credential for piece in work):
            self._refused_look_at[lane] = 0.0

    async def _start_pages(self, _: bool) -> bool:
        """Start as many broadcast pages as each bulkhead has room for; whether there was any."""
        await self._precedence.give_way()
        held = Counter(piece.service for piece in self._in_hand.values() if piece.lane is Lane.BROADCAST)
        wanted: dict[Service | None, int] = {
            key: pages
            for key, bulkhead in self._bulkheads.items()
            if (pages := bulkhead.wanted(Lane.BROADCAST, held[key])) and self._pacing.may_take_pages(key[0])
        }
        wanted |= self._wanted_refused(Lane.BROADCAST, {key: PAGES - held[key] for key in self._without_credential})
        if self._draining or self._retry.is_behind or not wanted:
            return False
        work = await self._take_from_store(Lane.BROADCAST, wanted)
        self._take_due(work, Lane.BROADCAST)
        for page in work:  # each on its own, so that one is read while another is answered
            self._start([page])
        return bool(work)

    async def _take_from_store(self, lane: Lane, wanted: Mapping[Service | None, int]) -> Sequence[Work]:
        """What is due; none of it if draining began during the look."""
        work = await self._store.take(lane, wanted)
        if not self._draining:
            return work
        await self._store.give_back(work)
        return ()

    def _take_due(self, work: Sequence[Work], lane: Lane) -> None:
        if work:
            now = self._store.now()
            self._take(work)
            self._look_for_refused(lane, work)
            waited = [now - piece.accepted_at for piece in work]
            self._observer.observe(WorkTaken(lane=lane, count=len(work), waited=waited))

    def _take(self, work: Sequence[Work]) -> None:
        now = self._store.now()
        for piece in work:
            piece.taken_at = now
            self._slots -= piece.lane is Lane.SINGLE
            self._in_hand[id(piece)] = piece
        self._worked_at = time.monotonic()
        self._idle.clear()

    def _drop(self, work: Iterable[Work]) -> None:
        for piece in work:
            if self._in_hand.pop(id(piece), None) is not None:
                self._unrecorded.discard(id(piece))
                self._answers.beat()
                self._slots += piece.lane is Lane.SINGLE
                self._wake[piece.lane].set()
        if not self._in_hand:
            self._idle.set()

    def _start(self, work: Sequence[Work]) -> None:
        """Deliver what no silence covers; what has begun goes on all the same."""
        assert self._group is not None
        if silences := self._store.silences_in_force:
            covered = [
                piece
                for piece in work
                if not piece.number and piece.ordinals is None and silence_for(piece.notification, silences)
            ]
            if covered:
                self._group.create_task(self._guarded(self._silence, covered))
                silent = {id(piece) for piece in covered}
                work = [piece for piece in work if id(piece) not in silent]
        self._deliver(work)

    async def _silence(self, work: Sequence[Work]) -> None:
        """Have a silence hold or drop what it covers; what it does not cover any more goes on."""
        silenced = await self._retry.until_stored("silence", lambda: self._store.silence(work))
        if silenced:
            self._observer.observe(NotificationsSilenced(silenced=silenced))
        ids = {notification.id for notification, _ in silenced}
        self._drop([piece for piece in work if piece.notification.id in ids])
        if left := self._not_withdrawn([piece for piece in work if piece.notification.id not in ids]):
            self._deliver(left)

    def _deliver(self, work: Sequence[Work]) -> None:
        """Whole notifications to remote hubs, pushes to the phones registered here; each on its own.

        A hub can be both, while its phones move: then pushes that were begun here end here, and nothing new begins.
        What is for a hub that is neither goes to a process that knows the hub."""
        assert self._group is not None
        here: list[Work] = []
        remote: dict[str, list[Work]] = {}
        stays: dict[str, bool] = {}  # by hub: a batch has few
        for piece in work:
            hub = piece.notification.hub
            is_here = stays.get(hub)
            if is_here is None:
                is_here = stays[hub] = hub not in self._remotes and self._is_local(hub)
            if is_here or not (piece.service is None or _waits_for_rate(piece)):
                here.append(piece)
            else:
                remote.setdefault(hub, []).append(piece)
        for hub, pieces in remote.items():
            deliver = self._forward if hub in self._remotes else self._pass_on
            self._group.create_task(self._guarded(deliver, pieces))
        if here:
            self._begin(here)

    def _begin(self, work: Sequence[Work]) -> asyncio.Task[None]:
        """Push a batch in a task of its own; until it has its places, nothing more is taken for these."""
        assert self._group is not None
        self._unplanned.update(map(_waits_as, work))
        return self._group.create_task(self._guarded(self._push, work))

    def _is_local(self, hub: str) -> bool:
        """Whether phones of the hub are registered here: a remote hub has no push services, nor has a removed one."""
        return any(
            (hub, platform) in self._bulkheads or (hub, platform) in self._without_credential
            for platform in Platform.declared()
        )

    async def _guarded(self, deliver: Callable[[Sequence[Work]], Awaitable[None]], work: Sequence[Work]) -> None:
        """A defect costs its batch some time, never the process: the work is tried again after a while."""
        try:
            await deliver(work)
        except Exception as error:
            self._observer.observe(Crashed(work=f"a batch of {len(work)} notifications", error=error))
            mine = [piece for piece in work if id(piece) in self._in_hand]
            with suppress(StoreError):
                await self._store.postpone(mine, delay=_AFTER_CRASH)
            self._drop(mine)

    # A batch, from work to results

    async def _forward(self, work: Sequence[Work]) -> None:
        work = await self._outside_quiet_hours(work)
        if not (work := self._not_withdrawn(work)):
            return
        if not self._store.may_start():
            await self._store.give_back(work)
            self._drop(work)
            return
        remote_result = await self.forwarding.hand_over(work)
        self._answered(remote_result.ended)
        for delay, pieces in remote_result.again.items():
            await self._postpone(pieces, delay)

    async def _pass_on(self, work: Sequence[Work]) -> None:
        orphans = await self._retry.until_stored(
            "pass_on", lambda: self._store.pass_on(work, waited=self._pushing.too_old)
        )
        ending = {id(piece) for piece in orphans}
        self._drop([piece for piece in work if id(piece) not in ending])
        for hub in {piece.notification.hub for piece in orphans}:
            await self._forward([piece for piece in orphans if piece.notification.hub == hub])

    async def _push(self, work: Sequence[Work]) -> None:
        taken = work
        try:
            work = meant = await self._outside_quiet_hours(taken)
            if not meant:
                return
            flow = self._flow_of(meant)
            with self._precedence.ahead(flow):
                audiences = await self._retry.until_stored("read", lambda: self._audiences(meant))
            await self._precedence.give_way(flow)
            if self._guards:
                work, audiences = await self._without_held(work, audiences)
            if self._pacing or any(map(_waits_for_rate, work)):
                work, audiences = await self._at_their_pace(work, audiences)
            audiences = [await self._cut(piece, each) for piece, each in zip(work, audiences, strict=True)]
        finally:  # nothing is awaited between here and the reservation of places
            self._unplanned.subtract(map(_waits_as, taken))
        still_there = {id(piece) for piece in self._not_withdrawn(work)}
        found = [pair for pair in zip(work, audiences, strict=True) if id(pair[0]) in still_there]
        large = [pair for pair in found if pair[1].is_large]
        small = [pair for pair in found if not pair[1].is_large]
        # Nothing is awaited between reserving places in a bulkhead and handing it the pushes: no place is lost.
        async with asyncio.TaskGroup() as group:
            for piece, audience in large:
                group.create_task(self._expand(piece, audience))
            plan = self._pushing.plan(small)
            if plan.broken:
                group.create_task(self._postpone(plan.broken, _AFTER_CRASH))
            for (delay, service), pieces in plan.not_attempted.items():
                group.create_task(self._postpone(pieces, delay, service))
            if any(piece.service for piece in work):
                self._wake[Lane.SINGLE].set()  # what had no place may be taken again
            for send in plan.sends:
                group.create_task(self._pushing.send(send))

    def _flow_of(self, work: Sequence[Work]) -> str | None:
        """A light flow, if all of the work is of such."""
        flows = {PAGES_FLOW if piece.lane is Lane.BROADCAST else piece.notification.source for piece in work}
        return flows.pop() if all(map(self._precedence.is_light, flows)) else None

    async def _without_held(
        self, work: Sequence[Work], audiences: Sequence[Audience]
    ) -> tuple[Sequence[Work], Sequence[Audience]]:
        """Hold what is for more registrations than its hub allows, unless it was approved; the rest of both."""
        counted = [
            (piece, audience.size)
            for piece, audience in zip(work, audiences, strict=True)
            if piece.ordinals is None and needs_approval(piece.notification, audience.size, self._guards)
        ]
        if not counted:
            return work, audiences
        held = {id(piece) for piece in await self._retry.until_stored("hold", lambda: self._store.hold(counted))}
        for piece, count in counted:
            if id(piece) in held:
                self._drop([piece])
                self._observer.observe(NotificationHeld(notification=piece.notification, count=count))
        left = [pair for pair in zip(work, audiences, strict=True) if id(pair[0]) not in held]
        return [piece for piece, _ in left], [audience for _, audience in left]

    async def _outside_quiet_hours(self, work: Sequence[Work]) -> Sequence[Work]:
        """Hold or end whole notifications whose quiet hours are the same for all phones; the rest, which goes on."""
        if not any(piece.notification.quiet for piece in work):
            return work
        at = self._store.time_of_day()
        left: list[Work] = []
        ruled: list[tuple[Work, Ruling]] = []
        for piece in work:
            found = ruling_for_all(piece.notification, at) if piece.ordinals is None else None
            if found is None or found.fate is Fate.SILENT:
                left.append(piece)
            else:
                ruled.append((piece, found))
        held = [(piece, found.until) for piece, found in ruled if found.fate is Fate.HELD]
        if held:
            await self._retry.until_stored("hold", lambda: self._store.hold_until(held))
            self._drop([piece for piece, _ in held])
        for piece, found in ruled:
            if found.fate is not Fate.HELD:
                self._end_in_quiet_hours(piece, found.fate)
            self._observer.observe(quiet_fact(piece.notification, found))
        return left

    def _end_in_quiet_hours(self, piece: Work, fate: Fate) -> None:
        why = Unreached.EXPIRED if fate is Fate.EXPIRED else Unreached.QUIET_HOURS
        now = self._store.now()
        self._answered([PageResult(work=piece, counts={}, started_at=now, state=State.ABANDONED, unreached=why)])

    async def _cut(self, piece: Work, audience: Audience) -> Audience:
        """A large audience without those whom quiet hours keep from a push now."""
        notification = piece.notification
        if notification.quiet is None or not audience.pages:
            return audience
        zones: Mapping[str, BitMap] = {}
        if not notification.quiet.is_same_for_all:
            zones = await self._retry.until_stored("read", lambda: self._store.zones(notification.hub))
        cut = cut_pages(notification, audience, zones, self._store.time_of_day())
        for part in cut.held:
            self._observer.observe(
                QuietHoursKept(
                    notification=notification,
                    fate=Fate.HELD,
                    count=len(part.ordinals),
                    until=part.until,
                    zones=part.zones,
                )
            )
        for dropped in cut.dropped:
            self._observer.observe(
                QuietHoursKept(notification=notification, fate=dropped.fate, count=len(dropped.ordinals))
            )
        return cut

    async def _at_their_pace(
        self, work: Sequence[Work], audiences: Sequence[Audience]
    ) -> tuple[Sequence[Work], Sequence[Audience]]:
        """Let wait what is over its rate; the rest of both."""
        going, behind = self._pacing.sort(work, audiences, self._store.paced().keys())
        for place, pieces in behind.items():
            await self._postpone(pieces, 0.0, place)
            self._observer.observe(NotificationsPaced(hub=place[0], count=len(pieces)))
        late = [piece for piece, _ in going if _waits_for_rate(piece)]
        if late:
            await self._retry.until_stored("begin_late", lambda: self._store.begin_late(late))
        later: dict[float, list[Work]] = {}
        for piece, audience in [pair for pair in going if pair[0].number and pair[0].lane is Lane.BROADCAST]:
            if seconds := self._pacing.wait_for_page(piece.notification, audience.size):
                later.setdefault(seconds, []).append(piece)
        for seconds, pieces in later.items():
            await self._postpone(pieces, seconds)
        waits = {id(piece) for pieces in later.values() for piece in pieces}
        going = [pair for pair in going if id(pair[0]) not in waits]
        return [piece for piece, _ in going], [audience for _, audience in going]

    def _not_withdrawn(self, work: Sequence[Work]) -> Sequence[Work]:
        """What is still in the store; the rest is not in hand any more."""
        if not any(piece.is_withdrawn for piece in work):
            return work
        self._drop([piece for piece in work if piece.is_withdrawn])
        return [piece for piece in work if not piece.is_withdrawn]

    async def _audiences(self, work: Sequence[Work]) -> Sequence[Audience]:
        audiences = await find_audiences(self._store, work, self._guards)
        if len(audiences) == 1:  # which may be the columns of a page
            targets = audiences[0].targets
        else:
            targets = [target for audience in audiences for target in audience.targets]
        await self._rendering.prepare(targets, [piece.notification for piece in work])
        return audiences

    async def _postpone(self, pieces: Sequence[Work], delay: float, service: Service | None = None) -> None:
        """Put work that found every breaker open back as it is: no row more, however often that happens."""
        await self._retry.until_stored("postpone", lambda: self._store.postpone(pieces, delay=delay, service=service))
        bulkhead = None if service is None else self._bulkheads.get(service)
        if bulkhead is not None:
            bulkhead.has_queue |= pieces[0].lane is Lane.SINGLE
        self._drop(pieces)

    async def _expand(self, piece: Work, audience: Audience) -> None:
        await self._retry.until_stored("expand", lambda: self._store.expand(piece, audience))
        self._add_pending(len(audience.pages) + len(audience.held) - 1)
        counts = Counter[Platform]()
        for platform, ordinals in audience.pages:
            counts[platform] += len(ordinals)
        self._observer.observe(AudienceFound(notification=piece.notification, counts=counts))
        for platform in counts:
            key = (piece.notification.hub, platform)
            if key in self._without_credential:
                self._refused_look_at[Lane.BROADCAST] = 0.0
            bulkhead = self._bulkheads.get(key)
            if bulkhead is not None and bulkhead.is_paused:  # until then its pages are not even taken
                due_at, reason = bulkhead.closed_until, bulkhead.trouble
                self._observer.observe(
                    PushesDeferred(notification=piece.notification, platform=platform, reason=reason, due_at=due_at)
                )
        self._drop([piece])
        self._wake[Lane.BROADCAST].set()

    def _add_pending(self, count: int) -> None:
        self.pending += count

    def _report_missing(self, notification: Notification, platform: Platform, names: Collection[str]) -> None:
        self._observer.observe(PropertiesMissing(notification=notification, platform=platform, names=names))

    def _report_fallback(self, notification: Notification, reason: Fallback, count: int) -> None:
        self._observer.observe(TextFellBack(notification=notification, reason=reason, count=count))


def _waits_as(piece: Work) -> tuple[Lane, Service | None]:
    return piece.lane, piece.service


def _waits_for_rate(piece: Work) -> bool:
    """Whether it was put behind a rate, and has not begun."""
    return piece.service is not None and is_paced(piece.service)
