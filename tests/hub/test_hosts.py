"""Push channels that are addresses are at many hosts: one host that fails costs the phones of no other."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hub.delivery.bulkhead import Bulkhead
from hub.delivery.hosts import HostBreakers
from hub.notification import Platform
from hub.outcome import OutcomeName, Reaction
from hub.push import PushPage, host_of
from hub.work import Lane
from tests.fakes.clock import FakeClock
from tests.fakes.pushes import Push, page_of
from tests.fakes.senders import DELIVERED, UNAVAILABLE, WRONG_KEY, FakeSender

TRIPS_AFTER = 20
BAD, GOOD = "https://bad.example/1", "https://good.example/1"


class Service:
    """A bulkhead before a service with a host that fails and one that works."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reports: list[str] = []
        self.sender = FakeSender(Platform.WNS, lambda push: UNAVAILABLE if push.push_channel == BAD else DELIVERED)
        self.bulkhead = Bulkhead(
            self.sender,
            clock=self.clock,
            listener=self,
            host_of=lambda page, position: host_of(page.push_channels[position]),
        )

    def opened(self, cause: str, until: float) -> None:
        self.reports.append(cause)

    def closed(self, seconds: float, why: str) -> None:
        self.reports.append(why)

    def braked(self, share: float) -> None:
        raise AssertionError(f"no host calls a fifth of its channels dead: {share}")

    def released(self, share: float, why: str) -> None:
        raise AssertionError(f"nothing was braked: {share}, {why}")

    def page(self, *channels: str) -> PushPage:
        return page_of([Push(id="i", push_channel=channel, payload=b"") for channel in channels])

    async def send(self, channels: Sequence[str]) -> int:
        """Send what the breakers let through; how many pushes were sent."""
        page = self.page(*channels)
        allowed, _ = self.bulkhead.split_by_host(page)
        sent = page.select(allowed)
        if len(sent):
            assert self.bulkhead.admit(Lane.SINGLE, len(sent)) == len(sent)
            await self.bulkhead.send(Lane.SINGLE, sent, size=1)
        return len(sent)


@pytest.mark.parametrize(
    "channel, host",
    [
        ("https://DB5.notify.windows.com/?token=a", "db5.notify.windows.com"),
        ("https://db5.notify.windows.com?token=a", "db5.notify.windows.com"),
        ("https://127.0.0.1:8443/w", "127.0.0.1:8443"),
        ('{"endpoint":"https://push.example:8443/a","p256dh":"p","auth":"a"}', "push.example:8443"),
        ("0A0A", ""),
        ("token:APA91b", ""),
        ("", ""),
    ],
)
def test_the_host_is_that_of_an_address(channel: str, host: str) -> None:
    assert host_of(channel) == host


async def test_a_host_that_fails_is_left_alone_and_the_others_get_their_pushes() -> None:
    service = Service()
    assert await service.send([BAD, GOOD] * TRIPS_AFTER) == 2 * TRIPS_AFTER
    assert service.bulkhead.split_by_host(service.page(BAD, GOOD, BAD)) == ([1], {"bad.example": [0, 2]})
    assert service.bulkhead.is_open
    assert not service.bulkhead.is_paused
    assert service.bulkhead.cause == "bad.example: ServiceUnavailable"
    assert service.bulkhead.closed_until_at("bad.example") == service.bulkhead.reopens_at == service.clock() + 1
    assert service.bulkhead.closed_until_at("good.example") == 0


async def test_after_the_pause_a_few_probes_go_to_the_host_and_one_success_closes_its_breaker() -> None:
    service = Service()
    await service.send([BAD] * TRIPS_AFTER)
    pauses = []
    for _ in range(8):
        pauses.append(service.bulkhead.reopens_at - service.clock())
        service.clock.advance(pauses[-1])
        assert await service.send([BAD] * 100) == 10
        assert await service.send([BAD] * 100) == 0
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    service.clock.advance(60)
    service.sender.answer = DELIVERED
    assert await service.send([BAD] * 100) == 10
    assert await service.send([BAD] * 100) == 100
    assert service.bulkhead.cause == ""
    assert service.reports == ["bad.example: ServiceUnavailable", "the service works"]


async def test_a_refused_credential_closes_the_whole_service() -> None:
    service = Service()
    service.sender.answer = WRONG_KEY
    await service.send([GOOD])
    assert service.bulkhead.is_paused
    assert service.bulkhead.admit(Lane.SINGLE) == 0
    assert service.bulkhead.cause == "InvalidProviderToken"


def test_a_success_between_failures_shows_a_host_that_works() -> None:
    hosts = HostBreakers()
    for _ in range(3):
        for _ in range(TRIPS_AFTER - 1):
            hosts.failed("h", "w", 0.0)
        hosts.succeeded("h")
    assert hosts.open_host == ""
    assert len(hosts) == 0


def test_hosts_that_do_not_fail_any_more_are_forgotten_and_strangers_fill_no_memory() -> None:
    hosts = HostBreakers()
    for number in range(5000):
        hosts.failed(f"h{number}", "w", 0.0)
    assert len(hosts) <= 1024
    hosts.forget(599.0)
    assert len(hosts) > 0
    hosts.forget(600.0)
    assert len(hosts) == 0


async def test_a_host_that_asks_for_a_wait_gets_nothing_until_then_and_the_others_their_pushes() -> None:
    service = Service()
    throttled = replace(UNAVAILABLE, reaction=Reaction.THROTTLED, outcome=OutcomeName.THROTTLED, reason="slow down")
    answers = {BAD: replace(throttled, retry_after=50.0, host_wide=True)}
    service.sender.answer = lambda push: answers.get(push.push_channel, DELIVERED)
    assert await service.send([BAD, GOOD, BAD]) == 3
    assert service.bulkhead.split_by_host(service.page(BAD, GOOD, BAD)) == ([1], {"bad.example": [0, 2]})
    assert service.bulkhead.cause == "bad.example: slow down"
    assert service.bulkhead.closed_until_at("bad.example") == service.clock() + 50
    assert not service.bulkhead.is_paused
    service.clock.advance(50)
    answers.clear()
    assert await service.send([BAD] * 30) == 10  # a few try it first
    assert await service.send([BAD] * 30) == 30


async def test_a_channel_that_is_throttled_holds_up_no_other_of_its_host() -> None:
    service = Service()
    throttled = replace(
        UNAVAILABLE, reaction=Reaction.THROTTLED, outcome=OutcomeName.CHANNEL_THROTTLED, retry_after=50.0
    )
    service.sender.answer = throttled
    assert await service.send([BAD] * 3) == 3
    assert await service.send([BAD] * 3) == 3
    assert not service.bulkhead.is_open


async def test_a_wait_without_a_time_is_half_a_minute_and_a_long_one_an_hour() -> None:
    for asked, seconds in ((None, 30), (1e9, 3600)):
        service = Service()
        service.sender.answer = replace(
            UNAVAILABLE, reaction=Reaction.THROTTLED, outcome=OutcomeName.THROTTLED, retry_after=asked, host_wide=True
        )
        await service.send([BAD])
        assert service.bulkhead.closed_until_at("bad.example") == service.clock() + seconds
