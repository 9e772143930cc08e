"""Leased work to audiences, to pushes, to records: everything between acceptance and outcome.

Work arrives two ways: notifications leased as they were accepted (`submit`), and what is due in the store, leased a batch
at a time. A batch finds its audiences together, is pushed by all senders it needs side by side, and each piece is recorded
as soon as its last push was answered, together with whatever else is ready by then.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import orjson

from hub.content.rendering import Rendering
from hub.delivery.bulkhead import PAGES, Bulkhead
from hub.delivery.forwarding import RemoteDelivery
from hub.delivery.pushing import SATURATED, PushDelivery
from hub.delivery.recording import Recorder
from hub.delivery.retry import RetryPolicy
from hub.delivery.store_retry import StoreRetry
from hub.errors import StoreError
from hub.facts import (
    AudienceFound,
    Crashed,
    PropertiesMissing,
    PushesDeferred,
    WorkLeased,
)
from hub.notification import Everyone, Notification, Platform
from hub.observer import Observer
from hub.push import PushPage
from hub.store.base import Audience, Work
from hub.store.health import StoreHealth
from hub.tags import matches, tag_key
from hub.target import Target
from hub.work import Lane

_BATCH = 256
"""Pieces of work that find their audiences together: what of it runs on the loop stays within a few milliseconds."""

_ORPHANS = 16
"""Pages that no service takes any more and that end together: a few at a time, because nothing waits for them."""

_SLEWED = 0.5
"""Seconds that the clock may go back without consequence."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of real time that a hub waits; of the backoffs, the first wait and the longest."""

    lease: float = 60.0
    """How long a lease lasts: longer than any send, and renewed at half of it."""
    poll: float = 0.25
    """Between two looks for work that has become due: retries, scheduled notifications, leases that ran out."""
    count_every: float = 1.0
    """Between two counts of what waits in the store."""
    clock_every: float = 1.0
    """Between two looks at whether the clock was set back."""
    accept_backoff: tuple[float, float] = (0.05, 5.0)
    record_backoff: tuple[float, float] = (0.05, 2.0)


