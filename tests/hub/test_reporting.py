"""How often reports of phones are taken: of one phone, and of all that have a hub's key."""

from collections.abc import Awaitable, Callable, Sequence

import pytest

from hub.errors import CapacityError, NotFoundError
from hub.facts import HubFact, ReportsLimited
from hub.notification import Platform
from hub.phone_report import PhoneEvent, PhoneReport, ReportLimit, ReportOutcome, ReportPolicy, TakenReports
from hub.rate import Rate
from hub.reporting import Reporting
from tests.fakes.clock import FakeClock

OPENED = [PhoneReport(notification_id="ab" * 16, event=PhoneEvent.OPENED)]


class Taking:
    """A store that takes reports of all phones but `lost`."""

    def __init__(self, **rates: Rate) -> None:
        self.clock = FakeClock()
        self.facts: list[HubFact] = []
        self.asked = 0
        self.policies = {hub: ReportPolicy(rate=rate) for hub, rate in rates.items()}
        self.reporting = Reporting(self, self.policies, write=self._write, observer=self, clock=self.clock)

    def observe(self, fact: HubFact) -> None:
        self.facts.append(fact)

    async def add_reports(
        self, hub: str, installation_id: str, reports: Sequence[PhoneReport], policy: ReportPolicy
    ) -> TakenReports:
        self.asked += 1
        if installation_id == "lost":
            raise NotFoundError("no such installation")
        return TakenReports(platform=Platform.APNS, outcomes=[ReportOutcome.ACCEPTED] * len(reports))

    async def _write(self, work: Callable[[], Awaitable[TakenReports]]) -> TakenReports:
        return await work()

    async def wait_of(self, hub: str, phone: str, *, with_key: bool = True) -> float:
        """After how many seconds it is to come again; 0: its reports were taken."""
        try:
            await self.reporting.take(hub, phone, OPENED, with_key=with_key)
        except CapacityError as error:
            return error.retry_after
        return 0.0

    @property
    def limited(self) -> list[tuple[str, ReportLimit]]:
        return [(fact.hub, fact.limit) for fact in self.facts if isinstance(fact, ReportsLimited)]


async def test_all_phones_with_the_key_of_a_hub_share_its_rate_and_no_other_hub_waits_for_them() -> None:
    taking = Taking(app=Rate(per_second=2, burst=3))
    assert [await taking.wait_of("app", f"phone{number}") for number in range(4)] == [0, 0, 0, 0.5]
    assert await taking.wait_of("other", "phone") == 0
    assert await taking.wait_of("app", "signed in", with_key=False) == 0, "who has a token does not wait for others"
    assert (taking.asked, taking.limited) == (5, [("app", ReportLimit.HUB)])
    taking.clock.advance(0.5)
    assert await taking.wait_of("app", "phone9") == 0


async def test_phones_that_are_made_up_count_too() -> None:
    taking = Taking(app=Rate(per_second=1, burst=2))
    for _ in range(2):
        with pytest.raises(NotFoundError):
            await taking.wait_of("app", "lost")
    assert await taking.wait_of("app", "lost") == 1
    assert taking.asked == 2


async def test_another_rate_holds_from_the_next_request_on_and_gives_no_second_burst() -> None:
    taking = Taking(app=Rate(per_second=1, burst=1))
    assert await taking.wait_of("app", "a") == 0
    taking.policies["app"] = ReportPolicy(rate=Rate(per_second=4, burst=100))
    assert await taking.wait_of("app", "b") == 0.25


async def test_a_phone_that_reports_without_end_waits_alone() -> None:
    taking = Taking()
    assert {await taking.wait_of("app", "busy") for _ in range(60)} == {0}
    assert await taking.wait_of("app", "busy") > 0
    assert await taking.wait_of("app", "calm") == 0
    assert taking.limited == [("app", ReportLimit.PHONE)]
