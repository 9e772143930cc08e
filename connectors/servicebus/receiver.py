"""One receiver of the SDK: requests for messages, their locks, their settlement."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from azure.servicebus import ServiceBusMessageState, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver

from connectors.base import NACK, Disposition, Message, Settlement
from connectors.errors import NotConnectedError, SourceError
from connectors.servicebus.appetite import FetchSizer
from connectors.servicebus.client import translated
from connectors.servicebus.envelope import content_is_ours
from connectors.servicebus.locks import GONE, Lock, Renewal
from connectors.servicebus.message import message_from
from connectors.servicebus.timing import Timing

MAX_REASON, MAX_DESCRIPTION = 1024, 4096
"""Bytes of a dead letter's reason and description; more could push a message over the size limit."""

PEEKED = 100
"""Messages that are looked at with one request."""

_PEEKS = 10
_CLOSE_TIMEOUT = 5.0


@dataclass(slots=True, eq=False)
class Delivery:
    """The receipt of a message: where it came from and under which lock."""

    receiver: "Receiver"
    received: ServiceBusReceivedMessage
    lock: Lock


class Receiver:
    """An open receiver; a loss of any kind is its end.

    Requests for messages are never cancelled but left standing, as the SDK forgets what a cancelled one had in hand.
    Nor do they run beside settlements if it can be helped: they share one socket, and reading holds the lock of writing.
    """

    def __init__(
        self,
        sdk: ServiceBusReceiver,
        *,
        source: str,
        max_lock_age: float,
        renewal: Renewal,
        timing: Timing,
        max_requests: int,
    ) -> None:
        self._sdk = sdk
        self._source = source
        self._max_lock_age = max_lock_age
        self._renewal = renewal
        self._timing = timing
        self._max_requests = max_requests
        self._session_lock: Lock | None = None
        self._appetite = FetchSizer()
        self._round_trip = 0.0
        self._unsettled: dict[Delivery, None] = {}
        self._requests = 0
        self._is_broken = False

    @property
    def unsettled(self) -> int:
        """Messages received and not settled."""
        return len(self._unsettled)

    @property
    def is_worn(self) -> bool:
        """Whether it is time for a new one: renewals too are requests that count."""
        return self._requests > self._max_requests

    @property
    def is_lost(self) -> bool:
        """Whether it holds a session no more."""
        return self._session_lock is not None and self._session_lock.is_lost()

    @content_is_ours
    async def open(self) -> None:
        """Raises: what the SDK raises; `OperationTimeoutError` when there is no session to be had."""
        await self._sdk.__aenter__()
        session = self._sdk.session
        if session is not None:
            assert session.locked_until_utc is not None  # the broker named it as it accepted
            self._session_lock = self._lock(session.locked_until_utc, session.renew_lock)
            self._renewal.hold(self._session_lock)

    @content_is_ours
    async def pull(self, limit: int, wait: float) -> list[Message]:
        """Up to `limit` messages; waits `wait` seconds for a first one.

        Raises: NotConnectedError, AuthenticationError, TopologyError; SessionLockLostError.
        """
        self._check()
        asked, asked_at = min(limit, self._appetite.size), time.monotonic()
        try:
            received = await self._sdk.receive_messages(max_message_count=asked, max_wait_time=wait)
            if not received and self._session_lock is None:
                # is the silence one? the SDK goes deaf without a word when the link of its authentication is detached
                self._requests += 1
                await self._sdk.peek_messages(max_message_count=1, timeout=self._timing.probe)
        except Exception:
            self._is_broken = True
            raise
        self._appetite.observe(asked, len(received), seconds=time.monotonic() - asked_at, round_trip=self._round_trip)
        if received and self._session_lock is not None:
            self._session_lock.touch()
        messages = [self._take(each) for each in received]
        if messages and all(message.is_lost() for message in messages):
            raise NotConnectedError(
                f"{self._source}: locks of messages that just came are over: is the clock of this machine right?"
            )
        return messages

    async def settle(self, settled: Sequence[tuple[Delivery, Disposition]]) -> None:
        """Settle side by side, as each waits for the broker's word; what is settled or lost already is passed over.

        A receiver of a session that fails in this has lost the session; the next receiver shows whether more is lost.

        Raises: NotConnectedError: without sessions.
        """
        ours: dict[Delivery, Disposition] = {}
        for delivery, answer in settled:
            if delivery in self._unsettled:
                ours.setdefault(delivery, answer)  # of two answers the first counts
        if not ours:
            return
        asked_at = time.monotonic()
        try:
            self._check()
            with translated(f"{self._source}: settling"):
                await self._settle_all(ours, timeout=self._timing.settle)
        except SourceError:
            if self._session_lock is None:
                raise
            self._session_lock.lose()  # the session is over with its link, and nothing else
        finally:
            for delivery in ours:
                self._forget(delivery)
        self._round_trip = time.monotonic() - asked_at

    @content_is_ours
    async def waiting(self) -> int:
        """How many messages can be received or are locked, of the entity or of the session that is held.

        It looks no further than the first `PEEKED` with such a one among them, and no further than ten times as far.
        """
        start = 1
        for _ in range(_PEEKS):
            self._requests += 1
            peeked = await self._sdk.peek_messages(max_message_count=PEEKED, sequence_number=start)
            active = sum(message.state is ServiceBusMessageState.ACTIVE for message in peeked)
            if active or not peeked:
                return active
            start = (peeked[-1].sequence_number or start) + 1
        return 0

    @content_is_ours
    async def close(self) -> None:
        """Give back what is not settled and disconnect; never raises, and takes a few seconds at most."""
        unsettled = dict.fromkeys(self._unsettled, NACK)
        for delivery in unsettled:
            self._forget(delivery)
            delivery.lock.lose()
        if self._session_lock is not None:
            self._session_lock.lose()
            self._renewal.release(self._session_lock)
        if unsettled and not self._is_broken:
            with suppress(Exception):
                await self._settle_all(unsettled, timeout=_CLOSE_TIMEOUT)
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._sdk.close()

    def _check(self) -> None:
        """Raises: NotConnectedError: it is lost; the SDK would connect again behind our back."""
        if self._is_broken:
            raise NotConnectedError(f"{self._source}: the connection is lost")

    def _take(self, received: ServiceBusReceivedMessage) -> Message:
        lock = self._session_lock
        if lock is None:
            until = received.locked_until_utc
            assert until is not None  # with peek-lock it is there
            lock = self._lock(until, lambda: self._renew(received))
            self._renewal.hold(lock)
        delivery = Delivery(self, received, lock)
        self._unsettled[delivery] = None
        return message_from(received, source=self._source, receipt=delivery, is_lost=lock.is_lost)

    def _lock(self, until: datetime, renew: Callable[[], Awaitable[datetime]]) -> Lock:
        return Lock(until, renew, max_age=self._max_lock_age, tick=self._timing.tick)

    def _forget(self, delivery: Delivery) -> None:
        self._unsettled.pop(delivery, None)
        if delivery.lock is not self._session_lock:
            self._renewal.release(delivery.lock)

    @content_is_ours
    async def _renew(self, received: ServiceBusReceivedMessage) -> datetime:
        self._requests += 1
        return await self._sdk.renew_message_lock(received)

    @content_is_ours
    async def _settle_all(self, answers: Mapping[Delivery, Disposition], *, timeout: float) -> None:
        """Settle one, then all others side by side, until one fails.

        Over a lost connection each settlement that is under way when the first one fails would have the SDK open a new
        connection, of which it forgets all but one.

        Raises: what the SDK raises; TimeoutError.
        """
        first, *others = answers.items()
        try:
            async with asyncio.timeout(timeout):
                await self._settle(*first)
                async with asyncio.TaskGroup() as settling:
                    for delivery, answer in others:
                        settling.create_task(self._settle(delivery, answer))
        except ExceptionGroup as failures:
            self._is_broken = True
            raise failures.exceptions[0] from None
        except Exception:
            self._is_broken = True
            raise

    async def _settle(self, delivery: Delivery, answer: Disposition) -> None:
        received = delivery.received
        try:
            match answer.settlement:
                case Settlement.ACK:
                    await self._sdk.complete_message(received)
                case Settlement.NACK:
                    await self._sdk.abandon_message(received)
                case Settlement.REJECT:
                    await self._sdk.dead_letter_message(
                        received,
                        reason=_bounded(answer.reason, MAX_REASON),
                        error_description=_bounded(answer.detail, MAX_DESCRIPTION),
                    )
        except GONE:
            # Unknown, not failed: the lock ran out, or the broker settled and its answer got lost on the way.
            pass


def _bounded(text: str, size: int) -> str:
    """The beginning of a text that fits into so many bytes of UTF-8."""
    return text.encode()[:size].decode(errors="ignore")