class Dispatcher:
    """Works on what is due until it is drained. Run `run` as a task; everything else may be called at any time.

    `bulkheads` are the push services that hubs have credentials for. Pushes `without_credential`, for a platform of a hub
    kept here that has none, end as InvalidCredentials. Both may change while it works.
    """

    def __init__(
        self,
        health: StoreHealth,
        bulkheads: Mapping[tuple[str, Platform], Bulkhead[PushPage]],
        *,
        without_credential: AbstractSet[tuple[str, Platform]] = frozenset(),
        remotes: Mapping[str, Bulkhead[Sequence[Notification]]] | None = None,
        observer: Observer,
        policy: RetryPolicy = RetryPolicy(),
        slots: int = 4000,
        clock: Callable[[], float] = time.time,
        timing: Timing = Timing(),
    ) -> None:
        self._store = store = health.store
        self._retry = StoreRetry(health, backoff=timing.record_backoff)
        self._recorder = Recorder(
            store, self._retry, observer=observer, on_recorded=self._drop, on_split=self._add_pending
        )
        self._bulkheads = bulkheads
        self._without_credential = without_credential
        self._observer = observer
        self._clock = clock
        self._timing = timing
        self._rendering = Rendering(store, on_missing=self._report_missing)
        self._remotes = remotes or {}
        self._pushing = PushDelivery(
            bulkheads,
            self._rendering,
            without_credential=without_credential,
            policy=policy,
            observer=observer,
            clock=clock,
            done=self._recorder.add,
        )
        self._forwarding = RemoteDelivery(self._remotes, policy=policy, observer=observer, clock=clock)
        self._slots = slots
        self._wake = {lane: asyncio.Event() for lane in Lane}
        self._submitted: list[Work] = []
        self._in_hand: dict[int, Work] = {}
        self._draining = False
        self._saturated_until = 0.0  # by the monotonic clock
        self._refused_look_at = 0.0  # by the monotonic clock: when to look for pages of services without credential
        self._idle = asyncio.Event()
        self._idle.set()
        self._group: asyncio.TaskGroup | None = None
        self.pending = 0
        """Notifications and pages that the store holds and that are not done."""
        self.has_backlog = False
        """Whether the store holds due work that no slot was free for: what is accepted now queues behind that work."""

    @property
    def free_slots(self) -> int:
        """How many notifications may be leased with their acceptance."""
        return 0 if self._draining or self.has_backlog else max(0, self._slots)

    @property
    def in_hand(self) -> int:
        """Pieces of work leased to us and not yet recorded."""
        return len(self._in_hand)

    def submit(self, work: Sequence[Work], *, accepted: int) -> None:
        """Take what was leased with its acceptance; `accepted` says how many there were with those left in the store."""
        self.pending += accepted
        if len(work) < accepted:
            self.has_backlog = True
        if work:
            self._take(work)
            self._observer.observe(WorkLeased(lane=Lane.SINGLE, count=len(work)))
            self._submitted.extend(work)
        self._wake[Lane.SINGLE].set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._feed(Lane.SINGLE, self._start_singles))
            group.create_task(self._feed(Lane.BROADCAST, self._start_pages))
            group.create_task(self._recorder.run())
            group.create_task(self._renew_all())
            group.create_task(self._follow_clock())

    async def drain(self, seconds: float) -> None:
        """Take nothing new, finish what is under way, and give back what is not done in time."""
        self._draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            with suppress(StoreError):  # the next process to open the store frees it
                await self._store.release(list(self._in_hand.values()))

    async def end_orphans(self) -> None:
        """End the pages of hubs that were taken out of the configuration, once their notification has exceeded its age.

        Until then they wait: the hub may come back, by a mistake that is mended or a restart with the right file. Only
        while `run` does. Raises: StoreError.
        """
        assert self._group is not None
        while not (self._draining or self._retry.is_behind):
            work = await self._store.lease_orphans(
                [*self._bulkheads, *self._without_credential],
                _ORPHANS,
                begun_before=self._pushing.ended_before,
                until=self._clock() + self._timing.lease,
            )
            if not work:
                return
            self._take_leased(work, Lane.BROADCAST)
            # Tasks of ours: who asks may be cancelled, and what was leased still comes to its end.
            await asyncio.wait([self._group.create_task(self._guarded(self._push, [page])) for page in work])

    # Getting work

    async def _feed(self, lane: Lane, some: Callable[[bool], Awaitable[bool]]) -> None:
        """Start batches as long as there is room and something is due; wait for either.

        `some` gets whether it is time to look for work that has become due.
        """
        wake = self._wake[lane]
        look_at = 0.0  # by the monotonic clock
        while True:
            wake.clear()  # before looking: a wake-up during the look is not missed
            is_time = time.monotonic() >= look_at
            if is_time:
                look_at = time.monotonic() + self._timing.poll
            try:
                if await some(is_time):
                    continue
            except StoreError:
                pass  # reported, and tried again
            try:
                async with asyncio.timeout(look_at - time.monotonic()):
                    await wake.wait()
            except TimeoutError:
                self._rendering.trim()

    async def _start_singles(self, is_time: bool) -> bool:
        """Start one batch, of what was submitted before what is due in the store; whether there was any.

        Between two looks the store holds due work only if acceptance or a full batch left some behind.
        """
        if self._submitted:
            batch, self._submitted = self._submitted[:_BATCH], self._submitted[_BATCH:]
            self._start(batch)
            await asyncio.sleep(0)
            return True
        room = min(self._slots, _BATCH)
        if self._draining or self._retry.is_behind or room <= 0 or time.monotonic() < self._saturated_until:
            return False
        if not (is_time or self.has_backlog):
            return False
        work = await self._store.lease(room, until=self._clock() + self._timing.lease)
        self.has_backlog = len(work) == room
        self._take_leased(work, Lane.SINGLE)
        if work:
            self._start(work)
        return bool(work)

    async def _start_pages(self, _: bool) -> bool:
        """Start as many broadcast pages as each bulkhead has room for; whether there was any."""
        held = Counter(_key(piece) for piece in self._in_hand.values() if piece.lane is Lane.BROADCAST)
        wanted = {
            key: pages for key, bulkhead in self._bulkheads.items() if (pages := bulkhead.pages_wanted(held[key]))
        }
        # A hub has few of the services that there are. The others have pages only once an audience had phones of them.
        with_refused = time.monotonic() >= self._refused_look_at
        if with_refused:
            wanted |= {key: PAGES - held[key] for key in self._without_credential if held[key] < PAGES}
        if self._draining or self._retry.is_behind or not wanted:
            return False
        if with_refused:  # an expansion during the look sets it back
            self._refused_look_at = time.monotonic() + self._timing.lease
        try:
            work = await self._store.lease_pages(wanted, until=self._clock() + self._timing.lease)
        except StoreError:
            self._refused_look_at = 0.0
            raise
        if with_refused and not self._without_credential.isdisjoint([*held, *map(_key, work)]):
            self._refused_look_at = 0.0  # there may be more
        self._take_leased(work, Lane.BROADCAST)
        for page in work:  # each on its own, so that one is read while another is answered
            self._start([page])
        return bool(work)

    def _take_leased(self, work: Sequence[Work], lane: Lane) -> None:
        if work:
            now = self._clock()
            self._take(work)
            waited = [now - piece.accepted_at for piece in work]
            self._observer.observe(WorkLeased(lane=lane, count=len(work), waited=waited))

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
        """Whole notifications to remote hubs, pushes to the phones registered here; each on its own."""
        assert self._group is not None
        here: list[Work] = []
        remote: dict[str, list[Work]] = {}
        for piece in work:
            is_remote = piece.page is None and not self._is_local(piece.notification.hub)
            (remote.setdefault(piece.notification.hub, []) if is_remote else here).append(piece)
        for pieces in remote.values():
            self._group.create_task(self._guarded(self._forward, pieces))
        if here:
            self._group.create_task(self._guarded(self._push, here))

    def _is_local(self, hub: str) -> bool:
        """Whether phones of the hub are registered here: a remote hub has no push services, nor has a removed one."""
        return any(
            (hub, platform) in self._bulkheads or (hub, platform) in self._without_credential
            for platform in Platform.declared()
        )

    async def _guarded(self, deliver: Callable[[Sequence[Work]], Awaitable[None]], work: Sequence[Work]) -> None:
        """A defect costs its batch some time, never the process: the leases run out and the work is tried again."""
        try:
            await deliver(work)
        except Exception as error:
            self._observer.observe(Crashed(work=f"a batch of {len(work)} notifications", error=error))
            self._drop(work)

    # A batch, from work to results

    async def _forward(self, work: Sequence[Work]) -> None:
        remote_result = await self._forwarding.hand_over(work)
        for result in remote_result.ended:
            self._recorder.add(result)
        for due_at, pieces in remote_result.again.items():
            await self._postpone(pieces, due_at)

    async def _push(self, work: Sequence[Work]) -> None:
        started_at = self._clock()
        audiences = await self._retry.until_stored("read", lambda: self._audiences(work))
        large = [pair for pair in zip(work, audiences, strict=True) if pair[1].pages]
        small = [pair for pair in zip(work, audiences, strict=True) if not pair[1].pages]
        # Nothing is awaited between reserving places in a bulkhead and handing it the pushes: no place is lost.
        async with asyncio.TaskGroup() as group:
            for piece, audience in large:
                group.create_task(self._expand(piece, audience, started_at))
            plan = self._pushing.plan(small, started_at=started_at)
            self._drop(plan.broken)
            for piece, due_at in plan.not_attempted:
                group.create_task(self._postpone([piece], due_at))
            for send in plan.sends:
                group.create_task(self._pushing.send(send))
        saturated = sum(piece.page is None for piece, _ in plan.not_attempted)
        if saturated > len(work) / 2:
            # To lease more now would be to lease more of the same.
            self.has_backlog = True
            self._saturated_until = time.monotonic() + SATURATED

    async def _audiences(self, work: Sequence[Work]) -> Sequence[Audience]:
        """Whom each piece is for: a page has its registrations, a notification's are looked for."""
        fresh = [piece for piece in work if piece.ordinals is None]
        found = iter(await self._store.audiences([piece.notification for piece in fresh]) if fresh else ())
        audiences = []
        for piece in work:
            if piece.ordinals is None:
                audiences.append(next(found))
            else:
                targets = await self._store.targets(piece.notification.hub, piece.ordinals)
                audiences.append(Audience(targets=[target for target in targets if _is_still_meant(piece, target)]))
        await self._rendering.prepare([target for audience in audiences for target in audience.targets])
        return audiences

    async def _postpone(self, pieces: Sequence[Work], due_at: float) -> None:
        """Put work that found every breaker open back as it is: no row more, however often that happens."""
        await self._retry.until_stored("release", lambda: self._store.release(pieces, due_at=due_at))
        self._drop(pieces)

    async def _expand(self, piece: Work, audience: Audience, started_at: float) -> None:
        await self._retry.until_stored("expand", lambda: self._store.expand(piece, audience, started_at=started_at))
        self._add_pending(len(audience.pages) - 1)
        counts = Counter[Platform]()
        for platform, ordinals in audience.pages:
            counts[platform] += len(ordinals)
        self._observer.observe(AudienceFound(notification=piece.notification, counts=counts))
        for platform in counts:
            key = (piece.notification.hub, platform)
            if key in self._without_credential:
                self._refused_look_at = 0.0
            bulkhead = self._bulkheads.get(key)
            if bulkhead is not None and bulkhead.is_paused:  # until then its pages are not even leased
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

    # Leases and clock

    async def _renew_all(self) -> None:
        """Push forward the leases of what is still under way."""
        while True:
            await asyncio.sleep(self._timing.lease / 2)
            if self._in_hand:
                await self._retry.until_stored("renew", self._renew)

    async def _renew(self) -> None:
        await self._store.renew(list(self._in_hand.values()), until=self._clock() + self._timing.lease)

    async def _follow_clock(self) -> None:
        latest = self._clock()
        while True:
            await asyncio.sleep(self._timing.clock_every)
            before, latest = latest, self._clock()
            if before - latest > _SLEWED:
                await self._set_back(before - latest)

    async def _set_back(self, seconds: float) -> None:
        """Take all that waits along with the clock, or it would wait for as much longer."""
        for bulkhead in self._bulkheads.values():
            bulkhead.set_back(seconds)
        for remote in self._remotes.values():
            remote.set_back(seconds)
        self._pushing.set_back(seconds)
        self._forwarding.set_back(seconds)
        await self._retry.until_stored("set_back", lambda: self._store.set_back(seconds))


def _is_still_meant(page: Work, target: Target) -> bool:
    """Whether the audience of a page still includes a registration that was put again since the audience was found.

    A phone may have been signed out, or be another user's by now: what was meant for the one is not for the other.
    """
    audience = page.notification.audience
    if isinstance(audience, Everyone) or not (page.attempt or target.registered_at >= page.accepted_at):
        return True
    return matches(audience, frozenset(map(tag_key, orjson.loads(target.tags))))


def _key(page: Work) -> tuple[str, Platform]:
    assert page.platform is not None
    return page.notification.hub, page.platform
