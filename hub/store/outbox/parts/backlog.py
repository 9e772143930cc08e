"""How much waits: by push service, by lane, and for a rate."""

from collections import Counter
from collections.abc import Iterable, Mapping

from hub.store.connection import Connection, Database
from hub.store.contracts.outbox import PACED, QueueState, Service
from hub.store.outbox import taking
from hub.store.outbox.in_hand import InHand, Place
from hub.store.outbox.open_work import OpenWork
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.outbox.tally import Waiting
from hub.store.rows import HELD, LANES, ORDERED, SCHEDULED, SINGLE, service_of
from hub.work import Lane


class Backlog:
    """The tally of the open work, and counts that correct it."""

    def __init__(self, database: Database, queues: SqlQueues, work: OpenWork) -> None:
        self._database = database
        self._queues = queues
        self._own = queues.own
        self._hand = work.hand
        self._tally = work.tally

    async def by_service(self) -> Mapping[Service | None, int]:
        counts = Counter(self._tally.by_service())
        if (ownership := self._queues.ownership) is not None:
            counts.update(ownership.waiting_elsewhere())
        return {service_of(key): count for key, count in counts.items()}

    def paced(self) -> Mapping[Service, int]:
        return {
            service: count
            for key, count in self._tally.of_lane(SINGLE)
            if key.startswith(PACED) and (service := service_of(key)) is not None
        }

    async def queue_states(self) -> Mapping[Lane, QueueState]:
        now = self._queues.now()
        before = self._tally.snapshot()

        def read(connection: Connection) -> tuple[taking.Counted, Mapping[int, float]]:
            counted = taking.count(connection, self._own.owner, now=now)
            limits = {
                place: self._hand.count(place) + 1
                for queue in self._own.taken_from
                for lane, service in counted
                if lane in LANES.values()
                for place in [Place(queue, lane, service)]
            }
            return counted, taking.oldest(connection, limits, self._hand, now=now)

        counted, oldest = await self._database.read(read)
        self._correct(counted, before)
        return {lane: _queue_state(number, counted, oldest, self._hand) for lane, number in LANES.items()}

    async def count(self) -> int:
        """Correct the tally; how much is due. Raises: StoreError."""
        before = self._tally.snapshot()
        counted: taking.Counted = {}  # what this process accepted while it owned nothing, its owners have counted by now
        if self._own.fences:
            counted = await self._database.look(
                lambda connection: taking.count(connection, self._own.owner, now=self._queues.now())
            )
        self._correct(counted, before)
        return sum(ready for _, ready in counted.values())

    def _correct(self, counted: taking.Counted, before: Waiting) -> None:
        self._tally.correct({place: rows for place, (rows, _) in counted.items()}, before)


def _queue_state(lane: int, counted: taking.Counted, oldest: Mapping[int, float], hand: InHand) -> QueueState:
    """Scheduled and held notifications, and those that wait for others, wait in the lane of the singles."""
    lanes: Iterable[int] = (lane, SCHEDULED, HELD, ORDERED) if lane == SINGLE else (lane,)
    mine = [counts for (of, _), counts in counted.items() if of in lanes]
    in_hand = hand.count_of_lane(lane)
    ready = sum(ready for _, ready in mine)
    return QueueState(
        ready=max(0, ready - in_hand),
        in_hand=in_hand,
        delayed=sum(rows for rows, _ in mine) - ready,
        oldest_ready=oldest.get(lane, 0.0),
    )
