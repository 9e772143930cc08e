"""Locks are renewed in time and no longer than configured; what is not sure to be held counts as lost."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusServerBusyError, SessionLockLostError

from connectors.servicebus.locks import Lock, Renewal

START = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)


class Broker:
    """Grants a minute with each renewal, or `grant` seconds, unless it is to fail."""

    def __init__(self) -> None:
        self.now = START
        self.renewals = 0
        self.grant = 60
        self.failure: Exception | None = None

    def clock(self) -> float:
        return self.now.timestamp()

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def renew(self) -> datetime:
        self.renewals += 1
        if self.failure is not None:
            raise self.failure
        return self.now + timedelta(seconds=self.grant)

    def lock(self, *, seconds: float = 60.0, max_age: float = 600.0) -> Lock:
        return Lock(self.now + timedelta(seconds=seconds), self.renew, max_age=max_age, clock=self.clock)


@pytest.fixture
def broker() -> Broker:
    return Broker()


async def held(broker: Broker, *locks: Lock, seconds: int) -> None:
    """Let time pass while the locks are being renewed."""
    renewal = Renewal()
    for lock in locks:
        renewal.hold(lock)
    for _ in range(seconds):
        broker.pass_seconds(1)
        await renewal.renew_due()


async def test_a_lock_is_renewed_when_two_thirds_of_it_are_over_and_as_often_as_needed(broker: Broker) -> None:
    lock = broker.lock()
    await held(broker, lock, seconds=40)
    assert broker.renewals == 0
    await held(broker, lock, seconds=125)
    assert broker.renewals == 4
    assert not lock.is_lost()


async def test_the_shortest_lock_that_there_is_can_be_held(broker: Broker) -> None:
    broker.grant = 5
    lock = broker.lock(seconds=5)
    for _ in range(60):
        await held(broker, lock, seconds=1)
        assert not lock.is_lost()


async def test_a_lock_is_not_renewed_for_longer_than_configured_and_then_runs_out(broker: Broker) -> None:
    lock = broker.lock(max_age=100)
    await held(broker, lock, seconds=100)
    assert not lock.is_lost()
    renewals = broker.renewals
    await held(broker, lock, seconds=60)
    assert (broker.renewals, lock.is_lost()) == (renewals, True)


async def test_who_relies_on_a_session_anew_gets_all_the_time_again(broker: Broker) -> None:
    lock = broker.lock(max_age=100)
    await held(broker, lock, seconds=90)
    lock.touch()
    await held(broker, lock, seconds=90)
    assert not lock.is_lost()


@pytest.mark.parametrize("failure", [MessageLockLostError(), SessionLockLostError()])
async def test_a_lock_that_the_broker_does_not_know_any_more_is_lost_at_once(
    broker: Broker, failure: Exception
) -> None:
    lock = broker.lock()
    broker.failure = failure
    await held(broker, lock, seconds=41)
    assert lock.is_lost()
    await held(broker, lock, seconds=41)
    assert broker.renewals == 1


@pytest.mark.parametrize("failure", [ServiceBusServerBusyError(), AttributeError("_connection"), TimeoutError()])
async def test_any_other_failure_is_tried_again_for_as_long_as_the_lock_lasts(
    broker: Broker, failure: Exception
) -> None:
    lock = broker.lock()
    broker.failure = failure
    await held(broker, lock, seconds=50)
    assert not lock.is_lost()
    broker.failure = None
    await held(broker, lock, seconds=20)
    assert not lock.is_lost()
    broker.failure = failure
    await held(broker, lock, seconds=70)
    assert lock.is_lost()


@pytest.mark.parametrize(("seconds", "margin"), [(60, 5.0), (300, 5.0), (30, 3.0), (5, 0.5)])
async def test_a_lock_that_is_about_to_run_out_counts_as_lost(broker: Broker, seconds: float, margin: float) -> None:
    lock = broker.lock(seconds=seconds)
    broker.pass_seconds(seconds - margin - 0.01)
    assert not lock.is_lost()
    broker.pass_seconds(0.02)
    assert lock.is_lost()


async def test_what_is_released_is_not_renewed(broker: Broker) -> None:
    renewal, lock = Renewal(), broker.lock()
    renewal.hold(lock)
    renewal.release(lock)
    renewal.release(lock)
    broker.pass_seconds(50)
    await renewal.renew_due()
    assert broker.renewals == 0
