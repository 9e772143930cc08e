"""Events accepted: each batch in one transaction, with what of it starts at once in this process's hand."""

from collections.abc import Callable, Mapping, Sequence

from hub.acceptance import Ingest, Partition
from hub.errors import ConflictError
from hub.outcome import State
from hub.store.connection import Connection, Database
from hub.store.contracts.outbox import AcceptanceResult, Work
from hub.store.decide.acceptance import Admission
from hub.store.outbox import accepting
from hub.store.outbox.accepting import Arrivals
from hub.store.outbox.in_hand import Place
from hub.store.outbox.open_work import OpenWork
from hub.store.outbox.remembering import SeenSweep
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.outbox.texts import KeptTexts, keep_texts, read_texts
from hub.store.rows import HELD, ORDERED, SCHEDULED, SINGLE

_OVERTAKEN = 5
"""How often a batch is accepted again that another process accepted a part of at the same time."""


class Acceptor:
    """`seen` says which marks of events count still. Owns which texts are known to be kept."""

    def __init__(self, database: Database, queues: SqlQueues, work: OpenWork, seen: SeenSweep) -> None:
        self._database = database
        self._queues = queues
        self._own = queues.own
        self._work = work
        self._seen = seen
        self._texts = KeptTexts()

    async def accept(self, batch: Sequence[Ingest], *, start: int) -> AcceptanceResult:
        result = await self.accept_if(lambda connection: True, batch, start=start)
        assert result is not None
        return result

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
        await self._keep_texts(batch)
        queue = self._own.next()
        fence = self._own.fences.get(queue)
        if fence is None or not self._queues.may_start():
            start = 0
        numbers = await self._queues.numbers(queue, accepting.numbers_needed(batch))
        arrivals = Arrivals.of(batch, queue=queue, numbers=numbers, start=start, queues=self._own.all)

        def job(connection: Connection) -> tuple[Admission, float] | None:
            if not claim(connection):
                return None
            now = self._queues.now()
            admission = accepting.accept(
                connection,
                arrivals,
                self._own,
                now=now,
                time_of_day=self._queues.time_of_day(),
                marked_at=now - self._queues.shift,
                oldest=self._seen.oldest(now - self._queues.shift),
                reporter=self._queues.reporter,
            )
            return admission, now

        reserved = numbers[: len(arrivals.ids)]
        self._work.hand.reserve(queue, reserved)
        try:
            accepted = await self._queues.write(job, flow=accepting.flow_of(batch), rows=len(batch))
        finally:
            self._work.hand.release(queue, reserved)
        if accepted is None:
            return None
        admission, now = accepted
        is_ours = fence is not None and self._own.fences.get(queue) == fence
        return AcceptanceResult(
            duplicates=admission.duplicates,
            work=self._begin(admission, arrivals, now) if is_ours else self._leave_to_others(admission),
            repeated=admission.repeated,
            suppressed=admission.suppressed,
            withdrawn=admission.withdrawn,
            failed=admission.failed,
            not_sent=admission.not_sent,
            silenced=[(one.notification, one.silence) for one in admission.notifications if one.silence is not None],
        )

    async def _keep_texts(self, batch: Sequence[Ingest]) -> None:
        """Have the texts kept that notifications of the batch name."""
        now = self._queues.steady()
        if texts := self._texts.missing(batch, now=now):
            await self._queues.write(
                lambda connection: keep_texts(connection, texts, now=now), flow=accepting.flow_of(batch)
            )
            self._texts.add(texts, now=now)

    def _begin(self, admission: Admission, arrivals: Arrivals, now: float) -> list[Work]:
        """Hold what starts at once, and know of what waits."""
        work: list[Work] = []
        place = Place(arrivals.queue, SINGLE, "")
        hand, pieces = self._work.hand, self._work.pieces
        waiting = scheduled = ordered = held = 0
        for number, notification, _, state, due, _, follows, _ in admission.notifications:
            if state is State.PROCESSING:
                n = arrivals.numbers[number]
                piece = Work(queue=arrivals.queue, n=n, notification=notification, accepted_at=now, due_at=due)
                hand.hold((arrivals.queue, n), place)
                pieces[arrivals.queue, n] = piece
                work.append(piece)
            elif state is State.HELD:
                held += 1
            elif state is State.SCHEDULED:
                scheduled += 1
                self._work.releases_at(place.queue, due)
            elif follows is not None:
                ordered += 1
            else:
                waiting += 1
        if waiting:
            hand.waits(place, now)
        tally = self._work.tally
        tally.add(SINGLE, "", len(work) + waiting)
        tally.add(SCHEDULED, "", scheduled)
        tally.add(ORDERED, "", ordered)
        if self._queues.ownership is None:  # else they may be of other processes' queues, and a count comes soon
            tally.add(SCHEDULED, "", -sum(map(len, admission.withdrawn.values())))
        tally.add(HELD, "", held)
        return work

    def _leave_to_others(self, admission: Admission) -> list[Work]:
        """Of what another process starts, count what keeps this one from accepting without end while it owns nothing."""
        if not self._own.fences:
            self._work.tally.add(SINGLE, "", len(admission.notifications))
        return []

    # What is known of what was accepted

    async def held_texts(self, ids: Sequence[int]) -> Mapping[int, bytes]:
        return await self._database.read(lambda connection: read_texts(connection, ids))

    async def duplicates(self, batch: Sequence[Ingest]) -> frozenset[int]:
        oldest = self._seen.oldest(self._queues.steady())
        return await self._database.read(lambda connection: accepting.duplicates(connection, batch, oldest=oldest))

    async def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return await self._database.read(lambda connection: accepting.next_offsets(connection, partitions))

    async def advance_offsets(self, following: Mapping[Partition, int]) -> None:
        await self._queues.write(lambda connection: accepting.advance(connection, following, self._queues.now()))

    async def forget_offsets(self, partitions: Sequence[Partition]) -> None:
        await self._queues.write(lambda connection: connection.update_many(accepting.FORGET_OFFSET, partitions))
