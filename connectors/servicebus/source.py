"""A Service Bus queue or subscription as a source of messages."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from connectors.base import Backlog, Disposition, Message
from connectors.errors import NotConnectedError, TopologyError
from connectors.servicebus.settings import ServiceBusSettings
from connectors.servicebus.timing import Timing

if TYPE_CHECKING:
    from connectors.servicebus.backlog import Counter
    from connectors.servicebus.client import Client
    from connectors.servicebus.locks import Renewal
    from connectors.servicebus.receiver import Delivery, Receiver
    from connectors.servicebus.sessions import SessionWorkers

MAX_REQUESTS = 8000
"""Management requests after which a receiver is replaced: the SDK grants the broker 10,000 answers, and never more."""

_NOT_CREATED = "it could not be created, or was deleted"


class ServiceBusSource:
    """Receives in peek-lock mode, by one receiver or several sessions; asks for no more than there is room for.

    A receipt is a `Delivery`, which its receiver knows until it is settled or the connection ends. What is not settled
    by then is given back where the connection allows it; else its lock has to run out before it comes again. Scheduled
    messages come when they are due; deferred messages do not come.
    """

    def __init__(
        self,
        name: str,
        settings: ServiceBusSettings,
        *,
        timing: Timing = Timing(),
        max_requests: int = MAX_REQUESTS,
    ) -> None:
        self.name = name
        self.warnings: Sequence[str] = ()
        self._settings = settings
        self._timing = timing
        self._max_requests = max_requests
        self._client: Client | None = None
        self._renewal: Renewal | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._receiver: Receiver | None = None
        self._workers: SessionWorkers | None = None
        self._pull: asyncio.Task[list[Message]] | None = None
        self._arrived: list[Message] = []
        self._counter: Counter | None = None
        self._backlog = Backlog()
        self._counted_at = float("-inf")

    async def connect(self) -> None:
        """As the contract says; an entity that exists with other settings is used as it is, and `warnings` says so."""
        # the SDK costs time and memory, so only a process that receives from Service Bus imports it
        from connectors.servicebus.backlog import Counter
        from connectors.servicebus.client import Client, translated
        from connectors.servicebus.locks import Renewal
        from connectors.servicebus.sessions import SessionWorkers
        from connectors.servicebus.topology import ensure

        settings, receive = self._settings, self._settings.receive
        what = f"{self.name}: the {settings.path}"
        self.warnings = ()
        try:
            with translated(what, **({} if settings.create_if_missing is None else {"missing": _NOT_CREATED})):
                self._client = Client(settings.connection)
                if settings.create_if_missing is not None:
                    self.warnings = await ensure(self._client.administration, settings, source=self.name)
                self._counter = Counter(self._client, settings, self._look)
                self._renewal = Renewal(tick=self._timing.tick)
                self._renewing = asyncio.create_task(self._renewal.run())
                if receive.sessions is None:
                    self._receiver = await self._open_receiver()
                else:
                    self._workers = SessionWorkers(
                        self._session_receiver,
                        receive.sessions,
                        what=what,
                        credit=receive.max_in_flight,
                        max_wait=receive.max_wait,
                        timing=self._timing,
                    )
                    await self._workers.start()
        except TopologyError as error:
            await self.close()
            raise TopologyError("; ".join([str(error), *self.warnings])) from error
        except BaseException:
            await self.close()
            raise

    async def receive(self, limit: int) -> Sequence[Message]:
        if self._workers is not None:
            return await self._workers.take(limit, self._timing.idle_wait)
        if self._receiver is None:
            raise NotConnectedError(f"{self.name}: not connected")
        if not self._arrived:
            if self._pull is None:
                room = min(limit, self._settings.receive.max_in_flight - self._receiver.unsettled)
                if room <= 0:
                    await asyncio.sleep(self._timing.idle_wait)
                    return []
                self._pull = asyncio.create_task(self._next(room))
            await asyncio.wait({self._pull}, timeout=self._timing.idle_wait)
            if not self._pull.done():
                return []  # it is left standing
            pull, self._pull = self._pull, None
            self._arrived = pull.result()
        # no await from here on: a message taken from what arrived is returned
        taken, self._arrived = self._arrived[:limit], self._arrived[limit:]
        return taken

    async def settle(self, settled: Sequence[tuple[Message, Disposition]]) -> None:
        """As the contract says; the broker confirms each settlement, but for a lock that is lost the end is unknown."""
        by_receiver: defaultdict[Receiver, list[tuple[Delivery, Disposition]]] = defaultdict(list)
        for message, answer in settled:
            by_receiver[message.receipt.receiver].append((message.receipt, answer))
        try:
            await asyncio.gather(*(receiver.settle(ours) for receiver, ours in by_receiver.items()))
        finally:
            if self._workers is not None:
                self._workers.settled()

    async def backlog(self) -> Backlog:
        """Messages that wait, and those handed out and not settled, to whomever."""
        if self._counter is None:
            raise NotConnectedError(f"{self.name}: not connected")
        now = asyncio.get_running_loop().time()
        if now - self._counted_at >= self._timing.backlog_age:
            self._backlog = Backlog(messages=await self._counter.count())
            self._counted_at = now
        return self._backlog

    async def close(self) -> None:
        workers, self._workers = self._workers, None
        receiver, self._receiver = self._receiver, None
        client, self._client = self._client, None
        tasks = [task for task in (self._pull, self._renewing) if task is not None]
        self._pull = self._renewing = self._counter = None
        self._arrived = []
        self._counted_at = float("-inf")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if workers is not None:
            await workers.stop()
        if receiver is not None:
            await receiver.close()
        if client is not None:
            await client.close()

    async def _next(self, room: int) -> list[Message]:
        """The next messages, by a new receiver if it is time for one. Raises: SourceError."""
        from connectors.servicebus.client import translated

        with translated(f"{self.name}: the {self._settings.path}"):
            assert self._receiver is not None  # asked only when connected
            if self._receiver.is_worn and not self._receiver.unsettled:
                await self._receiver.close()
                self._receiver = await self._open_receiver()
            return await self._receiver.pull(room, self._settings.receive.max_wait)

    async def _look(self) -> int:
        """What waits, as far as it is seen with the right Listen alone. Raises: what the SDK raises."""
        if self._workers is not None:
            return await self._workers.waiting()
        if self._receiver is None or self._receiver.is_worn:
            return 0  # there is nothing to ask, or it is being replaced
        return await self._receiver.waiting()

    async def _open_receiver(self) -> "Receiver":
        receiver = self._new_receiver(prefetch_count=self._settings.receive.prefetch)
        try:
            await receiver.open()
        except BaseException:
            await receiver.close()
            raise
        return receiver

    def _session_receiver(self, wait: float) -> "Receiver":
        from azure.servicebus import NEXT_AVAILABLE_SESSION

        return self._new_receiver(session_id=NEXT_AVAILABLE_SESSION, max_wait_time=wait)

    def _new_receiver(self, **options: object) -> "Receiver":
        from connectors.servicebus.receiver import Receiver

        assert self._client is not None
        assert self._renewal is not None
        return Receiver(
            self._client.receiver(self._settings, **options),
            source=self.name,
            max_lock_age=self._settings.receive.lock_renewal.max,
            renewal=self._renewal,
            timing=self._timing,
            max_requests=self._max_requests,
        )


async def probe(name: str, settings: ServiceBusSettings) -> None:
    """Whether a source could start: a link to the entity is made, without credit, so that no message comes.

    Of an entity with sessions no session is taken. Raises: SourceError.
    """
    from connectors.servicebus.client import Client, SessionsDifferError, translated

    what = f"{name}: the {settings.path}"
    client = Client(settings.connection)
    try:
        with translated(what, **({} if settings.create_if_missing is None else {"missing": "it is created at start"})):
            receiver = client.receiver(settings, prefetch_count=0)
            try:
                await receiver.__aenter__()
            finally:
                await receiver.close()
    except SessionsDifferError:  # the broker has looked at credentials and entity before
        if settings.receive.sessions is None:
            raise
    else:
        if settings.receive.sessions is not None:
            raise TopologyError(f"{what} has no sessions; leave out receive.sessions, or make an entity that has some")
    finally:
        await client.close()
