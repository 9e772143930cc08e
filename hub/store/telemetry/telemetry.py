"""The contract `Telemetry` over a database."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from hub.errors import ConflictError, NotFoundError
from hub.notification import Notification, Platform
from hub.outcome import NotificationDetails, State
from hub.store.clock import StoreClock
from hub.store.connection import Connection, Database
from hub.store.contracts.listing import ListPage
from hub.store.contracts.telemetry import (
    KeptAudit,
    KeptNotification,
    ReceivedPushes,
    Tally,
    TallyKind,
    TracedRegistration,
)
from hub.store.outbox import clearing
from hub.store.outbox.queues import QueuesOf
from hub.store.registry.listing import get_device
from hub.store.registry.places import Place
from hub.store.telemetry import browsing, forgetting, received, tallying, tracing
from hub.store.telemetry.listing import SCANNED
from hub.tags import TagExpression


class SqlTelemetry:
    """`is_in_hand` says of a row, by queue and number, whether this process works on it: nothing is written of that.

    `place_of` says where the registrations of a hub are. A part of a list with filters looks at `scanned` rows at most.
    """

    def __init__(
        self,
        database: Database,
        clock: StoreClock,
        *,
        queues: QueuesOf,
        is_in_hand: Callable[[int, int], bool],
        place_of: Callable[[str], Awaitable[Place | None]],
        scanned: int = SCANNED,
    ) -> None:
        self._scanned = scanned
        self._database = database
        self._clock = clock
        self._queues = queues
        self._is_in_hand = is_in_hand
        self._place_of = place_of

    async def details(self, hub: str, notification_id: str) -> NotificationDetails:
        """Raises: NotFoundError."""
        row, found = await self._database.read(lambda connection: browsing.details(connection, hub, notification_id))
        if found.state is State.ENQUEUED and self._is_in_hand(*row):
            return replace(found, state=State.PROCESSING)
        return found

    async def notifications(
        self,
        *,
        hub: str | None = None,
        state: State | None = None,
        event_id: str | None = None,
        after: str = "",
        limit: int,
    ) -> ListPage[KeptNotification]:
        return await self._database.read(
            lambda connection: browsing.notifications(
                connection,
                self._queues.all_queues,
                hub=hub,
                state=state,
                event_id=event_id,
                after=after,
                limit=limit,
                scanned=self._scanned,
            )
        )

    async def notification(self, notification_id: str) -> KeptNotification:
        """Raises: NotFoundError."""
        return await self._database.read(lambda connection: browsing.notification(connection, notification_id))

    async def sent(self, notification_id: str) -> Notification:
        """Raises: NotFoundError."""
        return await self._database.read(lambda connection: browsing.sent(connection, notification_id))

    async def trace(
        self, notification_id: str, installation_id: str, *, only_to: TagExpression | None = None
    ) -> Sequence[TracedRegistration]:
        """Raises: NotFoundError."""
        hub = await self._database.read(lambda connection: tracing.hub_of(connection, notification_id))
        place = await self._place_of(hub)
        return await self._database.read(
            lambda connection: tracing.trace(
                connection, place, notification_id, installation_id, only_to=only_to, now=self._clock.now()
            )
        )

    async def received(self, hub: str, installation_id: str, *, most: int) -> ReceivedPushes:
        """Raises: NotFoundError."""
        place = await self._place_of(hub)

        def read(connection: Connection) -> ReceivedPushes:
            device = None
            if place is not None:
                device = get_device(connection, place, installation_id, now=self._clock.now())
            if device is None or place is None:
                raise NotFoundError(f"device {installation_id!r} not found")
            return received.received(connection, place, device, hub, self._queues.all_queues, most=most)

        return await self._database.read(read)

    async def tally(self, operations: Mapping[tuple[str, str], int]) -> bool:
        if operations:
            now, (queue, *_) = self._clock.now(), self._queues.all_queues
            rows = tallying.operation_rows(operations, queue=queue, now=now)
            await self._database.write(lambda connection: connection.insert_many(tallying.ADD, rows))
        until, more = self._clock.now() - tallying.LAG, False
        own = self._queues.own_queues
        for queue in await self._database.read(lambda connection: tallying.queues_due(connection, own, until=until)):
            with suppress(ConflictError):  # whose queue it is now does so
                more |= await self._database.write(partial(tallying.fold, queue=queue, until=until))
        return more

    async def keep_count(self, registrations: Mapping[tuple[str, Platform], int]) -> None:
        """Keep how many registrations there are, and drop sums that are too old."""
        now, (queue, *_) = self._clock.now(), self._queues.all_queues

        def job(connection: Connection) -> None:
            rows = tallying.device_rows(connection, registrations, queue=queue, now=now)
            connection.insert_many(tallying.SET, rows)
            tallying.forget(connection, now=now)

        await self._database.write(job)

    async def tallies(self, kind: TallyKind, *, first: int, last: int) -> Sequence[Tally]:
        return await self._database.read(
            lambda connection: tallying.read(
                connection, self._queues.all_queues, kind, first=first, last=last, now=self._clock.now()
            )
        )

    async def audit(self, *, after: str = "", limit: int) -> ListPage[KeptAudit]:
        return await self._database.read(
            lambda connection: browsing.audit(connection, self._queues.all_queues, after=after, limit=limit)
        )

    async def clear_ended(self, *, kept: float) -> bool:
        before, own = self._clock.now() - kept, self._queues.own_queues
        due = await self._database.read(lambda connection: clearing.queues_due(connection, own, before=before))
        if not due:
            return False
        more = await self._database.write(lambda connection: clearing.clear_ended(connection, due[0], before=before))
        return more or len(due) > 1

    async def forget_ended(self, *, kept: float) -> bool:
        """Also what operators did more than a year ago; of one queue at a time."""
        now, own = self._clock.now(), self._queues.own_queues
        ended, old = await self._database.read(
            lambda connection: forgetting.queues_due(connection, own, before=now - kept, now=now)
        )
        if ended:
            queue = ended[0]
            more = await self._database.write(
                lambda connection: forgetting.forget_ended(connection, queue, before=now - kept)
            )
        elif old:
            queue = old[0]
            more = await self._database.write(lambda connection: forgetting.forget_audit(connection, queue, now=now))
        else:
            return False
        return more or len(ended) + len(old) > 1
