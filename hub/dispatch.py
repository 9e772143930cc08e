"""Leased work to audiences, to pushes, to records: everything between acceptance and outcome.

Work arrives two ways: notifications leased as they were accepted (`submit`), and what is due in the store, leased a batch
at a time. A batch finds its audiences together, is pushed by all senders it needs side by side, and each piece is recorded
as soon as its last push was answered, together with whatever else is ready by then.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from pyroaring import BitMap

from hub.bulkhead import Bulkhead
from hub.errors import StoreError
from hub.forwarding import Forwarding
from hub.notification import Notification, Platform
from hub.observer import Observer
from hub.outcome import OutcomeName, Reaction
from hub.rendering import Rendering
from hub.retry import RetryPolicy
from hub.senders.base import Push, SendResult, all_delivered
from hub.store.base import Audience, Failed, Lane, PageResult, RetryPage, Store, Target, Work

LEASE = 60.0
"""Seconds a lease lasts; longer than any send, and renewed at half of it."""

_BATCH = 256
"""Pieces of work that find their audiences together: what of it runs on the loop stays within a few milliseconds."""

_POLL = 0.25
_STORE_BACKOFF = (0.05, 2.0)
_SATURATED = 0.25
"""Seconds until work is looked at again that found a service busy with as much as it is allowed."""

_CHUNK = 64
"""Single pushes that are recorded together: one that is slow holds up no more than these."""

_SENDER_CRASHED = SendResult(reaction=Reaction.RETRY, outcome=OutcomeName.UNKNOWN_ERROR, reason="a defect of ours")

T = TypeVar("T")
Outcomes = dict[Platform, Counter[OutcomeName]]


@dataclass(slots=True)
class _Run:
    """One piece of work on its way: what is still out, and what came back."""

    work: Work
    started_at: float
    gives_up_at: float
    waiting: int = 0
    ordinals: list[int] = field(default_factory=list)
    counts: Outcomes = field(default_factory=dict)
    failures: list[Failed] = field(default_factory=list)
    retries: list[tuple[Platform, int, SendResult]] = field(default_factory=list)
    parked: dict[Platform, list[int]] = field(default_factory=dict)
    gone: Counter[Platform] = field(default_factory=Counter)

    @property
    def untried(self) -> bool:
        """Nothing of it was sent and nothing ended: it can go back as it is."""
        return bool(self.parked) and not self.waiting and not self.counts

    def count(self, platform: Platform, outcome: OutcomeName, by: int = 1) -> None:
        counter = self.counts.get(platform)
        if counter is None:
            counter = self.counts[platform] = Counter()
        counter[outcome] += by


@dataclass(slots=True)
class _Parcel:
    """Pushes that one bulkhead takes together, of so many (`seats`) notifications or pages, and whom each is for."""

    bulkhead: Bulkhead[Push]
    hub: str
    platform: Platform
    seats: int = 0
    pushes: list[Push] = field(default_factory=list)
    owners: list[tuple[_Run, Target]] = field(default_factory=list)


class Dispatcher:
    """Works on what is due until it is drained. Run `run` as a task; everything else may be called meanwhile."""

    def __init__(
        self,
        store: Store,
        bulkheads: Mapping[tuple[str, Platform], Bulkhead[Push]],
        *,
        remotes: Mapping[str, Bulkhead[Notification]] | None = None,
        observer: Observer,
        policy: RetryPolicy = RetryPolicy(),
        slots: int = 4000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._bulkheads = bulkheads
        self._observer = observer
        self._policy = policy
        self._clock = clock
        self._rendering = Rendering(store)
        self._forwarding = Forwarding(remotes or {}, policy=policy, observer=observer, clock=clock)
        self._slots = slots
        self._wake = {lane: asyncio.Event() for lane in Lane}
        self._submitted: list[Work] = []
        self._in_hand: dict[int, Work] = {}
        self._results: list[PageResult] = []
        self._recordable = asyncio.Event()
        self._draining = False
        self._crowded_until = 0.0  # by the monotonic clock
        self._owed: set[object] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._group: asyncio.TaskGroup | None = None
        self.pending = 0
        """Notifications and pages that the store holds and that are not done."""
        self.behind = False
        """Whether the store holds due work that no slot was free for: what is accepted now has to queue behind it."""

    @property
    def free_slots(self) -> int:
        """How many notifications may be leased with their acceptance."""
        return 0 if self._draining or self.behind else max(0, self._slots)

    @property
    def in_hand(self) -> int:
        """Pieces of work leased to us and not yet recorded."""
        return len(self._in_hand)

    def submit(self, work: Sequence[Work], *, accepted: int) -> None:
        """Take what was leased with its acceptance; `accepted` says how many there were with those that stayed behind."""
        self.pending += accepted
        if len(work) < accepted:
            self.behind = True
        if work:
            self._take(work)
            self._observer.claimed(Lane.SINGLE, len(work), ())
            self._submitted.extend(work)
        self._wake[Lane.SINGLE].set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._feed(Lane.SINGLE, self._start_singles))
            group.create_task(self._feed(Lane.BROADCAST, self._start_pages))
            group.create_task(self._record_all())
            group.create_task(self._renew_all())

    async def drain(self, seconds: float) -> None:
        """Take nothing new, finish what is under way, and give back what is not done in time."""
        self._draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            try:
                await self._store.release(list(self._in_hand.values()))
            except StoreError as error:  # then whoever opens the store next frees it
                self._observer.store_failed("release", error)

    # Getting work

    async def _feed(self, lane: Lane, some: Callable[[], Awaitable[bool]]) -> None:
        """Start batches as long as there is room and something is due; wait for either."""
        wake = self._wake[lane]
        while True:
            wake.clear()  # before looking: what is told while we look is not missed
            try:
                if await some():
                    continue
            except StoreError as error:
                self._observer.store_failed("lease", error)
            try:
                async with asyncio.timeout(_POLL):
                    await wake.wait()
            except TimeoutError:
                self._rendering.trim()

    async def _start_singles(self) -> bool:
        """Start one batch, of what was submitted before what is due in the store; whether there was any."""
        if self._submitted:
            batch, self._submitted = self._submitted[:_BATCH], self._submitted[_BATCH:]
            self._start(batch)
            await asyncio.sleep(0)
            return True
        room = min(self._slots, _BATCH)
        if self._draining or self._owed or room <= 0 or time.monotonic() < self._crowded_until:
            return False
        work = await self._store.lease(room, until=self._clock() + LEASE)
        self.behind = len(work) == room
        self._take_leased(work, Lane.SINGLE)
        if work:
            self._start(work)
        return bool(work)

    async def _start_pages(self) -> bool:
        """Start as many broadcast pages as each bulkhead has room for; whether there was any."""
        held = Counter(_key(piece) for piece in self._in_hand.values() if piece.lane is Lane.BROADCAST)
        wanted = {
            key: pages for key, bulkhead in self._bulkheads.items() if (pages := bulkhead.pages_wanted(held[key]))
        }
        if self._draining or self._owed or not wanted:
            return False
        work = await self._store.lease_pages(wanted, until=self._clock() + LEASE)
        self._take_leased(work, Lane.BROADCAST)
        for page in work:  # each on its own, so that one is read while another is answered
            self._start([page])
        return bool(work)

    def _take_leased(self, work: Sequence[Work], lane: Lane) -> None:
        if work:
            now = self._clock()
            self._take(work)
            self._observer.claimed(lane, len(work), [now - piece.accepted_at for piece in work])

    def _take(self, work: Sequence[Work]) -> None:
        for piece in work:
            self._slots -= piece.lane is Lane.SINGLE
            self._in_hand[id(piece)] = piece
        self._idle.clear()

    def _drop(self, work: Iterable[Work]) -> None:
        for piece in work:
            if self._in_hand.pop(id(piece), None) is not None:
                self._slots += piece.lane is Lane.SINGLE
                self._wake[piece.lane].set()
        if not self._in_hand:
            self._idle.set()

    def _start(self, work: Sequence[Work]) -> None:
        """Whole notifications to the hubs elsewhere, pushes to the phones registered here; each on its own."""
        assert self._group is not None
        local = {hub for hub, _ in self._bulkheads}
        here: list[Work] = []
        elsewhere: dict[str, list[Work]] = {}
        for piece in work:
            is_elsewhere = piece.page is None and piece.notification.hub not in local
            (elsewhere.setdefault(piece.notification.hub, []) if is_elsewhere else here).append(piece)
        for pieces in elsewhere.values():
            self._group.create_task(self._guarded(self._forward, pieces))
        if here:
            self._group.create_task(self._guarded(self._push, here))

    async def _guarded(self, deliver: Callable[[Sequence[Work]], Awaitable[None]], work: Sequence[Work]) -> None:
        """A defect costs its batch some time, never the process: the leases run out and the work is tried again."""
        try:
            await deliver(work)
        except Exception as error:
            self._observer.crashed(f"a batch of {len(work)} notifications", error)
            self._drop(work)

    # A batch, from work to results

    async def _forward(self, work: Sequence[Work]) -> None:
        handover = await self._forwarding.hand_over(work)
        self._results += handover.ended
        if handover.ended:
            self._recordable.set()
        for due_at, pieces in handover.again.items():
            await self._postpone(pieces, due_at)

    async def _push(self, work: Sequence[Work]) -> None:
        started_at = self._clock()
        audiences = await self._insist("read", lambda: self._audiences(work))
        parcels: dict[tuple[str, Platform], list[_Parcel]] = {}
        crowded = 0
        # Nothing is awaited between reserving places in a bulkhead and handing it the pushes: no place is lost.
        async with asyncio.TaskGroup() as group:
            for piece, audience in zip(work, audiences, strict=True):
                if audience.pages:
                    group.create_task(self._expand(piece, audience, started_at))
                    continue
                run = self._run_for(piece, started_at)
                try:
                    self._fill(run, audience, parcels)
                except Exception as error:
                    self._observer.crashed(f"notification {piece.notification.id}", error)
                    self._drop([piece])
                    continue
                if run.untried:
                    crowded += piece.page is None
                    due_at = max(self._reopens_at(run, platform) for platform in run.parked)
                    group.create_task(self._postpone([piece], due_at))
                    continue
                if piece.page is None:
                    counts = Counter(target.platform for target in audience.targets)
                    self._observer.targeted(piece.notification, counts)
                if not run.waiting:
                    self._finish(run)
            for each in parcels.values():
                for parcel in each:
                    group.create_task(self._send(parcel))
        if crowded > len(work) / 2:
            # To lease more now would be to lease more of the same.
            self.behind = True
            self._crowded_until = time.monotonic() + _SATURATED

    def _run_for(self, piece: Work, started_at: float) -> _Run:
        notification = piece.notification
        accepted_at = max(piece.accepted_at, _seconds(notification.schedule_at) or 0.0)
        return _Run(piece, started_at, self._policy.gives_up_at(accepted_at, _seconds(notification.expires_at)))

    async def _audiences(self, work: Sequence[Work]) -> Sequence[Audience]:
        """Whom each piece is for: a page has its registrations, a notification's are looked for."""
        fresh = [piece for piece in work if piece.ordinals is None]
        found = iter(await self._store.audiences([piece.notification for piece in fresh]) if fresh else ())
        audiences = []
        for piece in work:
            if piece.ordinals is None:
                audiences.append(next(found))
            else:
                audiences.append(Audience(targets=await self._store.targets(piece.notification.hub, piece.ordinals)))
        await self._rendering.prepare([target for audience in audiences for target in audience.targets])
        return audiences

    async def _postpone(self, pieces: Sequence[Work], due_at: float) -> None:
        """Put what found every door closed back as it is: no row more, however often that happens."""
        await self._insist("release", lambda: self._store.release(pieces, due_at=due_at))
        self._drop(pieces)

    def _reopens_at(self, run: _Run, platform: Platform) -> float:
        bulkhead = self._bulkheads.get((run.work.notification.hub, platform))
        closed_until = 0.0 if bulkhead is None else bulkhead.closed_until
        return min(max(self._clock() + _SATURATED, closed_until), run.gives_up_at)

    async def _expand(self, piece: Work, audience: Audience, started_at: float) -> None:
        await self._insist("expand", lambda: self._store.expand(piece, audience, started_at=started_at))
        self.pending += len(audience.pages) - 1
        counts = Counter[Platform]()
        for platform, ordinals in audience.pages:
            counts[platform] += len(ordinals)
        self._observer.targeted(piece.notification, counts)
        self._drop([piece])
        self._wake[Lane.BROADCAST].set()

    def _fill(self, run: _Run, audience: Audience, parcels: dict[tuple[str, Platform], list[_Parcel]]) -> None:
        """Put the pushes of one piece into the parcels of their bulkheads; what cannot be sent ends or is parked here."""
        notification = run.work.notification
        if run.work.page is None:
            run.ordinals = [target.ordinal for target in audience.targets]
            for platform, doubles in audience.skipped.items():
                run.count(platform, OutcomeName.SKIPPED, len(doubles))
        if self._clock() >= run.gives_up_at:
            for target in audience.targets:
                self._end(run, target, OutcomeName.ABANDONED, "expired")
            return
        by_platform: dict[Platform, list[tuple[Target, Push]]] = {}
        for target, push in zip(audience.targets, self._rendering.pushes(notification, audience.targets), strict=True):
            if push is None:
                self._end(run, target, OutcomeName.INVALID_NOTIFICATION_FORMAT, "the template is not valid any more")
                continue
            mine = by_platform.get(target.platform)
            if mine is None:
                mine = by_platform[target.platform] = []
            mine.append((target, push))
        for platform, pairs in by_platform.items():
            self._place(run, platform, pairs, parcels)

    def _place(
        self,
        run: _Run,
        platform: Platform,
        pairs: Sequence[tuple[Target, Push]],
        parcels: dict[tuple[str, Platform], list[_Parcel]],
    ) -> None:
        """Put the pushes that one bulkhead admits into its last parcel, and park the others."""
        key = (run.work.notification.hub, platform)
        bulkhead = self._bulkheads.get(key)
        if bulkhead is None:  # the hub was taken out of the configuration since
            for target, _ in pairs:
                self._end(run, target, OutcomeName.INVALID_CREDENTIALS, "the hub is not configured any more")
            return
        admitted = bulkhead.admit(run.work.lane, len(pairs))
        if admitted < len(pairs):
            run.parked[platform] = [target.ordinal for target, _ in pairs[admitted:]]
        if admitted:
            placed = pairs[:admitted]
            mine = parcels.setdefault(key, [])
            if not mine or len(mine[-1].pushes) + admitted > _CHUNK:
                mine.append(_Parcel(bulkhead, *key))
            parcel = mine[-1]
            parcel.seats += 1
            parcel.pushes += [push for _, push in placed]
            parcel.owners += [(run, target) for target, _ in placed]
            run.waiting += admitted

    async def _send(self, parcel: _Parcel) -> None:
        """Each bulkhead on its own: a piece is ready when the last of those it needs has answered."""
        started = time.perf_counter()
        try:
            lane = parcel.owners[0][0].work.lane
            results = await parcel.bulkhead.send(lane, parcel.pushes, seats=parcel.seats)
        except Exception as error:  # a sender's defect is its own platform's trouble, like that of its service
            self._observer.crashed(f"the sender for {parcel.platform.value} of hub {parcel.hub}", error)
            results = [_SENDER_CRASHED] * len(parcel.pushes)
        elapsed = time.perf_counter() - started
        if parcel.seats == 1 and all_delivered(results):
            run, _ = parcel.owners[0]
            run.count(parcel.platform, results[0].outcome, len(results))
            run.waiting -= len(results)
            if not run.waiting:
                self._finish(run)
            self._observer.answered(parcel.hub, parcel.platform, elapsed, {results[0].outcome: len(results)}, 0)
            return
        tally = Counter[OutcomeName]()
        timeouts = 0
        for (run, target), result in zip(parcel.owners, results, strict=True):
            tally[result.outcome] += 1
            timeouts += result.timed_out
            self._take_result(run, target, result)
            run.waiting -= 1
            if not run.waiting:
                self._finish(run)
        self._observer.answered(parcel.hub, parcel.platform, elapsed, tally, timeouts)

    def _take_result(self, run: _Run, target: Target, result: SendResult) -> None:
        reaction = result.reaction
        if reaction is Reaction.DELIVERED:
            run.count(target.platform, result.outcome)
        elif reaction in (Reaction.RETRY, Reaction.THROTTLED) or (reaction is Reaction.CONFIG and result.lane_wide):
            due_at = self._policy.next_try(
                run.work.attempt + 1, now=self._clock(), gives_up_at=run.gives_up_at, retry_after=result.retry_after
            )
            if due_at is None:
                outcome = result.outcome if reaction is Reaction.CONFIG else OutcomeName.ABANDONED
                self._end(run, target, outcome, result.reason or result.outcome.value)
            else:
                run.retries.append((target.platform, target.ordinal, result))
        else:
            gone = reaction is Reaction.GONE
            since = None if result.gone_since is None else result.gone_since.timestamp()
            self._end(run, target, result.outcome, result.reason, gone=gone, gone_since=since)

    def _end(
        self,
        run: _Run,
        target: Target,
        outcome: OutcomeName,
        reason: str,
        *,
        gone: bool = False,
        gone_since: float | None = None,
    ) -> None:
        run.count(target.platform, outcome)
        if gone:
            run.gone[target.platform] += 1
        run.failures.append(
            Failed(ordinal=target.ordinal, outcome=outcome, reason=reason, gone=gone, gone_since=gone_since)
        )

    # Results

    def _finish(self, run: _Run) -> None:
        """Hand a piece whose pushes are all answered to the recorder, and tell what became of it."""
        work = run.work
        now = self._clock()
        for platform, counts in run.counts.items():
            self._observer.pushed(work.notification, platform, counts)
            delivered = counts.get(OutcomeName.SUCCESS)
            if delivered:
                self._observer.delivered(platform, now - work.accepted_at, delivered)
        for platform, count in run.gone.items():
            self._observer.gone(work.notification.hub, platform, count)
        self._results.append(
            PageResult(
                work=work,
                counts=run.counts,
                ordinals=BitMap(run.ordinals) if work.page is None else None,
                failures=run.failures,
                retries=self._retry_pages(run, now) if run.retries or run.parked else (),
                started_at=run.started_at,
            )
        )
        self._recordable.set()

    def _retry_pages(self, run: _Run, now: float) -> list[RetryPage]:
        """What is to be tried again, told and as pages: those told to wait apart from the others, parked ones untried."""
        groups: dict[tuple[Platform, bool], list[tuple[int, SendResult]]] = {}
        for platform, ordinal, result in run.retries:
            groups.setdefault((platform, result.retry_after is not None), []).append((ordinal, result))
        attempt = run.work.attempt + 1
        pages = []
        for (platform, _), members in groups.items():
            longest = max((result.retry_after for _, result in members if result.retry_after is not None), default=None)
            # A due time beyond the end is kept: the page comes up once more, and ends there as abandoned.
            due_at = (
                self._policy.next_try(attempt, now=now, gives_up_at=run.gives_up_at, retry_after=longest)
                or run.gives_up_at
            )
            ordinals = BitMap([ordinal for ordinal, _ in members])
            pages.append(RetryPage(platform=platform, ordinals=ordinals, due_at=due_at, attempt=attempt))
            ((reason, _),) = Counter(result.reason for _, result in members).most_common(1)
            outcomes = Counter(result.outcome for _, result in members)
            self._observer.retried(run.work.notification, platform, outcomes, reason=reason, due_at=due_at)
        for platform, parked in run.parked.items():
            due_at = self._reopens_at(run, platform)
            pages.append(RetryPage(platform=platform, ordinals=BitMap(parked), due_at=due_at, attempt=run.work.attempt))
        return pages

    async def _record_all(self) -> None:
        while True:
            await self._recordable.wait()
            self._recordable.clear()
            batch, self._results = self._results, []
            if batch:
                await self._record(batch)

    async def _record(self, batch: Sequence[PageResult]) -> None:
        try:
            recorded = await self._insist("record", lambda: self._store.record(batch))
        except Exception as error:
            self._observer.crashed(f"recording {len(batch)} results", error)
            return
        finally:
            self._drop(result.work for result in batch)
        self.pending += sum(len(result.retries) - 1 for result in batch)
        if recorded.ended:
            self._observer.ended(recorded.ended)
        if recorded.lost:
            self._observer.lease_lost(batch[0].work.lane, recorded.lost)

    async def _renew_all(self) -> None:
        """Push forward the leases of what is still under way."""
        while True:
            await asyncio.sleep(LEASE / 2)
            if self._in_hand:
                await self._insist("renew", self._renew)

    async def _renew(self) -> None:
        await self._store.renew(list(self._in_hand.values()), until=self._clock() + LEASE)

    async def _insist(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        """In place until the store does it: giving up would push everything again.

        Meanwhile nothing more is leased. Our own leases may have run out with the store away, and what it is owed has
        to reach it before it gives that work out again.
        """
        pause, longest = _STORE_BACKOFF
        debt = object()
        try:
            while True:
                try:
                    return await call()
                except StoreError as error:
                    self._owed.add(debt)
                    self._observer.store_failed(operation, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, longest)
        finally:
            self._owed.discard(debt)


def _key(page: Work) -> tuple[str, Platform]:
    assert page.platform is not None
    return page.notification.hub, page.platform


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
