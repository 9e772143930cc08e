"""Which queues this process owns, and their time: claimed, renewed, given back and lost, moved with a clock that is set."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from hub.errors import StoreError
from hub.store.clock import StoreClock
from hub.store.connection import Database
from hub.store.contracts.fleet import FleetState, Member, OwnershipCounts
from hub.store.contracts.outbox import Service
from hub.store.decide.ownership import Plan
from hub.store.outbox import moving, queues
from hub.store.outbox.open_work import OpenWork
from hub.store.outbox.ownership import Ownership
from hub.store.outbox.parts.withdrawer import Withdrawer
from hub.store.outbox.queues import Claimed, QueueState
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.rows import hub_key, service_key

_SET_BACK = 0.5
"""Seconds by which the last beat of a shared store may lie ahead of the clock before that counts as set back."""


class Tenure:
    """Alone in a store, this process claims all queues and beats; with others it follows `Ownership`."""

    def __init__(
        self, database: Database, clock: StoreClock, queues: SqlQueues, work: OpenWork, withdrawer: Withdrawer
    ) -> None:
        self._database = database
        self._clock = clock
        self._queues = queues
        self._own = queues.own
        self._ownership = queues.ownership
        self._work = work
        self._withdrawer = withdrawer

    # Who owns what

    def fleet(self) -> FleetState:
        if self._ownership is not None:
            return self._ownership.fleet()
        mine = len(self._own.fences)
        this = Member(id=self._own.owner, version="", queues=mine, share=mine, is_this=True)
        return FleetState(queues=len(self._own.all), unowned=0, members=[this])

    def counts(self) -> OwnershipCounts:
        return OwnershipCounts(owned=len(self._own.fences)) if self._ownership is None else self._ownership.counts

    def serve(self, services: Callable[[], Collection[Service]], hubs: Callable[[], Collection[str]]) -> None:
        """Asked at each renewal."""
        if self._ownership is not None:
            self._ownership.serves = lambda: [*map(service_key, services()), *map(hub_key, hubs())]

    def serves_better(self, service: Service) -> bool:
        return self._ownership is not None and self._ownership.serves_better(service_key(service))

    # From the first claim to the last beat

    async def begin(self) -> None:
        """Claim queues. Raises: StoreError."""
        if self._ownership is None:
            await self._claim_all()
        else:
            await self._join(self._ownership)
        await self.follow_clock()

    async def look(self) -> Sequence[QueueState]:
        """See which queues there are, and claim none. Raises: StoreError."""
        states = await self._database.read(queues.states)
        self._own.opened([state.queue for state in states])
        ((self._queues.shift, _),) = Counter(state.shift for state in states).most_common(1)
        return states

    async def _claim_all(self) -> None:
        states = await self.look()
        self._clock.resume(max(state.beat for state in states))
        free = [(state.queue, state.fence) for state in states]
        owner, numbering = self._own.owner, self._own.numbering
        claimed = await self._database.write(
            lambda connection: queues.claim(connection, free, owner=owner, numbering=numbering, now=self._clock.now())
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

    async def renew(self) -> None:
        """Renew what this process owns, claim its share, give back what is above it. Raises: StoreError."""
        if self._ownership is not None:
            await self._follow(self._ownership, await self._ownership.renew())

    async def _follow(self, ownership: Ownership, plan: Plan) -> None:
        for queue in plan.lost:
            self._lose(queue)
        if plan.claim:
            await self._begin_queues(await ownership.claim(plan.claim))
        if not plan.excess:
            self._own.stay()
        else:
            await self._give_back(ownership, plan.excess)
        ownership.counts.owned = len(self._own.fences)
        if ownership.erasures.is_due:
            await self._withdrawer.drop_erased(ownership.erasures)
        if self._queues.leads:
            await ownership.forget_dead()

    async def _begin_queues(self, claimed: Sequence[Claimed]) -> None:
        """Own queues that were claimed: their work is of this process's time."""
        shift = self._queues.shift
        moved = [(shift - one.shift, one.queue) for one in claimed if one.shift != shift]
        for one in claimed:
            self._own.add(one)
        if moved:
            await self._queues.write(lambda connection: moving.move(connection, moved))
        mine = [one.queue for one in claimed]
        self._work.next_release |= await self._database.look(lambda connection: moving.next_releases(connection, mine))
        self._work.recount.end()

    async def _give_back(self, ownership: Ownership, excess: int) -> None:
        """A few of the queues, once nothing of them is in hand; until then nothing more is taken from these."""
        for queue in self._own.taken_from[: max(0, excess - len(self._own.leaving))]:
            self._own.leave(queue)
        idle = [queue for queue in self._own.leaving if not self._work.hand.has(queue)]
        if idle:
            for queue in await ownership.give_back(idle):
                self._lose(queue)

    def _lose(self, queue: int) -> None:
        self._own.lose(queue)
        self._work.lose(queue)

    async def beat(self) -> None:
        """Say that this process lives. Raises: StoreError."""
        mine = await self._database.write(lambda connection: self._own.beat(connection, now=self._clock.now()))
        self._queues.has_written = False
        for queue in self._own.fences.keys() - mine:
            self._lose(queue)

    async def end(self) -> None:
        """Leave a last beat, so that a clock that is set back until the next opening is noticed. Raises: StoreError."""
        if self._ownership is not None:
            await self._ownership.leave()
            for queue in self._queues.own_queues:
                self._lose(queue)
        elif self._own.fences and self._queues.has_written:
            await self.beat()

    # Time

    async def follow_clock(self) -> None:
        """Take open work along with a clock that was set, before its step counts. Raises: StoreError."""
        step = self._clock.step
        if not step:
            return

        def adopt() -> None:
            self._clock.adopt(step)
            self._queues.shift += step

        await self._queues.write(
            lambda connection: moving.move_in_time(connection, self._own, step),
            then=adopt,
        )
        self._work.move_in_time(step)
