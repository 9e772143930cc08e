"""Reports of phones on their pushes: how often one may report, and what is counted of it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from hub.errors import CapacityError
from hub.facts import PhoneReported, ReportsLimited
from hub.limiting import CallerLimit
from hub.observer import Observer
from hub.phone_report import USUAL_POLICY, PhoneReport, ReportLimit, ReportPolicies, ReportPolicy, TakenReports
from hub.rate import Rate, RateLimiter

_BURST: Final = 60
_EVERY: Final = 2.0
"""Requests of one phone: so many at once, and seconds until one more."""


class Reports(Protocol):
    """What is asked of the store."""

    async def add_reports(
        self, hub: str, installation_id: str, reports: Sequence[PhoneReport], policy: ReportPolicy
    ) -> TakenReports: ...


class Reporting:
    """`policies` may change while it works; `write` is how a client's write goes to the store. `clock` is in seconds."""

    def __init__(
        self,
        store: Reports,
        policies: ReportPolicies,
        *,
        write: Callable[[Callable[[], Awaitable[TakenReports]]], Awaitable[TakenReports]],
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._policies = policies
        self._write = write
        self._observer = observer
        self._clock = clock
        self._limit = CallerLimit(burst=_BURST, seconds=_EVERY, clock=clock)
        self._by_hub: dict[str, RateLimiter] = {}

    async def take(
        self, hub: str, installation_id: str, reports: Sequence[PhoneReport], *, with_key: bool
    ) -> TakenReports:
        """Keep and count them. `with_key`: whoever has the hub's key may name any phone, so all of these have a limit.

        Raises: NotFoundError: no such installation; CapacityError; StoreError.
        """
        caller = f"{hub}/{installation_id}"
        policy = self._policies.get(hub, USUAL_POLICY)
        if wait := self._limit.wait_for(caller):
            self._observer.observe(ReportsLimited(hub=hub, limit=ReportLimit.PHONE))
            raise CapacityError("This phone reports too often: put reports together in one request", retry_after=wait)
        if with_key and (wait := self._limit_of(hub, policy.rate).admit(1)):
            self._observer.observe(ReportsLimited(hub=hub, limit=ReportLimit.HUB))
            raise CapacityError("The phones of this hub report too often", retry_after=wait)
        taken = await self._write(lambda: self._store.add_reports(hub, installation_id, reports, policy))
        self._limit.count(caller)
        self._observer.observe(PhoneReported(hub=hub, events=[each.event for each in reports], taken=taken))
        return taken

    def _limit_of(self, hub: str, rate: Rate) -> RateLimiter:
        limit = self._by_hub.get(hub)
        if limit is None:
            limit = self._by_hub[hub] = RateLimiter(rate, clock=self._clock)
        limit.change(rate)
        return limit
