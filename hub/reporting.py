"""Reports of phones on their pushes: how often one may report, and what is counted of it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from hub.errors import CapacityError
from hub.facts import PhoneReported
from hub.limiting import CallerLimit
from hub.observer import Observer
from hub.phone_report import USUAL_POLICY, PhoneReport, ReportPolicies, ReportPolicy, TakenReports

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
        self._limit = CallerLimit(burst=_BURST, seconds=_EVERY, clock=clock)

    async def take(self, hub: str, installation_id: str, reports: Sequence[PhoneReport]) -> TakenReports:
        """Keep and count them. Raises: NotFoundError: no such installation; CapacityError; StoreError."""
        caller = f"{hub}/{installation_id}"
        if wait := self._limit.wait_for(caller):
            raise CapacityError("This phone reports too often: put reports together in one request", retry_after=wait)
        policy = self._policies.get(hub, USUAL_POLICY)
        taken = await self._write(lambda: self._store.add_reports(hub, installation_id, reports, policy))
        self._limit.count(caller)
        self._observer.observe(PhoneReported(hub=hub, events=[each.event for each in reports], taken=taken))
        return taken
