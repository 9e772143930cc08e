"""The hub as the pipeline knows it: it keeps what it was given, and knows events again."""

import asyncio
from collections.abc import Callable, Collection, Sequence

from hub.acceptance import HandedOver, Ingest, Reason, Refusal
from hub.errors import WithdrawnError
from hub.notification import Notification
from hub.store.contracts.outbox import AcceptanceResult


class FakeAccepting:
    """`batches` are the arrivals as they came. While `held`, nothing is durable; `error` is raised by the next call."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Ingest]] = []
        self.error: Exception | None = None
        self.full: set[str] = set()
        """Rules whose notifications are for push services alone that have as much waiting as may wait."""
        self.at_once: set[str] = set()
        """Remote hubs that have to have a notification before its event is settled."""
        self.handed_over: list[Notification] = []
        self.refused: dict[str, str] = {}
        """By rule, why a remote hub does not want its notifications."""
        self._seen: set[tuple[str, str]] = set()
        self._open = asyncio.Event()
        self._open.set()

    @property
    def arrivals(self) -> list[Ingest]:
        return [arrival for batch in self.batches for arrival in batch]

    def hold(self) -> None:
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()

    async def full_for(self, notifications: Sequence[Notification]) -> Collection[str]:
        return [notification.id for notification in notifications if notification.rule in self.full]

    async def hand_over(
        self,
        notifications: Sequence[Notification],
        *,
        arrivals: Callable[[], Sequence[Ingest]],
        withdrawn: Callable[[], bool],
    ) -> HandedOver:
        for_now = [each for each in notifications if each.hub in self.at_once]
        self.handed_over += for_now
        refused = {each.id: Refusal(Reason.HUB_REJECT, why) for each in for_now if (why := self.refused.get(each.rule))}
        return HandedOver(taken={each.id for each in for_now}.difference(refused), refused=refused)

    async def accept(self, arrivals: Sequence[Ingest], *, withdrawn: Callable[[], bool]) -> AcceptanceResult:
        self.batches.append(arrivals)
        error, self.error = self.error, None
        if error is not None:
            raise error
        await self._open.wait()
        if withdrawn():
            raise WithdrawnError("withdrawn in a test")
        return AcceptanceResult(
            duplicates=frozenset(index for index, arrival in enumerate(arrivals) if self._is_known(arrival)), work=()
        )

    def _is_known(self, arrival: Ingest) -> bool:
        identity = (arrival.source, arrival.event_id)
        known = bool(arrival.event_id) and identity in self._seen
        self._seen.add(identity)
        return known
